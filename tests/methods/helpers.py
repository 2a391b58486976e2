"""Adapters on the pocket network, for tests of single steps."""

from __future__ import annotations

import torch
from mmengine.registry import init_default_scope

from sfda_bench.registry import MODELS
from sfda_bench.suite import catalog


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
