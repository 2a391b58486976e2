"""The columns of a board: one list that Markdown, CSV, LaTeX and the site share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sfda_bench.board.rows import Row
from sfda_bench.board.text import MISSING, duration, number
from sfda_bench.board.tiers import RERUN


@dataclass(frozen=True)
class Column:
    """A column: heading, raw value (for CSV and sorting) and text (for people)."""

    name: str
    value: Callable[[Row], Any]
    text: Callable[[Row], str]
    numeric: bool = True


def measured(row: Row) -> str:
    """``mean ± std [low, high]``, or which seeds are there if some are missing."""
    if row.mean is None:
        have = ', '.join(f's{seed} {number(value)}' for seed, value in row.values.items())
        return f'{MISSING} ({len(row.items)} of {len(row.expected)} seeds: {have})'
    spread = f' ± {row.std:.1f}' if row.std is not None else ''
    if not row.counted:
        return f'{row.mean:.1f}{spread}'
    return f'**{row.mean:.1f}**{spread} [{number(row.low)}, {number(row.high)}]'


def rank(row: Row) -> str:
    """First and last rank that the comparisons leave open, e.g. ``2–5``."""
    if row.rank is None:
        return MISSING
    return str(row.rank) if row.last_rank in (None, row.rank) else f'{row.rank}–{row.last_rank}'


def seeds(row: Row) -> str:
    """Number of seeds, and of how many if some are missing."""
    have = str(len(row.items))
    return have if row.complete else f'{have} of {len(row.expected)}'


def reported(row: Row) -> float | None:
    """The reported value the verdict speaks of."""
    return row.verdict.reported if row.verdict else None


def verdict(row: Row) -> str:
    """Verdict with its reason."""
    if row.verdict is None:
        return MISSING
    return f'{row.verdict}: {row.verdict.reason}' if row.verdict.reason else str(row.verdict)


COLUMNS = [
    Column('rank', lambda r: r.rank, rank),
    Column('method', lambda r: r.title, lambda r: r.title, False),
    Column('track', lambda r: r.track, lambda r: r.track, False),
    Column('fidelity', lambda r: r.fidelity, lambda r: r.fidelity, False),
    Column('tier', lambda r: r.tier, lambda r: r.tier, False),
    Column('seeds', lambda r: len(r.items), seeds),
    Column('source', lambda r: r.source, lambda r: number(r.source)),
    Column('mIoU', lambda r: r.mean, measured),
    Column('reported', reported, lambda r: number(reported(r))),
    Column(
        'difference',
        lambda r: r.verdict.difference if r.verdict else None,
        lambda r: number(r.verdict.difference if r.verdict else None, sign=True),
    ),
    Column('verdict', verdict, verdict, False),
    Column('gain', lambda r: r.gain, lambda r: number(r.gain, sign=True)),
    Column('gap', lambda r: r.gap, lambda r: MISSING if r.gap is None else f'{r.gap:.0f} %'),
    Column('cost', lambda r: r.hours, lambda r: duration(r.hours)),
]


def columns_of(rows: Sequence[Row]) -> list[Column]:
    """The columns of a table: without those on reported numbers where none can stand there."""
    told = any(reported(row) is not None for row in rows)
    return [c for c in with_tier(rows) if told or c.name not in ('reported', 'difference')]


def with_tier(rows: Sequence[Row]) -> list[Column]:
    """All columns, without the tier where every row was run here."""
    sent = any(row.tier != RERUN for row in rows)
    return [c for c in COLUMNS if sent or c.name != 'tier']
