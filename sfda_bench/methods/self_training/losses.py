"""Soft labels and the model regularisers of CRST.

Zou et al., CRST, ICCV 2019, arXiv 1908.09822; official code ``reg_loss_calc`` and
``reg_loss_calc_expand``, whose 0/0 on a batch without labels is guarded here.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from sfda_bench.adapt.losses import AdaptationLoss, label_loss, needed
from sfda_bench.errors import require_known
from sfda_bench.labels import IGNORE
from sfda_bench.registry import MODELS

Regulariser = Literal['none', 'mrkld', 'mrl2', 'mrent']
REGULARISERS = get_args(Regulariser)[1:]


def soft_label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with soft labels (N, C, H, W); all-zero vectors are ignored pixels."""
    total = -(labels * log_softmax(logits, dim=1)).sum()
    return total / (labels.sum(dim=1) > 0).sum().clamp(min=1)


@MODELS.register_module()
class SoftLabelLoss(AdaptationLoss):
    """:func:`soft_label_loss`, as LRENT has it.

    Takes by keyword ``soft``: the labels (N, C, H, W), 0 where ignored. Without it, as in a decode
    head, the labels are hard ones: :func:`~sfda_bench.adapt.losses.label_loss`.
    """

    default_name = 'loss_label'

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None,
        weight: Tensor | None = None,
        soft: Tensor | None = None,
    ) -> Tensor:
        """Mean over the labelled pixels."""
        if soft is None:
            return label_loss(logits, needed(self, labels=labels), weight)
        return soft_label_loss(logits, soft)


def regularity(logits: Tensor, kind: str) -> Tensor:
    """Value of a regulariser at every pixel (N, H, W): small where the output is smooth.

    Args:
        logits: (N, C, H, W).
        kind: ``'mrkld'``: ``-(1/K) sum_k log p_k``; ``'mrl2'``: ``sum_k p_k^2``; ``'mrent'``:
            ``sum_k p_k log p_k`` (the last two have no public code).
    """
    require_known('regulariser', kind, REGULARISERS)
    log_p = log_softmax(logits, dim=1)
    if kind == 'mrkld':
        return -log_p.mean(dim=1)
    p = log_p.exp()
    return (p * p if kind == 'mrl2' else p * log_p).sum(dim=1)


def regularity_loss(
    logits: Tensor, labels: Tensor, kind: str, image_weights: Tensor | None = None
) -> Tensor:
    """Mean of the regulariser over the labelled pixels of images whose weight is not 0.

    Args:
        logits: (N, C, H, W).
        labels: (N, H, W).
        kind: See :func:`regularity`.
        image_weights: (N,) factors; the code gives the flag itself to target images, so that the
            weight acts twice, and 0 to source images.
    """
    if image_weights is None:
        image_weights = torch.ones(len(logits), device=logits.device)
    weights = image_weights.to(logits).view(-1, 1, 1)
    counted = (labels != IGNORE) & (weights != 0)
    total = (regularity(logits, kind) * weights * counted).sum()
    return total / counted.sum().clamp(min=1)


@MODELS.register_module()
class RegularityLoss(AdaptationLoss):
    """:func:`regularity_loss` of CRST: outputs are kept from being certain.

    Takes by keyword ``image_weights`` (N,): 0 leaves an image out. Weights of pixels are not used.

    Args:
        regulariser: See :func:`regularity`; ``'none'`` is 0.
        loss_weight: The weight alpha.
        weight_twice: Multiply alpha twice, as the released code does (0.1 acts as 0.01).
        loss_name: See :class:`~sfda_bench.adapt.losses.AdaptationLoss`.
    """

    default_name = 'loss_regulariser'

    def __init__(
        self,
        regulariser: Regulariser = 'mrkld',
        loss_weight: float = 1.0,
        weight_twice: bool = False,
        loss_name: str = '',
    ) -> None:
        super().__init__(loss_weight**2 if weight_twice else loss_weight, loss_name)
        self.regulariser = require_known('regulariser', regulariser, get_args(Regulariser))

    @property
    def active(self) -> bool:
        """Whether it is anything but 0."""
        return self.regulariser != 'none' and bool(self.loss_weight)

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None,
        weight: Tensor | None = None,
        image_weights: Tensor | None = None,
    ) -> Tensor:
        """Mean over the labelled pixels."""
        if not self.active:
            return logits.sum() * 0.0
        return regularity_loss(logits, needed(self, labels=labels), self.regulariser, image_weights)
