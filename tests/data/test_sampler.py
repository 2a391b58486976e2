from __future__ import annotations

import itertools
import pickle

import pytest

from sfda_bench.data import sampler as module
from sfda_bench.data.sampler import PositionedIndex, ResumableSampler


def draws(sampler, count: int) -> list[tuple[int, int]]:
    return [(int(i), i.position) for i in itertools.islice(sampler, count)]


def test_each_epoch_is_a_permutation_and_epochs_differ():
    stream = [i for i, _ in draws(ResumableSampler(range(10), seed=3), 20)]
    assert sorted(stream[:10]) == sorted(stream[10:]) == list(range(10))
    assert stream[:10] != stream[10:]


@pytest.mark.parametrize('done', [0, 1, 9, 10, 25])
def test_skipping_equals_having_drawn(done):
    whole = draws(ResumableSampler(range(10), seed=3), 40)
    resumed = ResumableSampler(range(10), seed=3)
    resumed.skip(done)
    assert draws(resumed, 40 - done) == whole[done:]


def test_ranks_share_one_global_stream(monkeypatch):
    whole = draws(ResumableSampler(range(7), seed=1), 24)
    parts = []
    for rank in range(3):
        monkeypatch.setattr(module, 'get_dist_info', lambda rank=rank: (rank, 3))
        part = ResumableSampler(range(7), seed=1)
        part.skip(2)
        parts += draws(part, 6)
    assert sorted(parts, key=lambda item: item[1]) == whole[6:]


def test_a_positioned_index_survives_the_way_to_a_worker():
    index = pickle.loads(pickle.dumps(PositionedIndex(4, 17, 2)))
    assert (index, index.position, index.seed) == (4, 17, 2)
