"""The scores of a record, computed from its counts."""

from __future__ import annotations

import numpy as np

from sfda_bench.scoring.protocols import ScoringProtocol
from sfda_bench.scoring.rounds import by_round
from sfda_bench.scoring.scores import score
from sfda_bench.store.record import Scores


def scores_of(
    counts: np.ndarray, ids: list[str], conditions: list[str], protocol: ScoringProtocol
) -> Scores:
    """What a record with these counts says under a protocol, of each round of a stream, too.

    Args:
        counts: Integers (N, K, K + 1), one matrix an image and round.
        ids: N ids.
        conditions: N condition names.
        protocol: The scoring protocol.

    Raises:
        BenchError: The counts are not of the protocol's label space.
    """
    found = score(counts, conditions, protocol)
    rounds = by_round(counts, ids, conditions, protocol)
    return Scores(
        miou=found.miou,
        per_class=found.per_class,
        per_condition=found.per_condition,
        per_round={number: one.miou for number, one in rounds.items()},
        per_round_condition={
            number: one.per_condition for number, one in rounds.items() if one.per_condition
        },
        images=len(ids),
    )
