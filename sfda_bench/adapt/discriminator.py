"""The fully convolutional discriminator of AdaptSegNet and ADVENT, and what it looks at."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from sfda_bench.adapt.losses import AdaptationLoss, needed
from sfda_bench.errors import require_known
from sfda_bench.registry import MODELS

SOURCE, TARGET = 0.0, 1.0
Domain = Literal['source', 'target']


@MODELS.register_module()
class FCDiscriminator(nn.Sequential):
    """Five 4x4 convolutions of stride 2 with LeakyReLU 0.2 between; no norm, no sigmoid.

    Source: ``advent/model/discriminator.py``; keys ``0, 2, 4, 6, 8 . weight|bias``.

    Args:
        in_channels: Channels of the map it sees (C).
        channels: Channels after the first convolution (64).

    Input (N, C, H, W), output logits (N, 1, H / 32, W / 32).
    """

    def __init__(self, in_channels: int, channels: int = 64) -> None:
        widths = [in_channels, channels, channels * 2, channels * 4, channels * 8, 1]
        layers: list[nn.Module] = []
        for index in range(5):
            layers.append(nn.Conv2d(widths[index], widths[index + 1], 4, stride=2, padding=1))
            if index < 4:
                layers.append(nn.LeakyReLU(0.2, inplace=True))
        super().__init__(*layers)


def self_information(probabilities: Tensor, dim: int = 1) -> Tensor:
    """``-p log2(p + 1e-30) / log2(C)`` for every class (``prob_2_entropy``).

    Args:
        probabilities: (N, C, H, W).
        dim: The class dimension.

    Returns:
        The same shape, in float32 at least (1e-30 is 0 in half precision); summed over the classes
        the entropy in [0, 1].
    """
    dtype = torch.promote_types(probabilities.dtype, torch.float32)
    probabilities, classes = probabilities.to(dtype), probabilities.shape[dim]
    return -probabilities * torch.log2(probabilities + 1e-30) / math.log2(classes)


def domain_loss(logits: Tensor, domain: float) -> Tensor:
    """Binary cross-entropy of discriminator logits against one domain: source 0, target 1."""
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, domain))


@MODELS.register_module()
class DomainLoss(AdaptationLoss):
    """:func:`domain_loss`: what makes predictions look like those of a domain, as in ADVENT.

    Its logits are a discriminator's (N, 1, h, w); labels are not used.

    Args:
        domain: What they should be taken for: ``'source'`` or ``'target'``.
        loss_weight: See :class:`~sfda_bench.adapt.losses.AdaptationLoss`.
        loss_name: Likewise.
    """

    default_name = 'loss_adversarial'

    def __init__(
        self, domain: Domain = 'source', loss_weight: float = 1.0, loss_name: str = ''
    ) -> None:
        super().__init__(loss_weight, loss_name)
        self.domain = require_known('domain', domain, ('source', 'target'))

    def value(
        self, logits: Tensor, labels: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Mean over the discriminator's outputs."""
        return domain_loss(logits, SOURCE if self.domain == 'source' else TARGET)


def discrimination_loss(on_source: Tensor, on_target: Tensor) -> Tensor:
    """Half the sum of both domains' losses, from discriminator logits."""
    return (domain_loss(on_source, SOURCE) + domain_loss(on_target, TARGET)) / 2


@MODELS.register_module()
class DiscriminationLoss(AdaptationLoss):
    """:func:`discrimination_loss`: what a discriminator learns from.

    Its logits are those on the source (or the easy images); takes by keyword ``on_target``, those
    on the target.
    """

    default_name = 'loss_discrimination'

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None = None,
        weight: Tensor | None = None,
        on_target: Tensor | None = None,
    ) -> Tensor:
        """Mean over the discriminator's outputs on both."""
        return discrimination_loss(logits, needed(self, on_target=on_target))
