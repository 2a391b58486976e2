"""A PNG writer whose bytes depend on the pixels alone.

Compression libraries differ in the bytes they write for the same pixels. Small images are stored
uncompressed in blocks of fixed size, so that the default pocket world is the same file by file on
every machine; above :data:`STORED_LIMIT` bytes zlib compresses (same pixels, bytes may differ).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STORED_LIMIT = 1 << 20
_BLOCK = 65535


def encode_png(pixels: NDArray, palette: Sequence[Sequence[int]] | None = None) -> bytes:
    """Return a PNG file.

    Args:
        pixels: uint8 or uint16, (H, W) grey or palette indices, or (H, W, 3) RGB.
        palette: RGB colours; makes an indexed PNG of a uint8 (H, W) array.
    """
    height, width = pixels.shape[:2]
    colour_type = 3 if palette is not None else (2 if pixels.ndim == 3 else 0)
    depth = 8 * pixels.dtype.itemsize
    header = struct.pack('>IIBBBBB', width, height, depth, colour_type, 0, 0, 0)
    big_endian = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder('>'), copy=False))
    rows = big_endian.view(np.uint8).reshape(height, -1)
    raw = np.zeros((height, rows.shape[1] + 1), np.uint8)  # first byte of a row: filter 'none'
    raw[:, 1:] = rows
    data = raw.tobytes()
    body = _stored(data) if len(data) <= STORED_LIMIT else zlib.compress(data, 6)
    parts = [b'\x89PNG\r\n\x1a\n', _chunk(b'IHDR', header)]
    if palette is not None:
        parts.append(_chunk(b'PLTE', bytes(c for colour in palette for c in colour)))
    parts += [_chunk(b'IDAT', body), _chunk(b'IEND', b'')]
    return b''.join(parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))


def _stored(data: bytes) -> bytes:
    """Return a zlib stream of stored blocks."""
    parts = [b'\x78\x01']
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK]
        last = start + _BLOCK >= len(data)
        parts.append(struct.pack('<BHH', last, len(block), len(block) ^ 0xFFFF) + block)
    parts.append(struct.pack('>I', zlib.adler32(data)))
    return b''.join(parts)
