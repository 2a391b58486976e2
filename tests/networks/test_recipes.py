"""Source recipes of the full-size networks."""

import warnings

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, DefaultScope
from torch import nn

from sfda_bench.suite import catalog


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
