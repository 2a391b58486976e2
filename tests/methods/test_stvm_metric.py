"""STvM's reconstruction: the numbers of its spec sheet, section 4 (float64)."""

from __future__ import annotations

import math

import pytest
import torch

from sfda_bench.adapt.losses import weighted_cross_entropy
from sfda_bench.errors import UnknownNameError
from sfda_bench.methods.stvm.metric import (
    MetricNetwork,
    balanced_subset,
    metric_reliability,
    proxy_anchor,
    proxy_loss,
    squared_distances,
)

ROOT = 1 / math.sqrt(2)
EMBEDDINGS = torch.tensor([[1, 0], [ROOT, ROOT]], dtype=torch.float64)
PROXIES = torch.tensor([[1, 0], [0, 1], [-1, 0]], dtype=torch.float64)
LABELS = torch.tensor([0, 1])


def test_distances_of_the_sheet():
    got = squared_distances(EMBEDDINGS, PROXIES)
    expected = [[0, 2, 4], [0.5857864376, 0.5857864376, 3.4142135624]]
    assert torch.allclose(got, torch.tensor(expected).double(), atol=5e-8)
    assert got[1].tolist() == pytest.approx(expected[1], abs=5e-11)


def test_posteriors_of_the_sheet():
    posteriors = (-squared_distances(EMBEDDINGS, PROXIES)).softmax(dim=1)
    assert posteriors[0].tolist() == pytest.approx(
        [0.8668133322, 0.1173104278, 0.0158762400], abs=5e-11
    )
    assert posteriors[1].tolist() == pytest.approx(
        [0.4856477146, 0.4856477146, 0.0287045707], abs=5e-11
    )


@pytest.mark.parametrize(
    ('scale', 'loss', 'reliability'),
    [
        (1.0, 0.4326017067, (0.8668133322, 0.4856477146)),
        (10.0, 0.3465735914, (0.9999999979, 0.5000000000)),
    ],
)
def test_soft_max_form(scale, loss, reliability):
    got = float(proxy_loss(EMBEDDINGS, PROXIES, LABELS, scale))
    assert got == pytest.approx(loss, abs=1e-10)  # the sheet's last digit is not rounded evenly
    trust = metric_reliability(squared_distances(EMBEDDINGS, PROXIES), LABELS, scale)
    assert trust.tolist() == pytest.approx(reliability, abs=5.1e-11)


def test_strict_form():
    each = [
        float(proxy_loss(EMBEDDINGS[i : i + 1], PROXIES, LABELS[i : i + 1], 1.0, 'strict_nca'))
        for i in range(2)
    ]
    assert each == pytest.approx([-1.8730719890, 0.0574249167], abs=5e-11)
    mean = float(proxy_loss(EMBEDDINGS, PROXIES, LABELS, 1.0, 'strict_nca'))
    assert mean == pytest.approx(-0.9078235361, abs=6e-11)


def test_proxy_anchor_form():
    pull, push = proxy_anchor(EMBEDDINGS, PROXIES, LABELS)
    assert float(pull) == pytest.approx(1.8272e-09, abs=5e-14)
    assert float(push) == pytest.approx(9.6891234449, abs=5e-11)
    total = float(proxy_loss(EMBEDDINGS, PROXIES, LABELS, form='proxy_anchor'))
    assert total == pytest.approx(9.6891234468, abs=6e-11)


def test_nearest_ratio():
    distances = torch.tensor([[0.0, 1.0, 4.0], [4.0, 1.0, 9.0]])
    got = metric_reliability(distances, torch.tensor([0, 0]), measure='nearest_ratio')
    assert got.tolist() == [1.0, 0.0]
    with pytest.raises(UnknownNameError):
        metric_reliability(distances, LABELS, measure='ratio')


def test_the_weighted_segmentation_loss_of_the_sheet():
    rows = torch.tensor([[2, 1, -1], [0.5, 0.2, 0.1]], dtype=torch.float64)
    logits = rows.t()[None, :, None, :].clone().requires_grad_()
    weight = torch.tensor([[[0.9, 0.25]]], dtype=torch.float64)
    each = [0.3490122168, 1.1800989458]
    for index, value in enumerate(each):
        single = weighted_cross_entropy(
            logits[..., index : index + 1].detach(), LABELS[index].view(1, 1, 1)
        )
        assert float(single) == pytest.approx(value, abs=5e-11)
    loss = weighted_cross_entropy(logits, LABELS.view(1, 1, 2), weight)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.3045678659, abs=1.5e-10)
    expected = [
        [-0.1325769693, 0.1167734072, 0.0158035621],
        [0.0518427341, -0.0865939580, 0.0347512239],
    ]
    got = logits.grad[0, :, 0].t()
    for row, wanted in zip(got, expected, strict=True):
        assert row.tolist() == pytest.approx(wanted, abs=5.1e-11)


def test_subsets_are_balanced_by_class_and_image():
    labels = torch.cat([torch.zeros(900), torch.ones(90), torch.full((10,), 255)]).long()
    labels = torch.stack([labels, labels])
    chosen = balanced_subset(labels, 2, 100)
    found = labels.flatten()[chosen]
    assert torch.bincount(found).tolist() == [200, 180] and int(chosen.sum()) == 380
    assert int(chosen[:1000].sum()) == 190
    torch.manual_seed(1)
    assert not torch.equal(chosen, balanced_subset(labels, 2, 100))


@pytest.mark.parametrize('form', ['softmax', 'strict_nca', 'proxy_anchor'])
def test_a_mask_counts_as_its_pixels_alone(form):
    torch.manual_seed(0)
    points = torch.nn.functional.normalize(torch.randn(9, 2, dtype=torch.float64), dim=1)
    labels, kept = torch.randint(0, 3, (9,)), torch.arange(9) % 3 != 1
    alone = proxy_loss(points[kept], PROXIES, labels[kept], form=form)
    masked = proxy_loss(points, PROXIES, torch.where(kept, labels, 255), form=form, kept=kept)
    assert float(masked) == pytest.approx(float(alone), abs=1e-12)


def test_only_metric_parameters_learn():
    network = MetricNetwork(6, 4, 8, 5)
    features = torch.randn(2, 6, 3, 3)
    embedded, proxies = network(features)
    assert torch.allclose(embedded.norm(dim=1), torch.ones(2, 3, 3), atol=1e-5)
    flat = embedded.permute(0, 2, 3, 1).flatten(0, 2)
    proxy_loss(flat, proxies, torch.randint(0, 4, (18,))).backward()
    assert all(p.grad is not None for p in network.parameters())
    empty = proxy_loss(flat[:0], proxies, torch.zeros(0, dtype=torch.int64))
    assert float(empty.detach()) == 0.0
