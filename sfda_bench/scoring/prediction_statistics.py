"""Sums over the pixels of a prediction from which label-free validators are computed.

One pixel is one sample; the logits are those of the head, before any enlarging, over all classes
of the network. The sums are kept an image, so that a validator takes weights of images and has a
bootstrap over them. Probabilities are in the type of the logits; sums over blocks are float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sfda_bench.errors import BenchError

Floats = NDArray[np.float64]
#: Pixels of a block: with 19 classes its arrays stay in a core's own cache.
BLOCK = 2048

T = TypeVar('T', bound='_Sums')


@dataclass(frozen=True)
class _Sums:
    """Float64 arrays with one leading axis: images."""

    @classmethod
    def stack(cls: type[T], images: Sequence[T]) -> T:
        """The images of several in one."""
        names = [field.name for field in fields(cls)]
        return cls(**{n: np.concatenate([getattr(image, n) for image in images]) for n in names})

    @classmethod
    def from_arrays(cls: type[T], arrays: Mapping[str, np.ndarray]) -> T:
        """Of arrays by field name, as :meth:`arrays` gives them."""
        return cls(**{f.name: np.asarray(arrays[f.name], np.float64) for f in fields(cls)})

    def arrays(self) -> dict[str, Floats]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def take(self: T, images: np.ndarray) -> T:
        """Some images, in that order, perhaps repeatedly."""
        return type(self)(**{name: value[images] for name, value in self.arrays().items()})

    def total(self: T, weights: np.ndarray | None = None) -> T:
        """Sums over all images, as one image.

        Args:
            weights: How often each image counts (M,), ``None`` = once.
        """
        return type(self)(
            **{
                name: value.sum(axis=0, keepdims=True)
                if weights is None
                else np.tensordot(np.asarray(weights, np.float64), value, 1)[None]
                for name, value in self.arrays().items()
            }
        )


@dataclass(frozen=True)
class Statistics(_Sums):
    """Sums over one view of each of M images, for K classes.

    Attributes:
        pixels: N, their number (M,).
        probability: S1, sum of the probabilities (M, K).
        product: S2, sum of their outer products (M, K, K).
        entropy: SH, sum of the entropies in nats (M,).
        class_entropy: SHc, the same by predicted class (M, K).
        top: SM, sum of the largest probability (M,).
        fourth: S4, sum of the fourth powers of all probabilities (M,).
        histogram: h, pixels by predicted class (M, K).
        weight: Sw, sum of w = 1 + exp(-entropy) (M,).
        weighted_product: S2w, sum of w times the outer product (M, K, K).
        logarithm: Sum of the logarithms of all probabilities (M,).
        taylor: As ``fourth``, of the normalised Taylor series of MaNo (M,).
    """

    pixels: Floats
    probability: Floats
    product: Floats
    entropy: Floats
    class_entropy: Floats
    top: Floats
    fourth: Floats
    histogram: Floats
    weight: Floats
    weighted_product: Floats
    logarithm: Floats
    taylor: Floats

    @property
    def classes(self) -> int:
        """K."""
        return self.probability.shape[1]


@dataclass(frozen=True)
class ViewStatistics(_Sums):
    """Sums over two views of the same pixels of M images.

    Attributes:
        confusion: Pixels by predicted class in the first and the second view (M, K, K).
        divergence: Sum of the Jensen-Shannon divergences in nats (M,).
        invariance: Sum of sqrt(largest probability x that of the other view) where both predict
            the same class (M,).
    """

    confusion: Floats
    divergence: Floats
    invariance: Floats


def statistics_of(logits: np.ndarray, valid: np.ndarray | None = None) -> Statistics:
    """Sums over one image.

    Args:
        logits: (K, H, W) or (K, N), float32 or float64.
        valid: Which pixels count, of the shape of one map; all by default.

    Raises:
        BenchError: Another shape, no pixel, or a value that is not finite.
    """
    flat = _flat(logits, valid)
    parts = [_sums(block) for block in _blocks(flat)]
    return Statistics.from_arrays({**_added(parts), 'pixels': np.array([flat.shape[1]])})


def view_statistics(
    first: np.ndarray, second: np.ndarray, valid: np.ndarray | None = None
) -> ViewStatistics:
    """Sums over two views of one image, brought into register.

    Args:
        first: Logits as for :func:`statistics_of`.
        second: Those of the other view.
        valid: Which pixels count.

    Raises:
        BenchError: See :func:`statistics_of`; or the shapes differ.
    """
    if first.shape != second.shape:
        raise BenchError(f'views of shapes {first.shape} and {second.shape}', 'equal shapes')
    views = zip(_blocks(_flat(first, valid)), _blocks(_flat(second, valid)), strict=True)
    return ViewStatistics.from_arrays(_added([_pair_sums(one, other) for one, other in views]))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (K, ...) over the first axis."""
    powers = np.exp(logits - logits.max(axis=0))
    return powers / powers.sum(axis=0)


