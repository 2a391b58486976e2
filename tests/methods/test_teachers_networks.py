"""ATP's stages and STvM on every kind of small network: one level or several."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from sfda_bench.methods.atp.align import ATPAlign
from sfda_bench.methods.atp.propagate import ATPPropagate
from sfda_bench.methods.atp.teach import ATPTeach
from sfda_bench.methods.self_training.adapter import SelfTraining
from sfda_bench.methods.stvm.adapter import STvM
from sfda_bench.methods.tent.adapter import Tent
from tests.methods.helpers import losses_of

NETWORKS = Path(__file__).parents[2] / 'mm_configs' / 'networks'
CASES = {
    'align': (ATPAlign, {}),
    'teach': (ATPTeach, {}),
    'propagate': (ATPPropagate, {'projection': 8, 'confident': 0.0}),
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
        losses = losses_of('stvm') if case == 'stvm' else losses_of('atp', stage=case)
        adapter = kind(segmentor=model, losses=losses, **extra, **rows).train()
    images = torch.randn(2, 3, 64, 96)
    inputs = {'easy': images, 'hard': images.flip(3)} if case == 'propagate' else images
    samples = dict.fromkeys(inputs) if isinstance(inputs, dict) else None
    losses = adapter.loss(inputs, samples)
    assert all(torch.isfinite(value) for value in losses.values()), losses
    sum(losses.values()).backward()
    trained = [name for name, p in adapter.student.named_parameters() if p.grad is None]
    assert not trained
    assert set(adapter.export_module().state_dict()) == set(adapter.student.state_dict())


def segformer(kind, **options):
    """A network whose blocks are dropped at random in training mode."""
    model = Config.fromfile(NETWORKS / 'segformer_b0.py').model.to_dict()
    model['data_preprocessor'] = {**model['data_preprocessor'], 'size_divisor': 1}
    model['backbone']['drop_path_rate'] = 0.5
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        return kind(segmentor=model, **options).train()


def random_layers(network):
    kinds = (torch.nn.modules.dropout._DropoutNd,)
    return [m for m in network.modules() if isinstance(m, kinds) or type(m).__name__ == 'DropPath']


@torch.no_grad()
@pytest.mark.parametrize('kind', [SelfTraining, Tent])
def test_without_dropout_nothing_is_random(kind):
    """Drop-path is off with dropout: a frozen network gives the same logits twice."""
    images = torch.randn(2, 3, 64, 96)
    adapter = segformer(kind, dropout=False, norm_mode='eval')
    assert torch.equal(adapter.logits(images), adapter.logits(images))
    assert not any(layer.training for layer in random_layers(adapter.student))
    adapter = segformer(kind, dropout=True, norm_mode='eval')
    assert any(layer.training for layer in random_layers(adapter.student))
    assert not torch.equal(adapter.logits(images), adapter.logits(images))


@torch.no_grad()
@pytest.mark.parametrize('mode', ['eval', 'train', 'batch'])
def test_a_teacher_drops_nothing_in_any_mode(mode):
    adapter = segformer(ATPTeach, teacher_mode=mode)
    images = torch.randn(2, 3, 64, 96)
    assert len(random_layers(adapter.teacher)) > 4
    assert not any(layer.training for layer in random_layers(adapter.teacher))
    assert torch.equal(adapter.teacher_logits(images), adapter.teacher_logits(images))
    assert any(layer.training for layer in random_layers(adapter.student))
