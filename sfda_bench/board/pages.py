"""The page of one board in full, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from sfda_bench.board import ablations
from sfda_bench.board.explain import explain
from sfda_bench.board.loading import unique
from sfda_bench.board.markdown import NOTE, heading, main_table, protocol_line
from sfda_bench.board.reported import ReportedFile
from sfda_bench.board.rows import Board
from sfda_bench.board.text import number, table
from sfda_bench.scoring.protocols import load_scoring
from sfda_bench.scoring.statistics import LEVEL

SHORT = {
    'sidewalk': 'sidew.', 'building': 'build.', 'traffic light': 'light', 'traffic sign': 'sign',
    'vegetation': 'veg.', 'terrain': 'terr.', 'person': 'pers.', 'motorcycle': 'motor',
    'bicycle': 'bike', 'pavement': 'pavem.', 'signsymbol': 'sign', 'pedestrian': 'pedes.',
    'bicyclist': 'bicyc.',
}  # fmt: skip


def board_page(board: Board, reported: Mapping[str, ReportedFile]) -> str:
    """Everything about one board."""
    blocks = [
        NOTE,
        f'# {heading(board)}',
        f'[Leaderboard](../README.md) · [CSV]({board.key.slug}.csv) · '
        f'LaTeX [for a column]({board.key.slug}.tex), [by class]({board.key.slug}__classes.tex) · '
        '[BibTeX](methods.bib)',
        protocol_line(board),
        main_table(board),
        ablations.section(board),
        '## Per class (IoU, mean over seeds)\n\n' + class_table(board),
        class_interval_table(board),
        condition_table(board),
        round_table(board),
        convention_table(board),
        '## Seeds\n\n' + seed_table(board),
        curve_table(board),
        pair_table(board),
        explanations(board, reported),
    ]
    return '\n\n'.join(block.rstrip() for block in blocks if block) + '\n'


def class_table(board: Board) -> str:
    """Methods by classes."""
    names = unique(name for row in board.rows for name in row.per_class)
    body = []
    for row in board.rows:
        values = row.per_class
        body.append([row.title, number(row.mean), *(number(values.get(name)) for name in names)])
    return table(['method', 'mIoU', *(SHORT.get(name, name) for name in names)], body)


def _with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return number(value)
    return f'{value:.1f} [{interval[0]:.1f}, {interval[1]:.1f}]'


def class_interval_table(board: Board) -> str:
    """Classes by methods, with 95 % image-bootstrap intervals; folded, for it is wide."""
    rows = [row for row in board.rows if row.class_intervals]
    if not rows:
        return ''
    body = [
        [name, *(_with_interval(r.per_class.get(name), r.class_intervals[name]) for r in rows)]
        for name in rows[0].class_intervals
    ]
    text = table(['class', *(row.title for row in rows)], body)
    return f'<details><summary>with 95 % intervals</summary>\n\n{text}\n\n</details>'


def condition_table(board: Board) -> str:
    """Methods by conditions; '' where the task has none."""
    names = unique(name for row in board.rows for name in row.per_condition)
    if not names:
        return ''
    body = []
    for row in board.rows:
        values = row.per_condition
        cells = [_with_interval(values.get(n), row.condition_intervals.get(n)) for n in names]
        body.append([row.title, number(row.mean), *cells])
    note = 'The overall mIoU is over all pixels, not the mean of the conditions. 95 % intervals.'
    return f'## Per condition (mIoU)\n\n{note}\n\n' + table(['method', 'all', *names], body)


def round_table(board: Board) -> str:
    """Rounds and their conditions, in the order of the stream, by methods; '' without rounds."""
    names = unique(name for row in board.rows for name in row.per_round)
    if not names:
        return ''
    body = [[name, *(number(row.per_round.get(name)) for row in board.rows)] for name in names]
    note = (
        'Rounds as they followed each other. One below an earlier one on the same '
        'images means that the method forgot or drifted.'
    )
    header = ['round', *(row.title for row in board.rows)]
    return f'## Per round (mIoU)\n\n{note}\n\n' + table(header, body)


def convention_table(board: Board) -> str:
    """The same predictions under every scoring protocol of the label space."""
    names = unique(name for row in board.rows for name in row.conventions)
    if len(names) < 2:
        return ''
    legend = [f'* `{name}`: {load_scoring(name).title}' for name in names]
    body = []
    for row in board.rows:
        values = row.conventions
        body.append([row.title, *(number(values.get(name)) for name in names)])
    text = '## Under every scoring protocol\n\nThe same predictions, scored anew from the counts.'
    return '\n'.join([text, '', *legend, '', table(['method', *names], body)])


def seed_table(board: Board) -> str:
    """mIoU a seed."""
    seeds = sorted({seed for row in board.rows for seed in (*row.items, *row.expected)})
    body = [
        [row.title, *(number(row.values.get(seed), 2) for seed in seeds), number(row.std, 2)]
        for row in board.rows
    ]
    return table(['method', *(f'seed {seed}' for seed in seeds), 'std'], body)


def curve_table(board: Board) -> str:
    """Last against best kept checkpoint, scored afterwards; '' where no curve was scored."""
    body = []
    for row in board.rows:
        curves = [item.record.curve for item in row.items.values() if item.record.curve]
        if not curves:
            continue
        last = sum(curve[-1].miou for curve in curves) / len(curves)
        best = sum(max(point.miou for point in curve) for curve in curves) / len(curves)
        body.append([row.title, number(last), number(best), number(best - last, sign=True)])
    if not body:
        return ''
    text = (
        '## Selection gap\n\nThe last checkpoint against the best of those kept, chosen on the '
        'labels it is scored with: what a method could gain by looking, and must not.'
    )
    return f'{text}\n\n' + table(['method', 'last', 'best', 'gap'], body)


def pair_table(board: Board) -> str:
    """Every pair: difference, interval, corrected p."""
    if not board.pairs:
        return ''
    body = [
        [
            pair.a,
            pair.b,
            number(pair.difference, 2, sign=True),
            f'[{pair.low:+.2f}, {pair.high:+.2f}]',
            f'{pair.p_adjusted:.4f}' if pair.p_adjusted >= 1e-4 else '< 0.0001',
            'yes' if pair.p_adjusted < 1 - LEVEL else 'no',
        ]
        for pair in sorted(board.pairs, key=lambda p: (-abs(p.difference), p.a, p.b))
    ]
    text = (
        '## Paired comparisons\n\nDifference of means over seeds on the same images. '
        'Interval and p count resampled images and the spread over seeds; p is Holm-corrected '
        'over this table.'
    )
    header = ['a', 'b', 'a - b', '95 %', 'p', 'separated']
    return f'{text}\n\n' + table(header, body, 2)


def explanations(board: Board, reported: Mapping[str, ReportedFile]) -> str:
    """Likely causes of each gap between measured and reported, largest effect first."""
    blocks = []
    for row in board.rows:
        verdict = row.verdict
        if verdict is None or verdict.reported is None or verdict.word == 'reproduced':
            continue
        told, causes = explain(board, row, reported)
        if told is not None and causes:
            head = f'**{row.title}**, reported {number(told.value)}, here {number(row.mean)}:'
            blocks.append('\n'.join([head, '', *(f'1. {cause.text}' for cause in causes)]))
    if not blocks:
        return ''
    return '## Why measured and reported differ: suspects\n\n' + '\n\n'.join(blocks)
