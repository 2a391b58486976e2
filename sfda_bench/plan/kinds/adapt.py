"""Kind ``adapt``: trains an adapter, sealed unless its method may read source data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sfda_bench.plan import configs
from sfda_bench.plan.model import StageDraft
from sfda_bench.plan.setup import Setup
from sfda_bench.plan.training_data import training_data

INIT, HANDS_ON, IN_METHODS, SHARED = 'last', True, True, True


def draft(setup: Setup, spec: Mapping[str, Any], parent: str | None) -> StageDraft:
    """The stage that trains an adapter.

    Args:
        setup: Task, network, method, seed.
        spec: ``name``, ``adapter``, a recipe (``iters``, ``batch_size``, ``optim_wrapper``, ...),
            ``data`` (see :func:`~sfda_bench.plan.training_data.training_data`), ``score_every``,
            ``single_device``.
        parent: The stage that it starts from; ``None`` = random weights.
    """
    recipe = setup.sized(spec, setup.task['target_train'])
    dataset, data, grants = training_data(setup, spec.get('data', 'target'), recipe)
    points = int(setup.suite.get('curve_points', 0))
    kept = recipe['keep'] = kept_iterations(int(recipe['iters']), points, spec.get('score_every'))
    config = configs.train_config(
        model={**spec['adapter'], 'segmentor': setup.model},
        dataset=dataset,
        recipe=recipe,
        seed=setup.seed,
        stage={
            **setup.stage_block('adapt', spec['name'], grants),
            'keep': kept,
            'single_device': bool(spec.get('single_device')),
        },
        workers=setup.workers,
    )
    return StageDraft(config, spec['name'], setup.title(spec['name']), data, parent, keep=kept)


def kept_iterations(iters: int, points: int, every: int | None = None) -> list[int]:
    """Iterations inside a stage whose checkpoints are scored afterwards.

    Args:
        iters: Iterations of the stage.
        points: At most so many.
        every: The published code scores every so many iterations: those, thinned evenly; without
            it, evenly spaced ones.
    """
    published = list(range(every, iters, every)) if every else []
    if published and len(published) <= points:
        return published
    if published:
        places = [len(published) * k // (points + 1) for k in range(1, points + 1)]
        return sorted({published[min(p, len(published) - 1)] for p in places})
    return sorted({iters * k // (points + 1) for k in range(1, points + 1)} - {0})
