"""Tests of a difference from the baseline against noise: pure functions on counts and numbers.

Two sources of noise are told apart and added: the images (paired bootstrap) and the run (seeds, or
another processor, which acts like another seed). A measured spread of few seeds is drawn towards
the expected one, as in Smyth, Linear models and empirical Bayes methods, 2004, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sfda_bench.regression.limits import Limits
from sfda_bench.scoring.statistics import (
    Parts,
    bootstrap_classes,
    bootstrap_miou,
    bootstrap_weights,
    miou,
    percentile_interval,
)

SAMPLES = 2000


@dataclass(frozen=True)
class Noise:
    """Standard deviation of one run's mIoU in points, with its degrees of freedom."""

    std: float
    df: float


@dataclass(frozen=True)
class Change:
    """A difference of mIoU in points, what noise explains of it, and the two-sided p.

    ``drawn`` are the bootstrap samples of the difference; ``run_variance`` is what seeds and
    another source model contribute.
    """

    difference: float
    low: float
    high: float
    p: float
    df: float
    run_variance: float
    source_variance: float
    drawn: np.ndarray

    def alarms(self, limits: Limits, repeats: bool = False) -> bool:
        """Whether the change is both large and not noise.

        Args:
            limits: The limits.
            repeats: Seed and machine are the baseline's, so that an unchanged entry has no noise.
        """
        alpha = limits.alpha_same if repeats else limits.alpha
        return abs(self.difference) >= limits.miou and self.p < alpha


def moderated(std: float | None, seeds: int, limits: Limits) -> Noise:
    """The spread to reckon with, from a measured one (``None`` = none) and the expected one."""
    if std is None or seeds < 2:
        return Noise(limits.spread, limits.spread_df)
    df = limits.spread_df + seeds - 1
    variance = (limits.spread_df * limits.spread**2 + (seeds - 1) * std**2) / df
    return Noise(math.sqrt(variance), df)


def tail(difference: float, variance: float, df: float) -> float:
    """Two-sided p of a difference under Student's t; 1 for no difference at all."""
    if difference == 0:
        return 1.0
    if variance <= 0:
        return 0.0
    return float(2 * stats.t.sf(abs(difference) / math.sqrt(variance), df))


def change(now: Parts, anchors: Sequence[Parts], noise: Noise, source_std: float = 0.0) -> Change:
    """The change of mIoU against one or several anchored runs on the same images.

    Args:
        now: The new run.
        anchors: The baseline's runs: the one of the same seed, or all.
        noise: Spread of a single run.
        source_std: Spread from another source model; 0 if both started from the same.
    """
    weights = bootstrap_weights(now.images, SAMPLES)
    base = np.mean([bootstrap_miou(part, weights) for part in anchors], axis=0)
    drawn = bootstrap_miou(now, weights) - base
    difference = miou(now) - float(np.mean([miou(part) for part in anchors]))
    equal = len(anchors) == 1 and same(now, anchors[0])
    run = 0.0 if equal else noise.std**2 * (1 + 1 / len(anchors))
    source = 2 * source_std**2
    p = tail(difference, float(np.nanvar(drawn)) + run + source, noise.df)
    low, high = percentile_interval(drawn)
    return Change(difference, low, high, p, noise.df, run, source, drawn)


def same(a: Parts, b: Parts) -> bool:
    """Whether two runs have the same counts on every image."""
    return np.array_equal(a.inter, b.inter) and np.array_equal(a.union, b.union)


def mean_change(changes: Sequence[Change], tasks: int) -> Change:
    """The mean change of several entries: a small shift that all share stands out here.

    What a source model contributes is common to a task's entries, so only tasks average it out.
    """
    count = len(changes)
    difference = float(np.mean([c.difference for c in changes]))
    drawn = np.mean([c.drawn for c in changes], axis=0)
    run = sum(c.run_variance for c in changes) / count**2
    source = max(c.source_variance for c in changes) / max(tasks, 1)
    df = sum(c.df for c in changes)
    p = tail(difference, float(np.nanvar(drawn)) + run + source, df)
    return Change(difference, *percentile_interval(drawn), p, df, run, source, drawn)


def lost_classes(
    now: Parts, anchors: Sequence[Parts], names: Sequence[str], limits: Limits
) -> list[str]:
    """Classes that every anchored run recognises and that are gone now, beyond image noise."""
    before = np.array([_class_iou(part) for part in anchors]).min(axis=0)
    after = _class_iou(now)
    suspects = [i for i in range(len(names)) if before[i] >= limits.class_iou and after[i] <= 0]
    if not suspects:
        return []
    weights = bootstrap_weights(now.images, SAMPLES)
    drawn = np.mean([bootstrap_classes(part, weights) for part in anchors], axis=0)
    # Gone means zero in every sample: what remains is whether the anchor was more than a few lucky
    # images.
    low = np.nanquantile(drawn[:, suspects].astype(np.float64), limits.alpha, axis=0)
    return [names[i] for i, value in zip(suspects, low, strict=True) if value > 0]


def _class_iou(parts: Parts) -> np.ndarray:
    inter, union = parts.inter.sum(0, dtype=np.float64), parts.union.sum(0, dtype=np.float64)
    return 100 * np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


def slow(ratios: Sequence[float | None], limits: Limits) -> list[bool]:
    """Which throughput ratios (new / baseline) are low by size and against the run's scatter.

    Each is relative to a reference of the same run, so a slower machine gives 1. The scatter of
    the entries around their median is what timing noise does to them.
    """
    known = np.log([r for r in ratios if r])
    sigma = 0.2
    if len(known) >= 5:
        sigma = max(sigma, 1.4826 * float(np.median(np.abs(known - np.median(known)))))
    bound = min(limits.speed, math.exp(-3 * sigma))
    return [r is not None and 0 < r < bound for r in ratios]


def large(
    pairs: Sequence[tuple[float | None, float | None]], elsewhere: bool, limits: Limits
) -> list[bool]:
    """Which peak memories (baseline, new; MB) grew.

    Args:
        pairs: One an entry.
        elsewhere: Another machine or other libraries: what all entries gained is the libraries'.
        limits: The limits.
    """
    grown = [now / base for base, now in pairs if base and now]
    common = max(1.0, float(np.median(grown))) if elsewhere and len(grown) >= 3 else 1.0
    return [
        base is not None
        and now is not None
        and now > limits.memory * common * base
        and now - common * base > limits.memory_mb
        for base, now in pairs
    ]
