"""Soft neighbourhood density and validators over a pool: they need predictions of single pixels.

SND (ICCV 2021) and EnsV (NeurIPS 2024). Each takes a sample of pixels, always the same ones
(``sampled_pixels``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sfda_bench.errors import BenchError
from sfda_bench.scoring.validators import entropy_of, label_miou

Floats = NDArray[np.float64]
TEMPERATURE = 0.05
#: The matrix of similarities of so many pixels takes 32 MB.
MOST_PIXELS = 2000
#: The authors' segmentation code takes so many pixels of each image.
PIXELS_AN_IMAGE = 100


def density(vectors: np.ndarray, temperature: float, with_self: bool) -> Floats:
    """Entropy of each vector's soft neighbourhood (n,): of its similarities to all, as a soft-max.

    Args:
        vectors: (n, K); their length does not count.
        temperature: Of the soft-max over cosines.
        with_self: Whether a vector is its own neighbour; the cosine to itself is else taken as -1,
            as in the authors' code.
    """
    vectors = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    cosines = unit @ unit.T
    if not with_self:
        np.fill_diagonal(cosines, -1)
    scaled = (cosines - cosines.max(axis=1, keepdims=True)) / temperature
    weights = np.exp(scaled)
    return entropy_of(weights / weights.sum(axis=1, keepdims=True))


def snd(probabilities: np.ndarray, temperature: float = TEMPERATURE) -> float:
    """SND of the probabilities (n, K) of all images together, a pixel not its own neighbour."""
    return float(density(_thinned(probabilities), temperature, False).mean())


def snd_logits(logits: np.ndarray, temperature: float = TEMPERATURE) -> float:
    """The same of logits (n, K): what MixVal and EnsV call SND."""
    return float(density(_thinned(logits), temperature, False).mean())


def snd_seg(
    probabilities: np.ndarray, images: np.ndarray, temperature: float = TEMPERATURE
) -> float:
    """SND of the authors' segmentation code: an image at a time, a pixel its own neighbour.

    Args:
        probabilities: (n, K).
        images: Index of the image of each (n,); up to 100 of an image are taken.
        temperature: Of the soft-max over cosines.
    """
    found = []
    for image in np.unique(images):
        own = _thinned(probabilities[images == image], PIXELS_AN_IMAGE)
        found.append(density(own, temperature, True).mean())
    return float(np.mean(found))


def _thinned(values: np.ndarray, most: int = MOST_PIXELS) -> np.ndarray:
    """At most so many rows, evenly spaced."""
    count = len(values)
    return values if count <= most else values[np.arange(most) * count // most]


# --- a pool -------------------------------------------------------------------------------------


def ensemble_labels(pool: Sequence[np.ndarray]) -> NDArray[np.int64]:
    """Arg-max of the mean probability (n, K) of all models of a pool."""
    if len({member.shape for member in pool}) != 1:
        raise BenchError(
            f'a pool of predictions of shapes {sorted({member.shape for member in pool})}',
            'the same pixels of the same images for every model',
        )
    return np.sum(pool, axis=0, dtype=np.float64).argmax(axis=1)


def joint(first: np.ndarray, second: np.ndarray, classes: int) -> Floats:
    """How often each pair of labels occurs (K, K)."""
    pairs = np.asarray(first, np.int64) * classes + second
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype(np.float64)


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Share of equal labels: with the pool's (EnsV), or with the source model's, a control."""
    return float(np.mean(np.asarray(first) == second))


def agreement_miou(first: np.ndarray, second: np.ndarray, classes: int) -> float:
    """Mean IoU of two label vectors over the classes that one of them has."""
    return label_miou(joint(first, second, classes))


def ensv(pool: Sequence[np.ndarray]) -> list[float]:
    """EnsV of each model: share of pixels labelled as the mean of the whole pool labels them.

    Args:
        pool: Probabilities (n, K) of each model, on the same pixels.
    """
    vote = ensemble_labels(pool)
    return [agreement(member.argmax(axis=1), vote) for member in pool]


def ensv_miou(pool: Sequence[np.ndarray]) -> list[float]:
    """The same as a mean IoU, which gives weight to small classes."""
    vote = ensemble_labels(pool)
    return [agreement_miou(member.argmax(axis=1), vote, member.shape[1]) for member in pool]
