"""What a setting changes: rows with settings against the same method without, paired."""

from __future__ import annotations

from sfda_bench.board.rows import Board, Row
from sfda_bench.board.text import number, table
from sfda_bench.scoring.ranking import Pair
from sfda_bench.scoring.statistics import LEVEL


def changes(board: Board) -> list[tuple[Row, Row, Pair]]:
    """(row, that of the method as it is, their comparison), ordered by methods and settings.

    A method started from another one's result is compared with itself from the source model.
    """
    plain = {row.method: row for row in board.rows if not row.first.record.entry.params}
    pairs = {(pair.a, pair.b): pair for pair in board.pairs}
    found = []
    for row in board.rows:
        base = plain.get(row.method)
        if not row.first.record.entry.params or base is None:
            continue
        pair = pairs.get((row.title, base.title)) or _turned(pairs.get((base.title, row.title)))
        if pair is not None:
            found.append((row, base, pair))
    return sorted(found, key=lambda item: (item[1].title, item[0].title))


def _turned(pair: Pair | None) -> Pair | None:
    """The comparison the other way round."""
    if pair is None:
        return None
    return Pair(pair.b, pair.a, -pair.difference, -pair.high, -pair.low, pair.p, pair.p_adjusted)


def section(board: Board) -> str:
    """The changes as Markdown; '' where no row has settings."""
    body = [
        [
            row.title,
            number(base.mean),
            number(row.mean),
            f'{pair.difference:+.2f} [{pair.low:+.2f}, {pair.high:+.2f}]',
            number(row.gain, sign=True),
            'yes' if pair.p_adjusted < 1 - LEVEL else 'no',
        ]
        for row, base, pair in changes(board)
    ]
    if not body:
        return ''
    note = (
        'Each row against the same method without the settings, on the same images and seeds: '
        'paired bootstrap over images, corrected for all comparisons of this board (Holm).'
    )
    head = ['with', 'as it is', 'changed', 'difference', 'gain over source', 'separated']
    return f'## What settings change\n\n{note}\n\n' + table(head, body)
