"""Class weights with memory: case E of the IAPC sheet."""

import pytest
import torch

from sfda_bench.adapt.class_weights import RareClassWeights
from sfda_bench.errors import BenchError


def test_case_e():
    labels = torch.zeros(2, 128, 128, dtype=torch.int64)
    labels[0].view(-1)[:3000] = 1
    weights = RareClassWeights(4)
    for absent in (11.2, 14.98, 18.382):
        assert weights(labels).tolist() == pytest.approx([1, 7, absent, absent], rel=1e-6)
    assert weights.state_dict()['often'][2:].tolist() == pytest.approx([2.626] * 2, rel=1e-6)


def test_ignored_pixels_are_no_class():
    assert RareClassWeights(2)(torch.full((1, 8, 8), 255)).tolist() == pytest.approx([11.2, 11.2])


def test_a_memory_above_one_is_refused():
    with pytest.raises(BenchError, match='memory'):
        RareClassWeights(2, memory=9.0)
