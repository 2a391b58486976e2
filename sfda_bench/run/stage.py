"""Runs a stage in its process: guard, a stock Runner, a plain checkpoint, the facts.

The same function serves the suite's executors and ``tools/train.py`` / ``tools/score.py``.
"""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sfda_bench import interrupts
from sfda_bench.atomic import write_text
from sfda_bench.errors import BenchError
from sfda_bench.plan.plugins import import_file
from sfda_bench.run.machine import hardware, versions
from sfda_bench.run.seal.grants import given_files, make_guard
from sfda_bench.run.temporary import end_with_lost_batches
from sfda_bench.stack import import_stack, keep_freed_memory
from sfda_bench.store.filenames import PROGRESS_NAME, WARNINGS_NAME

RESULT_NAME = 'result.json'


def run_stage(
    config_file: Path, guard: bool = True, resume: bool = True, inside: bool = False
) -> dict[str, Any]:
    """Run the stage a resolved config describes; a sealed one in a child process.

    Args:
        config_file: ``runs/<id>/config.py``.
        guard: Whether a sealed stage is sealed.
        resume: Continue from ``resume.pth`` if there is one.
        inside: This process is one of several inside a seal already.

    Returns:
        The facts for the record, also written to ``result.json``.

    Raises:
        GuardViolationError: A sealed stage tried to read what it must not.
        SealedStageError: A sealed stage failed.
        DivergedError: The loss is not finite.
    """
    config = _loaded(config_file)
    if inside and config.stage.get('sealed'):
        watcher = make_guard(config)
        watcher.watch()
        result = _result(config, lambda: _body(config, resume))
        watcher.check()
        return result
    return run_in_seal(config, guard, lambda: _result(config, lambda: _body(config, resume)))


def run_in_seal(config: Any, guard: bool, body: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Call ``body`` as the stage's track wants it, and note how in the facts and in their file."""
    from sfda_bench.run.seal.sealed import run_sealed

    granted = list(config.stage.get('grants', []))
    if config.stage.get('sealed') and guard:
        result = run_sealed(make_guard(config), body)
    else:
        result = body()
        result['guard'] = {'verdict': 'unguarded' if config.stage.get('sealed') else 'open'}
    result['guard'] |= {'granted': granted, 'given': given_files(config)}
    if os.environ.get('RANK', '0') == '0':
        write_text(Path(config.work_dir) / RESULT_NAME, json.dumps(result, indent=1))
    return result


def _loaded(config_file: Path) -> Any:
    from mmengine.config import Config

    import_stack()
    keep_freed_memory()
    config = Config.fromfile(str(config_file), import_custom_modules=False)
    Path(config.work_dir).mkdir(parents=True, exist_ok=True)
    return config


def _result(config: Any, body: Callable[[], None]) -> dict[str, Any]:
    began = time.monotonic()
    body()
    result = _facts(Path(config.work_dir), time.monotonic() - began)
    if os.environ.get('RANK', '0') == '0':
        write_text(Path(config.work_dir) / RESULT_NAME, json.dumps(result, indent=1))
    return result


def _body(config: Any, resume: bool) -> None:
    work_dir = Path(config.work_dir)
    end_with_lost_batches()
    if 'gate' in config.stage:
        _gate(config, work_dir)
    elif 'convert' in config.stage:
        _convert(config, work_dir)
    elif 'initial' in config.stage:
        _initial(config, work_dir)
    else:
        _run(config, work_dir, resume)


def _run(config: Any, work_dir: Path, resume: bool) -> None:
    """A stock Runner on the config; training or testing is told by its data loader."""
    import torch
    from mmengine.dist import is_main_process
    from mmengine.runner import Runner

    from sfda_bench.engine.checkpoint import RESUME_NAME
    from sfda_bench.networks.checkpoints.weights import check_weights
    from sfda_bench.run.distributed import share_batch
    from sfda_bench.run.loading import pin, unblock

    if not torch.cuda.is_available():
        torch.set_num_threads(int(os.environ.get('OMP_NUM_THREADS', '1')))
        # numbers below 1e-38, of which published weights hold many, slow some processors twentyfold
        torch.set_flush_denormal(True)
    config = config.copy()
    saved = work_dir / RESUME_NAME
    trains = 'train_dataloader' in config
    streams = not trains and config.test_cfg.get('type') == 'OnlineAdaptLoop'
    if resume and trains and saved.is_file() and _is_whole(saved):
        config.load_from, config.resume = str(saved), True
    if streams:
        config.test_cfg.resume = resume
    share_batch(config)
    import_custom(config)
    if torch.cuda.is_available():
        pin(config)
    runner = Runner.from_cfg(config)
    if torch.cuda.is_available():
        unblock(runner.model)
    if config.load_from and not config.resume:
        check_weights(config.load_from, _network_of(runner.model))
    if not (trains or streams):
        runner.test()
        return
    # Asked to stop, these two finish their iteration and write a checkpoint.
    with interrupts.deferred():
        runner.train() if trains else runner.test()
    if is_main_process():
        saved.unlink(missing_ok=True)


def _is_whole(saved: Path) -> bool:
    """Whether a training can continue from its checkpoint; a damaged one is set aside."""
    try:
        with zipfile.ZipFile(saved) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError) as error:
        damaged = str(error)
    if damaged is None:
        return True
    aside = saved.with_suffix('.damaged')
    saved.replace(aside)
    print(f'{saved} is damaged ({damaged}); kept as {aside.name}, starting from the beginning')
    return False


