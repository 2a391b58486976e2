"""Kills at random moments, and two suites on one store: nothing is lost, nothing runs twice."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sfda_bench.suite.record import load_counts, load_records

REPOSITORY = Path(__file__).parents[2]
METHODS = ('source_only', 'bn_adapt[iters=20]', 'tent[iters=60,batch_size=2]')
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


@pytest.mark.slow
def test_twenty_kills_change_nothing(bench, tmp_path):
    whole = start(bench, tmp_path / 'whole', tmp_path / 'whole_records')
    assert whole.wait(timeout=600) == 0
    expected = contents(tmp_path / 'whole_records')
    assert len(list((tmp_path / 'whole_records').rglob('*.json'))) == 3

    generator = random.Random(0)
    runs, records = tmp_path / 'runs', tmp_path / 'records'
    kills = 0
    while kills < 20:
        suite = start(bench, runs, records)
        # From the first imports to the middle of the stages.
        time.sleep(generator.uniform(0.5, 9.0))
        if suite.poll() is not None:
            # It finished before the kill: forget one stage, so that there is work to kill.
            chosen = generator.choice(
                sorted(p for p in runs.iterdir() if (p / 'stage.json').is_file())
            )
            subprocess.run(['rm', '-r', str(chosen)], check=True)
            continue
        os.killpg(suite.pid, signal.SIGKILL)
        suite.wait()
        kills += 1
        _wait_for_orphans(runs)
    last = start(bench, runs, records)
    assert last.wait(timeout=600) == 0
    assert differing(contents(records), expected) == {}


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
    assert len(logs) == 6
    # mmengine prints its environment once a run.
    assert [log.count('System environment:') for log in logs] == [1] * 6
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
    assert len(list((tmp_path / 'records').rglob('*.json'))) == 3
