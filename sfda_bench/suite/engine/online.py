"""The loop of a stream: every image is predicted and adapted to, once, in order.

A stream that was killed starts again from its beginning: it is short, and half a stream has no
checkpoint that anybody needs.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import TestLoop
from torch.utils.data import DataLoader

from sfda_bench.registry import LOOPS
from sfda_bench.suite.engine.watch import DivergedError


@LOOPS.register_module()
class OnlineAdaptLoop(TestLoop):
    """Let a :class:`~sfda_bench.adapt.test_time.TestTimeAdapter` predict an unlabelled stream.

    mmengine's test loop sets the model to evaluation mode and forbids gradients; this one does
    neither. A test loop has no optimiser, so this one builds it.

    Args:
        runner: mmengine's runner.
        dataloader: The stream, in order.
        evaluator: What receives the predictions.
        optim_wrapper: Config of the optimiser wrapper; ``None`` for methods without gradients.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: DataLoader | dict,
        evaluator: Evaluator | dict | list,
        optim_wrapper: dict | None = None,
    ) -> None:
        super().__init__(runner, dataloader, evaluator)
        self.optim_config = optim_wrapper
        self.optim_wrapper: Any = None

    def run(self) -> dict:
        """Go through the stream."""
        self.runner.call_hook('before_test')
        self.runner.call_hook('before_test_epoch')
        if self.optim_config is not None:
            self.optim_wrapper = self.runner.build_optim_wrapper(self.optim_config)
        self.runner.model.configure(self.optim_wrapper, self.runner.seed)
        for index, batch in enumerate(self.dataloader):
            self.run_iter(index, batch)
        metrics = self.evaluator.evaluate(len(self.dataloader.dataset))
        self.runner.call_hook('after_test_epoch', metrics=metrics)
        self.runner.call_hook('after_test')
        return metrics

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Predict and adapt to one batch.

        Raises:
            DivergedError: The loss is not finite.
        """
        self.runner.call_hook('before_test_iter', batch_idx=idx, data_batch=data_batch)
        with torch.enable_grad():
            outputs = self.runner.model.adapt_step(data_batch, self.optim_wrapper)
        loss = self.runner.model.loss_value
        if loss is not None and not math.isfinite(float(loss)):
            raise DivergedError(idx + 1, float(loss))
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        self.runner.call_hook(
            'after_test_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs
        )
