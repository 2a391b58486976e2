"""Entropy of certain pixels alone.

Niu et al.: Efficient Test-Time Model Adaptation without Forgetting (EATA), ICML 2022, arXiv
2204.02610; Niu et al.: Towards Stable Test-Time Adaptation in Dynamic Wild World (SAR), ICLR 2023,
arXiv 2302.12400.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sfda_bench.adapt.entropy import pixel_entropy
from sfda_bench.adapt.losses import AdaptationLoss
from sfda_bench.registry import MODELS


def certain(entropy: Tensor, classes: int, margin: float = 0.4) -> Tensor:
    """Whether an entropy in nats is below ``margin`` times ln ``classes``; the limit is not."""
    return entropy < margin * math.log(classes)


def mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen values, 0 (with a gradient of 0) where there are none."""
    return (values * chosen).sum() / chosen.sum().clamp(min=1)


@MODELS.register_module()
class CertainEntropyLoss(AdaptationLoss):
    """Mean entropy of the pixels whose entropy is below a margin; no labels.

    Takes by keyword ``entropy`` (N, H, W), with gradient, of a pass that is shared; and ``chosen``
    (N, H, W) bool, the pixels to take instead of the certain ones.

    Args:
        margin: Of the entropy, as a part of ln C.
        weighted: Multiply each pixel's entropy H by exp(margin ln C - H), a constant to the
            gradient, so that certain pixels count more (ETA); SAR does not.
        **kwargs: See :class:`~sfda_bench.adapt.losses.AdaptationLoss`.
    """

    default_name = 'loss_entropy'

    def __init__(self, margin: float = 0.4, weighted: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.margin, self.weighted = margin, weighted

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None = None,
        weight: Tensor | None = None,
        entropy: Tensor | None = None,
        chosen: Tensor | None = None,
    ) -> Tensor:
        """Over the pixels that are taken; 0 where there are none."""
        entropy = pixel_entropy(logits) if entropy is None else entropy
        if chosen is None:
            chosen = certain(entropy.detach(), logits.shape[1], self.margin)
        if self.weighted:
            limit = self.margin * math.log(logits.shape[1])
            factors = torch.exp(limit - entropy.detach())
            weight = factors if weight is None else weight * factors
        return mean_over(entropy if weight is None else entropy * weight, chosen)
