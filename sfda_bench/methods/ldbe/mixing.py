"""Which pixels an image keeps in the mixture: those of half of its own classes."""

from __future__ import annotations

import torch
from torch import Tensor


def half_of_own_classes(labels: Tensor, num_classes: int, scores: Tensor | None = None) -> Tensor:
    """Pixels (N, H, W) of half of the classes of each image, rounded down; none of a single one.

    Drawn on the device of the labels, which nothing waits for.

    Args:
        labels: (N, H, W) int64, without ignored pixels.
        num_classes: K.
        scores: (N, K) or (K,), not negative: the classes of the highest are taken; by default
            uniform random numbers.
    """
    flat = labels.flatten(1)
    ones = torch.ones_like(flat, dtype=torch.bool)
    present = torch.zeros(len(flat), num_classes, dtype=torch.bool, device=flat.device)
    present = present.scatter(1, flat, ones)
    if scores is None:
        scores = torch.rand(len(flat), num_classes, device=flat.device)
    ordered = torch.where(present, scores.expand(len(flat), -1), -1.0).argsort(1, descending=True)
    place = ordered.argsort(dim=1)
    chosen = place < present.sum(dim=1, keepdim=True) // 2
    return chosen.gather(1, flat).view_as(labels)
