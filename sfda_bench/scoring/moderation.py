"""Moderated variances: of a few values each, estimated together, each borrowing from the others.

Smyth, Stat. Appl. Genet. Mol. Biol. 3, 2004, sections 4 to 6 (``squeezeVar`` of R's limma). Three
seeds say little of the spread of one comparison, the whole table says much.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

from sfda_bench.scoring.statistics import Floats

_TINY = 1e-5  # of the median: the logarithm of a variance of 0
_MOST = 1e6  # half the degrees of freedom of a prior that is as good as known


def moderate(variances: Floats, freedom: Floats) -> tuple[Floats, float]:
    """Variances drawn towards their common prior.

    Args:
        variances: (N,) estimated variances.
        freedom: (N,) degrees of freedom of each, above 0.

    Returns:
        (N,) moderated variances, and the prior's degrees of freedom, which add to each one's own:
        0 if there is nothing to borrow from, infinite if they spread no more than one common
        variance would.
    """
    if len(variances) < 2 or not variances.any():
        return variances, 0.0
    typical = float(np.median(variances)) or float(variances.mean())
    half = freedom / 2
    logs = np.log(np.maximum(variances, _TINY * typical)) - digamma(half) + np.log(half)
    excess = float(logs.var(ddof=1) - polygamma(1, half).mean())
    if excess <= polygamma(1, _MOST):
        return np.full_like(variances, variances.mean()), float('inf')
    prior = 2 * brentq(lambda x: polygamma(1, x) - excess, 1e-6, _MOST)
    value = np.exp(logs.mean() + digamma(prior / 2) - np.log(prior / 2))
    return (prior * value + freedom * variances) / (prior + freedom), prior
