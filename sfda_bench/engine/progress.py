"""Progress of a stage, written to a small file that the suite reads."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from sfda_bench.atomic import write_text
from sfda_bench.registry import HOOKS
from sfda_bench.store.filenames import PROGRESS_NAME


@HOOKS.register_module()
class ProgressHook(Hook):
    """Write iteration, speed and loss to ``progress.json`` every ``seconds``.

    Args:
        seconds: Least time between two writes.
    """

    priority = 'LOW'

    def __init__(self, seconds: float = 2.0) -> None:
        self.seconds = seconds
        self._last = 0.0
        self._began = 0.0
        self._cpu = 0.0
        self._first = 0
        self._images = 0

    def before_train(self, runner) -> None:
        """Start the clock."""
        self._start(runner.iter)

    def before_test(self, runner) -> None:
        """Start the clock."""
        self._start(0)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Report training progress."""
        self._images += _batch_size(data_batch)
        loss = (outputs or {}).get('loss')
        value = float(loss.detach()) if isinstance(loss, torch.Tensor) and self._due() else None
        self._write(runner, runner.iter + 1, runner.max_iters, value)

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Report scoring progress."""
        self._images += _batch_size(data_batch)
        self._write(runner, batch_idx + 1, len(runner.test_dataloader), None)

    def after_train(self, runner) -> None:
        """Write the last state."""
        self._write(runner, runner.iter, runner.max_iters, None, force=True)

    def after_test(self, runner) -> None:
        """Write the last state."""
        total = len(runner.test_dataloader)
        self._write(runner, total, total, None, force=True)

    def _start(self, done: int) -> None:
        self._began, self._first, self._images = time.monotonic(), done, 0
        self._cpu = time.process_time()

    def _due(self) -> bool:
        return time.monotonic() - self._last >= self.seconds

    def _write(self, runner, done: int, total: int, loss: float | None, force=False) -> None:
        if not is_main_process() or not (force or self._due()):
            return
        self._last = time.monotonic()
        spent = self._last - self._began
        state = {
            'done': done,
            'total': total,
            'seconds': round(spent, 3),
            'images': self._images,
            'images_per_second': round(self._images / spent, 3) if spent > 0 else None,
            'images_per_cpu_second': self._cpu_rate(),
            'eta_seconds': round(spent / max(done - self._first, 1) * (total - done), 1),
            'loss': loss,
            'device': _device(),
            'memory_mb': round(peak_memory_mb(), 1),
        }
        write_text(Path(runner.work_dir) / PROGRESS_NAME, json.dumps(state))

    def _cpu_rate(self) -> float | None:
        """Images a second of this process's own time: other processes hardly change it.

        ``None`` with a GPU, whose work is not in that time.
        """
        spent = time.process_time() - self._cpu
        if torch.cuda.is_available() or spent <= 0:
            return None
        return round(self._images / spent, 3)


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu'


def peak_memory_mb() -> float:
    """Most memory taken so far: allocated on the GPU, or resident on a CPU."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == 'darwin' else peak / 2**10


def _batch_size(data_batch) -> int:
    if not isinstance(data_batch, dict):
        return 0
    if 'inputs' in data_batch:
        return len(data_batch['inputs'])
    return sum(_batch_size(part) for part in data_batch.values())
