from __future__ import annotations

import pytest
import torch
from torch import nn

from sfda_bench.adapt.norm import reset_statistics, set_norm_mode
from sfda_bench.errors import BenchError, UnknownNameError


@pytest.fixture
def layer() -> nn.Sequential:
    net = nn.Sequential(nn.BatchNorm2d(2))
    net[0].running_mean.fill_(5.0)
    return net.train()


def batch(seed: int = 0) -> torch.Tensor:
    return torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(seed)) + 1.0


def test_train_uses_the_batch_and_updates(layer):
    set_norm_mode(layer, 'train')
    assert abs(float(layer(batch()).mean())) < 1e-5
    assert not torch.equal(layer[0].running_mean, torch.full((2,), 5.0))


def test_batch_uses_the_batch_and_leaves_the_statistics(layer):
    set_norm_mode(layer, 'batch')
    assert abs(float(layer(batch()).mean())) < 1e-5
    assert torch.equal(layer[0].running_mean, torch.full((2,), 5.0))


def test_eval_uses_the_statistics(layer):
    set_norm_mode(layer, 'eval')
    assert float(layer(batch()).mean()) < -3.0


def test_errors():
    with pytest.raises(UnknownNameError):
        set_norm_mode(nn.Sequential(), 'freeze')
    with pytest.raises(BenchError, match='no batch-norm'):
        reset_statistics(nn.Conv2d(1, 1, 1))
