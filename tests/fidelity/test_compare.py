"""The comparison fails where something differs, and says what."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.fidelity.compare import Report
from tests.fidelity.rules import fill, samples


def test_a_difference_is_named_with_both_values():
    report = Report('toy', tolerance=1e-6)
    report.add('rate at 0', [0.1, 0.2], [0.1, 0.2 + 1e-9])
    report.add('weight at 1', torch.tensor([1.0, 2.0]), [1.0, 2.5])
    with pytest.raises(AssertionError, match=r'weight at 1: found 2, recorded 2\.5, off by 0\.2 '):
        report.check()
    assert len(report.wrong) == 1


def test_what_is_not_finite_or_of_another_shape_is_never_equal():
    report = Report('toy', tolerance=1e9)
    report.add('loss', float('nan'), 1.0)
    assert report.wrong
    with pytest.raises(AssertionError, match=r'shape \(2,\), recorded \(3,\)'):
        report.add('loss', np.zeros(2), np.zeros(3))
    with pytest.raises(AssertionError, match='nothing was compared'):
        Report('empty').check()


def test_weights_are_drawn_from_their_names():
    """The first recorded weights of the IAPC replay."""
    state = fill({'layer1.0.conv1.weight': (8, 8, 1, 1), 'layer6.conv2d_list.0.bias': (19,)})
    found = samples('layer1.0.conv1.weight', state['layer1.0.conv1.weight'])
    assert found == pytest.approx([0.82938951, 0.06471575, 0.59577096, 0.4598625], abs=1e-8)
    bias = samples('layer6.conv2d_list.0.bias', state['layer6.conv2d_list.0.bias'])
    assert bias == pytest.approx([0.02779474, -0.14865293, 0.29614124, 0.45076397], abs=1e-8)
