"""Where a board comes from: seeds, dates, commits, versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sfda_bench.board.loading import Item
from sfda_bench.board.rows import Board


def provenance(board: Board) -> str:
    """Seeds, days and commits of a board's records, in Markdown."""
    return f'{seeds(board)}. {when(board)}, {code(board)}.'


def items(board: Board) -> list[Item]:
    """All records of a board."""
    return [item for row in board.rows for item in row.items.values()]


def seeds(board: Board) -> str:
    """``Seeds 0, 1, 2 (18 rows) or 0 (15 rows)``; the numbers of rows only where rows differ."""
    found = Counter(tuple(row.items) for row in board.rows)
    several = len(found) > 1
    parts = [
        ', '.join(map(str, each)) + (f' ({_count(n, "row")})' if several else '')
        for each, n in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ]
    one = all(len(each) == 1 for each in found)
    return f'{"Seed" if one else "Seeds"} {" or ".join(parts)}'


def when(board: Board) -> str:
    """``Measured 2026-11-26``, or the first and the last day."""
    days = sorted({item.record.created[:10] for item in items(board)})
    return f'Measured {days[0]}' + (f' to {days[-1]}' if len(days) > 1 else '')


def code(board: Board) -> str:
    """Each commit that a record names, the most frequent first, and whether it had changes."""
    parts = Counter(
        (f'`{item.record.code.commit[:12]}`' if item.record.code.commit else 'unknown')
        + (' with changes' if item.record.code.dirty else '')
        for item in items(board)
    )
    names = [text for text, _ in sorted(parts.items(), key=lambda part: (-part[1], part[0]))]
    return f'commit{"s" if len(names) > 1 else ""} {", ".join(names)}'


def versions(board: Board) -> str:
    """Versions of the package and of what decides its numbers, each that a record names."""
    found: dict[str, list[str]] = {}
    for item in items(board):
        for name, version in item.record.versions.items():
            if version not in found.setdefault(name, []):
                found[name].append(version)
    return ', '.join(f'{name} {_either(values)}' for name, values in sorted(found.items()))


def _either(values: Sequence[str]) -> str:
    return ' or '.join(sorted(values))


def _count(number: int, noun: str) -> str:
    return f'{number} {noun}{"" if number == 1 else "s"}'
