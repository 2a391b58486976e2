"""Positioned draws: the random numbers of an item depend on its place in the stream alone.

mmengine seeds loader workers once, so augmentation depends on how many workers there are and on
where a resumed run starts. Here an index that carries ``position`` and ``seed`` (see
:mod:`sfda_bench.data.sampler`) seeds all generators for the time its pipeline runs.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def seeded(seed: int, position: int) -> Iterator[None]:
    """Seed ``random``, ``np.random`` and torch's CPU generator; restore all three afterwards."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    words = np.random.SeedSequence([seed, position]).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    torch.default_generator.manual_seed(int(words[2]))
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


class PositionedDraws:
    """Mixin for data sets: honours the ``position`` and ``seed`` of the index it is given."""

    def __getitem__(self, idx: int) -> Any:
        position = getattr(idx, 'position', None)
        if position is None:
            return super().__getitem__(idx)  # type: ignore[misc]
        with seeded(int(getattr(idx, 'seed', 0)), int(position)):
            return super().__getitem__(int(idx))  # type: ignore[misc]
