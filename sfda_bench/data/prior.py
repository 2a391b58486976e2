"""The spatial prior of CBST-SP: how often each class lies at each image position of the source.

Zou et al., CBST, ECCV 2018, section on spatial priors (specs/cbst.md 3.3): class frequencies over
the source labels, smoothed with a 70 x 70 Gaussian kernel, then normalised. Neither the kernel's
width nor the normalisation was recovered: sigma is OpenCV's for that size, and the largest value of
each class is 1 (so that the prior does not suppress rare classes everywhere).
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from sfda_bench.errors import BenchError
from sfda_bench.labels import CITYSCAPES_CLASSES

KERNEL = 70


def gaussian(size: int) -> NDArray[np.float64]:
    """Kernel of ``size`` taps, even sizes too, that sums to 1; sigma as OpenCV derives it."""
    from scipy.signal import windows  # slow to import, and only needed here

    weights = windows.gaussian(size, 0.3 * ((size - 1) * 0.5 - 1) + 0.8)
    return weights / weights.sum()


def spatial_prior(
    labels: Iterable[NDArray],
    size: tuple[int, int],
    kernel: int = KERNEL,
    num_classes: int = len(CITYSCAPES_CLASSES),
) -> NDArray[np.float32]:
    """Prior (C, H, W) of label maps: 0 for an absent class, else at most 1, reached somewhere.

    Args:
        labels: Train ids (h, w), 255 ignored; resized to ``size`` by the nearest neighbour.
        size: (height, width) of the maps that the prior will multiply.
        kernel: Side of the smoothing kernel in pixels of ``size``.
        num_classes: C.
    """
    if kernel < 1 or min(size) < 1:
        raise BenchError(f'kernel {kernel}, size {size}', '1 or more')
    counts = np.zeros((num_classes, size[0] * size[1]), np.float32)
    seen = np.zeros(size[0] * size[1], np.float32)
    for label in labels:
        flat = cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST).ravel()
        place = np.flatnonzero(flat < num_classes)
        counts[flat[place], place] += 1  # every place once: no increment is lost
        seen[place] += 1
    if not seen.any():
        raise BenchError('no labelled pixel to count', 'labelled source images')
    counts /= np.maximum(seen, 1)
    weights = gaussian(kernel)
    for maps in counts.reshape(num_classes, *size):
        maps[:] = cv2.sepFilter2D(maps, -1, weights, weights, borderType=cv2.BORDER_REFLECT)
    largest = counts.max(axis=1, keepdims=True)
    prior = counts / np.where(largest > 0, largest, 1)
    return prior.reshape(num_classes, *size).astype(np.float32)
