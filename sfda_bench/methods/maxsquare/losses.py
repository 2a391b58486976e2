"""MaxSquare, its form weighted within each image, and the label that two heads agree on.

Source: MaxSquareLoss (arXiv 1909.13589), code ZJULearning/MaxSquareLoss; formulae from its spec
sheet. All divide by the number of classes, and only the plain square has the factor 1/2, so the
weight of one is not that of another.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from sfda_bench.adapt.fused import confidences_and_labels
from sfda_bench.adapt.losses import AdaptationLoss, label_loss, needed
from sfda_bench.errors import require_known
from sfda_bench.labels import IGNORE
from sfda_bench.registry import MODELS

Objective = Literal['square', 'entropy']


@torch.no_grad()
def image_weights(
    labels: Tensor, num_classes: int, ratio: float = 0.2, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Weight of every pixel by how often its class occurs in its own image.

    ``1 / (h ** ratio * S ** (1 - ratio))`` with h pixels of that class among the S of the image.

    Args:
        labels: (N, H, W), classes 0 to C - 1.
        num_classes: C.
        ratio: 0: all pixels alike, 1: all classes of an image alike.
        dtype: Of the result.

    Returns:
        (N, H, W).
    """
    index = labels.flatten(1)
    counts = torch.zeros(len(labels), num_classes, dtype=torch.float64, device=labels.device)
    counts.scatter_add_(1, index, counts.new_ones(()).expand_as(index))
    weights = counts.clamp(min=1.0).pow(-ratio) * float(index.shape[1]) ** (ratio - 1.0)
    return weights.to(dtype).gather(1, index).view_as(labels)


def summed_over_classes(
    logits: Tensor, objective: Objective, probabilities: Tensor | None
) -> Tensor:
    """``sum_c p_c^2`` or ``sum_c p_c ln p_c`` of every pixel (N, H, W), to be maximised.

    Args:
        logits: (N, C, H, W).
        objective: ``'square'`` or ``'entropy'``.
        probabilities: Soft-max of the logits if it is at hand.
    """
    if objective == 'entropy':
        log_p = log_softmax(logits, dim=1)
        return (log_p.exp() * log_p).sum(dim=1)
    p = logits.softmax(dim=1) if probabilities is None else probabilities
    return p.square().sum(dim=1)


@MODELS.register_module()
class MaxSquareLoss(AdaptationLoss):
    """``-1/2 mean p^2`` over images, classes and pixels; reads no labels.

    Its gradient grows with the confidence where that of the entropy is ruled by the sure pixels.
    Takes by keyword ``probabilities``, the soft-max of the logits.

    Args:
        objective: ``'square'``, or ``'entropy'``: the mean of ``-p ln p``, without the factor.
        **kwargs: See :class:`~sfda_bench.adapt.losses.AdaptationLoss`.
    """

    default_name = 'loss_square'

    def __init__(self, objective: Objective = 'square', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.objective: Objective = require_known('objective', objective, ('square', 'entropy'))

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None = None,
        weight: Tensor | None = None,
        probabilities: Tensor | None = None,
    ) -> Tensor:
        """Mean over all pixels, divided by the number of classes."""
        total = summed_over_classes(logits, self.objective, probabilities)
        factor = -0.5 if self.objective == 'square' else -1.0
        return factor * (total if weight is None else weight * total).mean() / logits.shape[1]


@MODELS.register_module()
class ImageWeightedMaxSquareLoss(MaxSquareLoss):
    """``-1/(N C) sum w sum_c p_c^2`` with :func:`image_weights` of the predicted classes.

    Image by image: the released code mixes images and classes in a batch of several. Where one
    class fills the image this is twice the plain square.

    Args:
        iw_ratio: See :func:`image_weights`.
        **kwargs: See :class:`MaxSquareLoss`.
    """

    def __init__(self, iw_ratio: float = 0.2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.iw_ratio = iw_ratio

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None = None,
        weight: Tensor | None = None,
        probabilities: Tensor | None = None,
    ) -> Tensor:
        """Weighted sum over the pixels, mean over images and classes."""
        total = summed_over_classes(logits, self.objective, probabilities)
        predicted = confidences_and_labels(logits.detach())[1]
        own = image_weights(predicted, logits.shape[1], self.iw_ratio, total.dtype)
        own = own if weight is None else weight * own
        return -(own * total).sum() / (len(logits) * logits.shape[1])


@MODELS.register_module()
class HeadGuidanceLoss(AdaptationLoss):
    """Cross-entropy of an auxiliary head to what both heads predict; reads no labels.

    The class of the heads' mean probability, wherever one of the two is sure. Instead of the
    prediction's logits it takes the auxiliary head's, and by keyword ``main``, the main head's
    (N, C, H, W).

    Args:
        threshold: A head is sure above it.
        **kwargs: See :class:`~sfda_bench.adapt.losses.AdaptationLoss`.
    """

    default_name = 'loss_guidance'

    def __init__(self, threshold: float = 0.95, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.threshold = threshold

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None = None,
        weight: Tensor | None = None,
        main: Tensor | None = None,
    ) -> Tensor:
        """Mean over the pixels where a head is sure; 0 where none is."""
        return label_loss(logits, agreed_labels(needed(self, main=main), logits, self.threshold))


@torch.no_grad()
def agreed_labels(main: Tensor, auxiliary: Tensor, threshold: float = 0.95) -> Tensor:
    """Class of the mean probability (N, H, W); 255 where neither head is above ``threshold``.

    Args:
        main: Logits (N, C, H, W).
        auxiliary: Likewise.
        threshold: Compared with either head's largest probability, not with that of the mean.
    """
    p, q = main.softmax(dim=1), auxiliary.softmax(dim=1)
    sure = (p.amax(dim=1) > threshold) | (q.amax(dim=1) > threshold)
    _, labels = confidences_and_labels((p + q) / 2.0)
    return torch.where(sure, labels, IGNORE)
