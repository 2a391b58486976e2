"""Cumulative class prototypes and the semantic contrastive loss.

Source: ATP (arXiv 2106.11653), code ``proto_estimator.py``, ``contrastive_loss.py`` and
``downscale_label_ratio``, which are SePiCo's (Xie et al., TPAMI 2023).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import (
    adaptive_avg_pool2d,
    cross_entropy,
    interpolate,
    normalize,
    one_hot,
)

IGNORE = 255


def downscaled_labels(
    labels: Tensor, size: tuple[int, int], num_classes: int, min_share: float = 0.75
) -> Tensor:
    """Labels at feature resolution: the majority class of each cell, if its share is large enough.

    Args:
        labels: (N, H, W), 255 ignored.
        size: (h, w) of the features. If they are not H // f, W // f for one factor f, cells are
            those of adaptive pooling (the code only knows the former).
        num_classes: K.
        min_share: Share the majority class must have; else, and where 255 is the majority, 255.
    """
    index = torch.where(labels < num_classes, labels, num_classes).long()
    factor = labels.shape[2] // size[1]
    fits = factor >= 1 and (labels.shape[1] // factor, labels.shape[2] // factor) == tuple(size)
    if fits:
        shares = _counts(index, size, factor, num_classes + 1) / factor**2
    else:
        maps = one_hot(index, num_classes + 1).permute(0, 3, 1, 2).float()
        shares = adaptive_avg_pool2d(maps, size).permute(0, 2, 3, 1)
    share, label = shares.max(dim=3)
    return torch.where((share >= min_share) & (label < num_classes), label, IGNORE)


def _counts(index: Tensor, size: tuple[int, int], factor: int, classes: int) -> Tensor:
    """Pixels of each class (N, h, w, classes) in square cells of the labels (N, H, W)."""
    height, width = size
    images = len(index)
    cell = torch.arange(images * height * width, device=index.device).mul_(classes)
    inside = index[:, : height * factor, : width * factor]
    inside = inside.reshape(images, height, factor, width, factor)
    place = inside + cell.view(images, height, 1, width, 1)
    counted = torch.bincount(place.flatten(), minlength=images * height * width * classes)
    return counted.view(images, height, width, classes)


def semantic_contrast(
    features: Tensor, labels: Tensor, prototypes: Tensor, temperature: float = 100.0
) -> tuple[Tensor, Tensor]:
    """Prototype cross-entropy and its regulariser.

    ``mean_i -ln softmax(f_i . mu / T)[y_i]`` and ``1 / (K ln K) sum_c ln softmax(fbar . mu / T)_c``
    with fbar the mean feature. The temperature divides; at the code's 100 the soft-max is nearly
    uniform. Both are added to the loss.

    Args:
        features: (n, D), normalised.
        labels: (n,), 255 ignored.
        prototypes: (K, D).
        temperature: T.

    Returns:
        The two terms, 0 if no pixel is labelled.
    """
    kept = labels != IGNORE
    if not kept.any():
        return features.sum() * 0.0, features.sum() * 0.0
    features, labels = features[kept], labels[kept]
    contrast = cross_entropy(features @ prototypes.t() / temperature, labels)
    classes = len(prototypes)
    mean_logits = features.mean(dim=0) @ prototypes.t() / temperature
    regulariser = mean_logits.log_softmax(dim=0).sum() / (classes * math.log(classes))
    return contrast, regulariser


class CumulativePrototypes(nn.Module):
    """Running mean of all features of each class ever seen; buffers, so that runs resume.

    Args:
        num_classes: K.
        channels: D.
    """

    mean: Tensor
    count: Tensor

    def __init__(self, num_classes: int, channels: int) -> None:
        super().__init__()
        self.register_buffer('mean', torch.zeros(num_classes, channels))
        self.register_buffer('count', torch.zeros(num_classes))

    @torch.no_grad()
    def update(self, features: Tensor, labels: Tensor) -> None:
        """Take in features (n, D) with labels (n,), 255 ignored; means are not re-normalised."""
        kept = labels != IGNORE
        features, labels = features[kept].to(self.mean), labels[kept]
        total = torch.zeros_like(self.mean).index_add_(0, labels, features)
        new = torch.bincount(labels, minlength=len(self.count)).to(self.count)
        share = new / (new + self.count).clamp(min=1)
        mean = total / new.clamp(min=1).unsqueeze(1)
        self.mean.copy_(torch.lerp(self.mean, mean, share.unsqueeze(1)))
        self.count += new


def pixels(features: Tensor) -> Tensor:
    """Maps (N, D, h, w) as a list of pixels (N h w, D), in the order of flattened labels."""
    return features.permute(0, 2, 3, 1).flatten(0, 2)


# --- features of any network ----------------------------------------------------------------------


def encoder_channels(head: nn.Module) -> int:
    """Channels of :func:`encoder_map` for a mmseg decode head."""
    channels: Any = head.in_channels
    return int(sum(channels)) if isinstance(channels, (list, tuple)) else int(channels)


def encoder_map(head: nn.Module, features: Any) -> Tensor:
    """The encoder's output as one map: the levels the head reads, at the first one's size.

    Args:
        head: The network's mmseg decode head (for ``in_index`` and ``align_corners``).
        features: What ``extract_feat`` returns.
    """
    index: Any = head.in_index
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


class ProjectionHead(nn.Sequential):
    """Two 1x1 convolutions with batch norm and ReLU, then unit length a pixel.

    Args:
        channels: Of the encoder map.
        hidden: Of the first convolution.
        out: Of the embedding.
    """

    def __init__(self, channels: int, hidden: int, out: int) -> None:
        super().__init__(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, out, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Embed (N, channels, h, w) as (N, out, h, w), each pixel of unit length."""
        return normalize(super().forward(features), dim=1)
