"""Class-balanced confidence thresholds: exact by sorting, and streaming by histograms.

Zou et al., CBST, ECCV 2018, and CRST, ICCV 2019; official code ``kc_parameters`` (PyTorch) and
``solve_ST.py`` (MXNet). The streaming form keeps one histogram a class, whatever the number of
images; the sort is its reference in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sfda_bench.adapt.arg_max import Room, largest
from sfda_bench.errors import BenchError, require_known

Policy = Literal['class', 'global']
Rounding = Literal['floor', 'round']

#: Bins follow the floating-point grid of 1 - p with 13 of its 23 mantissa bits: never wider than
#: 2^-14 (6.1e-5), and ever finer towards 1, where trained networks crowd and ties would arise.
_DROPPED_BITS = 10
_FIRST = (127 - 24) << (23 - _DROPPED_BITS)  # 1 - p = 2^-24, the least step below 1
_BAND = 4  # rows
_WAITING = 1 << 21  # pixels that are counted together: 16 MB
BINS = (24 << (23 - _DROPPED_BITS)) + 2  # bin 0 is p = 1 exactly


def portion_at(round_index: int, start: float = 0.2, step: float = 0.05, top: float = 0.5) -> float:
    """Portion of the pixels kept in a round, ``min(start + step * round, top)``."""
    return min(start + step * round_index, top)


def rank_of(total: int, portion: float, rounding: Rounding = 'floor') -> int:
    """How many of ``total`` values a portion keeps; the code floors, the paper rounds."""
    if not 0.0 <= portion <= 1.0:
        raise BenchError(f'portion {portion}', '0 to 1')
    product = total * portion
    return math.floor(product) if rounding == 'floor' else math.floor(product + 0.5)


def exact_thresholds(
    values: Sequence[NDArray],
    portion: float,
    policy: Policy = 'class',
    rounding: Rounding = 'floor',
    leading_zero: bool = False,
) -> NDArray[np.float32]:
    """Thresholds by sorting all values: the reference.

    Args:
        values: Confidences of the pixels predicted as each class, one array a class.
        portion: Share p of each class to keep.
        policy: ``'class'``: one threshold a class; ``'global'``: one for all (ST).
        rounding: Of the rank.
        leading_zero: Start every list, and the pooled one, with a 0.0 and turn a threshold of 0
            into 1, as the MXNet code does.

    Returns:
        float32 (C,); 1 where the rank is 0. Both sides of later comparisons must be float32.
    """
    require_known('threshold policy', policy, ('class', 'global'))
    zero = np.zeros(int(leading_zero), np.float32)
    lists = [np.concatenate([zero, np.asarray(v, np.float32)]) for v in values]
    if policy == 'global':
        lists = [np.concatenate([zero, *lists])] * len(lists)
    return np.array([_exact(v, rank_of(len(v), portion, rounding)) for v in lists], np.float32)


def _exact(values: NDArray, rank: int) -> float:
    if rank == 0:
        return 1.0
    return float(np.sort(values)[::-1][rank - 1]) or 1.0


def every_nth(confidence: NDArray, labels: NDArray, classes: int, stride: int = 4) -> list[NDArray]:
    """Confidences of each class of one image in raster order, every ``stride``-th of them."""
    return [confidence[labels == index][::stride] for index in range(classes)]


def bin_of(confidence: Tensor) -> Tensor:
    """Histogram bin (int64) of confidences in [0, 1]; bin 0 is exactly 1, larger bins lie lower."""
    bits = (1.0 - confidence.float()).clamp_(0.0, 1.0).view(torch.int32) >> _DROPPED_BITS
    return (bits - (_FIRST - 1)).clamp_(min=0).long()


def lower_edge(index: int) -> float:
    """Least float32 confidence of a bin."""
    end = ((_FIRST + index) << _DROPPED_BITS) - 1
    width = float(np.array(end, np.int32).view(np.float32)) if index else 0.0
    return max(math.ceil((1.0 - width) * 2**24) / 2**24, 0.0)


@dataclass
class ClassThresholds:
    """Thresholds with what they keep.

    Attributes:
        theta: (C,) thresholds, 1 for a class without values.
        counts: (C,) values seen.
        requested: (C,) values the portion asks for.
        at_least: (C,) values that reach the threshold; more than requested means ties.
        tie_keep: (C,) share of the values in the threshold's own bin to keep, so that exactly the
            requested number is kept when ties are thinned.
    """

    theta: list[float]
    counts: list[int]
    requested: list[int]
    at_least: list[int]
    tie_keep: list[float]


class ConfidenceHistogram:
    """Per-class confidence histograms filled image by image, at constant memory.

    Args:
        classes: Number of classes C.
        stride: Use every ``stride``-th pixel of a class in raster order of each image, as the code
            does (4); 1 uses all, as the paper says.
        rows: Look at every ``rows``-th band of four rows only (thinner in small maps), starting
            one band later in each image: a sample as large as the code's for 4, at a quarter of
            the work.
        device: Where the histogram lies.
    """

    def __init__(
        self,
        classes: int,
        stride: int = 1,
        rows: int = 1,
        device: str | torch.device = 'cpu',
    ) -> None:
        if stride < 1 or rows < 1:
            raise BenchError(f'stride {stride}, rows {rows}', '1 or more')
        self.classes, self.stride, self.rows = classes, stride, rows
        self.images = 0
        self._total = torch.zeros(classes * BINS, dtype=torch.int64, device=device)
        self._room = Room()
        self._waiting = np.empty(0, np.int64)  # bins that are counted together, on a CPU
        self._filled = 0

    @property
    def counts(self) -> Tensor:
        """Histograms (C * bins,), int64; may be changed in place."""
        if self._filled:
            np.add.at(self._total.numpy(), self._waiting[: self._filled], 1)
            self._filled = 0
        return self._total

    def update(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Add the arg-max confidences of maps (C, H, W); returns ``confidence, label``, flat.

        On a CPU both are overwritten by the next call.
        """
        confidence, labels = self.largest(probabilities)
        self.add(confidence, labels)
        return confidence, labels

    def largest(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """The first half of :meth:`update`: confidence and label of the next image's pixels."""
        height, width = probabilities.shape[-2:]
        ranges = self._ranges(height, width)
        self.images += 1
        return largest(probabilities.flatten(1), ranges, self._room)

    def _ranges(self, height: int, width: int) -> list[tuple[int, int]]:
        """Pixels of the next image to look at."""
        if self.rows == 1:
            return [(0, height * width)]
        band = max(1, min(_BAND, height // (_BAND * self.rows)))
        starts = range(self.images % self.rows * band, height, self.rows * band)
        return [(row * width, min(row + band, height) * width) for row in starts]

    def add(self, confidence: Tensor, labels: Tensor) -> None:
        """Add confidences with their labels, tensors of one shape."""
        confidence, labels = confidence.flatten(), labels.flatten()
        if self.stride > 1:
            chosen = torch.cat(list(self._strided(labels)))
            confidence, labels = confidence[chosen], labels[chosen]
        if self._total.device.type == 'cpu':
            self._count(confidence.float().numpy(), labels.numpy())
        else:
            index = bin_of(confidence).add_(labels.long() * BINS)
            self._total.scatter_add_(0, index, torch.ones_like(index))

    def _count(self, confidence: NDArray, labels: NDArray) -> None:
        """As :func:`bin_of`, into the buffer of what waits: counted many images at a time, the
        histograms are found in the cache."""
        if math.isnan(float(confidence.sum())):
            raise BenchError('a confidence that is not a number', 'probabilities in [0, 1]')
        if not len(self._waiting):
            self._waiting = np.empty(_WAITING, np.int64)
        for start in range(0, len(confidence), _WAITING):
            piece = slice(start, start + _WAITING)
            bits = self._room.bits_of(confidence[piece])
            np.right_shift(bits, _DROPPED_BITS, out=bits)
            np.maximum(bits, _FIRST - 1, out=bits)
            if self._filled + len(bits) > _WAITING:
                self.counts  # noqa: B018
            index = self._waiting[self._filled : self._filled + len(bits)]
            np.multiply(labels[piece], BINS, out=index, dtype=np.int64)
            np.add(index, bits, out=index)
            np.subtract(index, _FIRST - 1, out=index)
            self._filled += len(bits)

    def _strided(self, labels: Tensor) -> Iterator[Tensor]:
        for index in range(self.classes):
            yield torch.nonzero(labels == index).flatten()[:: self.stride]

    def thresholds(
        self, portion: float, policy: Policy = 'class', rounding: Rounding = 'floor'
    ) -> ClassThresholds:
        """Thresholds at most 6.1e-5 below the exact ones; see :func:`exact_thresholds`."""
        require_known('threshold policy', policy, ('class', 'global'))
        table = self.counts.view(self.classes, BINS).cpu().numpy()
        # one list a class, or the pooled list for every class
        lists = [table.sum(axis=0)] * self.classes if policy == 'global' else list(table)
        bins = [_cut(row, portion, rounding) for row in lists]
        pairs = list(zip(table, bins, strict=True))
        counts = [int(row.sum()) for row in table]
        return ClassThresholds(
            theta=[1.0 if b is None else lower_edge(b) for b in bins],
            counts=counts,
            requested=[rank_of(count, portion, rounding) for count in counts],
            at_least=[0 if b is None else int(row[: b + 1].sum()) for row, b in pairs],
            tie_keep=[
                _tie_share(row, b, rank_of(int(row.sum()), portion, rounding))
                for row, b in zip(lists, bins, strict=True)
            ],
        )


def _cut(row: NDArray, portion: float, rounding: Rounding) -> int | None:
    """Bin in which the value of the wanted rank lies; None if the rank is 0."""
    rank = rank_of(int(row.sum()), portion, rounding)
    return int(np.searchsorted(np.cumsum(row), rank)) if rank else None


def _tie_share(row: NDArray, index: int | None, rank: int) -> float:
    """Share of the threshold's bin that makes the kept number equal to the rank."""
    return 1.0 if index is None else (rank - int(row[:index].sum())) / int(row[index])
