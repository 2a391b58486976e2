"""Order of stages: those first on which the longest way to the end hangs."""

from __future__ import annotations

from collections.abc import Sequence

from sfda_bench.plan.model import Stage

#: An image in training costs about three passes; a stage that only predicts passes over a split.
PASSES, SPLIT = 3, 60


def effort(stage: Stage) -> float:
    """What a stage costs in passes of images, roughly: only the order rests on it."""
    loader = stage.config.get('train_dataloader')
    if loader is None:
        return float(SPLIT)
    return float(PASSES * stage.config['train_cfg']['max_iters'] * loader['batch_size'])


def by_longest_way(stages: Sequence[Stage]) -> list[Stage]:
    """Stages by the effort from their beginning to the end of the last one that rests on them.

    Args:
        stages: Parents first, as a plan has them; equal ones keep their order.
    """
    way: dict[str, float] = {}
    for stage in reversed(stages):
        way[stage.id] = way.get(stage.id, 0.0) + effort(stage)
        for parent in stage.parents:
            way[parent] = max(way.get(parent, 0.0), way[stage.id])
    return sorted(stages, key=lambda stage: -way[stage.id])
