"""Pairs of data sets: each branch draws for itself."""

from __future__ import annotations

import numpy as np
import pytest
from torch.utils.data import Dataset

from sfda_bench.data.draws import PositionedDraws
from sfda_bench.data.pseudo import PairedDatasets
from sfda_bench.data.sampler import PositionedIndex
from sfda_bench.registry import DATASETS

DRAWS = 400


class _Uniform(Dataset):
    """What the pipeline of an item would draw first."""

    def __getitem__(self, index: int) -> float:
        return float(np.random.random())

    def __len__(self) -> int:
        return 10


@DATASETS.register_module(force=True)
class DrawsOfAnItem(PositionedDraws, _Uniform):
    """Items are the draws that their place in the stream gives."""


def drawn(seed: int, branches: tuple[str, ...] = ('source', 'middle', 'target')) -> np.ndarray:
    """First draw of each branch (DRAWS, branches)."""
    pair = PairedDatasets({name: {'type': 'DrawsOfAnItem'} for name in branches})
    items = [pair[PositionedIndex(i % 10, i, seed)] for i in range(DRAWS)]
    return np.array([[item[name] for name in branches] for item in items])


@pytest.mark.parametrize('seed', [0, 1, 2, 31, 1000])
def test_branches_draw_independently(seed: int) -> None:
    found = drawn(seed)
    correlation = np.corrcoef(found.T) - np.eye(3)
    # 400 independent pairs: a standard deviation of 0.05
    assert np.abs(correlation).max() < 0.2
    same_flip = (found[:, :1] < 0.5) == (found[:, 1:] < 0.5)
    assert (abs(same_flip.mean(axis=0) - 0.5) < 0.1).all()


def test_seeds_share_no_branch() -> None:
    seeds = (0, 1, 2, 31, 32, 62, 1000)
    columns = np.concatenate([drawn(seed) for seed in seeds], axis=1)
    correlation = np.corrcoef(columns.T) - np.eye(3 * len(seeds))
    assert np.abs(correlation).max() < 0.25
    assert np.array_equal(drawn(3), drawn(3))


def test_the_order_of_a_branch_is_its_own() -> None:
    class Places(_Uniform):
        def __getitem__(self, index: int) -> int:
            return int(index)

    DATASETS.register_module(name='PlacesOfItems', force=True, module=Places)
    pair = PairedDatasets({name: {'type': 'PlacesOfItems'} for name in ('a', 'b', 'c')})
    items = [pair[PositionedIndex(i % 10, i, 0)] for i in range(400)]
    orders = np.array([[item[name] for name in 'abc'] for item in items])
    for first in range(0, 400, 10):
        epoch = orders[first : first + 10]
        assert all(sorted(epoch[:, k]) == list(range(10)) for k in range(3))
    assert abs(np.corrcoef(orders[:, 0], orders[:, 1])[0, 1]) < 0.2
