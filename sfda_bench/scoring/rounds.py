"""Streams that show every image several times: scores of each round, and counts added up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sfda_bench.scoring.protocols import ScoringProtocol
from sfda_bench.scoring.scores import ProtocolScores, score
from sfda_bench.stream_ids import split_round


def by_round(
    counts: np.ndarray, ids: Sequence[str], conditions: list[str], protocol: ScoringProtocol
) -> dict[int, ProtocolScores]:
    """Scores of each round; empty if the ids name none.

    Args:
        counts: Integers (N, K, K + 1), one matrix an image and round.
        ids: N ids.
        conditions: N condition names.
        protocol: The scoring protocol.
    """
    numbers = np.array([split_round(name)[0] for name in ids])
    found = {}
    for number in sorted(set(numbers.tolist()) - {0}):
        keep = np.flatnonzero(numbers == number)
        found[number] = score(counts[keep], [conditions[i] for i in keep], protocol)
    return found


def merge_rounds(
    counts: np.ndarray, ids: Sequence[str], conditions: Sequence[str]
) -> tuple[np.ndarray, list[str], list[str]]:
    """Counts of an image added over its rounds, so that an image is one unit when resampling.

    Returns:
        ``(counts, ids, conditions)`` with plain ids, in the order of first appearance.
    """
    plain = [split_round(name)[1] for name in ids]
    places: dict[str, int] = {}
    for name in plain:
        places.setdefault(name, len(places))
    if len(places) == len(plain):
        return counts, list(ids), list(conditions)
    merged = np.zeros((len(places), *counts.shape[1:]), dtype=np.int64)
    np.add.at(merged, [places[name] for name in plain], counts)
    tags = dict(zip(reversed(plain), reversed(conditions), strict=True))
    return merged, list(places), [tags[name] for name in places]
