"""HCL's past models: an average that is restarted, and a snapshot that is renewed with it.

Source: HCL (arXiv 2110.03374), code ``trainer_hcl.py:gen_update``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sfda_bench.adapt.hooks import unwrapped
from sfda_bench.adapt.mean_teacher import Buffers, MeanTeacherHook, update_average
from sfda_bench.errors import BenchError
from sfda_bench.registry import HOOKS


@HOOKS.register_module()
class HistoricalModelHook(MeanTeacherHook):
    """Average before every iteration; set average and history to the student now and then.

    At iteration i > 0 with ``i % restart == 0`` both take the student's parameters as they were
    before that iteration's step, and its buffers as they are after it. The model says by
    ``historical()`` which (past, student) modules follow; one without it has its average restarted
    alone. What is kept is in the model, and the index is the runner's: a resumed run goes on as it
    would have.

    Args:
        momentum: See :class:`~sfda_bench.adapt.mean_teacher.MeanTeacherHook`.
        interval: Likewise.
        buffers: Likewise.
        restart: Iterations between two restarts; ``None``: never.
    """

    def __init__(
        self,
        momentum: float = 0.996,
        interval: int = 1,
        buffers: Buffers = 'copy',
        restart: int | None = 300,
    ) -> None:
        super().__init__(momentum=momentum, interval=interval, buffers=buffers)
        if restart is not None and restart < 1:
            raise BenchError(f'restart of the average after {restart}', '1 or more, or None')
        self.restart = restart
        self._before: list[list[Tensor]] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Average; note the student's parameters where a restart is due."""
        super().before_train_iter(runner, batch_idx, data_batch)
        if self._is_due(runner):
            self._before = [
                [parameter.detach().clone() for parameter in student.parameters()]
                for _, student in self._pairs(runner)
            ]

    @torch.no_grad()
    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Restart."""
        if not self._is_due(runner):
            return
        for (past, student), noted in zip(self._pairs(runner), self._before, strict=True):
            update_average(past, student, 0.0, 'copy')
            for own, parameter in zip(past.parameters(), noted, strict=True):
                own.copy_(parameter)
        self._before = []

    def _is_due(self, runner: Any) -> bool:
        return self.restart is not None and runner.iter > 0 and runner.iter % self.restart == 0

    def _pairs(self, runner: Any) -> list[tuple[nn.Module, nn.Module]]:
        """(past model, student) of the average and of the history."""
        model = unwrapped(runner)
        pairs = model.averaged() if self.teacher is None else [(self.teacher, model)]
        return [*pairs, *(model.historical() if hasattr(model, 'historical') else [])]
