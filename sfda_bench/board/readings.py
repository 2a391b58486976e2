"""Scores of a row under the scoring and choice of checkpoint of a reported number.

The same run answers several questions. Its counts can be scored under any convention of their label
space, and of the checkpoints kept on the way the best on the validation labels can be told: a bound
that some papers report, never a method's result.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import hypot
from pathlib import Path
from typing import Literal

import numpy as np

from sfda_bench.board.loading import Item
from sfda_bench.board.rows import Row
from sfda_bench.scoring.protocols import load_scoring
from sfda_bench.scoring.rounds import merge_rounds
from sfda_bench.scoring.scores import parts, score
from sfda_bench.scoring.statistics import (
    Parts,
    bootstrap_all,
    bootstrap_weights,
    percentile_interval,
    seed_summary,
)
from sfda_bench.store.record import load_counts

SAMPLES = 2_000
"""Bootstrap samples of a convention that is not the board's own."""

Choice = Literal['last', 'best']


@dataclass(frozen=True)
class Reading:
    """A measured mean over seeds, in percent, with the half-width of its 95 % interval.

    Attributes:
        choice: ``last`` checkpoint, or ``best`` of those kept, by the validation labels.
        mean: mIoU, mean over seeds.
        half: Half-width from images and seeds together, in points.
        kept: Checkpoints that ``best`` was chosen from.
    """

    choice: Choice
    mean: float
    half: float
    kept: int = 1

    def __str__(self) -> str:
        if self.choice == 'last':
            return 'last checkpoint'
        return f'best of {self.kept} kept checkpoints, by the validation labels: a bound'


def rescorable(item: Item, scoring: str) -> bool:
    """Whether a record's counts can be scored under another scoring protocol."""
    return load_scoring(scoring).label_space == item.protocol.label_space


def last(row: Row, scoring: str) -> Reading | None:
    """The last checkpoints of all seeds under a scoring protocol; ``None`` if a seed is missing."""
    if row.mean is None or not row.complete:
        return None
    if scoring == row.first.record.scoring_protocol:
        image = ((row.high or 0) - (row.low or 0)) / 2
        return Reading('last', row.mean, hypot(image, row.seed_half or 0))
    values = [_rescored(item.path, scoring) for item in row.items.values()]
    return _reading('last', [v for v, _ in values], [p for _, p in values])


def best(row: Row, scoring: str) -> Reading | None:
    """The best kept checkpoints of all seeds; ``None`` where none were scored on the way."""
    plain = last(row, scoring)
    tops = [_top(item, scoring) for item in row.items.values()]
    found = [value for value, _ in tops if value is not None]
    if plain is None or len(found) < len(tops):
        return None
    summary = seed_summary(found)
    # the images are those of the last checkpoint, so is their share of the interval
    return Reading('best', summary.mean, plain.half, min(number for _, number in tops))


def _top(item: Item, scoring: str) -> tuple[float | None, int]:
    """Highest point of a curve under a scoring protocol, and how many points it has."""
    own = scoring == item.record.scoring_protocol
    points = [p.miou if own else p.conventions.get(scoring) for p in item.record.curve]
    known = [value for value in points if value is not None]
    return (max(known), len(known)) if known and len(known) == len(points) else (None, 0)


@lru_cache(maxsize=256)
def _rescored(path: Path, scoring: str) -> tuple[float | None, Parts]:
    """MIoU of a record's counts under a protocol, and the parts that its bootstrap needs."""
    counts, ids, conditions = load_counts(path.with_suffix('.npz'))
    counts, ids, conditions = merge_rounds(counts, ids, conditions)
    protocol = load_scoring(scoring)
    return score(counts, conditions, protocol).miou, Parts(*parts(counts, protocol))


def _reading(choice: Choice, values: Iterable[float | None], seeds: list[Parts]) -> Reading | None:
    known = [value for value in values if value is not None]
    if len(known) < len(seeds):
        return None
    drawn = bootstrap_all(seeds, bootstrap_weights(seeds[0].images, SAMPLES))
    low, high = percentile_interval(np.mean(drawn, axis=0))
    summary = seed_summary(known)
    return Reading(choice, summary.mean, hypot((high - low) / 2, summary.half_width or 0))
