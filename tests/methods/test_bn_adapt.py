"""BN-adapt: the plain average over batches, resumed or not."""

from __future__ import annotations

import pytest
import torch

from sfda_bench.adapt.norm import statistics_layers
from tests.methods.two_norms import statistics, two_norms

BATCHES = [
    torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(seed)).double() + seed
    for seed in range(4)
]


def gathered(adapter, batches) -> list[tuple[float, float]]:
    for images in batches:
        adapter.train_step({'inputs': images}, None)
    return statistics(adapter.student)


def test_every_batch_weighs_alike():
    (mean, variance), _ = gathered(two_norms('BNAdapt').train(), BATCHES)
    assert mean == pytest.approx(float(torch.stack([b.mean() for b in BATCHES]).mean()))
    assert variance == pytest.approx(float(torch.stack([b.var() for b in BATCHES]).mean()))


def test_as_torchs_own_average_to_the_bit():
    adapter = two_norms('BNAdapt').train()
    own = two_norms('BNAdapt').train().student
    for layer in statistics_layers(own):
        layer.reset_running_stats()
        layer.momentum = None
    for images in BATCHES:
        own(images)
    assert gathered(adapter, BATCHES) == statistics(own)


def test_a_resumed_average_goes_on():
    first, second = (two_norms('BNAdapt').train() for _ in range(2))
    gathered(first, BATCHES[:2])
    second.load_state_dict(first.state_dict())
    assert gathered(second, BATCHES[2:]) == gathered(first, BATCHES[2:])
