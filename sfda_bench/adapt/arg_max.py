"""Largest entries of every pixel and their class, many times as fast as ``max`` on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_PIECE = 1 << 12  # pixels whose result stays in the cache while the classes go by


class Room:
    """Arrays that are used again for every image: fresh memory costs more than the work in it."""

    def __init__(self) -> None:
        self.confidence = np.empty(0, np.float32)
        self.labels = np.empty(0, np.uint8)

    def take(self, size: int) -> tuple[NDArray, NDArray]:
        """Float32 confidences and uint8 labels (size,), to be filled."""
        if len(self.labels) < size:
            self.confidence, self.labels = np.empty(size, np.float32), np.empty(size, np.uint8)
        return self.confidence[:size], self.labels[:size]


def confidences_and_labels(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`confidence_and_label` of a batch (N, C, H, W): two maps (N, H, W)."""
    if probabilities.device.type != 'cpu':
        confidence, labels = probabilities.max(dim=1)
        return confidence, labels
    pairs = [confidence_and_label(maps) for maps in probabilities]
    return torch.stack([pair[0] for pair in pairs]), torch.stack([pair[1] for pair in pairs])


def confidence_and_label(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Largest probability and its class, int64 (the first of equal ones), of maps (C, H, W)."""
    flat, shape = probabilities.flatten(1), probabilities.shape[1:]
    confidence, labels = largest(flat, [(0, flat.shape[1])])
    return confidence.view(shape), labels.long().view(shape)


def largest_two(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Largest and second largest entry (N, H, W) of every pixel of maps (N, C, H, W), C > 1."""
    if maps.device.type != 'cpu' or maps.dtype != torch.float32:
        first, second = maps.topk(2, dim=1).values.unbind(1)
        return first, second
    values = maps.detach().contiguous().flatten(2).numpy()
    first, second = (torch.empty(len(maps), *maps.shape[2:]) for _ in range(2))
    for part, top, next_ in zip(values, first.numpy(), second.numpy(), strict=True):
        _largest_two(part, top.reshape(-1), next_.reshape(-1))
    return first, second


def largest(
    flat: Tensor, ranges: Sequence[tuple[int, int]], room: Room | None = None
) -> tuple[Tensor, Tensor]:
    """Largest of (C, P) and its index, at some ranges of the pixels, one after another.

    On a CPU compiled, and the index is uint8. A value that is not a number is the largest, as in
    ``max``.
    """
    classes = len(flat)
    if flat.device.type != 'cpu' or flat.dtype != torch.float32 or classes > 255:
        confidence, labels = torch.cat([flat[:, a:b] for a, b in ranges], dim=1).max(dim=0)
        return confidence, labels
    values = flat.detach().contiguous().numpy()
    best, found = (room or Room()).take(sum(b - a for a, b in ranges))
    done = 0
    for begin, end in ranges:
        here = slice(done, done + end - begin)
        _largest(values, begin, best[here], found[here])
        done = here.stop
    return torch.from_numpy(best), torch.from_numpy(found)


@numba.njit(nogil=True)
def _largest(values: NDArray, begin: int, best: NDArray, found: NDArray) -> None:
    """Fill ``best`` and ``found`` (P,) from ``values`` (C, ...) at ``begin`` and after."""
    for start in range(0, len(best), _PIECE):
        stop = min(start + _PIECE, len(best))
        top, label = best[start:stop], found[start:stop]
        top[:] = values[0, begin + start : begin + stop]
        label[:] = 0
        for index in range(1, len(values)):
            part, code = values[index, begin + start : begin + stop], np.uint8(index)
            for i in range(stop - start):  # selects, no branches: becomes vector code
                value, old = part[i], top[i]
                better = (value > old) | (value != value)
                label[i] = code if better else label[i]
                top[i] = value if better else old


@numba.njit(nogil=True)
def _largest_two(values: NDArray, first: NDArray, second: NDArray) -> None:
    """Fill ``first`` and ``second`` (P,) from ``values`` (C, P)."""
    for start in range(0, len(first), _PIECE):
        stop = min(start + _PIECE, len(first))
        top, next_ = first[start:stop], second[start:stop]
        top[:] = values[0, start:stop]
        next_[:] = -np.inf
        for index in range(1, len(values)):
            part = values[index, start:stop]
            for i in range(stop - start):
                value, old, low = part[i], top[i], next_[i]
                better = (value > old) | (value != value)
                next_[i] = old if better else (value if value > low else low)
                top[i] = value if better else old
