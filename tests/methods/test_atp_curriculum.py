"""ATP's losses: the numbers were computed by the authors' functions (float64)."""

from __future__ import annotations

import pytest
import torch

from sfda_bench.adapt.fused import CrossEntropyAndMass
from sfda_bench.adapt.losses import weighted_cross_entropy
from sfda_bench.errors import UnknownNameError
from sfda_bench.methods.atp.curriculum import (
    curriculum_entropy,
    curriculum_map,
    entropy_and_probability,
    entropy_of_mean,
    negative_loss,
    negative_map,
    normalised_entropy,
    thresholded,
    weighted_diversity,
)

A, B = (2.0, 1.0, -1.0), (0.5, 0.2, 0.1)
C, D = (4.0, 0.5, 0.0, -1.0), (1.0, 0.9, -2.5, -3.0)


def image(*rows) -> torch.Tensor:
    """Logits of a row of pixels as (1, C, 1, W)."""
    return torch.tensor(rows, dtype=torch.float64).t()[None, :, None, :].requires_grad_()


def rows(gradient: torch.Tensor) -> torch.Tensor:
    return gradient[0, :, 0, :].t()


def align(logits, classes=None):
    return 1e-3 * curriculum_entropy(logits, classes=classes) - 1e-4 * weighted_diversity(
        logits, classes=classes
    )


@pytest.mark.parametrize(
    ('classes', 'entropies', 'curriculum', 'diversity', 'total'),
    [
        (3, (0.64978862, 0.98622360), 1.711565263e-06, 0.2836568716, -2.665412190e-05),
        (19, (0.24244542, 0.36797413), 4.880002878e-05, 0.2540352028, 2.339650851e-05),
    ],
)
def test_alignment_of_the_sheet(classes, entropies, curriculum, diversity, total):
    logits = image(A, B)
    got = normalised_entropy(logits.log_softmax(1), classes).flatten().tolist()
    assert got == pytest.approx(entropies, abs=5e-9)
    term = 1e-3 * float(curriculum_entropy(logits, classes=classes))
    assert term == pytest.approx(curriculum, rel=5e-10)
    assert float(weighted_diversity(logits, classes=classes)) == pytest.approx(diversity, abs=5e-11)
    assert float(align(logits, classes)) == pytest.approx(total, rel=5e-10)


def test_gradients_of_the_alignment():
    logits = image(A, B)
    align(logits, 19).backward()
    expected = [
        [7.96250040e-06, -5.25405557e-06, -2.70844483e-06],
        [4.25384690e-06, -1.15285305e-06, -3.10099385e-06],
    ]
    assert torch.allclose(rows(logits.grad), torch.tensor(expected).double(), atol=1e-14, rtol=1e-6)


def test_uncertain_pixels_are_pushed_away_unless_the_factor_is_detached():
    logits = image(A, B)
    (1e-3 * curriculum_entropy(logits)).backward()
    expected = torch.tensor([5.10739087e-06, -3.27084474e-06, -1.83654613e-06]).double()
    assert torch.allclose(rows(logits.grad)[0], expected, atol=1e-14, rtol=1e-6)
    logits = image(A, B)
    curriculum_entropy(logits, detach=True).backward()
    assert rows(logits.grad)[0, 0] < 0


def test_easy_pixels_are_sharpened():
    logits = image((6.0, 0.0, 0.0))
    assert float(normalised_entropy(logits.log_softmax(1), 3)) == pytest.approx(
        0.03144289, abs=5e-9
    )
    value = 1e-3 * curriculum_entropy(logits)
    assert float(value) == pytest.approx(2.680085573e-05, rel=5e-10)
    value.backward()
    expected = torch.tensor([-1.91416661e-05, 9.57083306e-06, 9.57083306e-06]).double()
    assert torch.allclose(rows(logits.grad)[0], expected, atol=1e-13, rtol=1e-6)


def test_nineteen_classes():
    z = torch.stack([3 * torch.sin(1 + 19 * i + torch.arange(19.0).double()) for i in range(2)])
    logits = z.t()[None, :, None, :]
    entropies = normalised_entropy(logits.log_softmax(1), 19).flatten().tolist()
    assert entropies == pytest.approx([0.71481024, 0.71718463], abs=5e-9)
    assert float(align(logits)) == pytest.approx(-1.557611437e-05, rel=5e-10)
    assert float(align(logits.float())) == pytest.approx(-1.55761154e-05, rel=1e-5)
    assert float(negative_loss(logits)) == pytest.approx(0.1091214698, abs=5e-11)
    p = logits.softmax(1)
    absent = p < 0.04
    assert absent.sum(1).flatten().tolist() == [13, 12]
    masses = (p * absent).sum(1).flatten().tolist()
    assert masses == pytest.approx([0.12610106, 0.08006512], abs=5e-9)
    labels = torch.tensor([[[0, 255]]])
    positive = weighted_cross_entropy(logits, labels)
    assert float(positive) == pytest.approx(1.0022799358, abs=5e-11)
    assert float(positive + negative_loss(logits)) == pytest.approx(1.1114014056, abs=1e-10)


def test_negative_loss_of_the_sheet():
    logits = image(A, B)
    loss = negative_loss(logits)
    assert float(loss) == pytest.approx(0.01787526462, abs=5e-12)
    loss.backward()
    expected = torch.tensor([[-0.01283703, -0.00472248, 0.01755951], [0, 0, 0]]).double()
    assert torch.allclose(rows(logits.grad), expected, atol=5e-9)
    assert float(negative_loss(logits, 0.3)) == pytest.approx(0.33737795907, abs=5e-12)


