"""Decoding label files, each encoding with the library and channel it needs. No torch here."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sfda_bench.errors import DataError
from sfda_bench.labels import CITYSCAPES_NUM_IDS, INVALID, encoding_table


class FileError(DataError):
    """A file that is not what its place says; ``code`` is the doctor's name of the finding."""

    def __init__(self, code: str, found: str, expected: str, fix: str) -> None:
        self.code = code
        super().__init__(found, expected, fix)

    def __reduce__(self) -> tuple:
        return type(self), (self.code, self.found, self.expected, self.fix)


_PNG_END = b'IEND\xaeB`\x82'
_PNG_START = b'\x89PNG\r\n\x1a\n'
AGAIN = 'copy or download it again'
"""What mends a damaged file."""


def read_bytes(path: str | Path) -> bytes:
    """Return a file's bytes; raises :class:`DataError` naming the path if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FileError(
            'unreadable_file',
            f'cannot read {path}: {error.strerror or error}',
            'a readable file',
            '`python tools/prepare_data.py doctor` checks the whole data set',
        ) from error


def require_complete(data: bytes, path: str | Path) -> None:
    """Raise :class:`DataError` if a PNG or JPEG lacks its end (decoders pad with grey)."""
    if data.startswith(_PNG_START):
        complete = _PNG_END in data[-64:]
    elif data.startswith(b'\xff\xd8'):
        complete = b'\xff\xd9' in data[-64:]
    else:
        found = f'{path} is neither PNG nor JPEG ({len(data)} bytes)'
        raise FileError('unreadable_file', found, 'an image file', AGAIN)
    if not complete:
        raise FileError(
            'truncated_file',
            f'{path} is truncated ({len(data)} bytes)',
            'a complete image file',
            AGAIN,
        )


def read_raw_label(path: str | Path, encoding: str) -> NDArray:
    """Return the raw ids of a label file, uint8 or uint16 (H, W), before any mapping."""
    data = read_bytes(path)
    require_complete(data, path)
    if encoding.startswith('synthia'):
        return _raw_synthia(data, path)
    return _raw_indices(data, path, encoding)


def _raw_indices(data: bytes, path: str | Path, encoding: str) -> NDArray[np.uint8]:
    """Read palette indices or grey values; cv2 would turn a palette into colours."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            mode = image.mode
            if mode in ('L', 'P'):
                return np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        found = f'cannot decode label {path}: {error}'
        raise FileError('unreadable_file', found, 'a PNG of class indices', AGAIN) from error
    raise FileError(
        'colour_label',
        f'label {path} holds colours (mode {mode})',
        f'class indices ({"palette" if encoding == "gta5" else "8-bit grey"} PNG)',
        'use the label files of the official release',
    )


def _raw_synthia(data: bytes, path: str | Path) -> NDArray[np.uint16]:
    """Read the class channel: the last one as cv2 orders them; the first holds instances."""
    raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if raw is None or raw.ndim != 3 or raw.dtype != np.uint16:
        kind = 'unreadable' if raw is None else f'{raw.dtype} with shape {raw.shape}'
        raise FileError(
            'unreadable_file' if raw is None else 'wrong_channel',
            f'SYNTHIA label {path} is {kind}',
            '16-bit PNG with several channels',
            'use the folder GT/LABELS of SYNTHIA-RAND-CITYSCAPES, not GT/COLOR',
        )
    return np.asarray(raw[:, :, -1], np.uint16)


@lru_cache(maxsize=16)
def _lookup(encoding: str) -> NDArray[np.uint8]:
    table = encoding_table(encoding)
    table.setflags(write=False)
    return table


def to_train_ids(raw: NDArray, encoding: str, path: str | Path = '') -> NDArray[np.uint8]:
    """Map raw ids (H, W) to train ids uint8 (H, W); raises :class:`DataError` on unknown values."""
    if raw.dtype != np.uint8:
        if raw.max(initial=0) > 255:
            raise _out_of_range(raw, encoding, path)
        raw = raw.astype(np.uint8)
    label = np.asarray(cv2.LUT(np.ascontiguousarray(raw), _lookup(encoding)), np.uint8)
    if (label == INVALID).any():
        raise _out_of_range(raw, encoding, path)
    return label


def _out_of_range(raw: NDArray, encoding: str, path: str | Path) -> FileError:
    table = encoding_table(encoding)
    values = np.unique(raw)
    wrong = [int(v) for v in values if v > 255 or table[int(v)] == INVALID]
    hint = {
        'labelTrainIds': 'these look like label ids: use label_encoding="labelIds"',
        'synthia': 'wrong channel or folder: the class is the last channel of GT/LABELS',
    }.get(encoding.replace('_lane_road', ''), 'use the label files of the official release')
    known = [i for i in range(255) if table[i] != INVALID]
    return FileError(
        _range_code(encoding, wrong),
        f'label {path} holds values {wrong[:8]} which {encoding} does not have',
        f'{min(known)}..{max(known)} and 255',
        hint,
    )


def _range_code(encoding: str, wrong: list[int]) -> str:
    """Return the doctor's name for values outside an encoding."""
    if encoding.startswith('synthia'):
        return 'wrong_channel'
    if encoding == 'labelTrainIds' and max(wrong) < CITYSCAPES_NUM_IDS:
        return 'label_ids_as_train_ids'
    return 'out_of_range'


def decode_label(path: str | Path, encoding: str) -> NDArray[np.uint8]:
    """Return the train ids of a label file, uint8 (H, W), 255 where ignored.

    Args:
        path: Label file.
        encoding: A name in :data:`~sfda_bench.labels.ENCODINGS`.

    Raises:
        DataError: The file is missing, truncated, holds colours, or values its encoding lacks.
    """
    return to_train_ids(read_raw_label(path, encoding), encoding, path)
