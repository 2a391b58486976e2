"""ATP's stages and STvM on every kind of small network: one level or several."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from sfda_bench.methods.atp import ATPAlign, ATPPropagate, ATPTeach
from sfda_bench.methods.stvm import STvM

NETWORKS = Path(__file__).parents[2] / 'mm_configs' / 'networks'
CASES = {
    'align': (ATPAlign, {}),
    'teach': (ATPTeach, {}),
    'propagate': (ATPPropagate, {'projection': 8, 'contrast_start': 0, 'confident': 0.0}),
    'stvm': (STvM, {'hidden': 8, 'embedding': 8}),
}


@pytest.mark.parametrize('network', ['cgnet', 'segformer_b0', 'deeplabv2_pocket'])
@pytest.mark.parametrize('case', CASES)
def test_losses_are_finite_and_reach_the_student(network, case):
    kind, extra = CASES[case]
    model = Config.fromfile(NETWORKS / f'{network}.py').model.to_dict()
    model['data_preprocessor'] = {**model['data_preprocessor'], 'size_divisor': 1}
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        rows = {'ignore_top': 1, 'ignore_bottom': 1} if case == 'propagate' else {}
        adapter = kind(segmentor=model, **extra, **rows).train()
    images = torch.randn(2, 3, 64, 96)
    inputs = {'easy': images, 'hard': images.flip(3)} if case == 'propagate' else images
    samples = dict.fromkeys(inputs) if isinstance(inputs, dict) else None
    losses = adapter.loss(inputs, samples)
    assert all(torch.isfinite(value) for value in losses.values()), losses
    sum(losses.values()).backward()
    trained = [name for name, p in adapter.student.named_parameters() if p.grad is None]
    assert not trained
    assert set(adapter.export_module().state_dict()) == set(adapter.student.state_dict())
