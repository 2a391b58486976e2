"""Overhead of the engine: a cached call over 1,000 entries, and the start of a stage."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sfda_bench.atomic import write_text, write_with
from sfda_bench.plan.expand import Selection, make_plan
from sfda_bench.plan.model import Plan
from sfda_bench.plan.selectors import MethodSelector
from sfda_bench.run.execute import prepare
from sfda_bench.store.filenames import COUNTS_NAME, FINAL_NAME
from sfda_bench.store.runs import Store


def tiny_world(folder: Path) -> Path:
    """A tiny pocket world."""
    from sfda_bench.pocket.world import DEFAULT_COUNTS, WorldSpec, ensure_pocket

    root = folder / 'pocket'
    ensure_pocket(root, WorldSpec(size=(48, 96), counts=dict.fromkeys(DEFAULT_COUNTS, 2)))
    return root


def _selection(entries: int) -> Selection:
    methods = [MethodSelector('tent', {}), MethodSelector('bn_adapt', {})]
    tasks = ['gta5_to_cityscapes', 'synthia_to_cityscapes']
    return Selection(tasks, None, methods, range(max(1, entries // 4)))


def cached_call(
    folder: Path, root: Path, entries: int, call: Callable[[list[str]], int]
) -> tuple[float, int]:
    """Seconds of planning, finding all cached, and checking all records.

    The store is filled with finished stages of random counts first; that is not timed.

    Args:
        folder: For the store and the records.
        root: A data root.
        entries: About so many.
        call: The command that is timed.

    Returns:
        Seconds, and the number of entries.
    """
    store = Store(folder / 'runs')
    selection = _selection(entries)
    plan = make_plan('pocket', selection, root, store)
    _fake_results(plan, store)
    seeds = list(selection.seeds or [])
    command = [
        '--method', 'tent', 'bn_adapt', '--task', 'gta5_to_cityscapes', 'synthia_to_cityscapes',
        '--seed', f'{seeds[0]}-{seeds[-1]}', '--data-root', str(root), '--runs', str(store.root),
        '--records', str(folder / 'records'),
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        call(['collect', *command])
        began = time.perf_counter()
        code = call(command)
        seconds = time.perf_counter() - began
    if code != 0:
        raise RuntimeError('the cached call failed')
    return seconds, len(plan.entries)


def _fake_results(plan: Plan, store: Store) -> None:
    """Mark every stage as done, with outputs as a real one has."""
    generator = np.random.default_rng(0)
    counts = generator.integers(0, 99, (10, 19, 20)).astype('<u4')
    names = np.array([f'image_{i}' for i in range(10)])
    arrays = {'counts': counts, 'ids': names, 'conditions': np.array([''] * 10)}

    def write(temporary: Path) -> None:
        with temporary.open('wb') as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]

    for stage in plan.stages.values():
        prepare(stage, store)
        output = COUNTS_NAME if stage.kind == 'score' else FINAL_NAME
        path = store.path(stage.id) / output
        if stage.kind == 'score':
            write_with(path, write)
        else:
            write_text(path, 'weights')
        status = store.status(stage.id)
        if status is None:
            raise RuntimeError(f'stage {stage.id} was not prepared')
        status.state, status.outputs = 'done', {output: 'checksum'}
        status.result = {'wall_seconds': 1.0, 'guard': {'verdict': 'sealed', 'granted': []}}
        store.write(status)


def import_seconds() -> float:
    """Seconds of importing what the command needs."""
    began = time.perf_counter()
    subprocess.run([sys.executable, '-c', 'import sfda_bench.cli.suite'], check=True)
    return time.perf_counter() - began


def stage_start(folder: Path, root: Path) -> tuple[float, float]:
    """Seconds from starting a stage's process to its first line of work: the first, a later one."""
    from sfda_bench.run.executors.local import LocalExecutor

    store = Store(folder / 'start')
    plan = make_plan('pocket', _selection(4), root, store)
    sources = [s for s in plan.stages.values() if not s.parents][:2]
    delays = []
    for stage in sources:
        stage.config['train_cfg']['max_iters'] = 1
        prepare(stage, store)
        started: dict[str, float] = {}

        def note(_, state: str, __: str, started=started) -> None:
            started[state] = time.time()

        LocalExecutor(['cpu']).run([stage], store, note)
        status = store.status(stage.id)
        if status is None or status.state != 'done':
            raise RuntimeError(f'the stage did not finish: {status}')
        wall = status.result['wall_seconds']
        delays.append(status.updated - wall - started['running'])
    return delays[0], delays[1]
