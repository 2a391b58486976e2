"""Cumulative class prototypes and the semantic contrastive loss.

Source: ATP (arXiv 2106.11653), code ``proto_estimator.py``, ``contrastive_loss.py`` and
``downscale_label_ratio``, which are SePiCo's (Xie et al., TPAMI 2023).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy, normalize, one_hot

from sfda_bench.labels import IGNORE


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
    counted = torch.zeros(images * height * width * classes, dtype=torch.int64, device=index.device)
    counted.index_add_(0, place.flatten(), torch.ones_like(place.flatten()))
    return counted.view(images, height, width, classes)


def semantic_contrast(
    features: Tensor, labels: Tensor, prototypes: Tensor, temperature: float = 100.0
) -> tuple[Tensor, Tensor]:
    """Prototype cross-entropy and its regulariser, 0 if no pixel is labelled.

    The temperature divides; at the code's 100 the soft-max is nearly uniform. Both are added to the
    loss.

    Args:
        features: (n, D), normalised.
        labels: (n,), 255 ignored.
        prototypes: (K, D).
        temperature: T.
    """
    contrast = prototype_contrast(features, labels, prototypes, temperature)
    return contrast, contrast_regulariser(features, labels, prototypes, temperature)


def prototype_contrast(
    features: Tensor, labels: Tensor, prototypes: Tensor, temperature: float
) -> Tensor:
    """``mean_i -ln softmax(f_i . mu / T)[y_i]`` of labelled pixels, 0 if there are none."""
    scores = features @ prototypes.t() / temperature
    total = cross_entropy(scores, labels, ignore_index=IGNORE, reduction='sum')
    return total / (labels != IGNORE).sum().clamp(min=1)


def contrast_regulariser(
    features: Tensor, labels: Tensor, prototypes: Tensor, temperature: float
) -> Tensor:
    """``1 / (K ln K) sum_c ln softmax(fbar . mu / T)_c``, fbar the mean of labelled pixels.

    0 if no pixel is labelled.
    """
    kept = (labels != IGNORE).to(features)
    number, classes = kept.sum(), len(prototypes)
    mean_logits = (kept @ features / number.clamp(min=1)) @ prototypes.t() / temperature
    value = mean_logits.log_softmax(dim=0).sum() / (classes * math.log(classes))
    return torch.where(number > 0, value, value * 0.0)


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
        classes, channels = self.mean.shape
        index = labels.clamp(max=classes)  # what is ignored goes into a row of its own
        total = self.mean.new_zeros(classes + 1, channels).index_add_(
            0, index, features.to(self.mean)
        )
        new = self.count.new_zeros(classes + 1).index_add_(
            0, index, torch.ones_like(index).to(self.count)
        )
        total, new = total[:classes], new[:classes]
        share = new / (new + self.count).clamp(min=1)
        mean = total / new.clamp(min=1).unsqueeze(1)
        self.mean.copy_(torch.lerp(self.mean, mean, share.unsqueeze(1)))
        self.count += new


class ProjectionHead(nn.Sequential):
    """Two 1x1 convolutions with batch norm and ReLU, then unit length a pixel.

    The convolutions start from Kaiming normal draws over their outputs, as the code's do.

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
        for layer in self:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode='fan_out', nonlinearity='relu')

    def forward(self, features: Tensor) -> Tensor:
        """Embed (N, channels, h, w) as (N, out, h, w), each pixel of unit length."""
        return normalize(super().forward(features), dim=1)
