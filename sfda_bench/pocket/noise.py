"""Random numbers and noise that are the same bits on every machine.

``RandomState`` is frozen by NumPy's compatibility policy; the noise uses integer hashing and
elementwise + - * / only (no transcendental functions, no floating-point sums of arrays).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar('T')
FloatArray = NDArray[np.float32]


class Draws:
    """A stream of random draws named by any keys, e.g. ``Draws(seed, 'gta5', 'train', 17)``."""

    def __init__(self, *keys: object) -> None:
        digest = hashlib.sha256(repr(keys).encode()).digest()
        self._state = np.random.RandomState(int.from_bytes(digest[:4], 'little'))

    def uniform(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * float(self._state.random_sample())

    def integer(self, low: int, high: int) -> int:
        """Return an integer in [low, high)."""
        return int(self._state.randint(low, high))

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return float(self._state.random_sample()) < probability

    def pick(self, items: Sequence[T]) -> T:
        """Return one of ``items``."""
        return items[self.integer(0, len(items))]

    def side(self) -> int:
        """Return -1 or 1."""
        return 1 if self.chance(0.5) else -1

    def grain(self, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """Return near-Gaussian integer noise, standard deviation 74 (four uniform bytes summed)."""
        raw = self._state.randint(0, 256, size=(4, *shape), dtype=np.uint8).astype(np.int32)
        return raw[0] + raw[1] + raw[2] + raw[3] - 510


def hash01(x: NDArray[Any], y: NDArray[Any] | int, salt: int) -> FloatArray:
    """Return a hash of integer cells in [0, 1), float32; the same cell always gives the same."""
    h = x.astype(np.int64).astype(np.uint32) * np.uint32(0x9E3779B1)
    if isinstance(y, int):
        h = h + np.uint32((y * 0x85EBCA77) & 0xFFFFFFFF)
    else:
        h = h + y.astype(np.int64).astype(np.uint32) * np.uint32(0x85EBCA77)
    h = h ^ np.uint32((salt * 0xC2B2AE3D) & 0xFFFFFFFF)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    h = (h ^ (h >> np.uint32(12))) * np.uint32(0x297A2D39)
    return ((h >> np.uint32(8)).astype(np.float32)) * np.float32(1 / (1 << 24))


def value_noise(u: NDArray[Any], v: NDArray[Any], salt: int) -> FloatArray:
    """Return smooth noise in [0, 1) at float coordinates, one cell a unit, float32."""
    iu, iv = np.floor(u), np.floor(v)
    fu = (u - iu).astype(np.float32)
    fv = (v - iv).astype(np.float32)
    fu = fu * fu * (np.float32(3) - fu - fu)
    fv = fv * fv * (np.float32(3) - fv - fv)
    top = _mix(hash01(iu, iv, salt), hash01(iu + 1, iv, salt), fu)
    low = _mix(hash01(iu, iv + 1, salt), hash01(iu + 1, iv + 1, salt), fu)
    return _mix(top, low, fv)


def _mix(a: FloatArray, b: FloatArray, t: FloatArray) -> FloatArray:
    return a + (b - a) * t


def box_blur(image: NDArray[np.int32], radius: int, axis: int) -> NDArray[np.int32]:
    """Return the box mean of width 2 * radius + 1 along an axis, exact integers, edges repeated."""
    if radius <= 0:
        return image
    pad = [(0, 0)] * image.ndim
    pad[axis] = (radius + 1, radius)
    total = np.cumsum(np.pad(image, pad, mode='edge'), axis=axis, dtype=np.int64)
    size, width = image.shape[axis], 2 * radius + 1
    high = np.take(total, np.arange(width, width + size), axis=axis)
    low = np.take(total, np.arange(0, size), axis=axis)
    return ((high - low + width // 2) // width).astype(np.int32)


def blur(image: NDArray[np.int32], radius: int, passes: int = 2) -> NDArray[np.int32]:
    """Return the image blurred by repeated box means over both axes."""
    for _ in range(passes):
        image = box_blur(box_blur(image, radius, 0), radius, 1)
    return image
