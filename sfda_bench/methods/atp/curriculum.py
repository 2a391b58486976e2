"""Formulas of curriculum-style self-training: weighted entropy, diversity, negative labels.

Source: ATP (arXiv 2106.11653), code ``losses/cross_entropy_loss.py`` (``EntropyLoss``,
``negative_cross_loss``). Each as a function of logits (N, C, H, W), and of the maps of a pass over
them that several share.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from sfda_bench.adapt.fused import CrossEntropyAndMass, EntropyAndProbability
from sfda_bench.errors import require_known
from sfda_bench.labels import IGNORE

TINY = 1e-30
NegativeForm = Literal['joint', 'sum']
FORMS = ('joint', 'sum')

# --- align --------------------------------------------------------------------------------------


def normalised_entropy(log_p: Tensor, classes: int) -> Tensor:
    """Entropy in units of ln ``classes`` of log-probabilities (N, C, H, W), as (N, H, W)."""
    return -(log_p.exp() * log_p).sum(dim=1) / math.log(classes)


def entropy_and_probability(logits: Tensor, classes: int | None = None) -> tuple[Tensor, Tensor]:
    """:func:`normalised_entropy` (N, H, W) and probabilities (N, C, H, W) of logits, in one pass.

    Args:
        logits: (N, C, H, W).
        classes: Normaliser K; C if ``None``. The code always says 19.
    """
    nats, p = EntropyAndProbability.apply(logits)
    return nats / math.log(classes or logits.shape[1]), p


def curriculum_map(entropy: Tensor, gamma: float = 5.0, detach: bool = False) -> Tensor:
    """``(1 - H)^gamma H`` of normalised entropies (N, H, W): trusts easy pixels first.

    Args:
        entropy: H.
        gamma: Exponent.
        detach: Take the factor as a constant weight. The code does not, so pixels with H > 1/6
            (for gamma 5) are pushed to *higher* entropy.
    """
    ease = (1.0 - entropy) ** gamma
    return (ease.detach() if detach else ease) * entropy


def curriculum_entropy(
    logits: Tensor, gamma: float = 5.0, detach: bool = False, classes: int | None = None
) -> Tensor:
    """Mean of :func:`curriculum_map` over all pixels of logits (N, C, H, W)."""
    return curriculum_map(entropy_and_probability(logits, classes)[0], gamma, detach).mean()


def entropy_of_mean(
    entropy: Tensor,
    probability: Tensor,
    alpha: float = 3.0,
    classes: int | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Entropy of the mean prediction, pixels weighted by ``exp(-alpha H)``.

    The weighted mean is divided by the number of pixels, not by the sum of weights, as in the
    code, so it sums to less than one.

    Args:
        entropy: H (N, H, W), see :func:`entropy_and_probability`.
        probability: (N, C, H, W).
        alpha: Steepness of the weights, which carry no gradient.
        classes: Normaliser K; C if ``None``.
        weight: (N, H, W), on top of these weights.
    """
    easy = (-alpha * entropy).exp().detach() / entropy.numel()
    easy = easy if weight is None else easy * weight
    with torch.autocast(probability.device.type, enabled=False):
        mean = (probability.flatten(2) @ easy.flatten(1).unsqueeze(2)).sum(dim=(0, 2))
    return -(mean * (mean + TINY).log()).sum() / math.log(classes or probability.shape[1])


def weighted_diversity(logits: Tensor, alpha: float = 3.0, classes: int | None = None) -> Tensor:
    """:func:`entropy_of_mean` of logits (N, C, H, W); to be maximised."""
    return entropy_of_mean(*entropy_and_probability(logits, classes), alpha, classes)


# --- teach and propagate ------------------------------------------------------------------------


def negative_map(
    logits: Tensor,
    threshold: float = 0.04,
    form: NegativeForm = 'joint',
    mass: Tensor | None = None,
) -> Tensor:
    """Loss (N, H, W) of the classes that a pixel is surely not: those below ``threshold``.

    Args:
        logits: (N, C, H, W).
        threshold: Probability under which a class counts as absent.
        form: ``'joint'``: ``-ln(1 - sum of the absent classes' mass)`` (the code);
            ``'sum'``: ``-sum ln(1 - p)`` (the textbook form).
        mass: That sum (N, H, W), for ``'joint'``, if it is known.
    """
    require_known('form of the negative loss', form, FORMS)
    if form == 'sum':
        p = logits.softmax(dim=1)
        absent = (p < threshold).detach()
        return -((1.0 - p).clamp(1e-8, 1.0).log() * absent).sum(dim=1)
    if mass is None:
        nothing = torch.full_like(logits[:, 0], IGNORE, dtype=torch.int64)
        mass = CrossEntropyAndMass.apply(logits, nothing, threshold)[1]
    return -(1.0 - mass).clamp(1e-8, 1.0).log()


def negative_loss(
    logits: Tensor,
    threshold: float = 0.04,
    form: NegativeForm = 'joint',
    where: Tensor | None = None,
) -> Tensor:
    """Mean of :func:`negative_map` over all pixels; those outside ``where`` (N, H, W) are 0."""
    loss = negative_map(logits, threshold, form)
    return (loss if where is None else loss * where).mean()


def thresholded(confidence: Tensor, labels: Tensor, threshold: float | None) -> Tensor:
    """``labels`` with 255 where ``confidence`` is below the threshold; ``None`` keeps all."""
    if threshold is None:
        return labels
    return torch.where(confidence >= threshold, labels, IGNORE)
