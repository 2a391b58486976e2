"""HCL's two losses: categories weighed by past models, instances contrasted with an average.

Source: Huang et al., HCL, NeurIPS 2021, arXiv 2110.03374, code ``trainer_hcl.py`` (they are not
those printed in the paper; ``form='paper'`` has the printed weight).
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate, log_softmax, normalize, one_hot

from sfda_bench.adapt.losses import AdaptationLoss, needed
from sfda_bench.errors import BenchError, require_known
from sfda_bench.labels import IGNORE
from sfda_bench.registry import MODELS

Form = Literal['code', 'paper']


# --- categories (HCCD) --------------------------------------------------------------------------


@torch.no_grad()
def agreement(historical: Tensor, average: Tensor, form: Form = 'code') -> Tensor:
    """How well two past models agree on each pixel, (N, H, W).

    Args:
        historical: Logits (N, K, H, W) of the historical model.
        average: Logits of the average, likewise.
        form: ``'code'``: ``exp(-KL(historical || average))``, in (0, 1]; ``'paper'``:
            ``1 - sigmoid(|p - q|_1)``, in (0.119, 0.5].
    """
    require_known('form of the agreement', form, ('code', 'paper'))
    log_p = log_softmax(historical, dim=1)
    if form == 'paper':
        distance = (log_p.exp() - average.softmax(dim=1)).abs().sum(dim=1)
        return 1.0 - distance.sigmoid()
    gap = log_p - log_softmax(average, dim=1)
    return (-(log_p.exp() * gap).sum(dim=1)).exp()


@MODELS.register_module()
class HistoricalCategoryLoss(AdaptationLoss):
    """Cross-entropy to pseudo-labels, weighed by :func:`agreement` and class weights.

    Takes by keyword ``historical`` and ``average``, logits (N, K, H, W) of the two past models
    (without both the pixels count as ``weight`` says), and ``class_weights`` (K,).

    Args:
        form: See :func:`agreement`.
        **kwargs: See :class:`~sfda_bench.adapt.losses.AdaptationLoss`.
    """

    default_name = 'loss_category'

    def __init__(self, form: Form = 'code', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_known('form of the agreement', form, ('code', 'paper'))
        self.form = form

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None,
        weight: Tensor | None = None,
        historical: Tensor | None = None,
        average: Tensor | None = None,
        class_weights: Tensor | None = None,
    ) -> Tensor:
        """Mean over all pixels, ignored ones included."""
        labels = needed(self, labels=labels)
        loss = cross_entropy(logits, labels, ignore_index=IGNORE, reduction='none')
        if class_weights is not None:
            loss = loss * class_weights[torch.where(labels != IGNORE, labels, 0)]
        if historical is not None and average is not None:
            loss = loss * agreement(historical, average, self.form)
        return (loss if weight is None else loss * weight).mean()


# --- instances (HCID) ---------------------------------------------------------------------------


@torch.no_grad()
def reliability(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """``clip(1.1 - E, 0.9, 1.1)`` of each key (N, h w); E is the entropy in units of ln K.

    Args:
        logits: (N, K, H, W).
        size: (h, w), to which the entropies are resized (bilinear, corners aligned).
    """
    p = logits.softmax(dim=1)
    entropy = -(p * (p + 1e-30).log2()).sum(dim=1, keepdim=True) / math.log2(logits.shape[1])
    small = interpolate(entropy, size=size, mode='bilinear', align_corners=True)
    return (1.1 - small).clamp(0.9, 1.1).flatten(1)


def at_grid(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Labels (N, H, W) at the positions (N, h w) of a grid, by the nearest pixel."""
    small = interpolate(labels.unsqueeze(1).float(), size=size, mode='nearest')
    return small.flatten(1).long()


def instance_contrast(
    features: Tensor,
    keys: Tensor,
    labels: Tensor,
    key_labels: Tensor,
    trust: Tensor,
    temperature: float = 0.07,
) -> Tensor:
    """Contrast of each position with all others of its image, a scalar.

    Positions of the same label are positives, the own position is neither; the sum over positives
    is divided by the number of positions, not of positives.

    Args:
        features: (N, D, h, w) of the student, the anchors.
        keys: (N, D, h, w) of the average.
        labels: (N, S) of the anchors, S = h w; 255 is no positive's.
        key_labels: (N, S).
        trust: (N, S) reliability r of the keys.
        temperature: Of the cosines.
    """
    anchors, keys = (normalize(maps.flatten(2), dim=1) for maps in (features, keys))
    bonus = trust.log()
    number = anchors.shape[-1]
    # Of all pairs only the normaliser is needed; an anchor and the own key are no pair.
    outside = bonus.unsqueeze(1).repeat(1, number, 1)
    outside.diagonal(dim1=1, dim2=2).fill_(float('-inf'))
    normaliser = torch.baddbmm(
        outside, anchors.transpose(1, 2), keys, alpha=1 / temperature
    ).logsumexp(dim=2)
    # A sum over positives is a product with the sum of their keys.
    members = one_hot(key_labels, 256).to(keys)
    in_class = labels.unsqueeze(1)
    partners = (keys @ members).gather(2, in_class.expand_as(anchors))
    pulled = (anchors * partners).sum(dim=1) / temperature
    pulled = pulled + (bonus.unsqueeze(1) @ members).gather(2, in_class).squeeze(1)
    count = members.sum(dim=1).gather(1, labels)
    own = (labels == key_labels).to(keys)
    pulled = pulled - own * ((anchors * keys).sum(dim=1) / temperature + bonus)
    pulled = pulled - (count - own) * normaliser
    return -(pulled * (labels != IGNORE)).sum(dim=1).div(number**2).mean()


@MODELS.register_module()
class InstanceContrastLoss(AdaptationLoss):
    """:func:`instance_contrast` of feature maps (N, D, h, w) in the place of logits.

    Takes by keyword ``keys`` (N, D, h, w), ``key_labels`` (N, H, W) and ``key_logits``
    (N, K, H, W), which say how reliable a key is. Without them the features are their own keys,
    labelled alike, all of them as reliable.

    Args:
        temperature: Of the cosines.
        **kwargs: See :class:`~sfda_bench.adapt.losses.AdaptationLoss`.
    """

    default_name = 'loss_instance'

    def __init__(self, temperature: float = 0.07, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.temperature = temperature

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None,
        weight: Tensor | None = None,
        keys: Tensor | None = None,
        key_labels: Tensor | None = None,
        key_logits: Tensor | None = None,
    ) -> Tensor:
        """Mean over the images.

        Raises:
            BenchError: Pixels are weighted.
        """
        if weight is not None:
            raise BenchError('InstanceContrastLoss with weights of pixels', 'key_logits')
        size = (logits.shape[2], logits.shape[3])
        own = at_grid(needed(self, labels=labels), size)
        other = own if key_labels is None else at_grid(key_labels, size)
        keys = logits.detach() if keys is None else keys
        trust = torch.ones_like(keys[:, 0]).flatten(1)
        if key_logits is not None:
            trust = reliability(key_logits, size).to(keys)
        return instance_contrast(logits, keys, own, other, trust, self.temperature)
