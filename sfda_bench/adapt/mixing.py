"""ClassMix on the device, and crops chosen by the classes in them.

Olsson et al., ClassMix, WACV 2021; Tranheden et al., DACS, WACV 2021 (``get_class_masks``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

IGNORE = 255


def present_classes(labels: Tensor, num_classes: int) -> Tensor:
    """Classes that occur in ``labels`` (any shape, 255 ignored), ascending, on the CPU."""
    kept = labels[labels < num_classes]
    return torch.nonzero(torch.bincount(kept.flatten(), minlength=num_classes)).flatten().cpu()


def number_to_paste(present: int) -> int:
    """Half of the present classes, rounded up."""
    return (present + present % 2) // 2


def draw_classes(present: Tensor, weights: Tensor | None = None) -> Tensor:
    """Draw half of the classes without replacement.

    Args:
        present: (n,) class ids on the CPU.
        weights: (n,) relative probabilities of being drawn first; uniform if ``None``.
    """
    number = number_to_paste(len(present))
    if weights is None:
        return present[torch.randperm(len(present))[:number]]
    weights = weights.double().clamp(min=1e-12)
    return present[torch.multinomial(weights, number, replacement=False)]


def class_mask(labels: Tensor, classes: Tensor) -> Tensor:
    """Where ``labels`` (any shape) are one of ``classes``, bool."""
    chosen = torch.zeros(256, dtype=torch.bool, device=labels.device)
    chosen[classes.to(labels.device)] = True
    return chosen[labels.long()]


def class_masks(labels: Tensor, num_classes: int) -> Tensor:
    """One mask an image (N, H, W): half of the classes present in the whole batch, each drawn anew.

    The count over the batch, not over the image, is what the DACS line does.
    """
    present = present_classes(labels, num_classes)
    return torch.stack([class_mask(image, draw_classes(present)) for image in labels])


def weighted_class_masks(labels: Tensor, scores: Tensor, num_classes: int) -> Tensor:
    """One mask an image (N, H, W): half of its own classes, drawn by their mean score.

    Args:
        labels: (N, H, W).
        scores: (N, H, W), higher means more likely to be drawn.
        num_classes: K.
    """
    masks = []
    for label, score in zip(labels, scores, strict=True):
        mean = class_mean(label, score, num_classes)
        present = present_classes(label, num_classes)
        masks.append(class_mask(label, draw_classes(present, mean.cpu()[present])))
    return torch.stack(masks)


def class_mean(labels: Tensor, values: Tensor, num_classes: int) -> Tensor:
    """Mean of ``values`` over the pixels of each class (K,), 0 where there are none."""
    kept = labels < num_classes
    index, values = labels[kept].flatten(), values[kept].flatten()
    total = torch.zeros(num_classes, dtype=values.dtype, device=values.device)
    total.index_add_(0, index, values)
    return total / torch.bincount(index, minlength=num_classes).clamp(min=1)


def paste(mask: Tensor, above: Tensor, below: Tensor) -> Tensor:
    """``above`` where ``mask`` (N, H, W), else ``below``; for maps and for (N, C, H, W) images."""
    return torch.where(mask.unsqueeze(1) if above.dim() == 4 else mask, above, below)


# --- class-balanced crops -------------------------------------------------------------------------


def crop_score(counts: Sequence[int] | Tensor, max_share: float = 0.75) -> float:
    """How rich a crop is: sum of ln(pixels) over its classes.

    Source: ATP's code (``pseudo_random_crop``), from SePiCo.

    Args:
        counts: Pixels of each class; classes with one pixel or none do not count.
        max_share: 0 is returned if the largest class takes this share of the counted pixels, or
            if there is only one.
    """
    kept = [int(n) for n in counts if int(n) > 1]
    if len(kept) < 2 or max(kept) / sum(kept) >= max_share:
        return 0.0
    return sum(math.log(n) for n in kept)


def balanced_crop(
    labels: Tensor, size: tuple[int, int], num_classes: int, tries: int = 10
) -> tuple[int, int]:
    """Top left corner of the richest of ``tries`` random crops.

    Args:
        labels: (H, W).
        size: (height, width) of the crop.
        num_classes: K.
        tries: Candidates.
    """
    room = [max(whole - part, 0) for whole, part in zip(labels.shape, size, strict=True)]
    best, corner = -1.0, (0, 0)
    for _ in range(tries):
        top, left = (int(torch.randint(r + 1, ())) for r in room)
        crop = labels[top : top + size[0], left : left + size[1]]
        counts = torch.bincount(crop[crop < num_classes], minlength=num_classes).tolist()
        score = crop_score(counts)
        if score > best:
            best, corner = score, (top, left)
    return corner


def cropped(images: Tensor, corners: Sequence[tuple[int, int]], size: tuple[int, int]) -> Tensor:
    """One crop an image, (N, C, h, w); zero-padded where an image is smaller than the crop."""
    parts = []
    for image, (top, left) in zip(images, corners, strict=True):
        part = image[:, top : top + size[0], left : left + size[1]]
        short = (0, size[1] - part.shape[2], 0, size[0] - part.shape[1])
        parts.append(pad(part, short) if any(short) else part)
    return torch.stack(parts)
