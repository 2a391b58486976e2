"""``tools/benchmark.py validators``: the one-pass sums against a plain implementation."""

from __future__ import annotations

import numpy as np

from sfda_bench.benchmarks.scoring import best_time
from sfda_bench.scoring.prediction_statistics import Statistics, statistics_of

CLASSES, HEIGHT, WIDTH = 19, 128, 256
#: What is promised for so many maps of a head, on one core.
MAPS, SECONDS = 500, 2.0


def maps(count: int) -> list[np.ndarray]:
    """Logits (19, 128, 256) float32, smooth and confident as a network's are."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        coarse = rng.normal(size=(CLASSES, HEIGHT // 8, WIDTH // 8)) * 4
        logits = np.kron(coarse, np.ones((1, 8, 8))) + rng.normal(size=(CLASSES, HEIGHT, WIDTH))
        found.append(logits.astype(np.float32))
    return found


def plain(logits: np.ndarray) -> Statistics:
    """The same sums as the formulae say, whole maps in float64."""
    z = logits.reshape(len(logits), -1).astype(np.float64)
    p = np.exp(z - z.max(axis=0))
    p /= p.sum(axis=0)
    logs = np.log(p)
    entropy = -(p * logs).sum(axis=0)
    labels = p.argmax(axis=0)
    weight = 1 + np.exp(-entropy)
    series = 1 + z + z**2 / 2
    series -= series.min(axis=0)
    series /= series.sum(axis=0)
    found = {
        'pixels': z.shape[1],
        'probability': p.sum(axis=1),
        'product': np.einsum('in,jn->ij', p, p),
        'entropy': entropy.sum(),
        'class_entropy': np.bincount(labels, weights=entropy, minlength=len(z)),
        'top': p.max(axis=0).sum(),
        'fourth': (p**4).sum(),
        'histogram': np.bincount(labels, minlength=len(z)),
        'weight': weight.sum(),
        'weighted_product': np.einsum('n,in,jn->ij', weight, p, p),
        'logarithm': logs.sum(),
        'taylor': (series**4).sum(),
    }
    return Statistics.from_arrays({name: np.asarray(v)[None] for name, v in found.items()})


def measure(count: int = 20, repeat: int = 5) -> dict[str, float]:
    """CPU seconds of 500 maps of each side, their ratio, and the bytes kept of an image."""
    data = maps(count)
    ours = best_time(lambda: [statistics_of(one) for one in data], repeat) / count
    slow = best_time(lambda: [plain(one) for one in data], max(1, repeat // 3)) / count
    kept = sum(value.nbytes for value in statistics_of(data[0]).arrays().values())
    return {
        'seconds': MAPS * ours,
        'plain_seconds': MAPS * slow,
        'ratio': slow / ours,
        'bytes_an_image': float(kept),
    }
