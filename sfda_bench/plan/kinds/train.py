"""Kind ``train``: the plain network trained on true labels, for source models and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sfda_bench.errors import BenchError
from sfda_bench.plan import configs, pipelines
from sfda_bench.plan.method import merge
from sfda_bench.plan.model import StageDraft
from sfda_bench.plan.setup import Setup

INIT, HANDS_ON, IN_METHODS, SHARED = 'scratch', True, True, True


def draft(setup: Setup, spec: Mapping[str, Any], parent: str | None) -> StageDraft:
    """The stage that trains on the target's true labels: a bound.

    Args:
        setup: Task, network, method, seed.
        spec: ``name``, and a recipe or ``recipe='network'`` for that of the network.
        parent: The stage that it starts from.

    Raises:
        BenchError: A sealed method, or no recipe.
    """
    method, task = setup.method, setup.task
    if method.sealed:
        raise BenchError(
            f'method {method.name} trains on target labels',
            'track bound for a stage of kind train',
            f'mend {method.file}',
        )
    recipe = {key: value for key, value in spec.items() if key not in ('name', 'recipe')}
    if spec.get('recipe') == 'network':
        recipe = {**setup.source_recipe(), **recipe}
    if 'iters' not in recipe:
        raise BenchError(
            f'method {method.name} has no recipe for {setup.block["name"]} on {task["name"]}',
            "the network's own recipe, or `iters`, `batch_size`, `optim_wrapper` in the stage",
            f'add an override for stage {spec["name"]} to {method.file}',
        )
    model = dict(setup.model)
    if task.get('prediction_map'):
        loss = {'type': 'GroupedCrossEntropyLoss', 'groups': list(task['prediction_map'])}
        model['decode_head'] = {**model['decode_head'], 'loss_decode': loss}
    target = task['target_train']
    title = f'train {target["folder"]} {setup.block["name"]} s{setup.seed}'
    return supervised(setup, target, recipe, setup.seed, parent, title, model)


def supervised(
    setup: Setup,
    data: Mapping[str, Any],
    recipe: Mapping[str, Any],
    seed: int,
    parent: str | None,
    title: str,
    model: Mapping[str, Any] | None = None,
) -> StageDraft:
    """A stage that trains the plain network on labels; equal ones merge, whatever their use.

    Args:
        setup: The network.
        data: A task's data-set block.
        recipe: ``iters``, ``batch_size``, ``optim_wrapper``, ...; its ``model`` is merged into the
            model while it trains so, such as the scale and shift of batch norm that source training
            moves and adaptation freezes.
        seed: Seed of weights, data order and augmentation.
        parent: The stage that it starts from.
        title: For people.
        model: The segmentor, if not the network's own.
    """
    recipe = setup.sized(recipe, data)
    trained = merge(model or setup.model, recipe.pop('model', {}))
    pipeline = pipelines.train_pipeline(recipe, setup.block, True, setup.block.get('classes'))
    config = configs.train_config(
        model=trained,
        dataset=pipelines.dataset_config(data, setup.data_root, pipeline),
        recipe=recipe,
        seed=seed,
        stage={'kind': 'train', 'name': 'train', 'sealed': False},
        workers=setup.workers,
    )
    fingerprints = {'train': setup.fingerprint(data, True)}
    return StageDraft(config, 'train', title, fingerprints, parent)
