"""The compiled arg-max against ``max`` and ``topk``."""

from __future__ import annotations

import pytest
import torch

from sfda_bench.adapt.fused import confidence_and_label, confidences_and_labels, largest_two


def smooth_maps(images: int, scale: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randn(images, 19, 6, 9, generator=generator) * scale
    return torch.nn.functional.interpolate(coarse, size=(37, 211), mode='bilinear').softmax(dim=1)


@pytest.mark.parametrize('scale', [0.01, 1.0, 30.0])
def test_confidence_and_label_are_those_of_max(scale):
    maps = smooth_maps(3, scale)
    together = confidences_and_labels(maps)
    for map_, *rows in zip(maps, *together, strict=True):
        confidence, labels = confidence_and_label(map_)
        expected, argmax = map_.max(dim=0)
        assert torch.equal(confidence, expected) and torch.equal(labels, argmax)
        assert torch.equal(rows[0], expected) and torch.equal(rows[1], argmax)
    assert confidence_and_label(torch.ones(3, 2, 2))[1].tolist() == [[0, 0], [0, 0]]
    assert confidence_and_label(torch.ones(300, 2, 2))[1].shape == (2, 2)


@pytest.mark.parametrize('scale', [0.01, 1.0, 30.0])
def test_the_two_largest_are_those_of_topk(scale):
    maps = smooth_maps(3, scale) - 0.5
    expected = maps.topk(2, dim=1).values
    assert torch.equal(torch.stack(largest_two(maps), dim=1), expected)
    assert torch.equal(torch.stack(largest_two(maps.double()), dim=1), expected.double())
    assert [v.tolist() for v in largest_two(torch.ones(1, 3, 1, 1))] == [[[[1.0]]], [[[1.0]]]]


def test_what_is_not_a_number_is_the_largest_wherever_it_stands():
    maps = torch.rand(5, 3, 4)
    maps[3, 1, 2] = float('nan')
    confidence, labels = confidence_and_label(maps)
    assert torch.equal(labels, maps.max(dim=0).indices)
    assert bool(confidence[1, 2].isnan()) and int(confidence.isnan().sum()) == 1
    every_other = confidence_and_label(maps[:, :, ::2])
    assert torch.equal(every_other[1], labels[:, ::2])
