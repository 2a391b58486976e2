"""LD's training views: a random size, a square, and that at one size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from sfda_bench.data.transforms import nearest
from sfda_bench.errors import BenchError
from sfda_bench.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ScaledSquare(BaseTransform):
    """Resize to a shorter side times a random factor, crop a square, resize that.

    Images bicubic, labels by the nearest neighbour, both by Pillow. A view is never padded: of an
    image smaller than the square the largest one is taken.

    Args:
        short_side: In pixels.
        factors: Factors to draw from, uniformly.
        size: Side of the square.
    """

    def __init__(self, short_side: int, factors: Sequence[float], size: int) -> None:
        if not factors:
            raise BenchError('no scale factors', 'at least one')
        self.short_side, self.size = int(short_side), int(size)
        self.factors = [float(factor) for factor in factors]

    def transform(self, results: dict) -> dict:
        """Change ``img``, ``img_shape`` and loaded labels."""
        factor = self.factors[np.random.randint(len(self.factors))]
        height, width = results['img'].shape[:2]
        zoom = self.short_side * factor / min(height, width)
        width, height = round(width * zoom), round(height * zoom)
        side = min(self.size, width, height)
        top = np.random.randint(height - side + 1)
        left = np.random.randint(width - side + 1)
        window = np.s_[top : top + side, left : left + side]
        results['img'] = _bicubic(_bicubic(results['img'], width, height)[window], *[self.size] * 2)
        for key in results.get('seg_fields', []):
            part = nearest(results[key], (width, height), 'pillow')[window]
            results[key] = nearest(np.ascontiguousarray(part), (self.size, self.size), 'pillow')
        results['img_shape'] = results['img'].shape[:2]
        return results


def _bicubic(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """BGR uint8 at another size."""
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized)
