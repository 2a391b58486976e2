"""Candidate labels: what is sure at first, what stays the same later; and the balanced list.

Source: DT-ST (CVPR 2023), training-consistency-based resampling, as its code has it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sfda_bench.atomic import write_text
from sfda_bench.errors import DataError
from sfda_bench.labels import IGNORE

INDEX_NAME = 'index.json'
Labels = NDArray[np.uint8]

# --- rules --------------------------------------------------------------------------------------


def rank_at(number: int, portion: float = 0.5) -> int:
    """Ascending index of the threshold among ``number`` values (rounds half to even)."""
    return max(0, min(round(portion * number), number - 1))


def confidence_thresholds(confidences: Sequence[NDArray], portion: float = 0.5) -> NDArray:
    """Threshold of each class (K,) from all its confidences; infinite for a class without any."""
    found = [
        np.partition(values, rank_at(len(values), portion))[rank_at(len(values), portion)]
        if len(values)
        else np.inf
        for values in confidences
    ]
    return np.asarray(found, np.float32)


def sure_labels(labels: Labels, confidence: NDArray, thresholds: NDArray) -> Labels:
    """``labels`` with 255 where the confidence is below its class's threshold."""
    kept = confidence >= thresholds[labels]
    return np.where(kept, labels, IGNORE).astype(np.uint8)


def overlap_counts(found: Labels, reference: Labels, classes: int) -> tuple[NDArray, NDArray]:
    """Intersection and union (K,) in pixels; pixels of 255 in the reference count nowhere.

    Neither map is changed: the published logs stem from a version that wrote into the first.
    """
    kept = reference < classes
    one, two = found[kept], reference[kept]
    both = np.bincount(one[one == two], minlength=IGNORE + 1)[:classes]
    sizes = [np.bincount(part, minlength=IGNORE + 1)[:classes] for part in (one, two)]
    return both, sizes[0] + sizes[1] - both


def consistency(found: Labels, before: Labels, classes: int) -> NDArray:
    """ReL (K,): IoU of an image's labels with those of the pass before."""
    both, union = overlap_counts(found, before, classes)
    return both / (union + 1e-8)


def consistency_thresholds(scores: NDArray, portion: float = 0.5) -> NDArray:
    """Threshold of each class (K,) among the images (n, K) whose score is above 0; 0 if none."""
    found = np.zeros(scores.shape[1])
    for index, column in enumerate(scores.T):
        positive = np.sort(column[column > 0])
        if len(positive):
            found[index] = positive[rank_at(len(positive), portion)]
    return found


def without_classes(labels: Labels, dropped: NDArray[np.bool_]) -> Labels:
    """``labels`` with 255 in place of the dropped classes (K,) bool."""
    table = np.arange(IGNORE + 1, dtype=np.uint8)
    table[: len(dropped)][dropped] = IGNORE
    return table[labels]


# --- the class-balanced list --------------------------------------------------------------------


def class_probabilities(counts: NDArray) -> NDArray:
    """Probability of drawing each class (K,), by how often it was contained: 1 / ln(1.01 + d)."""
    weights = 1.0 / np.log(1.01 + counts / max(counts.sum(), 1))
    return weights / weights.sum()


def balanced_order(
    contained: NDArray[np.bool_], rng: np.random.Generator, parts: int = 501, part: int = 500
) -> list[int]:
    """Images in the order of the class-balanced list.

    Args:
        contained: (n, K), whether an image contains a class. Classes with one image or none are
            passed over.
        rng: Draws classes and shuffles their images.
        parts: Sub-epochs, each of which begins its counts anew.
        part: Images of a sub-epoch.
    """
    files = [np.flatnonzero(column) for column in contained.T]
    if not any(len(each) > 1 for each in files):
        return list(range(len(contained)))
    cursors, order = [0] * len(files), []
    for _ in range(parts):
        counts = np.zeros(len(files))
        for _ in range(part):
            index = _draw_class(counts, files, rng)
            own = files[index]
            if cursors[index] >= len(own):
                rng.shuffle(own)
                cursors[index] %= len(own) - 1
            order.append(int(own[cursors[index]]))
            cursors[index] += 1
            counts += contained[order[-1]]
    return order


def _draw_class(counts: NDArray, files: Sequence[NDArray], rng: np.random.Generator) -> int:
    limits = class_probabilities(counts).cumsum()
    while True:
        index = min(int(np.searchsorted(limits, rng.random(), side='right')), len(files) - 1)
        if len(files[index]) > 1:
            return index


# --- files --------------------------------------------------------------------------------------


class Candidates:
    """A folder of candidate labels: ``labels/`` masked, ``whole/`` unmasked, ``index.json``.

    The maps are stored smaller than the images and enlarged again by repetition.

    Args:
        folder: Has been written by :meth:`write`.

    Raises:
        DataError: It was not.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            index = json.loads((self.folder / INDEX_NAME).read_text(encoding='utf-8'))
        except (OSError, ValueError) as error:
            raise DataError(f'cannot read candidates in {self.folder}: {error}') from error
        self.classes: int = index['classes']
        self.images: dict[str, dict[str, Any]] = index['images']

    def holders(self, label: int) -> list[str]:
        """Ids of the images with enough candidate pixels of a class, sorted."""
        return sorted(n for n, image in self.images.items() if label in image['holds'])

    def read(self, name: str, kind: str = 'labels') -> Labels:
        """Map (H, W) of an image at the size of its file."""
        with Image.open(self.folder / kind / f'{name}.png') as file:
            small = np.asarray(file)
        return enlarged(small, tuple(self.images[name]['size']))

    @staticmethod
    def write(
        folder: Path,
        classes: int,
        maps: Iterable[tuple[str, str, tuple[int, int], Labels, Labels]],
        least: int,
    ) -> None:
        """Write a folder, the index last.

        Args:
            folder: Replaced if it exists.
            classes: K.
            maps: Id, path, (height, width) of the file, small masked and unmasked labels.
            least: Pixels, at the size of the file, of a class that an image is said to hold.
        """
        shutil.rmtree(folder, ignore_errors=True)
        images: dict[str, dict[str, Any]] = {}
        for name, path, size, masked, whole in maps:
            for kind, labels in (('labels', masked), ('whole', whole)):
                file = folder / kind / f'{name}.png'
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(labels).save(file)
            holds = np.flatnonzero(pixels_of(masked, size, classes) >= least).tolist()
            images[name] = {'path': path, 'size': list(size), 'holds': holds}
        write_text(folder / INDEX_NAME, json.dumps({'classes': classes, 'images': images}))


def reduced(labels: NDArray, factor: int) -> NDArray:
    """Every ``factor``-th pixel of a map."""
    return np.ascontiguousarray(labels[::factor, ::factor])


def enlarged(labels: Labels, size: tuple[int, int]) -> Labels:
    """A small map at (height, width), each pixel repeated."""
    rows, columns = (
        np.arange(large) * small // large for large, small in zip(size, labels.shape, strict=True)
    )
    return labels[rows[:, None], columns[None]]


def pixels_of(labels: Labels, size: tuple[int, int], classes: int) -> NDArray:
    """Pixels of each class (K,) that a small map stands for at the size of the file."""
    counts = np.bincount(labels.ravel(), minlength=IGNORE + 1)[:classes]
    return counts * (size[0] * size[1] / labels.size)
