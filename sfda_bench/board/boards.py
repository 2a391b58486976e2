"""Boards computed from grouped records: means, intervals, ranks, gains, cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from string import ascii_lowercase

import numpy as np

from sfda_bench.board.compare import by_condition
from sfda_bench.board.loading import Item
from sfda_bench.board.reported import ReportedFile
from sfda_bench.board.rows import Board, BoardKey, Row, group, mean_or_missing
from sfda_bench.board.tiers import RERUN, Tier
from sfda_bench.board.verdicts import judge
from sfda_bench.errors import BenchError
from sfda_bench.plan import catalog
from sfda_bench.plan.composition import title_of
from sfda_bench.scoring.ranking import (
    Contestant,
    compare_all,
    draw,
    last_ranks,
    shared_ranks,
    tie_groups,
)
from sfda_bench.scoring.statistics import (
    SAMPLES,
    bootstrap_all,
    bootstrap_classes,
    bootstrap_weights,
    percentile_interval,
    seed_summary,
)

DETAIL_SAMPLES = 2_000
"""Bootstrap samples for intervals of classes and conditions: there are many of them."""


def make_boards(
    items: Sequence[Item],
    samples: int = SAMPLES,
    reported: Mapping[str, ReportedFile] | None = None,
) -> list[Board]:
    """Every board of a set of records, sorted by key; with verdicts if ``reported`` is given."""
    boards = [_board(key, found, samples) for key, found in group(items).items()]
    for board in boards:
        for row in board.rows:
            row.verdict = judge(board, row, reported or {})
    return boards


def expected_seeds(key: BoardKey, items: Sequence[Item]) -> tuple[int, ...]:
    """Seeds a row must have: the suite's, or, for an unknown suite, any that a row has.

    A method that lacks one is incomplete: its mean would be one over what happened to finish.
    """
    try:
        return tuple(catalog.load('suites', key.suite)['suite']['seeds'])
    except BenchError:
        return tuple(sorted({item.record.entry.seed for item in items}))


Variant = tuple[str, str, Tier]
"""What a row is: method, its whole title, tier."""


def _variant(item: Item) -> Variant:
    entry = item.record.entry
    return entry.method, title_of(entry.method, entry.params), item.tier


def _board(key: BoardKey, items: Sequence[Item], samples: int) -> Board:
    by_method: dict[Variant, dict[int, Item]] = defaultdict(dict)
    for item in items:
        by_method[_variant(item)][item.record.entry.seed] = item
    expected = expected_seeds(key, items)
    tiers = Counter((method, title) for method, title, _ in by_method)
    rows = []
    for (method, title, tier), found in sorted(by_method.items()):
        told = tiers[method, title] > 1 and tier != RERUN
        name = f'{title} ({tier})' if told else title
        rows.append(_row(method, name, dict(sorted(found.items())), expected))
    board = Board(key, rows)
    _compare(board, samples)
    for row in rows:
        _gap(row, board.upper)
    rows.sort(key=_order)
    return board


def _row(method: str, title: str, items: dict[int, Item], expected: tuple[int, ...]) -> Row:
    row = Row(method, title, items, expected)
    row.source = mean_or_missing([item.record.source.miou for item in items.values()])
    seconds = mean_or_missing([item.record.cost.wall_seconds for item in items.values()])
    row.hours = None if seconds is None else seconds / 3600
    values = [value for value in row.values.values() if value is not None]
    if not row.complete or len(values) < len(items):
        return row
    summary = seed_summary(values)
    row.mean, row.std, row.seed_half = summary.mean, summary.std, summary.half_width
    row.gain = None if row.source is None else summary.mean - row.source
    return row


def _gap(row: Row, upper: float | None) -> None:
    if upper is None or row.gain is None or row.source is None or upper <= row.source:
        return
    row.gap = 100 * row.gain / (upper - row.source)


def _detail(row: Row, samples: int) -> None:
    """Intervals of the mean over seeds, by class and by condition."""
    items = list(row.items.values())
    weights = bootstrap_weights(items[0].parts.images, samples)
    drawn = np.mean([bootstrap_classes(item.parts, weights) for item in items], axis=0)
    names = items[0].protocol.class_names
    row.class_intervals = {
        name: percentile_interval(values) for name, values in zip(names, drawn.T, strict=True)
    }
    for tag in by_condition(items[0]) if items[0].protocol.per_condition else ():
        parts = [by_condition(item)[tag] for item in items]
        means = bootstrap_all(parts, bootstrap_weights(parts[0].images, samples)).mean(axis=0)
        row.condition_intervals[tag] = percentile_interval(means)


def _contestant(row: Row) -> Contestant:
    parts = tuple(item.parts for item in row.items.values())
    return Contestant(row.title, tuple(row.items), parts)


def _compare(board: Board, samples: int) -> None:
    """Intervals for every complete row with counts; pairwise tests and ranks among the methods."""
    complete = [row for row in board.rows if row.mean is not None and row.counted]
    drawn = draw([_contestant(row) for row in complete], samples)
    for row in complete:
        row.low, row.high = drawn[row.title].interval()
        _detail(row, min(samples, DETAIL_SAMPLES))
    board.pairs = compare_all(drawn)
    methods = {r.title: r.mean for r in complete if r.mean is not None and not r.bound}
    pairs = [pair for pair in board.pairs if pair.a in methods and pair.b in methods]
    ranks = shared_ranks(methods, pairs)
    last = last_ranks(methods, pairs)
    groups = tie_groups(methods, pairs)
    for row in board.rows:
        row.rank = ranks.get(row.title)
        row.last_rank = last.get(row.title)
        row.ties = tuple(_letter(i) for i, names in enumerate(groups) if row.title in names)


def _letter(index: int) -> str:
    """a to z, then aa, ab and so on."""
    turn, place = divmod(index, 26)
    return (_letter(turn - 1) if turn else '') + ascii_lowercase[place]


def _order(row: Row) -> tuple:
    missing = row.mean is None
    return row.bound, not row.counted, missing, 0.0 if missing else -(row.mean or 0.0), row.title
