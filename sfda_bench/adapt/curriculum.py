"""Losses of curriculum-style self-training: weighted entropy, diversity, negative labels.

Source: ATP (arXiv 2106.11653), code ``losses/cross_entropy_loss.py`` (``EntropyLoss``,
``negative_cross_loss``). Each as a function of logits (N, C, H, W).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from sfda_bench.errors import require_known

IGNORE = 255
TINY = 1e-30
NegativeForm = Literal['joint', 'sum']


def normalised_entropy(log_p: Tensor, classes: int) -> Tensor:
    """Entropy in units of ln ``classes`` of log-probabilities (N, C, H, W), as (N, H, W)."""
    return -(log_p.exp() * log_p).sum(dim=1) / math.log(classes)


def curriculum_entropy(
    logits: Tensor, gamma: float = 5.0, detach: bool = False, classes: int | None = None
) -> Tensor:
    """``mean_i (1 - H_i)^gamma H_i``: entropy that trusts easy pixels first.

    Args:
        logits: (N, C, H, W).
        gamma: Exponent.
        detach: Take the factor as a constant weight. The code does not, so pixels with H > 1/6
            (for gamma 5) are pushed to *higher* entropy.
        classes: Normaliser K; C if ``None``. The code always says 19.
    """
    entropy = normalised_entropy(log_softmax(logits, dim=1), classes or logits.shape[1])
    ease = (1.0 - entropy) ** gamma
    return ((ease.detach() if detach else ease) * entropy).mean()


def weighted_diversity(logits: Tensor, alpha: float = 3.0, classes: int | None = None) -> Tensor:
    """Entropy of the mean prediction, pixels weighted by ``exp(-alpha H)``; to be maximised.

    The weighted mean is divided by the number of pixels, not by the sum of weights, as in the
    code, so it sums to less than one.

    Args:
        logits: (N, C, H, W).
        alpha: Steepness of the weights, which carry no gradient.
        classes: Normaliser K; C if ``None``.
    """
    classes = classes or logits.shape[1]
    log_p = log_softmax(logits, dim=1)
    weight = (-alpha * normalised_entropy(log_p, classes)).exp().detach()
    mean = (weight.unsqueeze(1) * log_p.exp()).mean(dim=(0, 2, 3))
    return -(mean * (mean + TINY).log()).sum() / math.log(classes)


def negative_loss(
    logits: Tensor,
    threshold: float = 0.04,
    form: NegativeForm = 'joint',
    where: Tensor | None = None,
) -> Tensor:
    """Push down the classes that a pixel is surely not: those below ``threshold``.

    Args:
        logits: (N, C, H, W).
        threshold: Probability under which a class counts as absent.
        form: ``'joint'``: ``-ln(1 - sum of the absent classes' mass)`` (the code);
            ``'sum'``: ``-sum ln(1 - p)`` (the textbook form).
        where: (N, H, W) bool, pixels that count; the mean is over all pixels either way.
    """
    require_known('form of the negative loss', form, ('joint', 'sum'))
    p = logits.softmax(dim=1)
    absent = (p < threshold).detach()
    if form == 'joint':
        loss = -(1.0 - (p * absent).sum(dim=1)).clamp(1e-8, 1.0).log()
    else:
        loss = -((1.0 - p).clamp(1e-8, 1.0).log() * absent).sum(dim=1)
    return (loss if where is None else loss * where).mean()


def positive_loss(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy, mean over *all* pixels: ignored ones count in the denominator.

    Args:
        logits: (N, C, H, W).
        labels: (N, H, W), 255 ignored.
        weight: (N, H, W) of each pixel.
    """
    loss = cross_entropy(logits, labels, ignore_index=IGNORE, reduction='none')
    return (loss if weight is None else loss * weight).mean()


def thresholded(confidence: Tensor, labels: Tensor, threshold: float | None) -> Tensor:
    """``labels`` with 255 where ``confidence`` is below the threshold; ``None`` keeps all."""
    if threshold is None:
        return labels
    return torch.where(confidence >= threshold, labels, IGNORE)
