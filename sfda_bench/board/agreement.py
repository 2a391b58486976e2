"""Rank agreement between the gains of a suite that renders its data and the reported ones.

A reported gain is a method's value minus that of a source-only row of the same paper, task, network
and number of classes; a method with several has their median. Reported numbers come from networks,
protocols and source models of many kinds, so this asks only whether the *order* is a similar one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from scipy.stats import kendalltau

from sfda_bench.board.reported import Origin, ReportedFile, ReportedRow
from sfda_bench.board.rows import Board, Row
from sfda_bench.board.text import MISSING, number, table
from sfda_bench.scoring.statistics import SAMPLES, percentile_interval

SUITES = ('pocket',)
SOURCE = 'source_only'
#: Fewer methods have an order by chance too often for an interval to say anything.
LEAST = 4
_SEED = 0


@dataclass(frozen=True)
class Agreement:
    """How far the order of methods on a board is the reported one.

    Attributes:
        board: The board.
        gains: (row, gain here, reported gain), best first.
        tau: Kendall's tau-b; ``None`` with fewer than :data:`LEAST` methods.
        low, high: Percentile interval, methods resampled.
        p: Two-sided, of no association.
    """

    board: Board
    gains: list[tuple[Row, float, float]]
    tau: float | None
    low: float | None
    high: float | None
    p: float | None


def agreements(
    boards: Sequence[Board], reported: Mapping[str, ReportedFile], samples: int = SAMPLES
) -> list[Agreement]:
    """One for each offline board of :data:`SUITES` on which a method has a reported gain."""
    told = reported_gains(reported)
    found = []
    for board in boards:
        if board.key.suite not in SUITES or board.key.setting:
            continue
        gains = [
            (row, row.gain, told[board.key.task, row.method])
            for row in board.rows
            if row.gain is not None
            and not row.first.record.entry.params
            and (board.key.task, row.method) in told
        ]
        if gains:
            found.append(_agreement(board, sorted(gains, key=lambda g: -g[1]), samples))
    return found


def _agreement(board: Board, gains: list[tuple[Row, float, float]], samples: int) -> Agreement:
    if len(gains) < LEAST:
        return Agreement(board, gains, None, None, None, None)
    here, there = (np.array([gain[place] for gain in gains]) for place in (1, 2))
    whole = kendalltau(here, there)
    rng = np.random.default_rng(_SEED)
    draws = rng.integers(0, len(gains), (samples, len(gains)))
    low, high = percentile_interval(np.array([_tau(here[d], there[d]) for d in draws]))
    return Agreement(board, gains, float(whole.statistic), low, high, float(whole.pvalue))


def _tau(a: np.ndarray, b: np.ndarray) -> float:
    """Tau-b by its definition, fast for a bootstrap; NaN where all of one side are equal."""
    first, second = np.sign(a[:, None] - a), np.sign(b[:, None] - b)
    norm = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / norm) if norm else float('nan')


def reported_gains(reported: Mapping[str, ReportedFile]) -> dict[tuple[str, str], float]:
    """Median reported gain by (task, our method at its default settings)."""
    sources = defaultdict(list)
    for file in reported.values():
        for row in file.rows if file.method == SOURCE else ():
            if row.value is not None:
                sources[_place(file.origins[row.origin], row)].append(row.value)
    found = defaultdict(list)
    for file in reported.values():
        for row in file.rows if file.method != SOURCE else ():
            below = sources.get(_place(file.origins[row.origin], row))
            if row.value is not None and row.task_id and row.run and below:
                found[row.task_id, row.run].append(row.value - median(below))
    return {key: median(values) for key, values in found.items()}


def _place(origin: Origin, row: ReportedRow) -> tuple[object, ...]:
    return origin.arxiv or origin.paper, row.task_id, row.network, row.classes, row.condition


def section(found: Sequence[Agreement]) -> str:
    """The section of the leaderboard on it; '' without any."""
    if not found:
        return ''
    rows = [
        [
            f'`{each.board.key.task}`',
            f'`{each.board.key.network}`',
            '; '.join(f'{row.title} {here:+.1f} ({there:+.1f})' for row, here, there in each.gains),
            str(len(each.gains)),
            number(each.tau, digits=2, sign=True),
            MISSING if each.low is None else f'{each.low:+.2f} to {each.high:+.2f}',
            number(each.p, digits=2),
        ]
        for each in found
    ]
    header = ['task', 'network', 'gain here (reported)', 'methods', "Kendall's tau", '95 %', 'p']
    return '\n\n'.join(
        [
            '### Is the order the reported one?',
            'Gains on the rendered streets against reported gains: a method, and a source-only row '
            'of the same paper, task, network and number of classes; the median where there are '
            'several. The interval resamples methods. One that holds 0 shows no agreement: then '
            'these boards say whether a method runs, collapses or changed, and nothing about which '
            'one is better on real streets.',
            table(header, rows, 3),
        ]
    )
