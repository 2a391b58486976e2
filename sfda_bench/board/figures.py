"""Figures of the site as plain plotly.js JSON (data and layout), made without a library."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import log10
from typing import Any

from sfda_bench.board.rows import Board, Row
from sfda_bench.board.text import duration

Figure = dict[str, Any]

# Okabe & Ito's colours, told apart by colour-blind readers; shapes carry on where they end.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000', '#999933')
SYMBOLS = ('circle', 'square', 'diamond', 'triangle-up', 'cross', 'x', 'star')


def style(index: int) -> tuple[str, str]:
    """Colour and symbol of the ``index``-th method."""
    return COLOURS[index % len(COLOURS)], SYMBOLS[index // len(COLOURS) % len(SYMBOLS)]


def _layout(x: str, y: str, **more: Any) -> dict[str, Any]:
    return {
        'margin': {'l': 55, 'r': 15, 't': 15, 'b': 50},
        'xaxis': {'title': {'text': x}, 'zeroline': False},
        'yaxis': {'title': {'text': y}, 'zeroline': False},
        'hovermode': 'closest',
        **more,
    }


def _point(row: Row, index: int, x: float, y: float, text: str) -> dict[str, Any]:
    colour, symbol = style(index)
    return {
        'type': 'scatter',
        'mode': 'markers',
        'name': row.title,
        'x': [_short(x)],
        'y': [_short(y)],
        'text': [text],
        'hoverinfo': 'text',
        'marker': {'size': 11, 'color': colour, 'symbol': symbol},
    }


def _short(value: float) -> float:
    return round(value, 3)


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points that no other beats in both: cheaper (x) and better (y), by rising cost."""
    front: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or y > front[-1][1]:
            front.append((x, y))
    return front


def cost(board: Board) -> Figure | None:
    """Cost of adaptation (seconds) against mIoU, with the Pareto front; bounds left out."""
    data, points = [], []
    for index, row in enumerate(board.rows):
        if row.mean is None or row.hours is None or row.bound:
            continue
        seconds = max(row.hours * 3600, 0.1)
        points.append((seconds, row.mean))
        text = f'{row.title}: {row.mean:.1f} mIoU, {duration(row.hours)}'
        data.append(_point(row, index, seconds, row.mean, text))
    if not data:
        return None
    front = pareto(points)
    line = {
        'type': 'scatter',
        'mode': 'lines',
        'name': 'Pareto front',
        'x': [_short(x) for x, _ in front],
        'y': [_short(y) for _, y in front],
        'line': {'color': '#888888', 'dash': 'dot', 'shape': 'hv'},
        'hoverinfo': 'skip',
    }
    layout = _layout('wall time of the adaptation (log scale)', 'mIoU, %')
    layout['xaxis'] |= time_axis([x for x, _ in points])
    return {'data': [line, *data], 'layout': layout}


TIMES = {
    '0.1 s': 0.1, '0.3 s': 0.3, '1 s': 1, '2 s': 2, '5 s': 5, '10 s': 10, '20 s': 20, '30 s': 30,
    '1 min': 60, '2 min': 120, '3 min': 180, '5 min': 300, '10 min': 600, '20 min': 1200,
    '30 min': 1800, '1 h': 3600, '2 h': 7200, '5 h': 18000, '10 h': 36000, '1 day': 86400,
    '2 days': 172800, '5 days': 432000,
}  # fmt: skip


def time_axis(seconds: Sequence[float]) -> dict[str, Any]:
    """A logarithmic axis that names times as people do, a little wider than the values."""
    low, high = min(seconds) / 1.3, max(seconds) * 1.3
    shown = {text: value for text, value in TIMES.items() if low <= value <= high}
    return {
        'type': 'log',
        'range': [_short(log10(low)), _short(log10(high))],
        'tickvals': list(shown.values()),
        'ticktext': list(shown),
    }


def curves(board: Board) -> Figure | None:
    """mIoU of kept checkpoints over iterations, mean over the seeds that have the point."""
    data = []
    for index, row in enumerate(board.rows):
        by_iteration = defaultdict(list)
        for item in row.items.values():
            for point in item.record.curve:
                by_iteration[point.iteration].append(point.miou)
        if len(by_iteration) < 2:
            continue
        colour, symbol = style(index)
        data.append(
            {
                'type': 'scatter',
                'mode': 'lines+markers',
                'name': row.title,
                'x': sorted(by_iteration),
                'y': [_short(sum(v) / len(v)) for _, v in sorted(by_iteration.items())],
                'line': {'color': colour},
                'marker': {'symbol': symbol},
            }
        )
    return {'data': data, 'layout': _layout('iteration', 'mIoU, %')} if data else None


def reported_scatter(boards: Sequence[Board]) -> Figure | None:
    """Reported against measured mIoU of every row with a reported number shown."""
    data: list[dict[str, Any]] = []
    values: list[float] = []
    for board in boards:
        for index, row in enumerate(board.rows):
            told = row.verdict.reported if row.verdict else None
            if told is None or row.mean is None or row.verdict is None:
                continue
            values += [told, row.mean]
            text = f'{row.title}, {board.key.task}: {told:.1f} reported, {row.mean:.1f} here'
            point = _point(row, index, told, row.mean, f'{text} ({row.verdict.word})')
            data.append(point)
    if not data:
        return None
    ends = [_short(min(values) - 2), _short(max(values) + 2)]
    line = {
        'type': 'scatter',
        'mode': 'lines',
        'name': 'equal',
        'x': ends,
        'y': ends,
        'line': {'color': '#888888', 'dash': 'dot'},
        'hoverinfo': 'skip',
    }
    return {'data': [line, *data], 'layout': _layout('reported mIoU, %', 'measured mIoU, %')}
