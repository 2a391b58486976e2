"""Cuts a small, class-balanced, deterministic subset of real data, in the native layout.

For a lab's own continuous integration: real pixels, real encodings, a few megabytes.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sfda_bench import interrupts
from sfda_bench.atomic import naming, write_text
from sfda_bench.data.catalogue import Sample
from sfda_bench.data.decode import decode_label, read_bytes
from sfda_bench.data.layout import get_layout, list_split, require_root
from sfda_bench.data.markers import SUBSET
from sfda_bench.data.png import encode_png
from sfda_bench.errors import BenchError, DataError
from sfda_bench.labels import IGNORE

_CANDIDATES = 20
"""Images looked at for each image wanted."""
Progress = Callable[[int, int], None]


def cut_subset(
    data_root: str | Path,
    wanted: dict[str, tuple[str, ...]],
    out: str | Path,
    images: int,
    size: tuple[int, int],
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Write a subset; return the number of images of each ``data set/split``.

    Args:
        data_root: Where the data are.
        wanted: Data set -> splits.
        out: New folder, or a subset of the same size to add to.
        images: Images of each split (ACDC: shared equally among the conditions).
        size: (width, height) of the images written; labels are resized by nearest.
        workers: Processes; None for all cores.
        progress: Called with (splits done, splits).
    """
    if images < 1 or min(size) < 16:
        raise BenchError(f'{images} images of {size[0]}x{size[1]}', 'at least 1 of 16x16')
    out = Path(out)
    counts = _begin(out, size)
    splits = [(d, s) for d, names in wanted.items() for s in names]
    roots = {d: require_root(data_root, d) for d in wanted}
    for number, (dataset, split) in enumerate(splits):
        chosen = choose(dataset, roots[dataset], split, images, workers)
        for sample in chosen:
            write_resized(dataset, roots[dataset], out / dataset, sample, size)
        if dataset == 'camvid':
            names = ''.join(f'{s.sample_id}\n' for s in chosen)
            write_text(out / dataset / f'{split}.txt', names)
        counts[f'{dataset}/{split}'] = len(chosen)
        _finish(out, size, counts)
        if progress is not None:
            progress(number + 1, len(splits))
    return counts


