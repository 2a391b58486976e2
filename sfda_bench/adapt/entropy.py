"""Entropy of predictions."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import log_softmax

from sfda_bench.adapt.losses import AdaptationLoss
from sfda_bench.registry import MODELS

#: Offset of probabilities under a logarithm.
TINY = 1e-5


def pixel_entropy(logits: Tensor, normalise: bool = False) -> Tensor:
    """Shannon entropy of every pixel's soft-max.

    Args:
        logits: (N, C, H, W).
        normalise: Divide by ln C, so that the result lies in [0, 1].

    Returns:
        (N, H, W) in nats, or in [0, 1].
    """
    log_p = log_softmax(logits, dim=1)
    entropy = -(log_p.exp() * log_p).sum(dim=1)
    return entropy / math.log(logits.shape[1]) if normalise else entropy


@MODELS.register_module()
class OffsetEntropyLoss(AdaptationLoss):
    """Entropy ``-sum_k p_k ln(p_k + 1e-5)`` in nats, as IAPC and SHOT have it; reads no labels.

    Takes by keyword ``entropy``: its map (N, H, W), of a pass that is shared.
    """

    default_name = 'loss_entropy'

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None = None,
        weight: Tensor | None = None,
        entropy: Tensor | None = None,
    ) -> Tensor:
        """Mean over all pixels."""
        if entropy is None:
            p = logits.softmax(dim=1)
            entropy = -((p + TINY).log() * p).sum(dim=1)
        return (entropy if weight is None else weight * entropy).mean()
