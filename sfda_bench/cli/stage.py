"""``train`` and ``score``: one stage by itself."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import DictAction

from sfda_bench.errors import BenchError

#: What a stage runs; one of these is in its config.
RUNS = ('train_dataloader', 'test_cfg', 'gate', 'convert', 'initial')


def train(arguments: argparse.Namespace) -> int:
    """Train, adapt or label by a resolved config."""
    return _run('train', arguments)


def score(arguments: argparse.Namespace) -> int:
    """Score by a resolved config."""
    return _run('score', arguments)


def _run(kind: str, arguments: argparse.Namespace) -> int:
    from sfda_bench.atomic import write_text
    from sfda_bench.networks.checkpoints.reading import read_file
    from sfda_bench.plan import configs as compose
    from sfda_bench.plan.catalog import read_config
    from sfda_bench.run.stage import run_stage
    from sfda_bench.store.runs import CONFIG_FILE

    config = read_config(arguments.config, 'a resolved stage config, runs/<id>/config.py')
    _check_kind(kind, config, arguments.config)
    if arguments.cfg_options:
        config.merge_from_dict(_options(arguments.cfg_options))
    work_dir = arguments.work_dir or Path('work_dirs') / config.stage.get('id', 'stage')
    compose.place(config, work_dir.resolve())
    checkpoint = arguments.checkpoint
    if checkpoint:
        read_file(checkpoint)
        config.load_from = str(checkpoint.resolve())
    path = work_dir.resolve() / CONFIG_FILE
    write_text(path, config.pretty_text)
    result = run_stage(path, guard=not arguments.no_guard, resume=arguments.resume)
    print(json.dumps({key: result[key] for key in ('wall_seconds', 'warnings')}))
    print(f'wrote {work_dir}')
    return 0


def _options(texts: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` as mmengine reads them."""
    wrong = [text for text in texts if '=' not in text]
    if wrong:
        raise BenchError(f'--cfg-options {shlex.join(wrong)}', 'KEY=VALUE')
    found = argparse.Namespace()
    DictAction([], 'options')(argparse.ArgumentParser(), found, texts)
    return found.options


def _check_kind(kind: str, config, path: Path) -> None:
    if 'stage' not in config:
        raise BenchError(
            f'{path} has no `stage` block',
            'a resolved stage config',
            "use mmseg's own tools for plain mmseg configs",
        )
    if not any(key in config or key in config.stage for key in RUNS):
        raise BenchError(
            f'{path} says not what to run',
            f'a resolved stage config, with one of {", ".join(RUNS)}',
            'take runs/<id>/config.py as a suite wrote it',
        )
    scores = config.stage.kind == 'score'
    if scores != (kind == 'score'):
        other = 'score' if scores else 'train'
        raise BenchError(f'{path} is a {config.stage.kind} stage', fix=f'tools/{other}.py {path}')
