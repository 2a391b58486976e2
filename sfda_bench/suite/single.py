"""One stage by itself, with the flags that mmseg's own tools have."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import DictAction

from sfda_bench.errors import BenchError


def main(kind: str, description: str | None, argv: Sequence[str] | None = None) -> int:
    """Run a resolved config.

    Args:
        kind: ``'train'`` or ``'score'``.
        description: Help text.
        argv: Arguments; ``None`` = the command line's.

    Returns:
        Exit code.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, help='resolved config, e.g. runs/<id>/config.py')
    parser.add_argument('checkpoint', nargs='?', type=Path, help='weights to start from or score')
    parser.add_argument('--work-dir', type=Path, help='where to write (default: work_dirs/<id>)')
    parser.add_argument('--resume', action='store_true', help='continue from <work-dir>/resume.pth')
    parser.add_argument('--no-guard', action='store_true', help='do not seal a sealed stage')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='overrides, as in mmengine',
    )
    arguments = parser.parse_args(argv)
    try:
        return _run(kind, arguments)
    except BenchError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1


def _run(kind: str, arguments: argparse.Namespace) -> int:
    from mmengine.config import Config

    from sfda_bench.atomic import write_text
    from sfda_bench.suite import compose
    from sfda_bench.suite.process import run_stage
    from sfda_bench.suite.store import CONFIG_FILE

    if not arguments.config.is_file():
        raise BenchError(
            f'no config {arguments.config}',
            'a resolved stage config',
            'list them with: python tools/run_suite.py --dry-run',
        )
    config = Config.fromfile(str(arguments.config), import_custom_modules=False)
    _check_kind(kind, config, arguments.config)
    if arguments.cfg_options:
        config.merge_from_dict(arguments.cfg_options)
    work_dir = arguments.work_dir or Path('work_dirs') / config.stage.get('id', 'stage')
    compose.place(config, work_dir.resolve())
    checkpoint = arguments.checkpoint
    if checkpoint:
        if not checkpoint.is_file():
            raise BenchError(f'no checkpoint {checkpoint}', 'an existing file')
        config.load_from = str(checkpoint.resolve())
    path = work_dir.resolve() / CONFIG_FILE
    write_text(path, config.pretty_text)
    result = run_stage(path, guard=not arguments.no_guard, resume=arguments.resume)
    print(json.dumps({key: result[key] for key in ('wall_seconds', 'warnings')}))
    print(f'wrote {work_dir}')
    return 0


def _check_kind(kind: str, config, path: Path) -> None:
    if 'stage' not in config:
        raise BenchError(
            f'{path} has no `stage` block',
            'a resolved stage config',
            "use mmseg's own tools for plain mmseg configs",
        )
    scores = config.stage.kind == 'score'
    if scores != (kind == 'score'):
        other = 'score' if scores else 'train'
        raise BenchError(f'{path} is a {config.stage.kind} stage', fix=f'tools/{other}.py {path}')
