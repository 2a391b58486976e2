"""The one opener of images: the pixels as they are stored, the same from either library.

An orientation tag (EXIF) is not followed: labels have none, and Pillow does not turn images by
itself. What the two libraries would read differently - 16 bits a channel, four inks - is refused.
"""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from sfda_bench.data.decode import AGAIN, FileError, read_bytes, require_complete
from sfda_bench.errors import DataError

ORIENTATION = 0x0112
"""EXIF tag of the way an image is to be turned for people; 1 or absent is as stored."""
_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""JPEG markers of a frame header."""


def open_image(path: str | Path, lib: str = 'cv2') -> np.ndarray:
    """One image as BGR uint8 (H, W, 3), as it is stored.

    Args:
        path: A PNG or JPEG file.
        lib: ``'cv2'`` or ``'pillow'``; they differ in JPEG decoding only.

    Raises:
        DataError: The file is missing, truncated, not an image, or of a kind that the libraries
            read differently; its path is named.
    """
    data = read_bytes(path)
    require_complete(data, path)
    _require_plain(data, path)
    image = _from_cv2(data) if lib == 'cv2' else _from_pillow(data)
    if image is None:
        found = f'cannot decode image {path}'
        raise FileError('unreadable_file', found, 'a PNG or JPEG file', AGAIN)
    return image


def _from_cv2(data: bytes) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), _AS_STORED)
    except cv2.error:
        return None


def _from_pillow(data: bytes) -> np.ndarray | None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.ascontiguousarray(np.asarray(image.convert('RGB'))[:, :, ::-1])
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def _require_plain(data: bytes, path: str | Path) -> None:
    """Refuse what OpenCV and Pillow turn into different pixels."""
    if data.startswith(b'\x89PNG') and len(data) > 25 and data[24] == 16:
        raise DataError(
            f'{path} has 16 bits a channel', '8 bits: libraries scale these differently',
            f'convert {path} -depth 8 OUT.png',
        )  # fmt: skip
    if data.startswith(b'\xff\xd8') and _channels(data) == 4:
        raise DataError(
            f'{path} has four inks (CMYK)', 'RGB or grey: libraries mix these differently',
            f'convert {path} -colorspace sRGB OUT.jpg',
        )  # fmt: skip


def _channels(data: bytes) -> int:
    """Channels of a JPEG by its frame header; 0 if there is none."""
    place = 2
    while place + 9 < len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], 'big')
        if marker in _FRAMES:
            return data[place + 9]
        place += 2 + length
    return 0


def orientation(path: str | Path) -> int:
    """The orientation tag of an image, 1 if it has none or says 'as stored'."""
    try:
        with Image.open(path) as image:
            return int(image.getexif().get(ORIENTATION, 1))
    except (OSError, SyntaxError, ValueError):
        return 1
