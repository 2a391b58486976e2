"""DT-ST's second loss, which its code has beside the cross-entropy: what a pixel surely is not.

Source: DT-ST (CVPR 2023), code ``train_TCR_DTU.py``; not in the paper.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from sfda_bench.adapt.losses import AdaptationLoss
from sfda_bench.registry import MODELS


def negative_label_loss(
    logits: Tensor, probabilities: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy with target 0, mean over the pairs (pixel, class) of p <= 1 / K.

    Args:
        logits: The student's (N, K, H, W).
        probabilities: The teacher's, of the same shape.
        weight: (N, H, W) of the pixels, 0 leaves one out.
    """
    absent = (probabilities <= 1.0 / logits.shape[1]).to(logits.dtype)
    if weight is not None:
        absent = absent * weight.unsqueeze(1)
    return (softplus(logits) * absent).sum() / absent.sum().clamp(min=1e-8)


@MODELS.register_module()
class NegativeLabelLoss(AdaptationLoss):
    """:func:`negative_label_loss`; reads no labels.

    Takes by keyword ``probabilities``, the teacher's (N, K, H, W); without them the student's own
    soft-max, detached, says what a pixel is not.
    """

    default_name = 'loss_negative'

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None = None,
        weight: Tensor | None = None,
        probabilities: Tensor | None = None,
    ) -> Tensor:
        """Mean over the pairs."""
        if probabilities is None:
            with torch.no_grad():
                probabilities = logits.softmax(dim=1)
        return negative_label_loss(logits, probabilities, weight)
