"""URMA's training views: a random size, padding that can be told from ignored pixels, a crop."""

from __future__ import annotations

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from sfda_bench.data.transforms import nearest
from sfda_bench.errors import BenchError
from sfda_bench.registry import TRANSFORMS

#: Label of padding in a view; the adapter turns it into what it is to be.
PADDING = 254


@TRANSFORMS.register_module()
class RandomShortSide(BaseTransform):
    """Resize image (bilinear) and labels (nearest) to a shorter side drawn from a range.

    Args:
        low: Least length in pixels.
        high: Greatest.
    """

    def __init__(self, low: int, high: int) -> None:
        if not 1 <= low <= high:
            raise BenchError(f'short sides from {low} to {high}', 'a range above 0')
        self.low, self.high = int(low), int(high)

    def transform(self, results: dict) -> dict:
        """Change ``img``, ``img_shape`` and loaded labels."""
        side = int(np.random.randint(self.low, self.high + 1))
        height, width = results['img'].shape[:2]
        factor = side / min(height, width)
        size = (round(width * factor), round(height * factor))
        image = Image.fromarray(results['img']).resize(size, Image.Resampling.BILINEAR)
        results['img'] = np.asarray(image)
        for key in results.get('seg_fields', []):
            results[key] = nearest(results[key], size, 'pillow')
        results['img_shape'] = results['img'].shape[:2]
        return results


@TRANSFORMS.register_module()
class MarkedCrop(BaseTransform):
    """Pad on the right and below with black where needed, then crop at random.

    Padded labels are :data:`PADDING`.

    Args:
        crop_size: (height, width).
    """

    def __init__(self, crop_size: tuple[int, int]) -> None:
        self.crop = (int(crop_size[0]), int(crop_size[1]))

    def transform(self, results: dict) -> dict:
        """Change ``img``, ``img_shape`` and loaded labels."""
        height, width = results['img'].shape[:2]
        down, right = max(0, self.crop[0] - height), max(0, self.crop[1] - width)
        top = np.random.randint(height + down - self.crop[0] + 1)
        left = np.random.randint(width + right - self.crop[1] + 1)
        for key in ['img', *results.get('seg_fields', [])]:
            fill = (0, 0, 0) if key == 'img' else (PADDING,)
            padded = cv2.copyMakeBorder(
                results[key], 0, down, 0, right, cv2.BORDER_CONSTANT, value=fill
            )
            window = padded[top : top + self.crop[0], left : left + self.crop[1]]
            results[key] = np.ascontiguousarray(window)
        results['img_shape'] = results['img'].shape[:2]
        return results
