"""Two records in detail."""

import numpy as np
import pytest

from sfda_bench.board.boards import make_boards
from sfda_bench.board.compare import compare
from sfda_bench.board.loading import load_item, load_items
from sfda_bench.cli.scripts import make_leaderboard
from sfda_bench.errors import BenchError
from tests.board.factory import make_record

ACDC = dict(
    task='cityscapes_to_acdc', scoring='acdc19@1', conditions=['fog', 'night', 'rain', 'snow'] * 6,
    images=24,
)  # fmt: skip


@pytest.fixture
def pair(tmp_path):
    a = make_record(tmp_path, 'tent', quality=0.62, **ACDC)
    return a, make_record(tmp_path, 'bn_adapt', quality=0.55, **ACDC)


def test_a_comparison_has_classes_and_conditions(pair):
    a, b = (load_item(path) for path in pair)
    report = compare(a, b, 500)
    assert report.overall.low > 0 and report.permutation_p < 0.01
    assert [detail.name for detail in report.conditions] == ['fog', 'night', 'rain', 'snow']
    fog = report.conditions[0].comparison
    gap = a.scores.per_condition['fog'] - b.scores.per_condition['fog']
    assert fog.difference == pytest.approx(gap) and fog.low < gap < fog.high
    assert len(report.classes) == 19
    p = np.array([detail.comparison.p for detail in report.classes])
    assert (np.array([detail.p_adjusted for detail in report.classes]) >= p).all()
    road = report.classes[0].comparison
    assert road.difference == pytest.approx(a.scores.per_class['road'] - b.scores.per_class['road'])


def test_records_of_different_images_or_protocols_are_not_compared(pair, tmp_path):
    a = load_item(pair[0])
    for change, message in (
        (dict(world=1), 'different images'),
        (dict(inference='daformer@1'), 'inference_protocol'),
    ):
        other = load_item(make_record(tmp_path / 'x', 'tent', **(ACDC | change)))
        with pytest.raises(BenchError, match=message):
            compare(a, other, 10)


def test_rows_have_intervals_by_class_and_condition(pair):
    (board,) = make_boards(load_items(pair[0].parents[1]), 500)
    row = board.rows[0]
    for values, intervals in (
        (row.per_class, row.class_intervals),
        (row.per_condition, row.condition_intervals),
    ):
        assert values.keys() == intervals.keys()
        assert all(intervals[k][0] < values[k] < intervals[k][1] for k in values)


def test_the_commands(pair, tmp_path, capsys):
    assert make_leaderboard(['--compare', *map(str, pair)]) == 0
    out = capsys.readouterr().out
    assert 'paired permutation p' in out and '| night ' in out
    make_record(tmp_path / 'r', 'iapc', suite='paper', profile='paper', network='deeplabv2_r101')
    assert make_leaderboard(['--records', str(tmp_path / 'r'), '--explain', 'iapc']) == 0
    out = capsys.readouterr().out
    assert '49.4 reported' in out and '1. ' in out
    assert make_leaderboard(['--records', str(tmp_path / 'r'), '--explain', 'iap']) == 1
    err = capsys.readouterr().err
    assert 'one of: iapc' in err and 'did you mean iapc' in err
