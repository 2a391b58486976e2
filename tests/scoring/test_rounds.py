"""Streams of several rounds: names, scores a round, counts added up."""

from __future__ import annotations

import numpy as np

from sfda_bench.scoring.protocols import load_scoring
from sfda_bench.scoring.rounds import by_round, merge_rounds
from sfda_bench.scoring.scores import score
from sfda_bench.stream_ids import round_id, split_round


def test_ids_name_the_round_only_where_there_are_several():
    assert round_id('aachen/a', 1, 1) == 'aachen/a'
    assert round_id('aachen/a', 12, 12) == 'round12/aachen/a'
    assert split_round('round12/aachen/a') == (12, 'aachen/a')
    assert split_round('roundabout/a') == (0, 'roundabout/a')


def test_rounds_are_scored_apart_and_added_up_for_the_whole():
    protocol = load_scoring('acdc19@1')
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 50, (6, 19, 20)).astype(np.uint32)
    ids = [f'round{r}/{name}' for r in (1, 2) for name in 'cab']
    tags = ['fog', 'night', 'fog'] * 2
    found = by_round(counts, ids, tags, protocol)
    assert list(found) == [1, 2]
    assert found[2] == score(counts[3:], tags[3:], protocol)
    assert set(found[1].per_condition) == {'fog', 'night'}
    merged, names, conditions = merge_rounds(counts, ids, tags)
    assert names == ['c', 'a', 'b'] and conditions == ['fog', 'night', 'fog']
    assert (merged == counts[:3].astype(int) + counts[3:]).all()
    whole = score(merged, conditions, protocol)
    assert whole.per_class == score(counts, tags, protocol).per_class


def test_without_rounds_nothing_changes():
    counts = np.ones((2, 19, 20), np.uint32)
    merged, names, conditions = merge_rounds(counts, ['b', 'a'], ['', ''])
    assert merged is counts and names == ['b', 'a'] and conditions == ['', '']
    assert by_round(counts, ['b', 'a'], ['', ''], load_scoring('cityscapes19@1')) == {}
