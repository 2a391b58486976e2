"""The loop of a stream: every image is predicted and adapted to, once, in order.

What a stream has learnt is in its model and optimiser, wherever a method keeps it (buffers, counts,
generators), so its checkpoint holds the objects themselves. A stream that was stopped or killed
continues from it and makes the same predictions, to the byte.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import TestLoop
from torch.utils.data import DataLoader

from sfda_bench import interrupts
from sfda_bench.engine.checkpoint import rng_state, save_torch, set_rng_state
from sfda_bench.registry import LOOPS
from sfda_bench.store.filenames import RESUME_NAME


@LOOPS.register_module()
class OnlineAdaptLoop(TestLoop):
    """Let a :class:`~sfda_bench.adapt.online.OnlineAdapter` predict an unlabelled stream.

    mmengine's test loop sets the model to evaluation mode and forbids gradients; this one does
    neither. A test loop has no optimiser, so this one builds it.

    Args:
        runner: mmengine's runner.
        dataloader: The stream, in order.
        evaluator: What receives the predictions.
        optim_wrapper: Config of the optimiser wrapper; ``None`` for methods without gradients.
        checkpoint_interval: Batches between two checkpoints at least; they are rarer where writing
            them would take more than a twentieth of the time.
        resume: Whether to continue from ``resume.pth`` in the run's folder, if there is one.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: DataLoader | dict,
        evaluator: Evaluator | dict | list,
        optim_wrapper: dict | None = None,
        checkpoint_interval: int = 10,
        resume: bool = False,
    ) -> None:
        super().__init__(runner, dataloader, evaluator)
        self.interval, self.resume = checkpoint_interval, resume
        self.file = Path(runner.work_dir) / RESUME_NAME
        self._next_save = 0.0
        self.optim_config = optim_wrapper
        self.optim_wrapper: Any = None

    def run(self) -> dict:
        """Go through the stream."""
        self.runner.call_hook('before_test')
        self.runner.call_hook('before_test_epoch')
        interrupts.check()
        saved = self._saved() if self.resume else None
        if saved is None:
            if self.optim_config is not None:
                self.optim_wrapper = self.runner.build_optim_wrapper(self.optim_config)
            self.runner.model.configure(self.optim_wrapper, self.runner.seed)
        batches = iter(self.dataloader)
        first = 0 if saved is None else self._continue(saved, batches)
        for index, batch in enumerate(batches, first):
            self.run_iter(index, batch)
            if index + 1 < len(self.dataloader):
                self._save_if_due(index + 1)
        metrics = self.evaluator.evaluate(len(self.dataloader.dataset))
        self.runner.call_hook('after_test_epoch', metrics=metrics)
        self.runner.call_hook('after_test')
        return metrics

    # --- checkpoints ----------------------------------------------------------------------------

    def _save_if_due(self, done: int) -> None:
        """Write a checkpoint after ``done`` batches if it is time, or if a stop was requested."""
        now = time.monotonic()
        if interrupts.requested() or (done % self.interval == 0 and now >= self._next_save):
            self._save(done)
            spent = time.monotonic() - now
            self._next_save = time.monotonic() + 20 * spent
        interrupts.check()

    def _save(self, done: int) -> None:
        content: dict[str, Any] = {
            'done': done,
            'model': self.runner.model,
            'optim_wrapper': self.optim_wrapper,
            'results': [metric.results for metric in self.evaluator.metrics],
            'rng_state': rng_state(),
        }
        self.runner.call_hook('before_save_checkpoint', checkpoint=content)
        try:
            save_torch(content, self.file)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            self.interval = len(self.dataloader)
            self.runner.logger.warning(
                f'this stream has no checkpoint, so it can only start again: {error}'
            )

    def _saved(self) -> dict[str, Any] | None:
        """The checkpoint to continue from; one that cannot be read is as good as none."""
        if not self.file.is_file():
            return None
        try:
            # Written by this stage, in its own folder: objects, not weights alone.
            return torch.load(self.file, weights_only=False)
        except Exception as error:
            self.runner.logger.warning(f'the stream starts again: {self.file}: {error}')
            return None

    def _continue(self, saved: dict[str, Any], batches: Iterator[Any]) -> int:
        """Take over a checkpoint and pass over the batches that are done; returns their number."""
        self.runner.model, self.optim_wrapper = saved['model'], saved['optim_wrapper']
        for metric, results in zip(self.evaluator.metrics, saved['results'], strict=True):
            metric.results = results
        self.runner._resume = True
        self.runner.call_hook('after_load_checkpoint', checkpoint=saved)
        for _ in range(saved['done']):
            next(batches)
        set_rng_state(saved['rng_state'])
        self.runner.logger.info(f'resumed after {saved["done"]} of {len(self.dataloader)} batches')
        return saved['done']

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Predict and adapt to one batch; the watch hook looks at the loss."""
        self.runner.call_hook('before_test_iter', batch_idx=idx, data_batch=data_batch)
        with torch.enable_grad():
            outputs = self.runner.model.adapt_step(data_batch, self.optim_wrapper)
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        self.runner.call_hook(
            'after_test_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs
        )
