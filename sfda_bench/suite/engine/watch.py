"""Early warnings while a stage trains: divergence, collapse, extinct classes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from sfda_bench.atomic import write_text
from sfda_bench.registry import HOOKS

WARNINGS_NAME = 'warnings.json'


class DivergedError(RuntimeError):
    """The loss is no longer a finite number.

    Args:
        iteration: The iteration at which it was seen.
        value: The loss.
    """

    def __init__(self, iteration: int, value: float) -> None:
        self.iteration, self.value = iteration, value
        super().__init__(f'the loss is {value} at iteration {iteration}')

    def __reduce__(self) -> tuple:
        return type(self), (self.iteration, self.value)


@HOOKS.register_module()
class WatchHook(Hook):
    """Stop on a non-finite loss; warn of collapse and of classes that are no longer predicted.

    The adapter offers the class histogram of its latest predictions as ``prediction_histogram``
    (int64, C); a model without one is only watched for divergence.

    Args:
        collapse_share: Share of one class in the predictions that counts as collapse.
        memory: Iterations over which the histogram is averaged (exponentially).
    """

    priority = 'LOW'

    def __init__(self, collapse_share: float = 0.8, memory: int = 50) -> None:
        self.collapse_share = collapse_share
        self.decay = 1.0 - 1.0 / memory
        self.memory = memory
        self._share: torch.Tensor | None = None
        self._seen: torch.Tensor | None = None
        self.warnings: dict[str, str] = {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Check the loss and the latest predictions."""
        loss = (outputs or {}).get('loss')
        if isinstance(loss, torch.Tensor) and not math.isfinite(float(loss.detach())):
            raise DivergedError(runner.iter + 1, float(loss.detach()))
        self._look(runner, runner.iter + 1)

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Check the latest predictions of a model that adapts while it predicts."""
        self._look(runner, batch_idx + 1)

    def _look(self, runner, iteration: int) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        histogram = getattr(model, 'prediction_histogram', None)
        if histogram is not None:
            self._update(histogram, iteration)

    def _update(self, histogram: torch.Tensor, iteration: int) -> None:
        share = histogram.double().cpu() / max(int(histogram.sum()), 1)
        if self._share is None or self._seen is None:
            self._share, self._seen = share.clone(), torch.zeros(len(share), dtype=torch.bool)
        self._share = self.decay * self._share + (1.0 - self.decay) * share
        self._seen |= self._share > 1e-3
        top = int(self._share.argmax())
        if iteration >= self.memory and self._share[top] > self.collapse_share:
            self.warnings.setdefault(
                'collapse',
                f'class {top} takes {100 * float(self._share[top]):.0f} % of the predictions '
                f'(first seen at iteration {iteration})',
            )
        for gone in torch.nonzero(self._seen & (self._share < 1e-6)).flatten().tolist():
            self.warnings.setdefault(
                f'extinct-{gone}',
                f'class {gone} is no longer predicted (first seen at iteration {iteration})',
            )

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Carry the running state across a resume."""
        checkpoint['watch'] = {
            'share': self._share, 'seen': self._seen, 'warnings': self.warnings
        }  # fmt: skip

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Restore the running state."""
        if runner._resume and 'watch' in checkpoint:
            state = checkpoint['watch']
            self._share, self._seen = state['share'], state['seen']
            self.warnings = dict(state['warnings'])

    def after_train(self, runner) -> None:
        """Write the warnings for the record."""
        self._write(runner)

    def after_test(self, runner) -> None:
        """Write the warnings of a stream for the record."""
        self._write(runner)

    def _write(self, runner) -> None:
        text = json.dumps([self.warnings[key] for key in sorted(self.warnings)])
        write_text(Path(runner.work_dir) / WARNINGS_NAME, text)
