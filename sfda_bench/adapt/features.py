"""What methods read from the inside of any mmseg network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sfda_bench.networks.segmentor import DecodeHead


def size_of(maps: Tensor) -> tuple[int, int]:
    """(H, W) of maps whose last two axes these are."""
    return int(maps.shape[-2]), int(maps.shape[-1])


def pixels(features: Tensor) -> Tensor:
    """Maps (N, D, h, w) as a list of pixels (N h w, D), in the order of flattened labels."""
    return features.permute(0, 2, 3, 1).flatten(0, 2)


def encoder_channels(head: DecodeHead) -> int:
    """Channels of :func:`encoder_map` for a mmseg decode head."""
    channels = head.in_channels
    return int(sum(channels)) if isinstance(channels, (list, tuple)) else int(channels)


def encoder_map(head: DecodeHead, features: Any) -> Tensor:
    """The encoder's output as one map: the levels the head reads, at the first one's size.

    Args:
        head: The network's mmseg decode head (for ``in_index`` and ``align_corners``).
        features: What ``extract_feat`` returns.
    """
    index = head.in_index
    if not isinstance(index, (list, tuple)):
        return features[index]
    levels = [features[i] for i in index]
    size = levels[0].shape[-2:]
    corners = bool(head.align_corners)
    resized = [
        interpolate(level, size=size, mode='bilinear', align_corners=corners)
        for level in levels[1:]
    ]
    return torch.cat([levels[0], *resized], dim=1)
