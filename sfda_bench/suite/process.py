"""What happens inside one stage process: guard, a stock Runner, a plain checkpoint, the facts.

The same function serves the suite's executors and ``tools/train.py`` / ``tools/score.py``.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import time
from pathlib import Path
from typing import Any

from sfda_bench.atomic import write_text
from sfda_bench.errors import BenchError
from sfda_bench.stack import import_stack, keep_freed_memory
from sfda_bench.suite.guard import Guard
from sfda_bench.suite.outside import import_file
from sfda_bench.suite.outside import readable as code_folder

RESULT_NAME = 'result.json'
#: Packages that a number may depend on (the onedl ones or their originals).
PACKAGES = (
    'torch', 'onedl-mmsegmentation', 'onedl-mmengine', 'onedl-mmcv', 'mmsegmentation', 'mmengine',
    'mmcv', 'numpy', 'pillow', 'opencv-python', 'kornia', 'sfda_bench',
)  # fmt: skip


def run_stage(config_file: Path, guard: bool = True, resume: bool = True) -> dict[str, Any]:
    """Run the stage a resolved config describes, in this process.

    Args:
        config_file: ``runs/<id>/config.py``.
        guard: Whether a sealed stage is sealed.
        resume: Continue from ``resume.pth`` if there is one.

    Returns:
        The facts for the record, also written to ``result.json``.

    Raises:
        GuardViolationError: A sealed stage tried to read what it must not.
        DivergedError: The loss is not finite.
    """
    from mmengine.config import Config

    import_stack()
    keep_freed_memory()
    config = Config.fromfile(str(config_file), import_custom_modules=False)
    stage = config.stage
    work_dir = Path(config.work_dir)
    work_dir.mkdir(parents=True, exist_ok=True)
    watcher, verdict = None, 'open'
    if stage.get('sealed'):
        verdict = 'unguarded'
        if guard:
            watcher = _guard(config, work_dir)
            verdict = watcher.seal()
    began = time.monotonic()
    try:
        if 'gate' in stage:
            _gate(config, work_dir)
        elif 'convert' in stage:
            _convert(config, work_dir)
        elif 'initial' in stage:
            _initial(config, work_dir)
        else:
            _run(config, work_dir, resume)
    except Exception:
        if watcher is not None:
            watcher.check()
        raise
    if watcher is not None:
        watcher.check()
    result = _facts(work_dir, time.monotonic() - began)
    result['guard'] = {'verdict': verdict, 'granted': list(stage.get('grants', []))}
    if os.environ.get('RANK', '0') == '0':
        write_text(work_dir / RESULT_NAME, json.dumps(result, indent=1))
    return result


def _guard(config: Any, work_dir: Path) -> Guard:
    # mmengine formats configs with yapf, which reads a grammar from the user's cache on import.
    import yapf.yapflib.yapf_api  # noqa: F401

    readable = [Path(p) for p in config.stage.get('grants', [])]
    if config.load_from:
        readable.append(Path(config.load_from))
    readable += [code_folder(Path(p)) for p in config.stage.get('code_files', [])]
    return Guard(readable, [work_dir], [Path(p) for p in config.stage.get('protected', [])])


def _run(config: Any, work_dir: Path, resume: bool) -> None:
    """A stock Runner on the config; training or testing is told by its data loader."""
    import torch
    from mmengine.dist import is_main_process
    from mmengine.runner import Runner

    from sfda_bench.suite.engine.checkpoint import RESUME_NAME
    from sfda_bench.suite.ranks import share_batch

    if not torch.cuda.is_available():
        torch.set_num_threads(int(os.environ.get('OMP_NUM_THREADS', '1')))
    config = config.copy()
    saved = work_dir / RESUME_NAME
    if resume and 'train_dataloader' in config and saved.is_file():
        config.load_from, config.resume = str(saved), True
    share_batch(config)
    import_custom(config)
    runner = Runner.from_cfg(config)
    if 'train_dataloader' in config:
        runner.train()
        if is_main_process():
            saved.unlink(missing_ok=True)
    else:
        runner.test()


def import_custom(config: Any) -> None:
    """Import what the config's ``custom_imports`` names (inside the guard, for method code)."""
    from mmengine.utils import import_modules_from_strings

    import_modules_from_strings(**config.custom_imports)
    for path in config.stage.get('code_files', []):
        import_file(Path(path))


def _gate(config: Any, work_dir: Path) -> None:
    from sfda_bench.suite.gate import run_gate

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
    from sfda_bench.suite.engine.checkpoint import save_torch
    from sfda_bench.suite.names import FINAL_NAME

    content = {'meta': {'origin': config.stage.get('origin', '')}, 'state_dict': state}
    save_torch(content, work_dir / FINAL_NAME)


def _converted(config: Any, wanted: Any) -> dict[str, Any]:
    """The state dict of the stage's foreign file, whose SHA-256 may be stated in part."""
    from sfda_bench.networks.convert import convert_checkpoint
    from sfda_bench.suite.store import sha256_file

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
    from sfda_bench.suite.engine.progress import peak_memory_mb

    progress_file = work_dir / 'progress.json'
    progress = json.loads(progress_file.read_text()) if progress_file.is_file() else {}
    warnings_file = work_dir / 'warnings.json'
    return {
        'wall_seconds': round(wall, 3),
        'images_per_second': progress.get('images_per_second'),
        'images_per_cpu_second': progress.get('images_per_cpu_second'),
        'peak_memory_mb': round(peak_memory_mb(), 1),
        'warnings': json.loads(warnings_file.read_text()) if warnings_file.is_file() else [],
        'versions': versions(),
        'hardware': hardware(),
    }


def versions() -> dict[str, str]:
    """Versions of the packages that a number may depend on."""
    from importlib.metadata import PackageNotFoundError, version

    found = {'python': platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """The machine: processor, cores, memory in GB, GPUs."""
    import torch

    info: dict[str, Any] = {
        'system': f'{platform.system()} {platform.machine()}',
        'cpu': _cpu_name(),
        'cores': os.cpu_count(),
        'threads': torch.get_num_threads(),
        'memory_gb': round(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30, 1),
        'gpu': None,
    }
    if torch.cuda.is_available():
        info['gpu'] = torch.cuda.get_device_name(0)
    return info


def _cpu_name() -> str:
    try:
        for line in Path('/proc/cpuinfo').read_text().splitlines():
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or 'unknown'


def host() -> str:
    """Name of this machine."""
    return socket.gethostname()
