"""What settings change: which rows are compared, with what sign, and where it is shown."""

from __future__ import annotations

import pytest

from sfda_bench.board.ablations import changes, section
from sfda_bench.board.boards import make_boards
from sfda_bench.board.loading import load_items
from sfda_bench.board.pages import board_page
from sfda_bench.plan import catalog
from sfda_bench.plan.selectors import parse_method
from tests.board.factory import make_record


@pytest.fixture
def board(tmp_path):
    make_record(tmp_path, 'tent', quality=0.6, source=20.0)
    make_record(tmp_path, 'tent', quality=0.9, params={'iters': 9})
    make_record(tmp_path, 'tent', quality=0.4, params={'init': 'bn_adapt'})
    make_record(tmp_path, 'cbst', quality=0.7)
    make_record(tmp_path, 'iapc', quality=0.7, params={'iters': 9})
    (found,) = make_boards(load_items(tmp_path), samples=50)
    return found


def test_rows_are_compared_with_the_method_as_it_is(board):
    found = {row.title: (base.title, pair.difference) for row, base, pair in changes(board)}
    plain = next(r for r in board.rows if r.method == 'tent' and not r.first.record.entry.params)
    means = {row.title: row.mean for row in board.rows}
    assert len(found) == 2, 'iapc as it is has no row, cbst has no settings'
    for title, (base, difference) in found.items():
        assert base == plain.title
        assert difference == pytest.approx(means[title] - plain.mean, abs=1e-6)
    assert {difference > 0 for _, difference in found.values()} == {True, False}


def test_intervals_keep_their_order_when_a_comparison_is_turned(board):
    for _, _, pair in changes(board):
        assert pair.low <= pair.difference <= pair.high


def test_the_page_has_the_table_only_where_there_are_settings(board, tmp_path):
    assert '## What settings change' in board_page(board, {})
    board.rows = [row for row in board.rows if not row.first.record.entry.params]
    assert section(board) == ''
    assert '## What settings change' not in board_page(board, {})


def test_the_suite_has_each_method_as_it_is_beside_its_changes():
    methods = [parse_method(text) for text in catalog.load('suites', 'ablate')['suite']['methods']]
    plain = {selector.name for selector in methods if not selector.params}
    assert {selector.name for selector in methods} == plain
    assert len({selector.text for selector in methods}) == len(methods)
