"""Class-balanced confidence thresholds: exact by sorting, and streaming by histograms.

Zou et al., CBST, ECCV 2018, and CRST, ICCV 2019; official code ``kc_parameters`` (PyTorch) and
``solve_ST.py`` (MXNet). The streaming form keeps one histogram a class, whatever the number of
images; the sort is its reference in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sfda_bench.adapt.fused import Room, largest
from sfda_bench.adapt.host import class_counts
from sfda_bench.errors import BenchError, require_known

Policy = Literal['class', 'global']
Rounding = Literal['floor', 'round']

#: Bins of 1 - p: bin 0 is p = 1 exactly, then 512 to an octave from the least step of float32
#: below 1 on, so that they are ever finer towards 1, where trained networks crowd; from 1/32 on
#: 2^-14 (6.1e-5) wide, so that the whole table stays in the cache.
_LINEAR = 1 << 14
_OCTAVE_BITS = 9
_OCTAVES = 19  # 2^-24 to 2^-5, where an octave's bins are nearly as wide as the linear ones
_SHIFT = 23 - _OCTAVE_BITS
_FIRST = (127 - 24) << _OCTAVE_BITS
_BEND = 2.0 ** (_OCTAVES - 24)
_LOGARITHMIC = (_OCTAVES << _OCTAVE_BITS) + 1
_OFFSET = _LOGARITHMIC - int(_LINEAR * _BEND)
BINS = _OFFSET + _LINEAR + 1
_BAND = 4  # rows


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
    width = (1.0 - confidence.float()).clamp_(0.0, 1.0)
    fine = ((width.view(torch.int32) >> _SHIFT) - (_FIRST - 1)).clamp_(min=0)
    coarse = (width * _LINEAR).int() + _OFFSET
    return torch.where(width < _BEND, fine, coarse).long()


def lower_edge(index: int) -> float:
    """Least float32 confidence of a bin; below 1/2 within 3e-8, where 1 - p is rounded."""
    if index >= _LOGARITHMIC:
        return max(1 - (index + 1 - _OFFSET) / _LINEAR + 2**-24, 0.0)
    end = ((_FIRST + index) << _SHIFT) - 1
    width = float(np.array(end, np.int32).view(np.float32)) if index else 0.0
    return math.ceil((1.0 - width) * 2**24) / 2**24


@dataclass
class ClassThresholds:
    """Thresholds with what they keep.

    Attributes:
        theta: (C,) thresholds, 1 for a class without values.
        counts: (C,) values seen.
        requested: (C,) values the portion asks for; with one pooled threshold only their sum
            is what was asked for.
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
        #: Histograms (C * bins,), int64; may be changed in place.
        self.counts = torch.zeros(classes * BINS, dtype=torch.int64, device=device)
        self._sound = torch.ones((), dtype=torch.bool, device=device)
        self._room = Room()

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

    def add(self, confidence: Tensor, labels: Tensor, kept: Tensor | None = None) -> None:
        """Add confidences with their labels, tensors of one shape: one image, in raster order.

        On a device this does not wait, so that what it refuses is refused by :meth:`check`.

        Args:
            confidence: In [0, 1].
            labels: Below C.
            kept: Which of them to add, bool; ``None``: all.

        Raises:
            BenchError: A confidence is not a number, or a label is none of the classes.
        """
        confidence, labels = confidence.flatten(), labels.flatten()
        if self.counts.device.type != 'cpu':
            self._sound &= self._scatter(confidence, labels, kept)
        else:
            if kept is not None:
                confidence, labels = confidence[kept], labels[kept]
            table = self.counts.view(self.classes, BINS).numpy()
            if not _count(confidence.float().numpy(), labels.numpy(), self.stride, table):
                self._sound.fill_(False)
            self.check()

    def check(self) -> None:
        """Refuse what was added if not all of it could be.

        Raises:
            BenchError: See :meth:`add`.
        """
        if not bool(self._sound):
            raise BenchError(
                'a confidence that is not a number, or a label that is no class',
                f'probabilities in [0, 1], labels below {self.classes}',
            )

    def _scatter(self, confidence: Tensor, labels: Tensor, kept: Tensor | None = None) -> Tensor:
        """As :func:`_count`, with tensor operations that never wait; nothing is added if False."""
        sound = (confidence == confidence) & (labels >= 0) & (labels < self.classes)
        labels = torch.where(sound, labels.long(), 0)
        confidence = torch.where(sound, confidence, 0.0)
        added = sound.all().expand(len(labels))
        added = added if kept is None else added & kept
        if self.stride > 1:
            # by class and in order of the raster; what is not added comes last, as a class more
            labels, order = torch.where(added, labels, self.classes).sort(stable=True)
            counts = class_counts(labels, self.classes + 1)
            first = counts.cumsum(0) - counts
            place = torch.arange(len(labels), device=labels.device) - first[labels]
            added = (labels < self.classes) & (place % self.stride == 0)
            confidence, labels = confidence[order], labels.clamp(max=self.classes - 1)
        index = bin_of(confidence).add_(labels * BINS)
        self.counts.scatter_add_(0, index, added.long())
        return sound.all()

    def thresholds(
        self, portion: float, policy: Policy = 'class', rounding: Rounding = 'floor'
    ) -> ClassThresholds:
        """Thresholds at most 6.1e-5 below the exact ones; see :func:`exact_thresholds`."""
        require_known('threshold policy', policy, ('class', 'global'))
        self.check()
        table = self.counts.view(self.classes, BINS).cpu().numpy()
        # one list a class, or the pooled list for every class
        lists = [table.sum(axis=0)] * self.classes if policy == 'global' else list(table)
        bins = [_cut(row, portion, rounding) for row in lists]
        pairs = list(zip(table, bins, strict=True))
        counts = [int(row.sum()) for row in table]
        return ClassThresholds(
            theta=[1.0 if b is None else lower_edge(b) or 1.0 for b in bins],
            counts=counts,
            requested=[rank_of(count, portion, rounding) for count in counts],
            at_least=[0 if b is None else int(row[: b + 1].sum()) for row, b in pairs],
            tie_keep=[
                _tie_share(row, b, rank_of(int(row.sum()), portion, rounding))
                for row, b in zip(lists, bins, strict=True)
            ],
        )


