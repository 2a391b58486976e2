"""ATP's prototypes and contrast: the numbers were computed by the authors' functions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from sfda_bench.adapt.features import encoder_channels, encoder_map, pixels
from sfda_bench.methods.atp.contrast import (
    CumulativePrototypes,
    ProjectionHead,
    downscaled_labels,
    semantic_contrast,
)

ROOT = 1 / math.sqrt(2)


def tensor(*rows) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize(
    ('temperature', 'contrast', 'regulariser'),
    [(100.0, 1.0941955838, -1.0000000076), (0.1, 0.1489590619, -1.0077852123)],
)
def test_contrast_of_the_sheet(temperature, contrast, regulariser):
    features = tensor([1, 0, 0], [0, ROOT, ROOT])
    prototypes = tensor([0.9, 0.1, 0], [0, 0.7, 0.6], [0.1, 0.2, 0.95])
    got = semantic_contrast(features, torch.tensor([0, 1]), prototypes, temperature)
    assert float(got[0]) == pytest.approx(contrast, abs=5e-11)
    assert float(got[1]) == pytest.approx(regulariser, abs=5e-11)


def test_contrast_without_labels_is_zero_and_has_a_gradient():
    features = torch.randn(3, 2, requires_grad=True)
    first, second = semantic_contrast(features, torch.full((3,), 255), torch.randn(4, 2))
    (first + second).backward()
    assert first.item() == 0.0 and second.item() == 0.0 and features.grad is not None


def test_prototypes_of_the_sheet():
    bank = CumulativePrototypes(3, 3).double()
    bank.update(tensor([1, 0, 0], [0, ROOT, ROOT]), torch.tensor([0, 1]))
    bank.update(tensor([ROOT, ROOT, 0], [0, 0, 1], [0, 1, 0]), torch.tensor([0, 0, 1]))
    expected = tensor([0.56903559, 0.23570226, 0.33333333], [0, 0.85355339, 0.35355339], [0, 0, 0])
    assert torch.allclose(bank.mean, expected, atol=5e-9)
    assert bank.count.tolist() == [3, 2, 0]
    bank.update(tensor([9, 9, 9]), torch.tensor([255]))
    assert torch.allclose(bank.mean, expected, atol=5e-9)


@pytest.mark.parametrize(
    ('share', 'expected'), [(0.75, [[0, 1], [2, 255]]), (0.5, [[0, 1], [2, 1]])]
)
def test_labels_are_downscaled_as_in_the_sheet(share, expected):
    labels = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 255], [2, 2, 0, 1], [2, 0, 2, 1]])
    assert downscaled_labels(labels[None], (2, 2), 3, share)[0].tolist() == expected


def test_void_cells_stay_void_and_odd_sizes_pool_adaptively():
    labels = torch.full((1, 9, 9), 255)
    labels[:, :, 5:] = 1
    got = downscaled_labels(labels, (4, 4), 2)
    assert got.shape == (1, 4, 4) and set(got.unique().tolist()) == {1, 255}


def test_encoder_maps_of_one_and_several_levels():
    head = nn.Module()
    head.in_channels, head.in_index, head.align_corners = 8, 1, False
    levels = [torch.ones(2, 4, 8, 8), torch.ones(2, 8, 4, 4)]
    assert encoder_channels(head) == 8 and encoder_map(head, levels).shape == (2, 8, 4, 4)
    head.in_channels, head.in_index = [4, 8], [0, 1]
    assert encoder_channels(head) == 12 and encoder_map(head, levels).shape == (2, 12, 8, 8)


def test_projections_have_unit_length():
    torch.manual_seed(0)
    out = ProjectionHead(4, 16, 16)(torch.randn(2, 4, 3, 3))
    lengths = pixels(out).norm(dim=1)
    assert out.shape == (2, 16, 3, 3) and torch.allclose(lengths, torch.ones(18), atol=1e-5)


def test_pixels_follow_flattened_labels():
    maps = torch.arange(2 * 3 * 2 * 2).view(2, 3, 2, 2)
    assert pixels(maps)[5].tolist() == maps[1, :, 0, 1].tolist()