def sampled_pixels(height: int, width: int, count: int) -> NDArray[np.int64]:
    """Flat indices of at most ``count`` pixels spread evenly over a map, always the same ones.

    The points of Roberts' R2 sequence; all pixels if there are no more than ``count``.
    """
    if height * width <= count:
        return np.arange(height * width)
    plastic = 1.324717957244746
    steps = np.arange(1, count + 1)
    rows = np.floor((0.5 + steps / plastic) % 1 * height).astype(np.int64)
    columns = np.floor((0.5 + steps / plastic**2) % 1 * width).astype(np.int64)
    return np.unique(rows * width + columns)


def _flat(logits: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """(K, N) of the pixels that count."""
    if logits.ndim < 2 or logits.dtype not in (np.float32, np.float64):
        raise BenchError(
            f'logits of shape {logits.shape} and type {logits.dtype}', '(K, H, W) of float32'
        )
    flat = logits.reshape(logits.shape[0], -1)
    if valid is not None:
        flat = flat[:, np.asarray(valid, bool).ravel()]
    if not flat.size:
        raise BenchError(f'logits {flat.shape} of no pixel', 'at least one pixel that counts')
    return flat


def _added(parts: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The sums of all blocks of one image, with an axis for it."""
    total = {name: np.asarray(sum(part[name] for part in parts))[None] for name in parts[0]}
    wrong = [name for name, value in total.items() if not np.isfinite(value).all()]
    if wrong:
        raise BenchError(f'logits whose {wrong[0]} is not finite', 'finite logits')
    return total


def _blocks(flat: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, flat.shape[1], BLOCK):
        yield flat[:, start : start + BLOCK]


def _sums(block: np.ndarray) -> dict[str, Any]:
    """Sums over a block (K, n), float64."""
    shifted = block - block.max(axis=0)
    p = np.exp(shifted)
    total = p.sum(axis=0)
    p /= total
    logarithm = np.log(total)
    work = p * shifted
    # ln sum exp z - sum p z: no logarithm of a probability that is 0
    entropy = logarithm - work.sum(axis=0)
    weight = 1 + np.exp(-entropy)
    # sums by matrix products; numpy gives `p @ p.T` to a routine that is slower than a copy
    ones, chosen = np.ones_like(entropy), _one_hot(shifted)
    np.copyto(work, p)
    product = _wide(work @ p.T)
    np.multiply(p, weight, out=work)
    weighted = _wide(work @ p.T)
    squares = np.multiply(p, p, out=work).ravel()
    return {
        'probability': _wide(p @ ones),
        'product': product,
        'entropy': entropy.sum(dtype=np.float64),
        'class_entropy': _wide(chosen @ entropy),
        'top': (1 / total).sum(dtype=np.float64),
        'fourth': np.float64(squares @ squares),
        'histogram': _wide(chosen @ ones),
        'weight': weight.sum(dtype=np.float64),
        'weighted_product': weighted,
        'logarithm': _wide(shifted @ ones).sum() - len(block) * logarithm.sum(dtype=np.float64),
        'taylor': _taylor(block, work),
    }


def _wide(values: np.ndarray) -> Floats:
    return values.astype(np.float64)


def _one_hot(shifted: np.ndarray) -> np.ndarray:
    """1 at the predicted class of each pixel (K, n), the first of several that are equal."""
    highest = shifted == 0
    if np.count_nonzero(highest) != shifted.shape[1]:
        highest = np.arange(len(shifted))[:, None] == shifted.argmax(axis=0)
    return highest.astype(shifted.dtype)


def _taylor(block: np.ndarray, series: np.ndarray) -> Floats:
    """Sum of the fourth powers of MaNo's normalised Taylor series, 1 + z + z^2 / 2 less its least.

    A pixel whose logits are all alike counts as the uniform distribution. ``series`` is written to.
    """
    # 1 + z + z^2 / 2 = ((z + 1)^2 + 1) / 2, whose constants fall out
    np.add(block, 1, out=series)
    series *= series
    series -= series.min(axis=0)
    total = series.sum(axis=0)
    if not total.all():
        flat = total == 0
        series[:, flat], total[flat] = 1, len(block)
    series /= total
    series *= series
    return np.float64(series.ravel() @ series.ravel())


def _pair_sums(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """Sums over a block of both views, float64."""
    (p, entropy_p, chosen_p), (q, entropy_q, chosen_q) = map(_distribution, (first, second))
    middle = (p + q) / 2
    tiny = np.finfo(middle.dtype).tiny
    entropy = -(middle * np.log(np.maximum(middle, tiny))).sum(axis=0)
    agree = (chosen_p * chosen_q).sum(axis=0)
    invariance = agree * np.sqrt(p.max(axis=0) * q.max(axis=0))
    return {
        'confusion': _wide(chosen_p @ chosen_q.T),
        'divergence': (entropy - (entropy_p + entropy_q) / 2).sum(dtype=np.float64),
        'invariance': invariance.sum(dtype=np.float64),
    }


def _distribution(block: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, entropies and one-hot predictions of a block."""
    shifted = block - block.max(axis=0)
    p = softmax(block)
    entropy = np.log(np.exp(shifted).sum(axis=0)) - (p * shifted).sum(axis=0)
    return p, entropy, _one_hot(shifted)
