"""The harness from Python: records as tables, comparisons, plans and runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sfda_bench
from sfda_bench.board.compare import Report
from sfda_bench.errors import BenchError
from sfda_bench.paths import RESULTS

TASK = dict(suite='pocket', task='gta5_to_cityscapes', network='deeplabv2_pocket')


@pytest.fixture(scope='module')
def records():
    return sfda_bench.load_records().select(**TASK)


def test_a_frame_holds_what_the_records_hold(records):
    frame = records.to_frame()
    assert len(frame) == len(records) > 30
    row = frame[(frame.method == 'tent') & (frame.seed == 0)].iloc[0]
    record = next(r for r in records if (r.entry.method, r.entry.seed) == ('tent', 0))
    assert row.miou == pytest.approx(record.scores.miou, abs=1e-3)
    assert row.iou_road == pytest.approx(record.scores.per_class['road'], abs=1e-3)
    assert (row.guard, row.commit) == (record.guard.verdict, record.code.commit)
    assert (RESULTS / 'records' / 'pocket').samefile(row.file.rpartition('/')[0])


def test_another_protocol_changes_the_scores_and_nothing_else():
    found = sfda_bench.load_records().select(seed=0, method='tent')
    told = found.rescore('synthia13_avg')
    had, have = ({r.entry.suite for r in records} for records in (found, told))
    assert 'camvid' in had and 'pocket' in have and 'camvid' not in have
    one = found.select(suite='pocket', task='synthia_to_cityscapes')
    frame, own = one.rescore('synthia13_avg').to_frame(), one.to_frame()
    assert frame.scoring_protocol[0] == 'synthia13_avg@1' and own.miou[0] != frame.miou[0]
    classes = [name for name in frame if name.startswith('iou_')]
    assert len(classes) == 13
    assert frame.miou[0] == pytest.approx(frame[classes].iloc[0].mean(), abs=1e-3)


def test_two_methods_are_compared_on_the_same_images(records):
    report = records.compare('tent', 'source_only', seed=0)
    assert isinstance(report, Report)
    frame = records.select(seed=0).to_frame().set_index('method')
    gain = frame.miou['tent'] - frame.miou['source_only']
    assert report.overall.difference == pytest.approx(gain, abs=1e-6)


def test_what_cannot_be_meant_is_told(records):
    with pytest.raises(BenchError, match='3 records of tent'):
        records.compare('tent', 'source_only')
    with pytest.raises(BenchError, match='0 records of tant'):
        records.compare('tant', 'source_only', seed=0)
    with pytest.raises(BenchError, match="no field 'sed'"):
        records.select(sed=0)
    with pytest.raises(BenchError, match='synthia14'):
        records.rescore('synthia14')
    with pytest.raises(AttributeError):
        sfda_bench.load_record  # noqa: B018


def test_a_plan_is_made_and_run(bench):
    places = dict(runs=bench.store.root)
    plan = sfda_bench.make_plan(
        bench.suite, tasks=['gta5_to_cityscapes'], methods=['tent[iters=2]'],
        data_root=bench.data_root, **places,
    )  # fmt: skip
    states = []
    summary = sfda_bench.run_plan(
        plan, records=bench.records, report=lambda stage, state, _: states.append(state), **places
    )
    assert summary.failures == [] and states.count('done') == len(plan.stages)
    (found,) = sfda_bench.load_records(bench.records)
    assert found.entry.params == {'iters': 2}


def test_importing_it_is_cheap():
    code = (
        'import sys, sfda_bench; assert "torch" not in sys.modules; '
        'sfda_bench.load_records; assert "torch" not in sys.modules and "mmseg" not in sys.modules'
    )
    subprocess.run([sys.executable, '-c', code], check=True)