def _network_of(model: Any) -> Any:
    """The segmentor that a plain checkpoint is for, inside whatever wraps it."""
    for name in ('module', 'student', 'module'):  # ranks; an adapter, or a protocol's predictor
        model = getattr(model, name, model)
    return model


def import_custom(config: Any) -> None:
    """Import what the config's ``custom_imports`` names (inside the guard, for method code)."""
    from mmengine.utils import import_modules_from_strings

    import_modules_from_strings(**config.custom_imports)
    for path in config.stage.get('code_files', []):
        import_file(Path(path))


def _gate(config: Any, work_dir: Path) -> None:
    from sfda_bench.run.gate import run_gate

    import_custom(config)
    run_gate(config, work_dir)


def _convert(config: Any, work_dir: Path) -> None:
    """Turn a published checkpoint into a plain one of our network, strictly."""
    import_custom(config)
    _save_plain(config, _converted(config, config.stage.convert), work_dir)


def _initial(config: Any, work_dir: Path) -> None:
    """Draw a network's weights, and put those of its ImageNet-type file in their place."""
    from mmengine.registry import init_default_scope
    from mmengine.runner import set_random_seed

    from sfda_bench.networks.build import build_segmentor

    import_custom(config)
    init_default_scope(config.default_scope)
    set_random_seed(config.randomness.seed)
    segmentor = build_segmentor(config.model)
    segmentor.init_weights()
    state = dict(segmentor.state_dict())
    if config.stage.initial:
        state.update(_converted(config, config.stage.initial))
    _save_plain(config, state, work_dir)


def _save_plain(config: Any, state: dict[str, Any], work_dir: Path) -> None:
    from sfda_bench.engine.checkpoint import save_torch
    from sfda_bench.store.filenames import FINAL_NAME

    content = {'meta': {'origin': config.stage.get('origin', '')}, 'state_dict': state}
    save_torch(content, work_dir / FINAL_NAME)


def _converted(config: Any, wanted: Any) -> dict[str, Any]:
    """The state dict of the stage's foreign file, whose SHA-256 may be stated in part."""
    from sfda_bench.networks.checkpoints.convert import convert_checkpoint
    from sfda_bench.store.runs import sha256_file

    path = Path(config.stage.convert_from)
    found = sha256_file(path)
    if wanted.get('sha256') and not found.startswith(wanted['sha256']):
        raise BenchError(
            f'{path} has SHA-256 {found}',
            wanted['sha256'],
            "get the file named by the network's `origin`, or correct `sha256` in its config",
        )
    return convert_checkpoint(path, wanted['converter'], config.model.to_dict())


def _facts(work_dir: Path, wall: float) -> dict[str, Any]:
    from sfda_bench.engine.progress import peak_memory_mb

    progress_file = work_dir / PROGRESS_NAME
    progress = (
        json.loads(progress_file.read_text(encoding='utf-8')) if progress_file.is_file() else {}
    )
    warnings_file = work_dir / WARNINGS_NAME
    return {
        'wall_seconds': round(wall, 3),
        'images_per_second': progress.get('images_per_second'),
        'images_per_cpu_second': progress.get('images_per_cpu_second'),
        'peak_memory_mb': round(peak_memory_mb(), 1),
        'warnings': json.loads(warnings_file.read_text(encoding='utf-8'))
        if warnings_file.is_file()
        else [],
        'versions': versions(),
        'hardware': hardware(),
    }
