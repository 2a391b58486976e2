"""Who is better than whom: paired comparisons of several methods, shared ranks, tie groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy import stats

from sfda_bench.scoring.statistics import (
    LEVEL,
    SAMPLES,
    Floats,
    Parts,
    adjust,
    bootstrap_miou,
    bootstrap_weights,
    miou,
    normal_p,
    percentile_interval,
)


@dataclass(frozen=True)
class Contestant:
    """A method with one :class:`Parts` a seed, all on the same images."""

    name: str
    seeds: tuple[int, ...]
    parts: tuple[Parts, ...]


@dataclass(frozen=True)
class Drawn:
    """A contestant's mIoU a seed (S,) and its bootstrap samples a seed (S, B), in percent."""

    seeds: tuple[int, ...]
    values: Floats
    samples: Floats

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return float(self.values.mean())

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Image-bootstrap interval of the mean over seeds."""
        return percentile_interval(self.samples.mean(axis=0), level)


@dataclass(frozen=True)
class Pair:
    """A comparison of two methods after correction."""

    a: str
    b: str
    difference: float
    low: float
    high: float
    p: float
    p_adjusted: float


def draw(contestant: Contestant, samples: int = SAMPLES, seed: int = 0) -> Drawn:
    """Bootstrap every seed of a contestant with the same image weights."""
    weights = bootstrap_weights(contestant.parts[0].images, samples, seed)
    return Drawn(
        contestant.seeds,
        np.array([miou(part) for part in contestant.parts]),
        np.stack([bootstrap_miou(part, weights) for part in contestant.parts]),
    )


def seed_error(a: Drawn, b: Drawn) -> tuple[float, int]:
    """Standard error of the difference of means that the choice of seeds causes, and its df.

    Seeds are paired where both methods have the same ones (they share the source model), else
    taken as independent. A single seed shows no spread; the error is then 0 and the comparison
    speaks of these two models only.
    """
    if a.seeds == b.seeds:
        return _mean_error(a.values - b.values), len(a.seeds) - 1
    error = float(np.hypot(_mean_error(a.values), _mean_error(b.values)))
    return error, min(n for n in (len(a.seeds), len(b.seeds), 10**6) if n > 1) - 1


def _mean_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def compare(a: Drawn, b: Drawn, level: float = LEVEL) -> tuple[float, float, float, float]:
    """(difference, low, high, p) of the means over seeds.

    The interval is the image bootstrap's. ``p`` adds the variance that the seeds cause; with few
    seeds that variance is poorly known, hence a t tail with Welch-Satterthwaite degrees of freedom.
    """
    drawn = a.samples.mean(axis=0) - b.samples.mean(axis=0)
    difference = a.mean - b.mean
    low, high = percentile_interval(drawn, level)
    image_error = float(np.nanstd(drawn))
    from_seeds, seed_freedom = seed_error(a, b)
    error = float(np.hypot(image_error, from_seeds))
    if from_seeds == 0:
        return difference, low, high, normal_p(difference, error)
    freedom = seed_freedom * (error / from_seeds) ** 4
    return difference, low, high, float(2 * stats.t.sf(abs(difference) / error, freedom))


def compare_all(
    drawn: dict[str, Drawn], correction: Literal['holm', 'bh'] = 'holm', level: float = LEVEL
) -> list[Pair]:
    """Every pair, with corrected p values."""
    names = list(combinations(drawn, 2))
    found = [compare(drawn[a], drawn[b], level) for a, b in names]
    adjusted = adjust([item[3] for item in found], correction)
    return [
        Pair(a, b, *item, float(p)) for (a, b), item, p in zip(names, found, adjusted, strict=True)
    ]


def shared_ranks(
    means: dict[str, float], pairs: Sequence[Pair], alpha: float = 1 - LEVEL
) -> dict[str, int]:
    """Rank = 1 + the number of methods that are significantly better."""
    ranks = dict.fromkeys(means, 1)
    for pair in pairs:
        if pair.p_adjusted < alpha and pair.difference != 0:
            ranks[pair.b if pair.difference > 0 else pair.a] += 1
    return ranks


def tie_groups(
    means: dict[str, float], pairs: Sequence[Pair], alpha: float = 1 - LEVEL
) -> list[list[str]]:
    """Maximal runs of methods, best first, in which no two are significantly different.

    'Not separable' is not transitive, so a method may be in several groups (the compact letter
    display of a multiple-comparison table).
    """
    order = sorted(means, key=lambda name: (-means[name], name))
    apart = {frozenset((p.a, p.b)) for p in pairs if p.p_adjusted < alpha}
    groups: list[list[str]] = []
    for start in range(len(order)):
        end = start + 1
        while end < len(order) and all(
            frozenset((order[end], other)) not in apart for other in order[start:end]
        ):
            end += 1
        if not groups or order[end - 1] not in groups[-1]:
            groups.append(order[start:end])
    return groups
