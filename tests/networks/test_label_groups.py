from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from sfda_bench.networks.label_groups import GroupedCrossEntropyLoss, group_log_probabilities


def logits() -> torch.Tensor:
    return torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)


def test_groups_of_one_are_plain_cross_entropy():
    labels = torch.randint(0, 4, (2, 3, 3), generator=torch.Generator().manual_seed(1))
    labels[0, 0, 0] = 255
    loss = GroupedCrossEntropyLoss([0, 1, 2, 3])(logits(), labels)
    assert torch.allclose(loss, cross_entropy(logits(), labels, ignore_index=255))


def test_a_groups_probability_is_the_sum_of_its_members():
    groups = [1, 0, 1, 1]
    p = logits().softmax(1)
    expected = torch.stack([p[:, 1], p[:, 0] + p[:, 2] + p[:, 3]], dim=1)
    assert torch.allclose(group_log_probabilities(logits(), groups).exp(), expected, atol=1e-6)


def test_without_a_labelled_pixel_the_loss_is_zero_not_nan():
    x = logits()
    loss = GroupedCrossEntropyLoss([0, 0, 1, 1])(x, torch.full((2, 3, 3), 255))
    loss.backward()
    assert float(loss) == 0.0 and torch.isfinite(x.grad).all()
