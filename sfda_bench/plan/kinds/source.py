"""Kind ``source``: the source model, trained on labels or converted from a published checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sfda_bench.plan import configs
from sfda_bench.plan.kinds import train
from sfda_bench.plan.model import StageDraft
from sfda_bench.plan.setup import Setup
from sfda_bench.store.runs import sha256_file

INIT, HANDS_ON, IN_METHODS, SHARED = 'scratch', True, False, False
#: One source model for all seeds: methods are compared from the same start.
SOURCE_SEED = 0


def draft(setup: Setup, spec: Mapping[str, Any], parent: str | None) -> StageDraft:
    """The stage that makes the source model.

    Args:
        setup: Task and network; method and seed do not count.
        spec: Nothing is read from it.
        parent: The stage with ImageNet-type weights, if training starts from some.
    """
    recipe, name = setup.source_recipe(), setup.block['name']
    if 'checkpoint' in recipe:
        block = {'convert': _format(recipe), 'origin': recipe.get('origin', '')}
        return _made(setup, recipe, f'convert {name}', {'name': 'source', **block}, 0)
    data = setup.task['source']
    title = f'train {data["folder"]} {name} s{SOURCE_SEED}'
    return train.supervised(setup, data, recipe, SOURCE_SEED, parent, title)


def initial(setup: Setup, seed: int) -> StageDraft:
    """The stage that makes a network's initial weights: ImageNet-type ones if it has some.

    Heads, and whatever the file lacks, are drawn.

    Args:
        setup: The network.
        seed: Seed of the draws.
    """
    init = setup.source_recipe().get('init') or {}
    block: dict[str, Any] = {'name': 'initial', 'initial': _format(init) if init else {}}
    if init:
        block['origin'] = init.get('origin', '')
    title = f'initial weights {setup.block["name"]} s{seed}'
    return _made(setup, init, title, block, seed)


def has_initial(setup: Setup) -> bool:
    """Whether training on labels starts from ImageNet-type weights."""
    return bool(setup.source_recipe().get('init'))


def _format(file: Mapping[str, Any]) -> dict[str, Any]:
    return {'sha256': file.get('sha256'), 'converter': file['converter']}


def _made(
    setup: Setup, file: Mapping[str, Any], title: str, block: dict[str, Any], seed: int
) -> StageDraft:
    """A stage that reads a file of weights (empty: none) instead of training."""
    stage = {'kind': 'source', 'sealed': False, **block}
    data = {}
    if file:
        path = Path(setup.data_root) / file['checkpoint']
        stage['convert_from'] = str(path)
        if not file.get('sha256'):
            data = {'checkpoint': sha256_file(path)}
    config = configs.common(seed, stage)
    config['model'] = copy.deepcopy(setup.model)
    return StageDraft(config, block['name'], title, data)
