"""UBNA's colour augmentation of the images that it adapts to.

Source: UBNA's spec sheet (brightness, contrast and saturation 0.2, hue 0.1, as torchvision's
``ColorJitter`` draws and applies them to a Pillow image).
"""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image, ImageEnhance

from sfda_bench.registry import TRANSFORMS

_ENHANCERS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


@TRANSFORMS.register_module()
class ColourJitter(BaseTransform):
    """Change brightness, contrast, saturation and hue by random amounts, in random order.

    Args:
        jitter: Greatest change of the first three's factor, which is drawn evenly around 1.
        hue: Greatest turn of the hue, as a part of the whole circle.
    """

    def __init__(self, jitter: float = 0.2, hue: float = 0.1) -> None:
        self.jitter, self.hue = jitter, hue

    def transform(self, results: dict) -> dict:
        """Change ``img``, BGR uint8."""
        factors = np.random.uniform(1.0 - self.jitter, 1.0 + self.jitter, len(_ENHANCERS))
        turn = np.random.uniform(-self.hue, self.hue)
        image = Image.fromarray(np.ascontiguousarray(results['img'][:, :, ::-1]))
        for index in np.random.permutation(len(_ENHANCERS) + 1):
            if index < len(_ENHANCERS):
                image = _ENHANCERS[index](image).enhance(float(factors[index]))
            else:
                image = turned(image, turn)
        results['img'] = np.ascontiguousarray(np.asarray(image)[:, :, ::-1])
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(jitter={self.jitter}, hue={self.hue})'


def turned(image: Image.Image, turn: float) -> Image.Image:
    """An RGB image with its hue turned by a part of the circle, in steps of 1/256 towards 0."""
    maps = np.array(image.convert('HSV'))
    maps[:, :, 0] += np.array(int(turn * 255)).astype(np.uint8)  # around the circle
    return Image.fromarray(maps, 'HSV').convert('RGB')
