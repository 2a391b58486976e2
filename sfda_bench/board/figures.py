"""Figures of the site as plain plotly.js JSON (data and layout), made without a library."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sfda_bench.board.rows import Board, Row
from sfda_bench.scoring.protocols import split_ref

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
        'legend': {'orientation': 'h', 'y': -0.25},
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
    """Cost of adaptation against mIoU, with the Pareto front; bounds left out."""
    data, points = [], []
    for index, row in enumerate(board.rows):
        if row.mean is None or row.hours is None or row.bound:
            continue
        minutes = max(row.hours * 60, 1e-3)
        points.append((minutes, row.mean))
        text = f'{row.title}: {row.mean:.1f} mIoU, {minutes:.2f} min'
        data.append(_point(row, index, minutes, row.mean, text))
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
    layout = _layout('adaptation, minutes (log)', 'mIoU')
    layout['xaxis']['type'] = 'log'
    return {'data': [line, *data], 'layout': layout}


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
    return {'data': data, 'layout': _layout('iteration', 'mIoU')} if data else None


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
    return {'data': [line, *data], 'layout': _layout('reported mIoU', 'measured mIoU')}


def translator(board: Board) -> Figure | None:
    """The same predictions under every scoring protocol of the label space."""
    data = []
    for index, row in enumerate(board.rows):
        values = {name: value for name, value in row.conventions.items() if value is not None}
        if len(values) < 2:
            continue
        colour, symbol = style(index)
        data.append(
            {
                'type': 'scatter',
                'mode': 'lines+markers',
                'name': row.title,
                'x': [split_ref(name)[0] for name in values],
                'y': [_short(value) for value in values.values()],
                'line': {'color': colour, 'width': 1},
                'marker': {'symbol': symbol, 'size': 8},
            }
        )
    return {'data': data, 'layout': _layout('', 'mIoU')} if data else None
