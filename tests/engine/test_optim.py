import copy

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

from sfda_bench.engine.optim import lineage_multiplicity
from sfda_bench.errors import BenchError
from sfda_bench.networks.build import build_segmentor
from tests.networks.helpers import config


def wrapper(model, repeat, optimizer=None, **paramwise):
    optimizer = optimizer or {
        'type': 'SGD',
        'lr': 0.1,
        'momentum': 0.9,
        'nesterov': True,
        'weight_decay': 0.0,
    }
    cfg = {
        'type': 'OptimWrapper',
        'optimizer': optimizer,
        'constructor': 'RepeatOptimWrapperConstructor',
        'paramwise_cfg': {'backbone_repeat': repeat, **paramwise},
    }
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        return build_optim_wrapper(model, cfg)


class Tiny(nn.Module):
    """One scalar three modules below ``backbone``."""

    def __init__(self):
        super().__init__()
        inner = nn.Module()
        inner.weight = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
        self.backbone = nn.ModuleDict({'layer1': nn.ModuleList([nn.ModuleDict({'conv1': inner})])})

    @property
    def weight(self):
        return self.backbone['layer1'][0]['conv1'].weight


@pytest.mark.parametrize(
    'repeat,expected',
    [(1, [0.81, 0.539, 0.195100]), (3, [0.43, -0.594410, -2.154205])],
)
def test_case_g_duplicated_parameter(repeat, expected):
    model = Tiny()
    optim = wrapper(model, repeat)
    for value in expected:
        model.weight.grad = torch.ones_like(model.weight)
        optim.optimizer.step()
        assert model.weight.item() == pytest.approx(value, abs=5e-7)


def test_multiplicity_of_the_published_network():
    model = build_segmentor(config('deeplabv2_r101').model)
    optim = wrapper(model, 3, custom_keys={'decode_head': {'lr_mult': 10.0}})
    names = {id(p): n for n, p in model.named_parameters()}
    backbone = [
        g for g in optim.optimizer.param_groups if names[id(g['params'][0])].startswith('backbone')
    ]
    trained = [g for g in backbone if g['params'][0].requires_grad]
    counts = [g['repeat'] for g in trained]
    assert (sum(counts), len(counts)) == (314, 104)
    assert (counts.count(3), counts.count(4), counts.count(1)) == (99, 4, 1)
    head = [g for g in optim.optimizer.param_groups if 'decode_head' in names[id(g['params'][0])]]
    assert [(g['repeat'], g['lr']) for g in head] == [(1, 1.0)] * 8
    assert all(len(g['params']) == 1 for g in optim.optimizer.param_groups)


def test_default_has_no_duplicates():
    model = build_segmentor(config('deeplabv2_pocket').model)
    optim = wrapper(model, 1)
    listed = [id(p) for g in optim.optimizer.param_groups for p in g['params']]
    assert len(listed) == len(set(listed)) == len(list(model.parameters()))


def test_names_below_an_adapter():
    assert lineage_multiplicity('student.backbone.layer1.0.downsample.0.weight') == 4
    assert lineage_multiplicity('student.backbone.conv1.weight') == 1
    assert lineage_multiplicity('student.decode_head.conv2d_list.0.weight') == 1
    # VGG is listed once in that code; transformers are not of that line
    assert lineage_multiplicity('backbone.features.28.weight') == 1
    assert lineage_multiplicity('backbone.layers.0.1.3.attn.attn.in_proj_weight') == 1


def test_a_gradient_scaler_divides_each_gradient_once():
    model = Tiny().float()
    optimizer = wrapper(model, 3).optimizer
    scaler = torch.amp.GradScaler('cpu', init_scale=1024.0)
    scaler.scale(2 * model.weight).backward()
    scaler.unscale_(optimizer)
    assert model.weight.grad.item() == 2.0
    scaler.step(optimizer)
    assert model.weight.item() == pytest.approx(1 - 2 * (1 - 0.43))
    assert [len(g['params']) for g in optimizer.param_groups] == [1]


def test_state_survives_saving():
    model = Tiny()
    optim = wrapper(model, 3)
    model.weight.grad = torch.ones_like(model.weight)
    optim.optimizer.step()
    other = Tiny()
    other.load_state_dict(model.state_dict())
    again = wrapper(other, 3)
    again.load_state_dict(copy.deepcopy(optim.state_dict()))
    for m, o in ((model, optim), (other, again)):
        m.weight.grad = torch.ones_like(m.weight)
        o.optimizer.step()
    assert other.weight.item() == model.weight.item()


def test_other_values_and_optimisers_are_refused():
    with pytest.raises(BenchError, match='backbone_repeat=2'):
        wrapper(Tiny(), 2)
    with pytest.raises(BenchError, match='with AdamW'):
        wrapper(Tiny(), 3, {'type': 'AdamW', 'lr': 1e-4})
