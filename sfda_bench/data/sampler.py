"""An infinite sampler that can jump to any position, so that resuming replays nothing.

mmengine's training loop advances the data loader to the saved iteration; with ``skip`` that is one
addition instead of hours of decoding (mmengine #1520, #1633).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from sfda_bench.registry import DATA_SAMPLERS


class PositionedIndex(int):
    """A sample index that knows its place in the stream.

    Data sets seed their augmentation from ``(seed, position)``; the views of a draw therefore do
    not depend on the number of loader workers or on where a run was resumed.

    Args:
        index: Sample index.
        position: Place of this draw in the global stream.
        seed: Seed of the stream.
    """

    position: int
    seed: int

    def __new__(cls, index: int, position: int, seed: int) -> PositionedIndex:
        """Make an int that carries its position and seed."""
        self = super().__new__(cls, index)
        self.position, self.seed = position, seed
        return self

    def __reduce__(self) -> tuple:
        return PositionedIndex, (int(self), self.position, self.seed)


@DATA_SAMPLERS.register_module()
class ResumableSampler(Sampler):
    """Endless stream of shuffled epochs; epoch ``e`` is the permutation seeded by ``(seed, e)``.

    Each rank takes every ``world_size``-th draw, so the global stream, and with it the total batch,
    is the same for any number of GPUs.

    Args:
        dataset: Sized data set.
        shuffle: Whether epochs are permuted.
        seed: Seed; ``None`` draws one that all ranks share.
    """

    def __init__(self, dataset, shuffle: bool = True, seed: int | None = None) -> None:
        self.rank, self.world_size = get_dist_info()
        self.size = len(dataset)
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else int(seed)
        self._start = 0

    def skip(self, num_samples: int) -> None:
        """Drop the first ``num_samples`` draws of this rank from the next iterator."""
        self._start += int(num_samples)

    def _permutation(self, epoch: int) -> list[int]:
        if not self.shuffle:
            return list(range(self.size))
        generator = torch.Generator()
        generator.manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
        return torch.randperm(self.size, generator=generator).tolist()

    def __iter__(self) -> Iterator[PositionedIndex]:
        epoch, order = -1, []
        start, self._start = self._start, 0
        for position in itertools.count(start * self.world_size + self.rank, self.world_size):
            if position // self.size != epoch:
                epoch = position // self.size
                order = self._permutation(epoch)
            yield PositionedIndex(order[position % self.size], position, self.seed)

    def __len__(self) -> int:
        return self.size

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the stream has no epochs to set."""
