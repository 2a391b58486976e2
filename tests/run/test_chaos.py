"""Kills at random moments, and two suites on one store: nothing is lost, nothing runs twice."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from sfda_bench.store.record import load_counts, load_records

REPOSITORY = Path(__file__).parents[2]
METHODS = (
    'source_only', 'bn_adapt[iters=20]', 'tent[iters=150,batch_size=2]', 'tent_online',
    'tent_continual[rounds=40]',
)  # fmt: skip
KILLS = 50
#: Fields that tell when and where a number was measured, not what it is.
TIMINGS = ('created', 'cost', 'hardware')


def command(bench, runs: Path, records: Path) -> list[str]:
    return [
        sys.executable, str(REPOSITORY / 'tools/run_suite.py'), '--suite', bench.suite,
        '--data-root', str(bench.data_root), '--runs', str(runs), '--records', str(records),
        '--task', 'gta5_to_cityscapes', '--method', *METHODS,
    ]  # fmt: skip


def start(bench, runs: Path, records: Path) -> subprocess.Popen:
    return subprocess.Popen(
        command(bench, runs, records),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def contents(records: Path) -> dict[str, str]:
    """Every field of every record, and the counts' bytes, by name."""
    found = {}
    for path, record in load_records(records):
        data = {k: v for k, v in record.model_dump().items() if k not in TIMINGS}
        data['code'] = record.code.fingerprint
        counts = load_counts(path.parent / record.counts_file)
        data['counts'] = hashlib.sha256(counts[0].tobytes()).hexdigest(), *counts[1:]
        found.update({f'{path.stem} {k}': json.dumps(v, sort_keys=True) for k, v in data.items()})
    return found


def differing(first: dict[str, str], second: dict[str, str]) -> dict[str, tuple]:
    keys = sorted({*first, *second})
    return {k: (first.get(k), second.get(k)) for k in keys if first.get(k) != second.get(k)}


def forget(runs: Path, generator: random.Random) -> Counter[str]:
    """Delete a stage and all that rests on it, so that there is work to kill.

    Returns how often they had continued from a checkpoint.
    """
    files = sorted(runs.glob('*/stage.json'))
    parents = {p.parent.name: json.loads(p.read_text(encoding='utf-8'))['parents'] for p in files}
    gone = {generator.choice(sorted(parents))}
    while more := {i for i, own in parents.items() if gone & set(own)} - gone:
        gone |= more
    resumed: Counter[str] = Counter()
    for stage_id in gone:
        resumed += resumptions(runs / stage_id)
        shutil.rmtree(runs / stage_id)
    return resumed


def wait_for_the_middle(suite: subprocess.Popen, runs: Path) -> None:
    """Until a stream or a training is some way on, or the suite has ended."""
    began = time.time()
    while suite.poll() is None:
        for path in runs.glob('*/progress.json'):
            if path.stat().st_mtime > began and _is_in_the_middle(path):
                return
        time.sleep(0.05)


def _is_in_the_middle(path: Path) -> bool:
    try:
        progress = json.loads(path.read_text(encoding='utf-8'))
        status = json.loads((path.parent / 'stage.json').read_text(encoding='utf-8'))
    except FileNotFoundError:
        return False
    adapts = status['kind'] in ('stream', 'adapt') and status['state'] == 'running'
    return adapts and 10 <= progress['done'] < progress['total'] and progress['total'] > 100


def stop(suite: subprocess.Popen, signum: int) -> None:
    """Kill a suite as a person, a batch system or a machine does; it may have just ended."""
    if signum == signal.SIGTERM:
        suite.send_signal(signum)
    else:
        os.killpg(suite.pid, signum)  # a terminal's Ctrl-C reaches every process
    output = suite.communicate(timeout=180)[0]
    if signum != signal.SIGKILL:
        assert suite.returncode in (0, 128 + signum), output
        assert 'Traceback' not in output, output


@pytest.mark.slow
def test_fifty_kills_change_nothing(bench, tmp_path):
    """Streams included; half of the kills are requests to stop, which leave a checkpoint."""
    whole = start(bench, tmp_path / 'whole', tmp_path / 'whole_records')
    assert whole.wait(timeout=600) == 0
    expected = contents(tmp_path / 'whole_records')
    assert len(list((tmp_path / 'whole_records').rglob('*.json'))) == len(METHODS)

    generator = random.Random(0)
    runs, records = tmp_path / 'runs', tmp_path / 'records'
    kinds: Counter[str] = Counter()
    resumed: Counter[str] = Counter()
    while kinds.total() < KILLS:
        suite = start(bench, runs, records)
        if generator.random() < 0.5:
            time.sleep(generator.uniform(0.5, 12.0))  # the first imports included
        else:
            wait_for_the_middle(suite, runs)
            time.sleep(generator.uniform(0.0, 2.0))
        if suite.poll() is not None:
            output = suite.communicate()[0]
            assert suite.returncode == 0, output
            resumed += forget(runs, generator)
            continue
        signum = generator.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
        stop(suite, signum)
        kinds[signum.name] += 1
        _wait_for_orphans(runs)
    last = start(bench, runs, records)
    output = last.communicate(timeout=600)[0]
    assert last.returncode == 0, output
    for folder in runs.iterdir():
        resumed += resumptions(folder)
    print(f'kills: {dict(kinds)}, resumed: {dict(resumed)}')
    assert differing(contents(records), expected) == {}
    assert set(kinds) == {'SIGKILL', 'SIGINT', 'SIGTERM'}
    assert resumed['stream'] > 0 and resumed['training'] > 0


def resumptions(folder: Path) -> Counter[str]:
    """How often a stage continued from a checkpoint, by its log."""
    log = folder / 'log.txt'
    text = log.read_text(encoding='utf-8') if log.is_file() else ''
    return Counter(stream=text.count('resumed after'), training=text.count('resumed epoch'))


def _wait_for_orphans(runs: Path) -> None:
    """Stages of a killed suite notice within a second and end themselves."""
    for _ in range(100):
        listing = subprocess.run(['ps', '-eo', 'args'], capture_output=True, text=True).stdout
        if str(runs) not in listing:
            return
        time.sleep(0.1)


@pytest.mark.slow
def test_two_suites_share_a_store_and_each_stage_runs_once(bench, tmp_path):
    runs = tmp_path / 'runs'
    pair = [start(bench, runs, tmp_path / f'records{i}') for i in range(2)]
    outputs = [suite.communicate(timeout=600)[0] for suite in pair]
    assert [suite.returncode for suite in pair] == [0, 0], outputs
    logs = [p.read_text() for p in runs.glob('*/log.txt')]
    assert len(logs) == 2 * len(METHODS)
    # mmengine prints its environment once a run.
    assert [log.count('System environment:') for log in logs] == [1] * 2 * len(METHODS)
    first, second = (contents(tmp_path / f'records{i}') for i in range(2))
    assert differing(first, second) == {}


@pytest.mark.slow
def test_an_interrupt_is_answered_once_and_twice(bench, tmp_path):
    suite = start(bench, tmp_path / 'runs', tmp_path / 'records')
    time.sleep(8.0)
    suite.send_signal(signal.SIGINT)
    suite.send_signal(signal.SIGINT)
    output = suite.communicate(timeout=60)[0]
    assert suite.returncode in (130, 0)
    if suite.returncode == 130:
        assert 'continue with: python tools/run_suite.py' in output
    again = start(bench, tmp_path / 'runs', tmp_path / 'records')
    assert again.wait(timeout=600) == 0
    assert len(list((tmp_path / 'records').rglob('*.json'))) == len(METHODS)
