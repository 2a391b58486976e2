"""Training views of CBST and CRST: random scale, and crops that prefer rare classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

from sfda_bench.errors import BenchError
from sfda_bench.registry import TRANSFORMS


def window_start(centre: int, size: int, crop: int) -> int:
    """First row or column of a crop centred at ``centre``, moved inside the image."""
    return max(0, min(centre - crop // 2, size - crop))


def mined_window(
    labels: NDArray, crop: tuple[int, int], rare: Sequence[int], chance: float
) -> tuple[int, int]:
    """Top left corner of a crop (``GTA5StMineDataSet.__getitem__``).

    With ``chance``, if a rare class is present: one of those classes, one of its pixels, the crop
    centred there. Otherwise a uniform crop. Draws from ``np.random``, seeded by the data set.

    Args:
        labels: (H, W), at least as large as ``crop`` = (height, width).
        crop: Size.
        rare: Classes to look for.
        chance: Probability of looking.
    """
    height, width = labels.shape
    if np.random.random() < chance:
        present = [index for index in rare if (labels == index).any()]
        if present:
            rows, columns = np.nonzero(labels == present[np.random.randint(len(present))])
            pick = np.random.randint(len(rows))
            return (
                window_start(int(rows[pick]), height, crop[0]),
                window_start(int(columns[pick]), width, crop[1]),
            )
    top = np.random.randint(height - crop[0] + 1)
    return top, np.random.randint(width - crop[1] + 1)


@TRANSFORMS.register_module()
class RandomScale(BaseTransform):
    """Resize image (bilinear) and labels (nearest) by a factor drawn from a list.

    Args:
        factors: Factors to draw from, uniformly.
    """

    def __init__(self, factors: Sequence[float]) -> None:
        if not factors:
            raise BenchError('no scale factors', 'at least one')
        self.factors = [float(f) for f in factors]

    def transform(self, results: dict) -> dict:
        """Change ``img``, ``img_shape`` and loaded labels."""
        factor = self.factors[np.random.randint(len(self.factors))]
        height, width = results['img'].shape[:2]
        size = (round(width * factor), round(height * factor))
        results['img'] = cv2.resize(results['img'], size, interpolation=cv2.INTER_LINEAR)
        for key in results.get('seg_fields', []):
            results[key] = cv2.resize(results[key], size, interpolation=cv2.INTER_NEAREST)
        results['img_shape'] = results['img'].shape[:2]
        return results


@TRANSFORMS.register_module()
class MinedCrop(BaseTransform):
    """Pad to the crop's size if needed, then crop, preferring rare classes.

    Args:
        crop_size: (height, width).
        stats: JSON of the labelling stage, whose ``rare`` lists the classes; None never mines.
        chance: Probability of looking for a rare class.
        fill: BGR value of the padding; the network's mean, so that it is 0 after normalisation.
    """

    def __init__(
        self,
        crop_size: tuple[int, int],
        stats: str | None = None,
        chance: float = 0.8,
        fill: Sequence[float] = (103.53, 116.28, 123.675),
    ) -> None:
        self.crop = (int(crop_size[0]), int(crop_size[1]))
        self.rare = json.loads(Path(stats).read_text(encoding='utf-8'))['rare'] if stats else []
        self.chance, self.fill = chance, tuple(round(float(v)) for v in fill)

    def transform(self, results: dict) -> dict:
        """Crop ``img`` and loaded labels; source images are cropped uniformly."""
        height, width = results['img'].shape[:2]
        down, right = max(0, self.crop[0] - height), max(0, self.crop[1] - width)
        results['img'] = _padded(results['img'], down, right, self.fill)
        for key in results.get('seg_fields', []):
            results[key] = _padded(results[key], down, right, 255)
        labels = results.get('gt_seg_map', np.zeros(results['img'].shape[:2], np.uint8))
        mined = self.rare if results.get('pseudo_label') else []
        top, left = mined_window(labels, self.crop, mined, self.chance)
        window = np.s_[top : top + self.crop[0], left : left + self.crop[1]]
        for key in ['img', *results.get('seg_fields', [])]:
            results[key] = np.ascontiguousarray(results[key][window])
        results['img_shape'] = results['img'].shape[:2]
        return results


def _padded(array: NDArray, down: int, right: int, value: float | tuple[int, ...]) -> NDArray:
    if not down and not right:
        return array
    return np.asarray(
        cv2.copyMakeBorder(array, 0, down, 0, right, cv2.BORDER_CONSTANT, value=value), array.dtype
    )