@numba.njit(nogil=True)
def _count(confidence: NDArray, labels: NDArray, stride: int, table: NDArray) -> bool:
    """As :func:`bin_of`, into ``table`` (C, bins); False for what :meth:`add` refuses."""
    zero, one = np.float32(0), np.float32(1)
    bend, linear = np.float32(_BEND), np.float32(_LINEAR)
    skip = np.zeros(len(table), np.int64)  # pixels of each class to pass over
    for i in range(len(labels)):
        label = labels[i]
        if not 0 <= label < len(table):  # compiled code would write anywhere
            return False
        if stride > 1:
            if skip[label]:
                skip[label] -= 1
                continue
            skip[label] = stride - 1
        width = one - confidence[i]
        if width != width:
            return False
        width = np.float32(min(max(width, zero), one))
        if width < bend:
            index = max((width.view(np.int32) >> _SHIFT) - (_FIRST - 1), 0)
        else:
            index = np.int32(width * linear) + _OFFSET
        table[label, np.uint64(index)] += 1
    return True


def compile_now() -> None:
    """Compile what a CPU needs, before the first map: processes forked from this one have it."""
    ConfidenceHistogram(2).update(torch.zeros(2, 1, 1))


def _cut(row: NDArray, portion: float, rounding: Rounding) -> int | None:
    """Bin in which the value of the wanted rank lies; None if the rank is 0."""
    rank = rank_of(int(row.sum()), portion, rounding)
    return int(np.searchsorted(np.cumsum(row), rank)) if rank else None


def _tie_share(row: NDArray, index: int | None, rank: int) -> float:
    """Share of the threshold's bin that makes the kept number equal to the rank."""
    return 1.0 if index is None else (rank - int(row[:index].sum())) / int(row[index])
