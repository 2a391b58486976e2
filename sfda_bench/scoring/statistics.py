"""Statistics on per-image counts: bootstrap intervals, paired tests, corrections, shared ranks.

The unit of resampling is the image. mIoU is a function of sums over images, so a bootstrap sample
is a vector of image weights and all samples together are one matrix product.

Sources: Efron & Tibshirani, An Introduction to the Bootstrap (percentile interval, chapter 13);
Holm 1979; Benjamini & Hochberg 1995.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sfda_bench.errors import BenchError

SAMPLES = 10_000
LEVEL = 0.95
_CHUNK = 2_000  # samples a matrix product: keeps the intermediate arrays in the cache

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Parts:
    """What mIoU is made of: intersection and union, (N, C) pixels an image and class."""

    inter: np.ndarray
    union: np.ndarray

    def __post_init__(self) -> None:
        if self.inter.ndim != 2 or self.inter.shape != self.union.shape:
            raise BenchError(
                f'intersection {self.inter.shape} and union {self.union.shape}',
                'two arrays (images, classes)',
            )

    @property
    def images(self) -> int:
        """N."""
        return len(self.inter)

    def stacked(self) -> Floats:
        """(N, 2C) float64: sums of counts are exact, so pages do not depend on the processor."""
        return np.concatenate([self.inter, self.union], axis=1).astype(np.float64)


@dataclass(frozen=True)
class Comparison:
    """Difference ``a - b`` of two methods in points of mIoU, with interval and two-sided p."""

    difference: float
    low: float
    high: float
    p: float


@lru_cache(maxsize=8)
def bootstrap_weights(images: int, samples: int = SAMPLES, seed: int = 0) -> Floats:
    """(samples, images): how often each image is drawn; every row sums to ``images``.

    The same arguments give the same array, so that methods scored on the same images are
    resampled alike (paired).
    """
    if images < 1 or samples < 1:
        raise BenchError(f'{samples} bootstrap samples of {images} images', 'at least one of each')
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, images, (samples, images), dtype=np.int32)
    draws += np.arange(0, samples * images, images, dtype=np.int32)[:, None]
    weights = np.bincount(draws.ravel(), minlength=samples * images)
    out = weights.reshape(samples, images).astype(np.float64)
    out.flags.writeable = False
    return out


def _class_iou(sums: Floats) -> Floats:
    """(..., 2C) sums -> (..., C) IoU in percent, NaN where the union is empty."""
    classes = sums.shape[-1] // 2
    inter, union = sums[..., :classes], sums[..., classes:]
    if union.size and union.min() > 0:
        return inter / union * 100.0
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.where(union > 0, inter / union, np.nan) * 100.0


def _row_mean(values: np.ndarray) -> Floats:
    valid = ~np.isnan(values)
    if valid.all():
        return values.mean(axis=-1, dtype=np.float64)
    count = valid.sum(axis=-1)
    total = np.where(valid, values, 0).sum(axis=-1, dtype=np.float64)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def bootstrap_all(parts: Sequence[Parts], weights: Floats) -> NDArray[np.float32]:
    """(R, B) mIoU in percent of R results on the same images, one matrix product a chunk.

    Classes that are empty in a sample are left out of its mean.
    """
    pixels = np.concatenate([part.stacked() for part in parts], axis=1)
    # Samples a product, so that the sums of a chunk stay around 20 MB.
    chunk = max(1, min(_CHUNK, 5_000_000 // pixels.shape[1]))
    out = np.empty((len(parts), len(weights)), dtype=np.float32)
    for start in range(0, len(weights), chunk):
        sums = weights[start : start + chunk] @ pixels
        values = _row_mean(_class_iou(sums.reshape(len(sums), len(parts), -1)))
        out[:, start : start + chunk] = values.T
    return out


def bootstrap_miou(parts: Parts, weights: Floats) -> Floats:
    """(B,) mIoU in percent of each bootstrap sample."""
    return bootstrap_all([parts], weights)[0]


def bootstrap_classes(parts: Parts, weights: Floats) -> Floats:
    """(B, C) class IoU in percent of each bootstrap sample, NaN where a class is empty."""
    return _class_iou(weights @ parts.stacked())


def miou(parts: Parts) -> float:
    """MIoU in percent over all images (global counts)."""
    sums = np.concatenate([parts.inter.sum(0), parts.union.sum(0)])[None].astype(np.float64)
    return float(_row_mean(_class_iou(sums))[0])


def percentile_interval(samples: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of the finite samples (linear interpolation); NaN if there is none."""
    finite = samples[np.isfinite(samples)]
    if not finite.size:
        return float('nan'), float('nan')
    # np.quantile does the same at several times the overhead, which a board of many pairs feels.
    places = (len(finite) - 1) * np.array([(1 - level) / 2, (1 + level) / 2])
    below = places.astype(int)
    above = np.minimum(below + 1, len(finite) - 1)
    ordered = np.partition(finite, np.concatenate([below, above]))
    low, high = ordered[below] + (places - below) * (ordered[above] - ordered[below])
    return float(low), float(high)