def _begin(out: Path, size: tuple[int, int]) -> dict[str, int]:
    """Return the counts already in ``out``; raise if it holds anything but a like subset."""
    if not out.exists() or not any(out.iterdir()):
        out.mkdir(parents=True, exist_ok=True)
        return {}
    try:
        marker = json.loads((out / SUBSET).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise BenchError(f'{out} is not empty and not a subset', 'a new folder') from error
    if marker['size'] != [size[1], size[0]]:
        height, width = marker['size']
        raise BenchError(f'{out} holds images of {width}x{height}', f'{size[0]}x{size[1]}')
    return dict(marker['counts'])


def _finish(out: Path, size: tuple[int, int], counts: dict[str, int]) -> None:
    marker = {'kind': 'subset', 'seed': 0, 'size': [size[1], size[0]], 'counts': counts}
    text = json.dumps({**marker, 'complete': True}, indent=2, sort_keys=True) + '\n'
    write_text(out / SUBSET, text)


def choose(
    dataset: str, root: Path, split: str, images: int, workers: int | None = None
) -> list[Sample]:
    """Return ``images`` samples in which rare classes weigh as much as frequent ones.

    Evenly spaced candidates are looked at; no randomness is involved.
    """
    samples = list_split(dataset, root, split)
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.condition if dataset == 'acdc' else '', []).append(sample)
    chosen: list[Sample] = []
    for number, group in enumerate(groups.values()):
        share = images // len(groups) + (number < images % len(groups))
        step = max(len(group) // max(share * _CANDIDATES, 1), 1)
        candidates = group[::step]
        order = balanced_order(class_counts(dataset, candidates, workers), share)
        chosen += [candidates[i] for i in sorted(order)]
    return chosen


def class_counts(
    dataset: str, samples: Sequence[Sample], workers: int | None = None
) -> NDArray[np.int64]:
    """Return the pixels of each train id in each sample, (N, 19)."""
    jobs = [(str(s.label), _encoding(dataset, s.label)) for s in samples if s.label]
    workers = workers or os.cpu_count() or 1
    if workers <= 1 or len(jobs) < 64:
        return np.array([_count(job) for job in jobs]).reshape(-1, 19)
    context = multiprocessing.get_context('forkserver' if os.name == 'posix' else 'spawn')
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        with interrupts.own():
            counts = pool.map(_count, jobs, chunksize=16)
        with interrupts.cancelling(pool):
            return np.array(list(counts)).reshape(-1, 19)


def _count(job: tuple[str, str]) -> NDArray[np.int64]:
    return np.bincount(decode_label(*job).ravel(), minlength=IGNORE + 1)[:19]


def _encoding(dataset: str, label: Path) -> str:
    for encoding, suffix in get_layout(dataset).label_suffixes:
        if label.name.endswith(suffix):
            return encoding
    raise DataError(f'{label} has no known suffix')


def balanced_order(counts: NDArray[np.int64], wanted: int) -> list[int]:
    """Return the rows to take, greedily: the next one adds most to the sum of class logarithms.

    A class that is still missing gains most, so that every class of the candidates is covered
    first. Ties go to the smaller index.

    Args:
        counts: Pixels of each class in each candidate, (N, K).
        wanted: How many rows.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    total = np.zeros(counts.shape[1])
    left = list(range(len(counts)))
    order: list[int] = []
    for _ in range(min(wanted, len(left))):
        gains = np.log((total + shares[left] + 1e-4) / (total + 1e-4)).sum(axis=1)
        best = left[int(np.argmax(np.round(gains, 9)))]
        left.remove(best)
        order.append(best)
        total += shares[best]
    return order


def write_resized(
    dataset: str, root: Path, out: Path, sample: Sample, size: tuple[int, int]
) -> None:
    """Write one image and all its label files, resized, under the same relative names."""
    if sample.label is None:
        raise DataError(f'{sample.image} has no label')
    _write(out / sample.image.relative_to(root), _resized_image(sample.image, size))
    layout = get_layout(dataset)
    used = next(s for _, s in layout.label_suffixes if sample.label.name.endswith(s))
    stem = str(sample.label)[: -len(used)]
    for encoding, suffix in layout.label_suffixes:
        path = Path(stem + suffix)
        if path.is_file():
            _write(out / path.relative_to(root), _resized_label(path, encoding, size))


def _resized_image(path: Path, size: tuple[int, int]) -> bytes:
    with Image.open(path) as image:
        small = image.convert('RGB').resize(size, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    if path.suffix.lower() in ('.jpg', '.jpeg'):
        small.save(buffer, 'JPEG', quality=95, subsampling=0)
    else:
        small.save(buffer, 'PNG')
    return buffer.getvalue()


def _resized_label(path: Path, encoding: str, size: tuple[int, int]) -> bytes:
    if encoding == 'synthia':
        raw = cv2.imdecode(np.frombuffer(read_bytes(path), np.uint8), cv2.IMREAD_UNCHANGED)
        if raw is None:
            raise DataError(f'cannot decode {path}', '16-bit PNG')
        small = cv2.resize(raw, size, interpolation=cv2.INTER_NEAREST)
        return encode_png(np.ascontiguousarray(small[:, :, ::-1]))
    with Image.open(path) as image:
        small_image = image.resize(size, Image.Resampling.NEAREST)
        palette = image.getpalette() if image.mode == 'P' else None
    triples = None if palette is None else [palette[i : i + 3] for i in range(0, len(palette), 3)]
    return encode_png(np.asarray(small_image), triples)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path):
        path.write_bytes(data)
