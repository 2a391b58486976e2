"""The entropy that MinEnt minimises.

Vu et al., ADVENT, CVPR 2019, arXiv 1811.12833, section 3.1; official code ``entropy_loss``.
"""

from __future__ import annotations

from torch import Tensor

from sfda_bench.adapt.discriminator import self_information
from sfda_bench.adapt.losses import AdaptationLoss
from sfda_bench.registry import MODELS


def normalised_entropy(logits: Tensor) -> Tensor:
    """Mean over the pixels of the entropy in [0, 1] of logits (N, C, H, W)."""
    return self_information(logits.softmax(dim=1)).sum(dim=1).mean()


@MODELS.register_module()
class SelfInformationLoss(AdaptationLoss):
    """:func:`normalised_entropy`, as MinEnt has it; labels and weights are not used."""

    default_name = 'loss_entropy'

    def value(
        self, logits: Tensor, labels: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Mean over all pixels."""
        return normalised_entropy(logits)
