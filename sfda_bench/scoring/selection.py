"""How good a choice without labels was: regret, rank, and rank correlation over the pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfda_bench.scoring.candidates import choose

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """What a validator picked, judged by labels afterwards.

    Attributes:
        index: The candidate.
        miou: Its mIoU.
        regret: What the best candidate has more.
        rank: 1 = the best of the pool.
        worst: Whether it is the worst, in a pool whose candidates differ.
        spearman: Rank correlation of scores and mIoU; ``None`` if one of them is constant.
        weighted: The same with more weight on high ranks in either.
    """

    index: int
    miou: float
    regret: float
    rank: int
    worst: bool
    spearman: float | None
    weighted: float | None


def judge(scores: Sequence[float], miou: Sequence[float]) -> Choice:
    """The choice of the highest score.

    Args:
        scores: Of each candidate, higher is better.
        miou: Of each candidate, in percent.
    """
    truth = np.asarray(miou, np.float64)
    index = choose(scores)
    picked = float(truth[index])
    return Choice(
        index=index,
        miou=picked,
        regret=float(truth.max()) - picked,
        rank=int((truth > picked).sum()) + 1,
        worst=bool(picked == truth.min() < truth.max()),
        spearman=rank_correlation(scores, miou),
        weighted=weighted_rank_correlation(scores, miou),
    )


def ranks(values: Sequence[float]) -> Floats:
    """1 for the least; equal values share their mean rank."""
    numbers = np.asarray(values, np.float64)
    below = (numbers[None, :] < numbers[:, None]).sum(axis=1)
    equal = (numbers[None, :] == numbers[:, None]).sum(axis=1)
    return below + (equal + 1) / 2


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's; ``None`` where one side is constant."""
    return _pearson(ranks(first), ranks(second), np.ones(len(first)))


def weighted_rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's with the weight max(r, r')^2 of the relative dense ranks of each pair.

    The weights of powerful-benchmarker, with plain ranks.
    """
    dense = [np.unique(np.asarray(side, np.float64), return_inverse=True)[1] + 1 for side in
             (first, second)]  # fmt: skip
    weights = np.maximum(dense[0] / dense[0].max(), dense[1] / dense[1].max()) ** 2
    return _pearson(ranks(first), ranks(second), weights)


def _pearson(first: Floats, second: Floats, weights: Floats) -> float | None:
    a, b = (side - np.average(side, weights=weights) for side in (first, second))
    spread = np.sqrt((weights * a * a).sum() * (weights * b * b).sum())
    return float((weights * a * b).sum() / spread) if spread > 0 else None
