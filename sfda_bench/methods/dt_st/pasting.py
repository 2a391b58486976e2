"""Objects of rare classes, cut from other images by their candidate labels and pasted.

Source: DT-ST (CVPR 2023), code ``rand_mixer_v2``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sfda_bench.labels import IGNORE

#: Classes that are pasted, by the network's number of outputs: fence (wall with 16), pole, traffic
#: light, traffic sign, rider, train (19 only), motorcycle, bicycle.
RARE = {19: (4, 5, 6, 7, 12, 16, 17, 18), 16: (3, 5, 6, 7, 11, 14, 15)}
#: Classes that come along: riders with what they ride, poles with what they carry.
_GROUPS = {19: ((12, (17, 18)), (5, (6, 7))), 16: ((11, (14, 15)), (5, (6, 7)))}


def companions(classes: int) -> Mapping[int, tuple[int, ...]]:
    """Classes that are cut out together with each class, for a network with so many outputs."""
    found: dict[int, tuple[int, ...]] = {}
    for middle, around in _GROUPS.get(classes, ()):
        found[middle] = around
        found.update(dict.fromkeys(around, (middle,)))
    return found


@dataclass
class Piece:
    """A connected object.

    Attributes:
        image: (h, w, 3) uint8 of its bounding box.
        labels: (h, w) uint8, 255 outside of the object.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def scaled(self, factor: float) -> Piece:
        """At another size, by nearest neighbours."""
        height, width = self.labels.shape
        size = (max(1, int(width * factor)), max(1, int(height * factor)))
        large = [
            cv2.resize(part, size, interpolation=cv2.INTER_NEAREST)
            for part in (self.image, self.labels)
        ]
        return Piece(*(np.asarray(part, np.uint8) for part in large))


def pieces(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], label: int, classes: int, least: int = 20
) -> Iterator[Piece]:
    """Objects of a class and its companions.

    Args:
        image: (H, W, 3).
        labels: Candidate labels (H, W).
        label: The class.
        classes: Outputs of the network.
        least: Pixels of an object (8-connected) that counts.
    """
    wanted = np.isin(labels, [label, *companions(classes).get(label, ())])
    number, marks, stats, _ = cv2.connectedComponentsWithStats(
        wanted.astype(np.uint8), connectivity=8
    )
    for mark in range(1, number):
        left, top, width, height, area = (int(value) for value in stats[mark])
        if area < least:
            continue
        box = (slice(top, top + height), slice(left, left + width))
        own = marks[box] == mark
        yield Piece(image[box].copy(), np.where(own, labels[box], IGNORE).astype(np.uint8))


def paste_pieces(
    image: NDArray[np.uint8],
    target: NDArray,
    objects: Iterator[Piece],
    label: int,
    rng: np.random.Generator,
    scale: tuple[float, float] = (1.0, 2.5),
    tries: int = 99,
) -> None:
    """Paste objects into an image (H, W, 3) and its label map (H, W), in place.

    An object with pixels of ``label`` goes where its top left and bottom right corners are free;
    one without goes into the box of an earlier object of a single class, if one has room for it.

    Args:
        image: Changed.
        target: Changed; 255 where nothing was pasted.
        objects: From :func:`pieces`.
        label: The class that was drawn.
        rng: Draws scales and places.
        scale: Least and greatest scale.
        tries: For a free place.
    """
    height, width = target.shape
    boxes: list[tuple[int, int, int, int]] = []
    for each in objects:
        piece = each.scaled(float(rng.uniform(*scale)))
        rows, columns = piece.labels.shape
        if rows >= height or columns >= width:
            continue
        if (piece.labels == label).any():
            corner = _free(target, (rows, columns), rng, tries)
        else:
            corner = _inside(boxes, (rows, columns), target.shape, rng)
        if corner is None:
            continue
        top, left = corner
        own = piece.labels != IGNORE
        here = (slice(top, top + rows), slice(left, left + columns))
        image[here][own] = piece.image[own]
        target[here][own] = piece.labels[own]
        if len(np.unique(piece.labels[own])) == 1:
            boxes.append((top, left, rows, columns))


def _free(
    target: NDArray, size: tuple[int, int], rng: np.random.Generator, tries: int
) -> tuple[int, int] | None:
    for _ in range(tries):
        top, left = (
            int(rng.integers(whole - part)) for whole, part in zip(target.shape, size, strict=True)
        )
        end = (top + size[0] - 1, left + size[1] - 1)
        if target[top, left] == IGNORE and target[end] == IGNORE:
            return top, left
    return None


def _inside(
    boxes: list[tuple[int, int, int, int]],
    size: tuple[int, int],
    whole: tuple[int, ...],
    rng: np.random.Generator,
) -> tuple[int, int] | None:
    """A corner in one of the boxes from which the object still fits into the image."""
    if not boxes:
        return None
    top, left, rows, columns = boxes[int(rng.integers(len(boxes)))]
    corner = (top + int(rng.integers(rows)), left + int(rng.integers(columns)))
    fits = all(c + s <= w for c, s, w in zip(corner, size, whole, strict=False))
    return corner if fits else None
