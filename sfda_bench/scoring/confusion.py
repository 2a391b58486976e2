"""Confusion counts and the IoU computed from them.

Counts have one row a true class and one column a predicted class, plus a last column for void
predictions (any value outside ``0..K-1``). Pixels whose *truth* is void are not counted. A void
prediction on a valid pixel is therefore a false negative, as in cityscapesscripts
(``getIouScoreForLabel``) and in mmseg's ``IoUMetric``, and cannot be masked out to look better.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfda_bench.errors import BenchError
from sfda_bench.labels import IGNORE

Floats = NDArray[np.float64]


def _as_bytes(labels: np.ndarray, num_classes: int, name: str) -> NDArray[np.uint8]:
    """Labels as uint8, where every value outside ``0..num_classes-1`` stays outside."""
    if labels.dtype == np.uint8:
        return labels
    if not np.issubdtype(labels.dtype, np.integer) and labels.dtype != np.bool_:
        raise BenchError(f'{name} has dtype {labels.dtype}', 'an integer array of class indices')
    inside = (labels >= 0) & (labels < num_classes)
    return np.where(inside, labels, IGNORE).astype(np.uint8)


@cache
def _opencv() -> Any:
    """OpenCV, or ``None``; looked for at the first count, because boards never need it."""
    try:
        import cv2
    except ImportError:
        return None
    return cv2


def _histogram(rows: NDArray[np.uint8], columns: NDArray[np.uint8]) -> np.ndarray:
    """(256, 256) how often each pair of bytes of two contiguous 1-d arrays occurs."""
    cv2 = _opencv()
    # OpenCV returns float32, exact as long as no bin can pass 2**24.
    if cv2 is not None and 0 < rows.size <= 1 << 24:
        pair = [rows.reshape(1, -1), columns.reshape(1, -1)]
        return cv2.calcHist(pair, [0, 1], None, [256, 256], [0, 256, 0, 256]).astype(np.int64)
    index = rows.astype(np.uint16) << 8
    index |= columns
    return np.bincount(index, minlength=1 << 16).reshape(256, 256)


def _joint_histogram(rows: NDArray[np.uint8], columns: NDArray[np.uint8]) -> np.ndarray:
    """(256, 256) how often each pair of bytes occurs.

    Label maps are smooth: most groups of 8 neighbouring pixels hold one pair only, found by
    comparing 64-bit words with themselves rotated by a byte, and count as one. Measured on
    2048 x 1024 pixels, one core: 1.0 ms; OpenCV alone 2.2, one bincount 4.2, look-up tables 12 ms.
    """
    rows, columns = np.ascontiguousarray(rows).ravel(), np.ascontiguousarray(columns).ravel()
    whole = rows.size // 8 * 8
    words = [labels[:whole].view(np.uint64) for labels in (rows, columns)]
    shift, back = np.uint64(8), np.uint64(56)
    same = [((word >> shift) | (word << back)) == word for word in words]
    uniform = same[0] & same[1]
    alike, mixed = np.flatnonzero(uniform), np.flatnonzero(~uniform)
    out = 8 * _histogram(rows[:whole:8][alike], columns[:whole:8][alike])
    out += _histogram(*(word[mixed].view(np.uint8) for word in words))
    return out + _histogram(rows[whole:], columns[whole:])


def confusion_counts(
    prediction: np.ndarray, truth: np.ndarray, num_classes: int, ignore: int = IGNORE
) -> NDArray[np.int64]:
    """Confusion counts of one image.

    Args:
        prediction: Integer array, any shape; values outside ``0..K-1`` are void predictions.
        truth: Integer array of the same shape; ``ignore`` and values outside ``0..K-1`` are void.
        num_classes: K, at most 255.
        ignore: The truth value not scored.

    Returns:
        int64 array (K, K + 1): rows truth, columns prediction, last column void predictions.

    Raises:
        BenchError: If the shapes differ, an array is not of integers, or K is out of range.
    """
    if prediction.shape != truth.shape:
        raise BenchError(
            f'prediction of shape {prediction.shape} for a truth of shape {truth.shape}',
            'equal shapes',
            'resize the prediction to the size of the label before counting',
        )
    if not 0 < num_classes <= 255:
        raise BenchError(f'{num_classes} classes', 'between 1 and 255')
    k = num_classes
    rows = _as_bytes(truth, k, 'truth')
    columns = _as_bytes(prediction, k, 'prediction')
    bins = _joint_histogram(rows, columns)
    counts = np.empty((k, k + 1), dtype=np.int64)
    counts[:, :k] = bins[:k, :k]
    counts[:, k] = bins[:k, k:].sum(axis=1)
    if 0 <= ignore < k:
        counts[ignore] = 0
    return counts


def _check(counts: np.ndarray) -> np.ndarray:
    counts = np.asarray(counts)
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2] + 1:
        raise BenchError(
            f'confusion counts of shape {counts.shape}',
            '(..., K, K + 1) with void predictions in the last column',
        )
    return counts


def intersection_union(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intersection and union pixels a class.

    Args:
        counts: (..., K, K + 1); integers stay exact.

    Returns:
        Two arrays (..., K). Both are sums over pixels, so they may be added over images.
    """
    counts = _check(counts)
    dtype = np.int64 if np.issubdtype(counts.dtype, np.integer) else counts.dtype
    inter = np.diagonal(counts, axis1=-2, axis2=-1).astype(dtype)
    rows = counts.sum(axis=-1, dtype=dtype)
    columns = counts[..., :-1].sum(axis=-2, dtype=dtype)
    return inter, rows + columns - inter


def ratio(intersection: np.ndarray, union: np.ndarray) -> Floats:
    """``intersection / union``, NaN where the union is empty."""
    out = np.full(np.broadcast(intersection, union).shape, np.nan)
    np.divide(intersection, union, out=out, where=np.asarray(union) > 0)
    return out


def iou(counts: np.ndarray) -> Floats:
    """IoU of each class, in 0..1.

    Args:
        counts: (..., K, K + 1), already summed over the images to be scored together.

    Returns:
        (..., K); NaN for a class that is neither in the truth nor predicted.
    """
    return ratio(*intersection_union(counts))


def mean_iou(counts: np.ndarray) -> Floats:
    """Mean IoU over the classes that have one (global counts, Cityscapes' rule), in 0..1.

    Args:
        counts: (..., K, K + 1), already summed over the images to be scored together.

    Returns:
        (...); NaN where no class has an IoU.
    """
    return nan_mean(iou(counts))


def nan_mean(values: np.ndarray, axis: int = -1) -> Floats:
    """Mean over ``axis`` of the values that are not NaN; NaN, without a warning, if none is."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)
        return np.asarray(np.nanmean(values, axis=axis))


def absent(counts: np.ndarray) -> NDArray[np.bool_]:
    """(..., K): classes without a single pixel in the truth.

    Such a class has IoU 0 when it is predicted somewhere and NaN when not; both evaluators we are
    checked against do so, hence it is reported beside the scores.
    """
    return _check(counts).sum(axis=-1) == 0
