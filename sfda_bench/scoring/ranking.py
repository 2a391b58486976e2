"""Rankings of methods: paired comparisons, shared ranks, tie groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Literal

import numpy as np
from scipy import stats

from sfda_bench.scoring.moderation import moderate
from sfda_bench.scoring.statistics import (
    LEVEL,
    SAMPLES,
    Floats,
    Parts,
    adjust,
    bootstrap_all,
    bootstrap_weights,
    miou,
    percentile_interval,
    same_images,
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

    @cached_property
    def mean(self) -> float:
        """Mean over seeds."""
        return float(self.values.mean())

    @cached_property
    def sample_means(self) -> Floats:
        """(B,) mean over seeds of each bootstrap sample."""
        return self.samples.mean(axis=0, dtype=np.float64).astype(np.float32)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Image-bootstrap interval of the mean over seeds."""
        return percentile_interval(self.sample_means, level)


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


def draw(
    contestants: Sequence[Contestant], samples: int = SAMPLES, seed: int = 0
) -> dict[str, Drawn]:
    """Bootstrap every seed of every contestant with the same image weights, by name.

    Raises:
        BenchError: If two were not scored on the same images and classes.
    """
    parts = [part for contestant in contestants for part in contestant.parts]
    if not parts:
        return {}
    for part in parts:
        same_images(part, parts[0])
    values = np.array([miou(part) for part in parts])
    drawn = bootstrap_all(parts, bootstrap_weights(parts[0].images, samples, seed))
    found, start = {}, 0
    for contestant in contestants:
        end = start + len(contestant.parts)
        found[contestant.name] = Drawn(contestant.seeds, values[start:end], drawn[start:end])
        start = end
    return found


def seed_variance(a: Drawn, b: Drawn) -> tuple[float, int]:
    """Variance of the difference of means that the choice of seeds causes, and its freedom.

    Seeds are paired where both methods have the same ones (they share the source model), else
    taken as independent; a single seed is taken to spread as the other method's. Where both have
    one there is no spread to see: freedom 0, and the comparison speaks of these two models only.
    """
    if a.seeds == b.seeds and len(a.seeds) > 1:
        return float((a.values - b.values).var(ddof=1)) / len(a.seeds), len(a.seeds) - 1
    spreads = [float(x.values.var(ddof=1)) for x in (a, b) if len(x.seeds) > 1]
    if not spreads:
        return 0.0, 0
    variance = spreads[0] / len(a.seeds) + spreads[-1] / len(b.seeds)
    return variance, min(len(x.seeds) for x in (a, b) if len(x.seeds) > 1) - 1


def _seed_part(drawn: dict[str, Drawn], images: Floats) -> tuple[Floats, Floats]:
    """Variance of each pair through its seeds, moderated, and the t freedom of the comparison.

    With the plain estimate of a few seeds, some pair of a long table always looks far too steady:
    of simulated tables of 19 equal methods with three seeds, a third had a false difference at
    5 %. The degrees of freedom (Welch-Satterthwaite) take no pair for steadier than all but a
    tenth of them are.
    """
    pairs = [seed_variance(a, b) for a, b in combinations(drawn.values(), 2)]
    variance, freedom = np.array(pairs, np.float64).T
    several = freedom > 0
    if not several.any():
        return variance, np.full(len(pairs), np.inf)
    variance[several], prior = moderate(variance[several], freedom[several])
    total = np.minimum(freedom + prior, sum(len(item.seeds) - 1 for item in drawn.values()))
    least = np.maximum(variance, np.quantile(variance[several], 0.9))
    share = least / np.maximum(least + images, 1e-300)
    return variance, np.where(several, total / np.maximum(share, 1e-6) ** 2, np.inf)


def compare_all(
    drawn: dict[str, Drawn], correction: Literal['holm', 'bh'] = 'holm', level: float = LEVEL
) -> list[Pair]:
    """Every pair of methods: difference of means over seeds, interval, p, corrected p.

    The variance of a difference is that of the paired bootstrap over images plus that over seeds,
    the latter moderated by the whole table (:mod:`sfda_bench.scoring.moderation`). Unlike the
    share of samples beyond zero, p has no floor at ``1 / samples``, which a correction over many
    pairs would hit.
    """
    names = list(combinations(drawn, 2))
    if not names:
        return []
    order = {name: i for i, name in enumerate(drawn)}
    i, j = np.array([(order[a], order[b]) for a, b in names]).T
    means = np.array([item.mean for item in drawn.values()])
    centred = np.stack([item.sample_means for item in drawn.values()]).astype(np.float64)
    centred -= centred.mean(axis=1, keepdims=True)
    products = centred @ centred.T / centred.shape[1]
    images = np.maximum(products[i, i] + products[j, j] - 2 * products[i, j], 0)
    seeds, freedom = _seed_part(drawn, images)
    error = np.sqrt(images + seeds)
    difference = means[i] - means[j]
    half = stats.t.ppf(0.5 + level / 2, freedom) * error
    # Two methods with equal predictions have no error and no difference.
    ratio = np.divide(
        np.abs(difference), error, out=np.where(difference == 0, 0.0, np.inf), where=error > 1e-9
    )
    p = 2 * stats.t.sf(ratio, freedom)
    adjusted = adjust(p.tolist(), correction)
    columns = (difference, difference - half, difference + half, p, adjusted)
    values = np.stack(columns, axis=1).tolist()
    return [Pair(a, b, *row) for (a, b), row in zip(names, values, strict=True)]


def shared_ranks(
    means: dict[str, float], pairs: Sequence[Pair], alpha: float = 1 - LEVEL
) -> dict[str, int]:
    """Rank = 1 + the number of methods that are significantly better."""
    ranks = dict.fromkeys(means, 1)
    for pair in pairs:
        if pair.p_adjusted < alpha and pair.difference != 0:
            ranks[pair.b if pair.difference > 0 else pair.a] += 1
    return ranks


def last_ranks(
    means: dict[str, float], pairs: Sequence[Pair], alpha: float = 1 - LEVEL
) -> dict[str, int]:
    """The last rank that the comparisons leave open: all methods but those significantly worse."""
    turned = [replace(pair, difference=-pair.difference) for pair in pairs]
    worse = shared_ranks(means, turned, alpha)
    return {name: len(means) + 1 - rank for name, rank in worse.items()}


def tie_groups(
    means: dict[str, float], pairs: Sequence[Pair], alpha: float = 1 - LEVEL
) -> list[list[str]]:
    """Largest sets of methods in which no two are significantly different, best first.

    'Not separable' is not transitive, so a method may be in several groups (the compact letter
    display of a multiple-comparison table: Piepho, J. Comput. Graph. Stat. 13, 2004): two methods
    have a group in common just if they are not separable. Nor need a group be a run of ranks:
    between two steady methods may lie one whose seeds spread.
    """
    import networkx  # a tenth of a second that most commands need not wait for

    place = {name: i for i, name in enumerate(sorted(means, key=lambda n: (-means[n], n)))}
    apart = {frozenset((p.a, p.b)) for p in pairs if p.p_adjusted < alpha}
    tied = networkx.Graph(p for p in combinations(place, 2) if frozenset(p) not in apart)
    tied.add_nodes_from(place)
    groups = [sorted(group, key=place.__getitem__) for group in networkx.find_cliques(tied)]
    return sorted(groups, key=lambda group: [place[name] for name in group])
