"""Shared by the network tests: random weights with lively BN statistics, configs by name."""

from pathlib import Path

import torch
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'mm_configs' / 'networks'


def config(name):
    return Config.fromfile(CONFIGS / f'{name}.py')


def randomise(module, seed=0):
    """Random BN statistics and affine parameters; other weights keep their random construction."""
    rng = torch.Generator().manual_seed(seed)
    for sub in module.modules():
        if isinstance(sub, torch.nn.modules.batchnorm._BatchNorm):
            shape = sub.running_mean.shape
            sub.running_mean.copy_(0.1 * torch.randn(shape, generator=rng))
            sub.running_var.copy_(0.75 + 0.5 * torch.rand(shape, generator=rng))
            if sub.affine:
                sub.weight.data.copy_(0.75 + 0.5 * torch.rand(shape, generator=rng))
                sub.bias.data.copy_(0.1 * torch.randn(shape, generator=rng))
    return module.eval()


def image(height, width, seed=0, scale=1.0):
    """A deterministic normalised image batch (1, 3, height, width) without real pixels."""
    rng = torch.Generator().manual_seed(seed)
    return scale * torch.randn(1, 3, height, width, generator=rng)


def largest_difference(a, b):
    assert a.shape == b.shape, f'{tuple(a.shape)} and {tuple(b.shape)}'
    return (a - b).abs().max().item()


def assert_same(ours, reference, tolerance=1e-5):
    """Equal to ``tolerance``, on maps that are not close to zero anyway."""
    assert reference.abs().max() > 0.1, 'the comparison would be empty'
    assert largest_difference(ours, reference) < tolerance


def lively(module):
    """He initialisation, so that a network without norm layers does not fade."""
    for sub in module.modules():
        if isinstance(sub, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(sub.weight, nonlinearity='relu')
    return module.eval()
