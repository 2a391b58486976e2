"""Losses of curriculum-style self-training: weighted entropy, diversity, negative labels.

Source: ATP (arXiv 2106.11653), code ``losses/cross_entropy_loss.py`` (``EntropyLoss``,
``negative_cross_loss``). Each as a function of logits (N, C, H, W).
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy, log_softmax

from sfda_bench.errors import require_known

IGNORE = 255
TINY = 1e-30
NegativeForm = Literal['joint', 'sum']


def normalised_entropy(log_p: Tensor, classes: int) -> Tensor:
    """Entropy in units of ln ``classes`` of log-probabilities (N, C, H, W), as (N, H, W)."""
    return -(log_p.exp() * log_p).sum(dim=1) / math.log(classes)


class _EntropyAndProbability(Function):
    """Entropy in nats (N, H, W) and probabilities (N, C, H, W) of logits, in few passes.

    ``dH/dz = -p (log p + H)``; composed of log-softmax, exponential and product, each with its own
    backward pass, it costs several times as much.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> tuple[Tensor, Tensor]:
        log_p = log_softmax(logits, dim=1)
        p = log_p.exp()
        entropy = (p * log_p).sum(dim=1).neg_()
        ctx.save_for_backward(log_p, p, entropy)
        ctx.set_materialize_grads(False)
        return entropy, p

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_entropy: Tensor | None, by_p: Tensor | None) -> Tensor | None:
        log_p, p, entropy = ctx.saved_tensors
        gradient: Tensor | None = None
        if by_entropy is not None:
            gradient = (log_p + entropy.unsqueeze(1)).mul_(by_entropy.neg().unsqueeze(1))
        if by_p is not None:
            centred = by_p - (by_p * p).sum(dim=1, keepdim=True)
            gradient = centred if gradient is None else gradient.add_(centred)
        return None if gradient is None else gradient.mul_(p)


class _CrossEntropyAndMass(Function):
    """Cross-entropy (0 where ignored) and the mass m of the classes below a threshold, (N, H, W).

    With a and b the gradients by the two, that by the logits is ``p (a - b m) + b absent -
    a onehot``: half the passes over (N, C, H, W) that two soft-maxes take.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, threshold: float
    ) -> tuple[Tensor, Tensor]:
        log_p = log_softmax(logits, dim=1)
        kept = labels != IGNORE
        index = torch.where(kept, labels, 0).unsqueeze(1)
        loss = log_p.gather(1, index).squeeze(1).neg_().masked_fill_(~kept, 0.0)
        p = log_p.exp_()
        absent = p.masked_fill(p >= threshold, 0.0)
        mass = absent.sum(dim=1)
        ctx.save_for_backward(p, absent, mass, index, kept)
        return loss, mass

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_loss: Tensor, by_mass: Tensor) -> tuple[Tensor, None, None]:
        p, absent, mass, index, kept = ctx.saved_tensors
        by_loss = by_loss * kept
        gradient = p * torch.addcmul(by_loss, by_mass, mass, value=-1.0).unsqueeze(1)
        gradient.addcmul_(absent, by_mass.unsqueeze(1))
        gradient.scatter_add_(1, index, by_loss.neg().unsqueeze(1).to(gradient))
        return gradient, None, None


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
    return alignment(logits, gamma=gamma, detach=detach, classes=classes)[0]


def weighted_diversity(logits: Tensor, alpha: float = 3.0, classes: int | None = None) -> Tensor:
    """Entropy of the mean prediction, pixels weighted by ``exp(-alpha H)``; to be maximised.

    The weighted mean is divided by the number of pixels, not by the sum of weights, as in the
    code, so it sums to less than one.

    Args:
        logits: (N, C, H, W).
        alpha: Steepness of the weights, which carry no gradient.
        classes: Normaliser K; C if ``None``.
    """
    return alignment(logits, alpha=alpha, classes=classes)[1]


def alignment(
    logits: Tensor,
    gamma: float = 5.0,
    alpha: float = 3.0,
    detach: bool = False,
    classes: int | None = None,
) -> tuple[Tensor, Tensor]:
    """:func:`curriculum_entropy` and :func:`weighted_diversity` of the same logits, together."""
    unit = math.log(classes or logits.shape[1])
    nats, p = _EntropyAndProbability.apply(logits)
    entropy = nats / unit
    ease = (1.0 - entropy) ** gamma
    curriculum = ((ease.detach() if detach else ease) * entropy).mean()
    weight = (-alpha * entropy).exp().detach() / entropy.numel()
    with torch.autocast(p.device.type, enabled=False):
        mean = (p.flatten(2) @ weight.flatten(1).unsqueeze(2)).sum(dim=(0, 2))
    return curriculum, -(mean * (mean + TINY).log()).sum() / unit


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
    if form == 'joint':
        nothing = torch.full_like(logits[:, 0], IGNORE, dtype=torch.int64)
        loss = _joint(_CrossEntropyAndMass.apply(logits, nothing, threshold)[1])
    else:
        p = logits.softmax(dim=1)
        absent = (p < threshold).detach()
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


def complementary_losses(
    logits: Tensor,
    labels: Tensor,
    threshold: float = 0.04,
    form: NegativeForm = 'joint',
    where: Tensor | None = None,
    weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """:func:`positive_loss` and :func:`negative_loss` of the same logits, together."""
    if form != 'joint':
        negative = negative_loss(logits, threshold, form, where)
        return positive_loss(logits, labels, weight), negative
    positive, mass = _CrossEntropyAndMass.apply(logits, labels, threshold)
    parts = ((positive, weight), (_joint(mass), where))
    first, second = ((loss if by is None else loss * by).mean() for loss, by in parts)
    return first, second


def _joint(mass: Tensor) -> Tensor:
    return -(1.0 - mass).clamp(1e-8, 1.0).log()


def thresholded(confidence: Tensor, labels: Tensor, threshold: float | None) -> Tensor:
    """``labels`` with 255 where ``confidence`` is below the threshold; ``None`` keeps all."""
    if threshold is None:
        return labels
    return torch.where(confidence >= threshold, labels, IGNORE)
