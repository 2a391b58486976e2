"""Losses on pseudo-labels: cases M4, M5 and M6 of the CBST sheet."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from sfda_bench.adapt.losses import label_loss
from sfda_bench.errors import UnknownNameError
from sfda_bench.methods.self_training.losses import regularity, regularity_loss, soft_label_loss

LOGITS = (
    torch.tensor([[[2.0, 1, 0], [0, 0, 3]], [[0.5, 0.5, 0.5], [1, -1, 0]]])
    .permute(0, 2, 1)
    .unsqueeze(2)
)
LABELS = torch.tensor([[[0, 255]], [[2, 0]]])


def test_m4_hard_losses():
    plain = label_loss(LOGITS, LABELS)
    assert float(plain) == pytest.approx(0.637941, abs=1e-6)
    assert float(plain) == pytest.approx(float(cross_entropy(LOGITS, LABELS, ignore_index=255)))
    both = torch.tensor([0.1, 0.1])
    target_only = torch.tensor([0.0, 0.1])
    # the flag weighs the images and the sum: 0.1 acts as 0.01
    twice = plain + 0.1 * regularity_loss(LOGITS, LABELS, 'mrkld', both)
    assert float(twice) == pytest.approx(0.650988, abs=1e-6)
    mixed = plain + 0.1 * regularity_loss(LOGITS, LABELS, 'mrkld', target_only)
    assert float(mixed) == pytest.approx(0.650473, abs=1e-6)
    once = plain + 0.1 * regularity_loss(LOGITS, LABELS, 'mrkld')
    assert float(once) == pytest.approx(0.768402, abs=1e-6)


def test_m4_soft_loss():
    soft = torch.tensor([[[0.7, 0.2, 0.1], [0, 0, 0]], [[0.2, 0.3, 0.5], [1.0, 0, 0]]])
    loss = soft_label_loss(LOGITS, soft.permute(0, 2, 1).unsqueeze(2))
    assert float(loss) == pytest.approx(0.771275, abs=1e-6)


@pytest.mark.parametrize('kind', ['mrkld', 'mrl2', 'mrent'])
def test_m4_no_label_at_all_is_zero_not_nan(kind):
    logits = LOGITS.clone().requires_grad_(True)
    nothing = torch.full_like(LABELS, 255)
    loss = label_loss(logits, nothing) + regularity_loss(logits, nothing, kind)
    loss = loss + soft_label_loss(logits, torch.zeros_like(logits))
    loss.backward()
    assert float(loss.detach()) == 0.0 and bool((logits.grad == 0).all())


def test_m5_target_only():
    kept = torch.tensor([[0.85, 0.10, 0.05], [0.45, 0.40, 0.15], [0.34, 0.33, 0.33]])
    logits = kept.log().T[None, :, None]
    labels = torch.tensor([[[0, 1, 2]]])
    plain, kld = label_loss(logits, labels), regularity_loss(logits, labels, 'mrkld')
    assert float(plain) == pytest.approx(0.729157, abs=1e-6)
    assert float(kld) == pytest.approx(1.374321, abs=1e-6)
    assert float(plain + 0.1 * kld) == pytest.approx(0.866590, abs=2e-6)
    assert float(plain + 0.01 * kld) == pytest.approx(0.742901, abs=2e-6)


@pytest.mark.parametrize(
    ('kind', 'value', 'gradient'),
    [
        ('mrkld', 1.407606, (0.3319, -0.0886, -0.2433)),
        ('mrl2', 0.5105, (0.2058, -0.1301, -0.0757)),
        ('mrent', -0.8324, (0.2826, -0.1408, -0.1418)),
    ],
)
def test_m6_values_and_gradients(kind, value, gradient):
    logits = torch.tensor([2.0, 1.0, 0.0]).view(1, 3, 1, 1).requires_grad_(True)
    found = regularity(logits, kind).sum()
    found.backward()
    assert float(found.detach()) == pytest.approx(value, abs=1e-4)
    assert logits.grad.flatten().tolist() == pytest.approx(gradient, abs=1e-4)


def test_m6_optimum_of_mrkld_is_label_smoothing():
    logits = torch.zeros(1, 3, 1, 1, dtype=torch.float64, requires_grad=True)
    labels = torch.zeros(1, 1, 1, dtype=torch.long)
    optimiser = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-10)

    def closure():
        optimiser.zero_grad()
        loss = label_loss(logits, labels) + 0.1 * regularity_loss(logits, labels, 'mrkld')
        loss.backward()
        return loss

    for _ in range(5):
        optimiser.step(closure)
    p = logits.detach().softmax(dim=1).flatten().tolist()
    assert p == pytest.approx([0.939394, 0.030303, 0.030303], abs=1e-5)
    eps = 2 * 0.1 / (3 * 1.1)
    assert eps == pytest.approx(0.060606, abs=1e-6)
    assert p[0] == pytest.approx(1 - eps, abs=1e-5)


def test_an_unknown_regulariser_gets_a_hint():
    with pytest.raises(UnknownNameError, match='did you mean mrkld'):
        regularity(LOGITS, 'mrkl')