def image_interval(
    parts: Parts, samples: int = SAMPLES, seed: int = 0, level: float = LEVEL
) -> tuple[float, float]:
    """Bootstrap interval of mIoU in percent."""
    weights = bootstrap_weights(parts.images, samples, seed)
    return percentile_interval(bootstrap_miou(parts, weights), level)


def same_images(a: Parts, b: Parts) -> None:
    """Raise unless two results may be paired."""
    if a.inter.shape != b.inter.shape:
        raise BenchError(
            f'{a.inter.shape} against {b.inter.shape} (images, classes)',
            'the same images and classes for a paired comparison',
        )


def paired_bootstrap(
    a: Parts, b: Parts, samples: int = SAMPLES, seed: int = 0, level: float = LEVEL
) -> Comparison:
    """Compare two methods on the same images by resampling images.

    ``p`` is the normal tail of difference / bootstrap standard error: unlike the share of samples
    beyond zero it has no floor at ``1 / samples``, which a correction over many pairs would hit.
    """
    same_images(a, b)
    weights = bootstrap_weights(a.images, samples, seed)
    drawn = bootstrap_miou(a, weights) - bootstrap_miou(b, weights)
    low, high = percentile_interval(drawn, level)
    difference = miou(a) - miou(b)
    return Comparison(difference, low, high, normal_p(difference, float(np.nanstd(drawn))))


def normal_p(difference: float, error: float) -> float:
    """Two-sided p of a difference with a standard error; 1 for no difference at all."""
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stats.norm.sf(abs(difference) / error))


def paired_permutation(a: Parts, b: Parts, samples: int = SAMPLES, seed: int = 0) -> float:
    """Two-sided p of 'the methods are exchangeable on every image' (swaps within images)."""
    same_images(a, b)
    rng = np.random.default_rng(seed)
    swap = rng.integers(0, 2, (samples, a.images), dtype=np.int8).astype(np.float64)
    pixels_a, pixels_b = a.stacked(), b.stacked()
    moved = swap @ (pixels_b - pixels_a)
    first = _row_mean(_class_iou(pixels_a.sum(0) + moved))
    second = _row_mean(_class_iou(pixels_b.sum(0) - moved))
    observed = abs(miou(a) - miou(b))
    # A hair of slack: rounding must not turn an exact tie into 'less extreme'.
    extreme = np.abs(first - second) >= observed - 1e-5
    return float((1 + extreme.sum()) / (1 + samples))


def adjust(p_values: Sequence[float], method: Literal['holm', 'bh'] = 'holm') -> NDArray:
    """P values corrected for multiple comparisons (Holm: family-wise; BH: false discovery)."""
    p = np.asarray(p_values, dtype=np.float64)
    if method == 'bh':
        return np.asarray(stats.false_discovery_control(p)) if p.size else p
    order = np.argsort(p)
    scaled = p[order] * np.arange(len(p), 0, -1)
    out = np.empty_like(p)
    out[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return out


@dataclass(frozen=True)
class SeedSummary:
    """Mean, standard deviation (ddof 1; None for one seed) and t interval half-width over seeds."""

    mean: float
    std: float | None
    half_width: float | None
    seeds: int


def seed_summary(values: Sequence[float], level: float = LEVEL) -> SeedSummary:
    """Summarise one value a seed."""
    data = np.asarray(values, dtype=np.float64)
    if not data.size:
        raise BenchError('no seed to summarise', 'at least one value')
    if data.size == 1:
        return SeedSummary(float(data[0]), None, None, 1)
    std = float(data.std(ddof=1))
    half = float(stats.t.ppf(0.5 + level / 2, data.size - 1) * std / np.sqrt(data.size))
    return SeedSummary(float(data.mean()), std, half, int(data.size))
