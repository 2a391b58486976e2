"""The fully convolutional discriminator of AdaptSegNet and ADVENT, and what it looks at."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from sfda_bench.registry import MODELS


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
        float32 of the same shape (1e-30 is 0 in half precision); summed over the classes the
        entropy in [0, 1].
    """
    probabilities, classes = probabilities.float(), probabilities.shape[dim]
    return -probabilities * torch.log2(probabilities + 1e-30) / math.log2(classes)


def domain_loss(logits: Tensor, domain: float) -> Tensor:
    """Binary cross-entropy of discriminator logits against one domain: source 0, target 1."""
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, domain))
