"""Views of an image, their predictions, and the label that CoTTA makes of them.

Wang, Fink, Van Gool, Dai: Continual Test-Time Domain Adaptation, CVPR 2022, arXiv 2203.13591, in
the form that its descendants' segmentation code has.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sfda_bench.adapt.features import size_of
from sfda_bench.networks.inference import starts


def mixed_labels(confidence: Tensor, plain: Tensor, averaged: Tensor, threshold: float) -> Tensor:
    """The plain view's label where the source model is sure, that of all views elsewhere.

    Args:
        confidence: Largest probability of the source model on the plain view (N, H, W).
        plain: Labels (N, H, W) from the plain view.
        averaged: Labels (N, H, W) from the mean over all views.
        threshold: What the confidence must be above; at it the average counts.
    """
    return torch.where(confidence > threshold, plain, averaged)


def view_of(images: Tensor, scale: float, mirrored: bool) -> Tensor:
    """Images (N, 3, H, W) at another scale, sides rounded half up, or mirrored, or both."""
    if scale != 1.0:
        height, width = (int(side * scale + 0.5) for side in images.shape[-2:])
        images = interpolate(images, size=(height, width), mode='bilinear', align_corners=False)
    return images.flip(dims=(3,)) if mirrored else images


def window_places(size: tuple[int, int], window: int, stride: int) -> list[tuple[slice, slice]]:
    """Rows and columns of the square windows that cover ``size``, row by row.

    A side that is shorter than the window is covered by one window of its length; the last window
    of a longer one ends with it.
    """
    crop = (min(window, size[0]), min(window, size[1]))
    return [
        (slice(top, top + crop[0]), slice(left, left + crop[1]))
        for top in starts(size[0], crop[0], stride)
        for left in starts(size[1], crop[1], stride)
    ]


def windowed(
    network: Callable[[Tensor], Tensor], images: Tensor, window: int | None, stride: int
) -> Tensor:
    """Logits (N, K, H, W) averaged where windows overlap.

    Args:
        network: Logits of images at the images' size.
        images: (N, 3, H, W).
        window: Side of a window; ``None``: the image as a whole.
        stride: From one window to the next.
    """
    places = [] if window is None else window_places(size_of(images), window, stride)
    if len(places) < 2:
        return network(images)
    total, count = torch.zeros(()), torch.zeros(())
    for index, (rows, columns) in enumerate(places):
        logits = network(images[..., rows, columns])
        if index == 0:
            total = logits.new_zeros(*logits.shape[:2], *size_of(images))
            count = logits.new_zeros(size_of(images))
        total[..., rows, columns] += logits
        count[rows, columns] += 1
    return total.div_(count)
