"""Cells as text, and Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence

MISSING = '–'


def number(value: float | None, digits: int = 1, sign: bool = False) -> str:
    """A number with fixed digits; missing is shown as missing."""
    if value is None:
        return MISSING
    text = f'{value:+.{digits}f}' if sign else f'{value:.{digits}f}'
    return text.replace('-0.' + '0' * digits, '0.' + '0' * digits) if float(text) == 0 else text


def table(header: Sequence[str], rows: Sequence[Sequence[str]], numeric: int = 1) -> str:
    """A Markdown table; the columns from index ``numeric`` on are right-aligned."""
    rule = ['---' if i < numeric else '---:' for i in range(len(header))]
    lines = [header, rule, *rows]
    return '\n'.join('| ' + ' | '.join(str(c) for c in cells) + ' |' for cells in lines)


def duration(hours: float | None) -> str:
    """Hours in the unit a reader would choose."""
    if hours is None:
        return MISSING
    if hours >= 1:
        return f'{hours:.1f} h'
    return f'{hours * 60:.1f} min' if hours * 60 >= 1 else f'{hours * 3600:.0f} s'
