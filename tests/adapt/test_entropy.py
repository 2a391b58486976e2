from __future__ import annotations

import math

import torch
from scipy.stats import entropy

from sfda_bench.adapt.entropy import pixel_entropy


def test_equals_scipys_entropy():
    logits = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0)) * 4
    expected = entropy(logits.softmax(1).double().numpy(), axis=1)
    assert torch.allclose(pixel_entropy(logits).double(), torch.from_numpy(expected), atol=1e-6)


def test_uniform_and_certain_pixels():
    assert math.isclose(float(pixel_entropy(torch.zeros(1, 19, 1, 1))), math.log(19), rel_tol=1e-6)
    uniform = float(pixel_entropy(torch.zeros(1, 19, 1, 1), normalise=True))
    assert math.isclose(uniform, 1.0, rel_tol=1e-6)
    certain = torch.tensor([500.0, 0.0, -500.0]).view(1, 3, 1, 1).requires_grad_()
    value = pixel_entropy(certain)
    value.sum().backward()
    assert float(value.detach()) == 0.0
    assert torch.isfinite(certain.grad).all()
