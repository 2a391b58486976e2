"""A real sweep on the tiny pocket world: run, stopped half-way, continued, its page read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sfda_bench.cli.main import main
from sfda_bench.cli.sweep import axes_of
from sfda_bench.paths import REPOSITORY
from sfda_bench.store.sweep import load_sweeps

TASK = 'gta5_to_cityscapes'


def sweep(bench, *more: str) -> int:
    return main(
        [
            'sweep', *more, '--suite', bench.suite, '--task', TASK, '--workers', '2',
            '--data-root', str(bench.data_root), '--runs', str(bench.folder / 'runs'),
            '--out', str(bench.folder / 'sweeps'),
        ]
    )  # fmt: skip


SHORT = 'tent[batch_size=1,iters=2]'


def test_a_sweep_from_end_to_end(bench, capsys):
    options = (SHORT, '--select', 'bnm', '--axes', 'lr=log(0.1, 100)', '--seed', '1')
    assert sweep(bench, *options, '--budget', '2') == 0
    (found,) = load_sweeps(bench.folder / 'sweeps')
    assert len(found.trials) == 2 and found.images == 6 and found.guard == ['sealed']
    assert found.trials[0].params == {'batch_size': 1, 'iters': 2}
    assert set(found.trials[1].params) == {'batch_size', 'iters', 'optimizer.lr'}
    assert all(trial.miou is not None and trial.seconds for trial in found.trials)
    assert found.optimises == ['entropy'], 'as the config of Tent says'
    assert {one.trial for one in found.fresh} >= {0} and {one.seed for one in found.fresh} == {1}
    assert all(one.miou is not None for one in found.fresh)
    assert all(0 <= share <= 1 for share in found.stability.values()) and found.stability
    text = (bench.folder / 'sweeps/tiny' / f'{found.slug}.md').read_text()
    assert '## On fresh seeds' in text and '`entropy` †' in text
    assert '`tiny/' not in text and found.slug in (bench.folder / 'sweeps/README.md').read_text()

    ran = runs(capsys)
    assert ran[0] == 9, 'source model, two trials: each with its score and its evidence'
    # the same again: nothing runs; a larger budget runs what is new
    before = (bench.folder / 'sweeps/README.md').read_bytes()
    assert sweep(bench, *options, '--budget', '2') == 0
    assert runs(capsys) == [0, 0]
    assert (bench.folder / 'sweeps/README.md').read_bytes() == before
    assert sweep(bench, *options[:-2], '--seed', 'none', '--budget', '3') == 0
    assert runs(capsys) == [3], 'adaptation, score and evidence of the third trial'


def runs(capsys) -> list[int]:
    """Stages that each part of a sweep had to run."""
    return [int(found) for found in re.findall(r'(\d+) to run', capsys.readouterr().out)]


def test_a_killed_sweep_goes_on_without_repeating_a_trial(bench):
    options = [
        'sweep', SHORT, '--suite', bench.suite, '--task', TASK, '--workers', '1', '--budget', '2',
        '--seed', 'none', '--data-root', str(bench.data_root),
        '--runs', str(bench.store.root), '--out', str(bench.folder / 'sweeps'),
    ]  # fmt: skip
    tool = REPOSITORY / 'tools' / 'run_suite.py'
    process = subprocess.Popen([sys.executable, str(tool), *options], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 240
        while not finished(bench, 'adapt') and process.poll() is None:
            assert time.monotonic() < until, 'no trial was adapted'
            time.sleep(0.2)
    finally:
        process.kill()
        process.wait()
    before = finished(bench)
    assert before and not (bench.folder / 'sweeps').exists()
    assert main(options) == 0
    after = finished(bench)
    assert {stage: after[stage] for stage in before} == before, 'none of them ran again'
    assert len(after) == 9
    (found,) = load_sweeps(bench.folder / 'sweeps')
    assert all(trial.miou is not None for trial in found.trials)


def finished(bench, kind: str = '') -> dict[str, float]:
    """Stages that are done, by id, and when their state was written."""
    known = [bench.store.status(stage) for stage in bench.store.ids()]
    return {s.id: s.updated for s in known if s and s.state == 'done' and kind in ('', s.kind)}


def test_trials_do_not_appear_among_the_records_of_the_suite(bench):
    before = sorted(Path('results').rglob('*'))
    assert sweep(bench, SHORT, '--budget', '2', '--axes', 'lr', '--dry-run') == 0
    assert not (bench.folder / 'sweeps').exists(), 'a dry run writes nothing'
    assert sorted(Path('results').rglob('*')) == before


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('tent', '--select', 'bmn'), 'did you mean bnm'),
        (('tent', '--seed', '0-2'), 'seed 0 is that of the search'),
        (('oracle',), 'adapts offline without labels'),
        (('cbst_uda',), 'adapts offline without labels'),
        (('tent_online',), 'adapts offline without labels'),
        (('tnet',), 'did you mean tent'),
        (('tent', '--axes', 'lr=power(2)'), 'axis lr=power'),
        (('tent', '--budget', '0'), 'a budget of 0'),
    ],
)
def test_bad_input_is_refused_in_one_line(bench, capsys, options, message):
    assert sweep(bench, *options) == 1
    assert message in capsys.readouterr().err


def test_axes_as_typed():
    assert axes_of(None) is None
    assert axes_of(['lr', 'x = [1, 2]']) == {'lr': None, 'x': '[1, 2]'}


def test_the_result_is_plain_json(bench):
    """What is not there is null: no NaN and no infinity."""
    from tests.board.test_sweeps import sweep as made

    text = made().model_dump_json()
    assert 'NaN' not in text and 'Infinity' not in text
    assert json.loads(text)['trials'][3]['scores']['bnm'] is None
