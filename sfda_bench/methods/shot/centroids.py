"""SHOT's labels: the nearest centroid by cosine, centroids twice, streamed over the data set.

Source: SHOT (arXiv 2002.08546), code tim-learn/SHOT; formulae from its spec sheet. Samples are
pixels. Three passes give what the code gets with all features in memory:

1. sums by the soft-max (``gathered``), counts of the arg-max -> first centroids;
2. labels by the first centroids, sums and counts by them -> second centroids;
3. labels by the second centroids.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from sfda_bench.adapt.host import class_counts
from sfda_bench.errors import BenchError, DataError

#: Added to the mass of a class before it divides.
MASS = 1e-8


def with_one(features: Tensor) -> Tensor:
    """Features (D, ...) with a constant 1 appended, then of unit length: (D + 1, ...)."""
    return normalize(torch.cat([features, torch.ones_like(features[:1])]), dim=0)


@dataclass
class Centroids:
    """Sums of a pass over the data.

    Attributes:
        sums: (C, D + 1) of features by class, float64.
        mass: (C,) weights that they were added with.
        counts: (C,) pixels of each class, by the labels that this pass found.
    """

    sums: Tensor
    mass: Tensor
    counts: Tensor

    @staticmethod
    def empty(classes: int, channels: int, device: torch.device | str = 'cpu') -> Centroids:
        """Nothing seen: C classes, D + 1 channels."""
        shapes = ((classes, channels), (classes,), (classes,))
        return Centroids(*(torch.zeros(s, dtype=torch.float64, device=device) for s in shapes))

    def gather(self, features: Tensor, weights: Tensor, labels: Tensor) -> None:
        """Add pixels.

        Args:
            features: (D + 1, P) of unit length.
            weights: (C, P), probabilities or one-hot labels.
            labels: (P,), which are counted.
        """
        self.sums += (weights @ features.t()).double()
        self.mass += weights.sum(dim=1, dtype=torch.float64)
        self.counts += class_counts(labels, len(self.counts))

    @property
    def means(self) -> Tensor:
        """Centroids (C, D + 1)."""
        return self.sums / (MASS + self.mass).unsqueeze(1)

    def nearest(self, features: Tensor, min_count: int = 0) -> Tensor:
        """The class (P,) with the centroid of the largest cosine to each of features (D + 1, P).

        Args:
            features: Of unit length.
            min_count: Only classes with more pixels than that take part; see :meth:`require`.
        """
        allowed = self.counts > min_count
        directions = normalize(self.means, dim=1).to(features)
        cosine = directions @ features
        return cosine.masked_fill_(~allowed.unsqueeze(1), float('-inf')).argmax(dim=0)

    def require(self, min_count: int) -> Centroids:
        """Itself; waits for the host, so once and not for every image.

        Raises:
            BenchError: No class has more pixels than ``min_count``.
        """
        if not bool((self.counts > min_count).any()):
            raise BenchError(f'no class with more than {min_count} pixels', 'a lower min_count')
        return self

    def save(self, path: Path) -> None:
        """Write a ``.npz`` file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        parts = {name: getattr(self, name).cpu().numpy() for name in ('sums', 'mass', 'counts')}
        np.savez(path, **parts)

    @staticmethod
    def load(path: str | Path) -> Centroids:
        """Read what :meth:`save` wrote.

        Raises:
            DataError: It is missing or not such a file.
        """
        try:
            with np.load(path) as found:
                parts = [torch.from_numpy(found[name]) for name in ('sums', 'mass', 'counts')]
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f'cannot read centroids from {path}: {error}') from error
        return Centroids(*parts)

    def to(self, device: torch.device) -> Centroids:
        """The same on another device."""
        return Centroids(self.sums.to(device), self.mass.to(device), self.counts.to(device))


def first_pass(gathered: Centroids, features: Tensor, probabilities: Tensor) -> None:
    """Add pixels by their soft-max: features (D + 1, P), probabilities (C, P)."""
    gathered.gather(features, probabilities.to(features), probabilities.argmax(dim=0))


def second_pass(
    gathered: Centroids, features: Tensor, first: Centroids, min_count: int = 0
) -> None:
    """Add pixels (D + 1, P) by the labels that the first centroids give them."""
    labels = first.nearest(features, min_count)
    weights = one_hot(labels, len(gathered.counts)).t().to(features)
    gathered.gather(features, weights, labels)
