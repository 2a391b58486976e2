"""Runs one stage in a process of its own: lock, state, guard, run, outputs, state."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from sfda_bench import interrupts
from sfda_bench.atomic import write_text
from sfda_bench.errors import BenchError
from sfda_bench.run.machine import host
from sfda_bench.run.outcome import judge
from sfda_bench.store.filenames import ARTIFACTS, COUNTS_NAME, FINAL_NAME
from sfda_bench.store.runs import (
    CONFIG_FILE,
    GATE_NAME,
    LOG_FILE,
    StageStatus,
    State,
    Store,
    sha256_file,
)

EXIT_FAILED, EXIT_BUSY = 1, 75
MANIFEST = 'artifacts.json'


def stage_main(root: str, stage_id: str, guard: bool, owner: int | None, device: str) -> None:
    """Entry point of a stage process; ends it with an exit code.

    Args:
        root: The store's folder.
        stage_id: The stage.
        guard: Whether a sealed stage is sealed.
        owner: Process that must live for the stage to go on; ``None`` on a cluster.
        device: GPU indices joined by commas, or ``'cpu'``; several run the stage on all of them.
    """
    # A terminal's Ctrl-C reaches every process: the suite answers it, with SIGTERM for its stages.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupts.listen(signal.SIGTERM)
    os.environ['CUDA_VISIBLE_DEVICES'] = '' if device.startswith('cpu') else device
    store = Store(Path(root))
    _redirect(store.path(stage_id) / LOG_FILE)
    if owner is not None:
        threading.Thread(target=_end_with, args=(owner,), daemon=True).start()
    code = execute(store, stage_id, guard, ranks=device.count(',') + 1)
    sys.stdout.flush()
    sys.stderr.flush()
    # Skip interpreter shut-down: it takes seconds and can hang on loader workers.
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> None:
    """``python -m sfda_bench.run.worker ROOT ID``: one stage, as a cluster job runs it."""
    parser = argparse.ArgumentParser(description='Run one stage of a store.')
    parser.add_argument('root')
    parser.add_argument('stage_id')
    parser.add_argument('--no-guard', action='store_true')
    parser.add_argument('--device', default=os.environ.get('CUDA_VISIBLE_DEVICES') or 'cpu')
    arguments = parser.parse_args(argv)
    stage_main(
        arguments.root, arguments.stage_id, not arguments.no_guard, os.getppid(), arguments.device
    )


def execute(store: Store, stage_id: str, guard: bool = True, ranks: int = 1) -> int:
    """Run a stage whose ``stage.json`` and config are written; returns the exit code."""
    from sfda_bench.plan import kinds
    from sfda_bench.run.launch import launch
    from sfda_bench.run.stage import run_stage

    lock = store.try_lock(stage_id)
    if lock is None:
        return EXIT_BUSY
    try:
        if store.is_done(stage_id):
            return 0
        status = store.status(stage_id)
        if status is None:
            raise BenchError(f'stage {stage_id} has no valid stage.json', 'a planned stage')
        status.pid, status.host = os.getpid(), host()
        _set(store, status, 'running')
        try:
            _check_parents(store, status)
            config = store.path(stage_id) / CONFIG_FILE
            several = ranks > 1 and kinds.shared(status.kind)
            status.result = launch(config, ranks, guard) if several else run_stage(config, guard)
            status.outputs = _outputs(store.path(stage_id))
        except BaseException as error:
            print(error) if isinstance(error, interrupts.Stopped) else traceback.print_exc()
            _set(store, status, *judge(error))
            return EXIT_FAILED
        _set(store, status, 'done')
        return 0
    finally:
        lock.release()


def _check_parents(store: Store, status: StageStatus) -> None:
    """Refuse to build on files that changed after they were written."""
    for parent in status.parents:
        changed = store.verify(parent)
        if changed:
            raise BenchError(
                f'{store.path(parent) / changed[0]} is not what its stage wrote',
                'the SHA-256 noted in its stage.json',
                f'delete {store.path(parent)} and run the same command: the stage runs again',
            )


def _set(store: Store, status: StageStatus, state: State, reason: str = '') -> None:
    status.state, status.reason = state, reason
    store.write(status)


def _outputs(folder: Path) -> dict[str, str]:
    names = [
        FINAL_NAME,
        COUNTS_NAME,
        GATE_NAME,
        *(p.name for p in sorted(folder.glob('iter_*.pth'))),
    ]
    found = {name: sha256_file(folder / name) for name in names if (folder / name).is_file()}
    if (folder / ARTIFACTS).is_dir():
        found[MANIFEST] = _write_manifest(folder)
    if not found:
        raise BenchError(
            f'the stage ended without {FINAL_NAME}, {COUNTS_NAME} or {ARTIFACTS}/',
            'one of these outputs',
            f'read {folder / LOG_FILE}',
        )
    return found


def _write_manifest(folder: Path) -> str:
    """List the artifacts with their checksums; returns the list's own checksum."""
    files = sorted(p for p in (folder / ARTIFACTS).rglob('*') if p.is_file())
    listed = {str(p.relative_to(folder)): sha256_file(p) for p in files}
    write_text(folder / MANIFEST, json.dumps(listed, indent=0))
    return sha256_file(folder / MANIFEST)


def _redirect(path: Path) -> None:
    """Send everything this process prints to the stage's log."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _end_with(owner: int) -> None:
    """End this process when its suite is gone: a killed suite leaves no orphans behind."""
    while True:
        try:
            os.kill(owner, 0)
        except OSError:
            os._exit(EXIT_FAILED)
        time.sleep(0.5)


if __name__ == '__main__':
    main()
