"""Entropy of predictions."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import log_softmax


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
