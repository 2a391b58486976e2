"""Adapters on the pocket network, for tests of single steps."""

from __future__ import annotations

import copy
from typing import Any

import torch
from mmengine.registry import init_default_scope

from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method
from sfda_bench.registry import MODELS


def plain(kind: str, auxiliary: bool = False, **kwargs):
    """An adapter with seeded weights; ``auxiliary`` adds a second head."""
    init_default_scope('sfda_bench')
    network = catalog.load('networks', 'deeplabv2_pocket')['model']
    network['data_preprocessor']['size_divisor'] = 1
    if auxiliary:
        network['backbone']['out_indices'] = (2, 3)
        head = {**network['decode_head'], 'in_channels': 64, 'in_index': 0}
        network['decode_head']['in_index'] = 1
        network['auxiliary_head'] = head
    torch.manual_seed(0)
    return MODELS.build({'type': kind, 'segmentor': network, **kwargs})


@torch.no_grad()
def perturb(module: torch.nn.Module, seed: int) -> None:
    """Change a network, so that it differs from its copies."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter += 0.1 * torch.randn(parameter.shape, generator=generator)


def stage_of(method: str, name: str = '') -> dict[str, Any]:
    """A stage of a method's config, before profiles; the first one that has losses if unnamed."""
    stages = Method(method).spec()['stages']
    for stage in stages:
        if stage['name'] == name if name else 'losses' in stage.get('adapter', {}):
            return copy.deepcopy(stage)
    raise LookupError(f'no stage {name or "with losses"} of {method}')


def losses_of(
    method: str, changes: dict[str, dict[str, Any]] | None = None, stage: str = '', **more: Any
) -> dict[str, dict[str, Any]]:
    """Losses of a method as its config states them, with changes by the loss's name.

    ``losses_of('iapc', entropy=dict(loss_weight=1.0))`` for the argument ``losses`` of an adapter.
    """
    losses = stage_of(method, stage)['adapter']['losses']
    for name, change in {**(changes or {}), **more}.items():
        losses[name].update(change)
    return losses


def hooks_of(method: str, stage: str = '', **changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Hooks of a method as its config states them, with changes by name; for ``Driver``."""
    hooks = stage_of(method, stage).get('hooks', {})
    for name, change in changes.items():
        hooks[name].update(change)
    return hooks
