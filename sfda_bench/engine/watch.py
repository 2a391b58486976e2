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
from sfda_bench.store.filenames import WARNINGS_NAME


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
    (int64, C); a model without one is only watched for divergence. What a step leaves stays on its
    device and is fetched for several steps at once, so that no step waits for the host.

    Args:
        collapse_share: Share of one class in the predictions that counts as collapse.
        memory: Iterations over which the histogram is averaged (exponentially).
        interval: Iterations between two looks at the losses and histograms of all since the last.
    """

    priority = 'LOW'

    def __init__(self, collapse_share: float = 0.8, memory: int = 50, interval: int = 10) -> None:
        self.collapse_share = collapse_share
        self.decay = 1.0 - 1.0 / memory
        self.memory, self.interval = memory, interval
        self._losses: list[tuple[int, torch.Tensor]] = []
        self._histograms: list[tuple[int, torch.Tensor]] = []
        self._share: torch.Tensor | None = None
        self._seen: torch.Tensor | None = None
        self.warnings: dict[str, str] = {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Note the loss and the latest predictions."""
        loss = (outputs or {}).get('loss')
        if isinstance(loss, torch.Tensor):
            self._losses.append((runner.iter + 1, loss.detach()))
        self._note(runner, runner.iter + 1)

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Note the loss and latest predictions of a model that adapts while it predicts."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        loss = getattr(model, 'loss_value', None)
        if loss is not None:
            self._losses.append((batch_idx + 1, loss))
        self._note(runner, batch_idx + 1)

    def _note(self, runner, iteration: int) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        histogram = getattr(model, 'prediction_histogram', None)
        if histogram is not None:
            self._histograms.append((iteration, histogram))
        if iteration % self.interval == 0:
            self._look()

    def _look(self) -> None:
        """Fetch what was noted, in one copy each.

        Raises:
            DivergedError: A loss is not finite.
        """
        losses, self._losses = self._losses, []
        if losses:
            values = torch.stack([loss.double() for _, loss in losses]).tolist()
            for (iteration, _), value in zip(losses, values, strict=True):
                if not math.isfinite(value):
                    raise DivergedError(iteration, value)
        histograms, self._histograms = self._histograms, []
        if histograms:
            counts = torch.stack([histogram for _, histogram in histograms]).cpu()
            for (iteration, _), count in zip(histograms, counts, strict=True):
                self._update(count, iteration)

    def _update(self, histogram: torch.Tensor, iteration: int) -> None:
        share = histogram.double() / max(int(histogram.sum()), 1)
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
        self._look()
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
        self._look()
        self._write(runner)

    def after_test(self, runner) -> None:
        """Write the warnings of a stream for the record."""
        self._look()
        self._write(runner)

    def _write(self, runner) -> None:
        text = json.dumps([self.warnings[key] for key in sorted(self.warnings)])
        write_text(Path(runner.work_dir) / WARNINGS_NAME, text)
