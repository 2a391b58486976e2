"""Validators: scores of predictions that need no labels, each written so that higher is better.

Functions of the sums of :mod:`~sfda_bench.scoring.prediction_statistics`; ``weights`` says how
often each image counts, for a bootstrap over images. None of them is reliable: entropy and its
like reward a collapse to one class, the mutual-information kind an even mix of classes. Each names
its source in :data:`~sfda_bench.scoring.candidates.VALIDATORS`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sfda_bench.scoring.prediction_statistics import Statistics, ViewStatistics

Floats = NDArray[np.float64]
Weights = np.ndarray | None
#: MaNo takes the soft-max where the mean of -ln p is above this, else the Taylor series.
MANO_CRITERION = 5.0


def entropy_of(shares: np.ndarray) -> Floats:
    """Entropy in nats over the last axis; what is 0 adds nothing."""
    shares = np.asarray(shares, np.float64)
    return -(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=-1)


def _divided(values: np.ndarray, by: np.ndarray) -> Floats:
    """Quotients, 0 where the divisor is."""
    return np.divide(values, by, out=np.zeros(np.broadcast(values, by).shape), where=by != 0)


# --- confidence ---------------------------------------------------------------------------------


def entropy(found: Statistics, weights: Weights = None) -> float:
    """Minus the mean entropy of a pixel."""
    total = found.total(weights)
    return float(-(total.entropy / total.pixels)[0])


def entropy_balanced(found: Statistics, weights: Weights = None) -> float:
    """Minus the mean over predicted classes of the mean entropy of their pixels."""
    total = found.total(weights)
    predicted = total.histogram[0] > 0
    return float(-(total.class_entropy[0][predicted] / total.histogram[0][predicted]).mean())


def msp(found: Statistics, weights: Weights = None) -> float:
    """Mean of the largest probability."""
    total = found.total(weights)
    return float((total.top / total.pixels)[0])


def mano_criterion(found: Statistics, weights: Weights = None) -> float:
    """Mean of -ln p over pixels and classes: how MaNo chooses its branch."""
    total = found.total(weights)
    return float(-(total.logarithm / (total.pixels * found.classes))[0])


def mano_softmax(found: Statistics, weights: Weights = None) -> float:
    """Norm of order 4 of all probabilities, a number of 0 to 1."""
    total = found.total(weights)
    return float((total.fourth / (total.pixels * found.classes))[0] ** 0.25)


def mano_taylor(found: Statistics, weights: Weights = None) -> float:
    """The same of the normalised Taylor series of the logits."""
    total = found.total(weights)
    return float((total.taylor / (total.pixels * found.classes))[0] ** 0.25)


def mano(found: Statistics, weights: Weights = None) -> float:
    """MaNo: the soft-max or the Taylor branch, as its criterion says."""
    confident = mano_criterion(found, weights) > MANO_CRITERION
    return mano_softmax(found, weights) if confident else mano_taylor(found, weights)


# --- diversity and confidence -------------------------------------------------------------------


def diversity(found: Statistics, weights: Weights = None) -> float:
    """Entropy of the mean prediction; alone it prefers noise."""
    total = found.total(weights)
    return float(entropy_of(total.probability / total.pixels[:, None])[0])


def infomax(found: Statistics, weights: Weights = None) -> float:
    """Entropy of the mean prediction less the mean entropy, over the whole set."""
    return diversity(found, weights) + entropy(found, weights)


def infomax_image(found: Statistics, weights: Weights = None) -> float:
    """The same within each image, then the mean over images."""
    of_mean = entropy_of(found.probability / found.pixels[:, None])
    return float(np.average(of_mean - found.entropy / found.pixels, weights=weights))


def bnm(found: Statistics, weights: Weights = None) -> float:
    """Nuclear norm of the N x K probabilities, divided by N."""
    total = found.total(weights)
    return float((_nuclear(total) / total.pixels)[0])


def bnm_n(found: Statistics, weights: Weights = None) -> float:
    """Nuclear norm by its greatest possible value sqrt(N K): 0 to 1, whatever N is."""
    total = found.total(weights)
    return float((_nuclear(total) / np.sqrt(total.pixels * found.classes))[0])


def _nuclear(total: Statistics) -> Floats:
    # the eigenvalues of the product are the squares of the singular values
    return np.sqrt(np.clip(np.linalg.eigvalsh(total.product), 0, None)).sum(axis=-1)


def fbnm(found: Statistics, weights: Weights = None) -> float:
    """Sum of the min(N, K) largest column norms of the probabilities."""
    total = found.total(weights)
    norms = np.sort(np.sqrt(np.diagonal(total.product[0])))[::-1]
    return float(norms[: min(int(total.pixels[0]), found.classes)].sum())


def softmax_corr(found: Statistics, weights: Weights = None) -> float:
    """trace(P'P) / (its Frobenius norm sqrt K): 1 if sure and even, 1 / sqrt K if collapsed."""
    return -corr_c(found, weights) / float(np.sqrt(found.classes))


def corr_c(found: Statistics, weights: Weights = None) -> float:
    """The ratio with the sign of two public scripts ('min is best'): its best is a collapse."""
    product = found.total(weights).product[0]
    return float(-np.trace(product) / np.linalg.norm(product))


def mcc(found: Statistics, weights: Weights = None) -> float:
    """Minus the class confusion of MCC: what is off the diagonal of the normalised product."""
    product = found.total(weights).weighted_product[0]
    rows = _divided(product, product.sum(axis=1, keepdims=True))
    return float(-(rows.sum() - np.trace(rows)) / found.classes)


# --- two views ----------------------------------------------------------------------------------


def consistency(views: ViewStatistics, weights: Weights = None) -> float:
    """Share of pixels with the same class in both views."""
    confusion = views.total(weights).confusion[0]
    return float(np.trace(confusion) / confusion.sum())


def consistency_miou(views: ViewStatistics, weights: Weights = None) -> float:
    """Mean IoU of the two label maps over the classes that one of them has."""
    return label_miou(views.total(weights).confusion[0])


def consistency_js(views: ViewStatistics, weights: Weights = None) -> float:
    """Minus the mean Jensen-Shannon divergence of the two predictions, in nats."""
    total = views.total(weights)
    return float(-(total.divergence / total.confusion.sum(axis=(1, 2)))[0])


def effective_invariance(views: ViewStatistics, weights: Weights = None) -> float:
    """Mean of sqrt(p p') of the largest probabilities where the classes agree, else 0."""
    total = views.total(weights)
    return float((total.invariance / total.confusion.sum(axis=(1, 2)))[0])


def label_miou(confusion: np.ndarray) -> float:
    """Mean IoU of two label maps from their joint histogram (K, K)."""
    both = np.diagonal(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - both
    return float((both[union > 0] / union[union > 0]).mean())


# --- collapse -----------------------------------------------------------------------------------


def predicted_classes(found: Statistics, share: float = 1e-3) -> int:
    """Number of classes that at least this share of all pixels is predicted as."""
    histogram = found.total().histogram[0]
    return int((histogram >= share * histogram.sum()).sum())


def effective_classes(found: Statistics) -> float:
    """exp of the entropy of the mean prediction: 1 if collapsed, K if even."""
    return float(np.exp(diversity(found)))
