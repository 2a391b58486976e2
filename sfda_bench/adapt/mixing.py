"""ClassMix on the device, and crops chosen by the classes in them: nothing here waits for the host.

Random numbers are drawn on the CPU, so that a seed means the same on every device.
Olsson et al., ClassMix, WACV 2021; Tranheden et al., DACS, WACV 2021 (``get_class_masks``).
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

Count = TypeVar('Count', int, Tensor)


def class_counts(labels: Tensor, num_classes: int) -> Tensor:
    """Pixels of each class (N, K), int64, of labels (N, ...); 255 and the like do not count."""
    index = labels.flatten(1).long().clamp(max=num_classes)
    counts = torch.zeros(len(labels), num_classes + 1, dtype=torch.int64, device=labels.device)
    return counts.scatter_add_(1, index, torch.ones_like(index))[:, :num_classes]


def class_means(labels: Tensor, values: Tensor, num_classes: int) -> Tensor:
    """Mean of ``values`` (N, ...) over the pixels of each class (N, K), 0 where there are none."""
    index = labels.flatten(1).long().clamp(max=num_classes)
    total = torch.zeros(len(labels), num_classes + 1, dtype=values.dtype, device=values.device)
    total.scatter_add_(1, index, values.flatten(1))
    return total[:, :num_classes] / class_counts(labels, num_classes).clamp(min=1)


def number_to_paste(present: Count) -> Count:
    """Half of the present classes, rounded up."""
    return (present + present % 2) // 2


def draw_classes(present: Tensor, weights: Tensor | None = None) -> Tensor:
    """Draw half of the classes of each row without replacement.

    Args:
        present: (N, K) bool, the classes to draw from.
        weights: (N, K) relative probabilities of being drawn first; uniform if ``None``.

    Returns:
        (N, K) bool.
    """
    # the largest of w / E, E exponential, are a draw by w without replacement
    noise = torch.empty(present.shape, dtype=torch.float64).exponential_()
    keys = noise.to(present.device, non_blocking=True).reciprocal()
    if weights is not None:
        keys = keys * weights.double().clamp(min=1e-12)
    order = torch.where(present, keys, -1.0).argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order)
    places = torch.arange(present.shape[1], device=present.device).expand_as(order)
    rank.scatter_(1, order, places)
    return present & (rank < number_to_paste(present.sum(dim=1, keepdim=True)))


def masks_of(labels: Tensor, chosen: Tensor) -> Tensor:
    """Where labels (N, H, W) are one of their row's ``chosen`` classes (N, K), bool."""
    table = pad(chosen, (0, 1))  # what is no class is not chosen
    index = labels.flatten(1).long().clamp(max=chosen.shape[1])
    return table.gather(1, index).view(labels.shape)


def class_masks(labels: Tensor, num_classes: int, per_image: bool = False) -> Tensor:
    """One mask an image (N, H, W): half of the classes present, drawn anew for each image.

    Args:
        labels: (N, H, W).
        num_classes: K.
        per_image: Draw from the classes of the image itself; else from those of the whole batch,
            as the DACS line does.
    """
    present = class_counts(labels, num_classes) > 0
    if not per_image:
        present = present.any(dim=0, keepdim=True).expand_as(present)
    return masks_of(labels, draw_classes(present))


def weighted_class_masks(labels: Tensor, scores: Tensor, num_classes: int) -> Tensor:
    """One mask an image (N, H, W): half of its own classes, drawn by their mean score.

    Args:
        labels: (N, H, W).
        scores: (N, H, W), higher means more likely to be drawn.
        num_classes: K.
    """
    present = class_counts(labels, num_classes) > 0
    return masks_of(labels, draw_classes(present, class_means(labels, scores, num_classes)))


def paste(mask: Tensor, above: Tensor, below: Tensor) -> Tensor:
    """``above`` where ``mask`` (N, H, W), else ``below``; for maps and for (N, C, H, W) images."""
    return torch.where(mask.unsqueeze(1) if above.dim() == 4 else mask, above, below)


# --- class-balanced crops -------------------------------------------------------------------------


def crop_scores(counts: Tensor, max_share: float = 0.75) -> Tensor:
    """How rich crops are: sum of ln(pixels) over their classes.

    Source: ATP's code (``pseudo_random_crop``), from SePiCo.

    Args:
        counts: Pixels of each class (..., K); classes with one pixel or none do not count.
        max_share: 0 is returned if the largest class takes this share of the counted pixels, or
            if there is only one.
    """
    kept = torch.where(counts > 1, counts, 0).double()
    total = kept.sum(dim=-1)
    several = (kept > 0).sum(dim=-1) > 1
    balanced = kept.amax(dim=-1) / total.clamp(min=1) < max_share
    score = torch.where(kept > 0, kept.clamp(min=1).log(), 0.0).sum(dim=-1)
    return torch.where(several & balanced, score, 0.0)


def balanced_crops(
    labels: Tensor, size: tuple[int, int], num_classes: int, tries: int = 10
) -> Tensor:
    """Top left corners (N, 2) of the richest of ``tries`` random crops of each image.

    Args:
        labels: (N, H, W).
        size: (height, width) of the crop.
        num_classes: K.
        tries: Candidates.
    """
    room = [max(whole - part, 0) for whole, part in zip(labels.shape[1:], size, strict=True)]
    corners = [
        [[int(torch.randint(r + 1, ())) for r in room] for _ in range(tries)] for _ in labels
    ]
    crops = torch.stack(
        [
            image[top : top + size[0], left : left + size[1]].flatten()
            for image, places in zip(labels, corners, strict=True)
            for top, left in places
        ]
    )
    scores = crop_scores(class_counts(crops, num_classes)).view(len(labels), tries)
    # the first of equal ones
    best = scores.argsort(dim=1, descending=True, stable=True)[:, :1, None].expand(-1, 1, 2)
    places = torch.tensor(corners).to(labels.device, non_blocking=True)
    return places.gather(1, best).squeeze(1)


def cropped(images: Tensor, corners: Tensor, size: tuple[int, int]) -> Tensor:
    """One crop an image, (N, C, h, w); zero-padded where the images are smaller than the crop.

    Args:
        images: (N, C, H, W).
        corners: (N, 2) top and left, on the same device.
        size: (h, w).
    """
    height, width = min(size[0], images.shape[2]), min(size[1], images.shape[3])
    device = images.device
    rows = corners[:, :1] + torch.arange(height, device=device)
    columns = corners[:, 1:] + torch.arange(width, device=device)
    number = torch.arange(len(images), device=device)[:, None, None]
    parts = images.permute(0, 2, 3, 1)[number, rows[:, :, None], columns[:, None, :]]
    parts = parts.permute(0, 3, 1, 2).contiguous()
    return pad(parts, (0, size[1] - width, 0, size[0] - height))
