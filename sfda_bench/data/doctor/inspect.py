"""Inspects one image and its labels; runs in worker processes."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from sfda_bench.data.decode import AGAIN, FileError, read_raw_label, require_complete
from sfda_bench.data.decode import to_train_ids as map_ids
from sfda_bench.data.images import open_image, orientation
from sfda_bench.errors import DataError

_CHUNK = 4096


@dataclass(frozen=True)
class Job:
    """What to look at.

    Attributes:
        image: Image file.
        labels: (label file, encoding) pairs; all that exist beside the image.
        decode: Whether to decode everything, or to read headers and ends only.
    """

    image: str
    labels: tuple[tuple[str, str], ...]
    decode: bool


@dataclass
class Report:
    """What was seen.

    Attributes:
        image: The image file.
        size: (width, height), None if it cannot be read.
        digest: Hash of parts of the file, to find copies.
        problems: (finding name, what was found, file).
        histogram: Pixels of each train id (256,), zeros if not decoded.
        ids: Pixels of each raw label id where the encoding is labelIds (256,).
    """

    image: str
    size: tuple[int, int] | None = None
    digest: str = ''
    problems: list[tuple[str, str, str]] = field(default_factory=list)
    histogram: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    ids: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))


def inspect(job: Job) -> Report:
    """Look at one image and its labels."""
    report = Report(job.image)
    _look_at_image(job, report)
    for number, (path, encoding) in enumerate(job.labels):
        try:
            _look_at_label(path, encoding, job.decode, report, primary=number == 0)
        except FileError as error:
            report.problems.append((error.code, error.found, path))
    return report


def inspect_batch(jobs: list[Job]) -> list[Report]:
    """Look at several images."""
    cv2.setNumThreads(1)
    return [inspect(job) for job in jobs]


def _look_at_image(job: Job, report: Report) -> None:
    path = Path(job.image)
    try:
        report.digest = _partial_digest(path)
        if job.decode:
            image = open_image(path)
            report.size = image.shape[1], image.shape[0]
        else:
            report.size = _header_size(path)
        turned = orientation(path)
        if turned != 1:
            found = f'{path} has the orientation tag {turned}'
            report.problems.append(('orientation_tag', found, job.image))
    except DataError as error:
        code = getattr(error, 'code', 'unreadable_file')
        report.problems.append((code, error.found, job.image))
    except OSError as error:
        found = f'cannot read {path}: {error.strerror or error}'
        report.problems.append(('unreadable_file', found, job.image))


def _partial_digest(path: Path) -> str:
    """Return a hash of the size and of three pieces of a file: enough to suspect a copy."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open('rb') as file:
        for start in (0, max(size // 2, 0), max(size - _CHUNK, 0)):
            file.seek(start)
            digest.update(file.read(_CHUNK))
    return digest.hexdigest()[:24]


def full_digest(path: str) -> str:
    """Return the sha-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _header_size(path: Path) -> tuple[int, int]:
    """Return (width, height) from the header, having checked that the end of the file is there."""
    with path.open('rb') as file:
        head = file.read(64)
        file.seek(max(path.stat().st_size - 64, 0))
        require_complete(head + file.read(), path)
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, SyntaxError, ValueError) as error:
        found = f'cannot decode {path}: {error}'
        raise FileError('unreadable_file', found, 'a PNG or JPEG file', AGAIN) from error


def _look_at_label(path: str, encoding: str, decode: bool, report: Report, primary: bool) -> None:
    if not os.path.lexists(path):
        return  # reported as missing_label from the listing
    if decode:
        raw = read_raw_label(path, encoding)
        labels = map_ids(raw, encoding, path)
        size = labels.shape[1], labels.shape[0]
        if primary:
            report.histogram = np.bincount(labels.ravel(), minlength=256)
            if encoding == 'labelIds':
                report.ids = np.bincount(raw.ravel(), minlength=256)
        if encoding.startswith('synthia') and not raw.any():
            raise FileError(
                'wrong_channel',
                f'the class channel of {path} is empty',
                'classes in the last channel of GT/LABELS',
                'use the folder GT/LABELS of SYNTHIA-RAND-CITYSCAPES, not GT/COLOR',
            )
    else:
        try:
            size = _header_size(Path(path))
        except OSError as error:
            found = f'cannot read {path}: {error}'
            raise FileError('unreadable_file', found, 'a readable file', AGAIN) from error
    if report.size and size != report.size:
        found = f'label {size[0]}x{size[1]}, image {report.size[0]}x{report.size[1]}'
        report.problems.append(('size_mismatch', found, path))