def test_the_two_forms_of_the_negative_loss():
    logits = image(C, D)
    loss = negative_loss(logits)
    assert float(loss) == pytest.approx(0.03946401845, abs=5e-12)
    loss.backward()
    expected = [
        [-0.02617907, 0.01430815, 0.00867833, 0.00319258],
        [-0.00651914, -0.00589876, 0.00772964, 0.00468826],
    ]
    assert torch.allclose(rows(logits.grad), torch.tensor(expected).double(), atol=5e-9)
    assert float(negative_loss(logits, form='sum')) == pytest.approx(0.03897460196, abs=5e-12)
    with pytest.raises(UnknownNameError, match='joint'):
        negative_loss(logits, form='jiont')


def test_negatives_can_be_limited_to_some_pixels():
    logits = image(C, D)
    one = torch.tensor([[[True, False]]])
    split = negative_loss(logits, where=one) + negative_loss(logits, where=~one)
    assert float(split.detach()) == pytest.approx(0.03946401845, abs=5e-12)


def test_the_teaching_loss_of_the_sheet():
    logits = image(C, D)
    negative = float(negative_loss(logits))
    ignored = float(weighted_cross_entropy(logits, torch.tensor([[[0, 255]]])))
    assert ignored == pytest.approx(0.02688931212, abs=5e-12)
    assert ignored + negative == pytest.approx(0.06635333057, abs=5e-12)
    labels, weight = torch.tensor([[[0, 1]]]), torch.full((1, 1, 2), 0.25).double()
    weighted = float(weighted_cross_entropy(logits, labels, weight))
    assert weighted == pytest.approx(0.10291558712, abs=5e-12)
    assert weighted + negative == pytest.approx(0.14237960558, abs=1e-11)
    assert float(weighted_cross_entropy(logits, labels)) == pytest.approx(0.41166234849, abs=5e-12)


def test_thresholded_labels():
    confidence, labels = torch.tensor([0.99, 0.968, 0.5]), torch.tensor([1, 2, 3])
    assert thresholded(confidence, labels, 0.968).tolist() == [1, 2, 255]
    assert thresholded(confidence, labels, None).tolist() == [1, 2, 3]


@pytest.mark.parametrize('detach', [False, True])
def test_gradients_in_few_passes_are_those_of_the_composed_formula(detach):
    torch.manual_seed(0)
    logits = (torch.randn(2, 5, 3, 4, dtype=torch.float64) * 2).requires_grad_()
    log_p = logits.log_softmax(1)
    entropy = normalised_entropy(log_p, 5)
    ease = (1 - entropy) ** 5
    curriculum = ((ease.detach() if detach else ease) * entropy).mean()
    weight = (-3 * entropy).exp().detach()
    mean = (weight.unsqueeze(1) * log_p.exp()).mean(dim=(0, 2, 3))
    diversity = -(mean * mean.log()).sum() / torch.tensor(5.0).log()
    expected = torch.autograd.grad(2 * curriculum - diversity, logits)[0]
    entropies, p = entropy_and_probability(logits)
    first = curriculum_map(entropies, detach=detach).mean()
    second = entropy_of_mean(entropies, p)
    assert (float(first), float(second)) == pytest.approx((float(curriculum), float(diversity)))
    torch.testing.assert_close(torch.autograd.grad(2 * first - second, logits)[0], expected)


def test_the_gradient_of_the_negative_loss_is_exact():
    torch.manual_seed(0)
    logits = torch.randn(2, 6, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: negative_loss(z, 0.15), logits)


def together_of(logits, labels, threshold, form, where, weight):
    """Positive and negative loss from one pass, if the form has one."""
    if form != 'joint':
        negative = negative_loss(logits, threshold, form, where)
        return weighted_cross_entropy(logits, labels, weight), negative
    positive, mass = CrossEntropyAndMass.apply(logits, labels, threshold)
    negative = negative_map(logits, threshold, form, mass)
    return (positive * weight).mean(), (negative if where is None else negative * where).mean()


@pytest.mark.parametrize('form', ['joint', 'sum'])
def test_both_losses_together_are_those_taken_one_by_one(form):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 7, 5, 6, generator=generator, dtype=torch.float64) * 3
    labels = torch.randint(8, (2, 5, 6), generator=generator)
    labels[labels == 7] = 255
    weight = torch.rand(2, 5, 6, generator=generator, dtype=torch.float64)
    where = labels == 255
    alone, together = (logits.clone().requires_grad_() for _ in range(2))
    expected = weighted_cross_entropy(alone, labels, weight), negative_loss(alone, 0.1, form, where)
    got = together_of(together, labels, 0.1, form, where, weight)
    assert torch.allclose(torch.stack(got), torch.stack(expected), rtol=1e-12)
    for losses, values in ((expected, alone), (got, together)):
        (losses[0] + 2 * losses[1]).backward()
        assert values.grad is not None
    assert torch.allclose(together.grad, alone.grad, rtol=1e-10, atol=1e-14)
    assert torch.autograd.gradcheck(
        lambda z: sum(together_of(z, labels, 0.1, form, None, weight)),
        logits.requires_grad_(),
    )
