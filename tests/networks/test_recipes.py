"""Source recipes of the full-size networks."""

import warnings

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, DefaultScope
from torch import nn

from sfda_bench.networks.build import build_segmentor
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method


def source(name):
    return catalog.load('networks', name)['network']['source']


class Parts(nn.Module):
    """One parameter in a stage of the backbone, one in its stem, one in the head."""

    def __init__(self):
        super().__init__()
        block = nn.Sequential(nn.Sequential(nn.Conv2d(1, 1, 1, bias=False)))
        self.backbone = nn.ModuleDict({'conv1': nn.Conv2d(1, 1, 1, bias=False), 'layer1': block})
        self.decode_head = nn.Conv2d(1, 1, 1, bias=False)


def wrapper(recipe):
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        return build_optim_wrapper(Parts(), dict(recipe['optim_wrapper']))


@pytest.mark.parametrize(
    'name', ['deeplabv2_r101', 'deeplabv2_r101_2branch', 'deeplabv2_r101_multi']
)
def test_the_adaptsegnet_line_steps_its_backbone_several_times(name):
    groups = wrapper(source(name)).optimizer.param_groups
    assert [(g['repeat'], g['lr']) for g in groups] == [(1, 2.5e-4), (3, 2.5e-4), (1, 2.5e-3)]


@pytest.mark.parametrize('name', ['segformer_b5', 'daformer_b5', 'deeplabv2_r101_v1c'])
def test_the_rate_of_the_daformer_line(name):
    """mmcv's rule with a warm-up of 1500, the values of ATP's sheet (10.8)."""
    recipe = source(name)
    assert recipe['iters'] == 40000
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=6e-5)
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        schedulers = [
            PARAM_SCHEDULERS.build({**config, 'optimizer': optimizer})
            for config in recipe['param_scheduler']
        ]
    expected = {0: 6e-11, 750: 2.94375294e-05, 1500: 5.775e-05, 20000: 3e-05, 39999: 1.5e-09}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the optimiser itself is never stepped
        for iteration in range(40000):
            if iteration in expected:
                rate = optimizer.param_groups[0]['lr']
                assert rate == pytest.approx(expected[iteration], rel=1e-6), iteration
            for scheduler in schedulers:
                scheduler.step()


def decayed(network, optim_wrapper):
    """Names of the parameters of a network that the optimiser lets decay."""
    model = catalog.load('networks', network)['model']
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        segmentor = build_segmentor(ConfigDict(model))
        found = build_optim_wrapper(segmentor, ConfigDict(optim_wrapper)).optimizer
    names = {id(p): name for name, p in segmentor.named_parameters()}
    groups = [g for g in found.param_groups if g['weight_decay']]
    return {names[id(p)] for g in groups for p in g['params']}, segmentor


@pytest.mark.parametrize('recipe', ['source', 'atp'])
@pytest.mark.parametrize('network', ['segformer_b0', 'daformer_b5'])
def test_no_norm_of_a_mix_transformer_decays(network, recipe):
    """Neither those inside the blocks nor the one after each stage, which has no name."""
    optim = source(network)['optim_wrapper']
    if recipe == 'atp':
        optim = Method('atp').stages('paper', 'gta5_to_cityscapes', {})[0]['optim_wrapper']
    found, segmentor = decayed(network, optim)
    layers = {n: m for n, m in segmentor.backbone.named_modules() if isinstance(m, nn.LayerNorm)}
    assert {f'layers.{i}.2' for i in range(4)} <= set(layers)
    norms = {f'backbone.{name}.{part}' for name in layers for part in ('weight', 'bias')}
    assert norms and not norms & found
    assert any('attn' in name for name in found) and any('decode_head' in name for name in found)


def test_the_batch_norm_of_a_resnet_decays_as_the_authors_let_it():
    optim = Method('atp').stages('paper', 'gta5_to_cityscapes', {})[0]['optim_wrapper']
    found, segmentor = decayed('deeplabv2_r101_v1c', optim)
    norms = {
        f'backbone.{name}.weight'
        for name, module in segmentor.backbone.named_modules()
        if isinstance(module, nn.BatchNorm2d) and 'layer' in name and 'downsample' not in name
    }
    assert len(norms) > 90 and norms <= found
