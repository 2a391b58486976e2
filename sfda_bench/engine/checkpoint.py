"""Checkpoints that a kill cannot break, and the plain checkpoint a stage hands on."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process, master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner.checkpoint import weights_to_cpu

from sfda_bench import interrupts
from sfda_bench.atomic import write_with
from sfda_bench.registry import HOOKS
from sfda_bench.store.filenames import FINAL_NAME, RESUME_NAME


def rng_state() -> dict[str, Any]:
    """State of Python's, NumPy's and torch's random generators, as tensors and plain values."""
    version, internal, gauss = random.getstate()
    name, keys, pos, has_gauss, cached = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        'python': (version, list(internal), gauss),
        'numpy': (
            name,
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            pos,
            has_gauss,
            cached,
        ),
        'torch': torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state_all()
    return state


def set_rng_state(state: dict[str, Any]) -> None:
    """Restore what :func:`rng_state` returned."""
    version, internal, gauss = state['python']
    random.setstate((version, tuple(internal), gauss))
    name, keys, pos, has_gauss, cached = state['numpy']
    np.random.set_state((name, keys.numpy().astype(np.uint32), pos, has_gauss, cached))
    torch.set_rng_state(state['torch'])
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state['cuda'])


@HOOKS.register_module()
class StageCheckpointHook(Hook):
    """Write ``resume.pth`` every ``interval`` iterations, atomically, random states included.

    It is also written, and the run ended, after the iteration in which a stop was requested.

    mmengine's own hook writes in place: a kill during the write leaves a broken file. One file is
    kept; the stage ends with :class:`ExportHook`.

    Args:
        interval: Iterations between two writes.
        keep: Iterations whose plain weights are also kept as ``iter_<n>.pth``, to be scored after
            the stage (learning curves); selection never happens inside the stage.
    """

    priority = 'VERY_LOW'

    def __init__(self, interval: int = 500, keep: tuple[int, ...] | list[int] = ()) -> None:
        self.interval = int(interval)
        self.keep = frozenset(int(i) for i in keep)
        self._restored: dict[str, Any] | None = None

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Remember the random states of a resumed run."""
        self._restored = checkpoint.get('rng_state') if runner._resume else None

    def before_train(self, runner) -> None:
        """End at once if a stop was requested while everything was set up."""
        interrupts.check()

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Restore the random states last, after everything that draws during set-up."""
        if self._restored is not None:
            set_rng_state(self._restored)
            self._restored = None

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add the random states."""
        checkpoint['rng_state'] = rng_state()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Save when due."""
        done = runner.iter + 1
        if done in self.keep:
            save_plain(runner, Path(runner.work_dir) / f'iter_{done}.pth')
        if done == runner.max_iters:
            return
        if done % self.interval == 0 or interrupts.requested():
            save_resume(runner)
        interrupts.check()


def save_resume(runner) -> None:
    """Write everything needed to continue to ``<work_dir>/resume.pth``, atomically."""

    def write(temporary: Path) -> None:
        runner.save_checkpoint(
            str(temporary.parent),
            temporary.name,
            save_param_scheduler=True,
            meta=dict(epoch=runner.epoch, iter=runner.iter + 1),
            by_epoch=False,
        )

    if is_main_process():
        write_with(Path(runner.work_dir) / RESUME_NAME, write)


def save_torch(content: dict[str, Any], path: Path) -> None:
    """``torch.save``, atomically, with bytes that depend on the content alone.

    Given a path, torch writes the file's name into the archive, and ours is a temporary one.
    """

    def write(temporary: Path) -> None:
        with temporary.open('wb') as stream:
            torch.save(content, stream)

    write_with(path, write)


@master_only
def save_plain(runner, path: Path) -> None:
    """Write the segmentor that will be scored as a plain mmseg checkpoint, atomically."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    exported = model.export_module() if hasattr(model, 'export_module') else model
    meta = {
        'iter': min(runner.iter + 1, runner.max_iters),
        'seed': runner.seed,
        'dataset_meta': _plain_meta(runner),
    }
    content = {'meta': meta, 'state_dict': weights_to_cpu(exported.state_dict())}
    save_torch(content, path)


def _plain_meta(runner) -> dict[str, Any]:
    meta = getattr(runner.train_dataloader.dataset, 'metainfo', {})
    return {key: meta[key] for key in ('classes', 'palette') if key in meta}


@HOOKS.register_module()
class ExportHook(Hook):
    """Write ``final.pth``, the checkpoint the stage hands on, after the last iteration."""

    priority = 'LOWEST'

    def after_train(self, runner) -> None:
        """Export the model that will be scored."""
        save_plain(runner, Path(runner.work_dir) / FINAL_NAME)
