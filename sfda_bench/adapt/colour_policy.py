"""The colour half of AutoAugment's ImageNet policy: 18 sub-policies without geometry.

Source: Cubuk et al., AutoAugment, CVPR 2019; IAPC, code ``autoaugment.py``, which leaves out every
sub-policy that rotates or shears.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

Operation = tuple[float, str, int]

_SOLARIZE_CONTRAST = ((0.6, 'solarize', 5), (0.6, 'autocontrast', 5))
_EQUALIZE_TWICE = ((0.8, 'equalize', 8), (0.6, 'equalize', 3))
_EQUALIZE_SOLARIZE = ((0.4, 'equalize', 4), (0.2, 'solarize', 4))
_INVERT_EQUALIZE = ((0.6, 'invert', 4), (1.0, 'equalize', 8))
_COLOR_CONTRAST = ((0.6, 'color', 4), (1.0, 'contrast', 8))
#: (probability, operation, level) pairs; one pair is drawn an image, its two operations apart.
POLICY: tuple[tuple[Operation, Operation], ...] = (
    _SOLARIZE_CONTRAST,
    _SOLARIZE_CONTRAST,
    _EQUALIZE_TWICE,
    _EQUALIZE_TWICE,
    ((0.6, 'posterize', 7), (0.6, 'posterize', 6)),
    _EQUALIZE_SOLARIZE,
    _EQUALIZE_SOLARIZE,
    ((0.6, 'solarize', 3), (0.6, 'equalize', 7)),
    ((0.8, 'posterize', 5), (1.0, 'equalize', 2)),
    ((0.6, 'equalize', 8), (0.4, 'posterize', 6)),
    ((0.0, 'equalize', 7), (0.8, 'equalize', 8)),
    _INVERT_EQUALIZE,
    _INVERT_EQUALIZE,
    _COLOR_CONTRAST,
    _COLOR_CONTRAST,
    ((0.8, 'color', 8), (0.8, 'solarize', 7)),
    ((0.4, 'sharpness', 7), (0.6, 'invert', 8)),
    ((0.4, 'color', 0), (0.6, 'equalize', 3)),
)


def strength(operation: str, level: int) -> float:
    """What a level (0..9) means: half-range of a factor, bits, or threshold; 0 if nothing."""
    if operation in ('color', 'contrast', 'sharpness'):
        return 0.1 * level
    if operation == 'posterize':
        return round(8.0 - 4.0 * level / 9.0)
    return 256.0 - 256.0 * level / 9.0 if operation == 'solarize' else 0.0


def _enhance(kind: Callable) -> Callable[[Image.Image, float], Image.Image]:
    def apply(image: Image.Image, half_range: float) -> Image.Image:
        return kind(image).enhance(1.0 + half_range * np.random.choice((-1, 1)))

    return apply


_OPERATIONS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    'color': _enhance(ImageEnhance.Color),
    'contrast': _enhance(ImageEnhance.Contrast),
    'sharpness': _enhance(ImageEnhance.Sharpness),
    'posterize': lambda image, bits: ImageOps.posterize(image, int(bits)),
    # rounded up: the same grey levels lie below it as below the threshold itself
    'solarize': lambda image, threshold: ImageOps.solarize(image, math.ceil(threshold)),
    'autocontrast': lambda image, _: ImageOps.autocontrast(image),
    'equalize': lambda image, _: ImageOps.equalize(image),
    'invert': lambda image, _: ImageOps.invert(image),
}


def colour_autoaugment(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A BGR uint8 image (H, W, 3) under one sub-policy drawn uniformly from ``np.random``."""
    changed = Image.fromarray(np.ascontiguousarray(image[:, :, ::-1]))
    for probability, operation, level in POLICY[np.random.randint(len(POLICY))]:
        if np.random.random() < probability:
            changed = _OPERATIONS[operation](changed, strength(operation, level))
    return np.ascontiguousarray(np.asarray(changed)[:, :, ::-1])
