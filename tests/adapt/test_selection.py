"""Labels from thresholds: cases M2, M3 and M10 of the CBST sheet."""

from __future__ import annotations

import pytest
import torch

from sfda_bench.adapt.selection import log_scores, select_labels, soft_labels, with_prior

THETA = torch.tensor([0.80, 0.40, 0.20])
PIXELS = torch.tensor(
    [
        [0.60, 0.30, 0.10],
        [0.50, 0.35, 0.15],
        [0.85, 0.10, 0.05],
        [0.45, 0.40, 0.15],
        [0.34, 0.33, 0.33],
    ]
).T


def test_m2_hard_labels_equality_kept_and_reweighted_winner():
    assert select_labels(PIXELS, THETA).tolist() == [255, 255, 0, 1, 2]


def test_m3_lrent_soft_labels():
    soft, kept = soft_labels(PIXELS, THETA, 0.25)
    expected = [
        (0.4551, 0.4551, 0.0899), (0.1446, 0.5555, 0.2999), (0.9939, 0.0030, 0.0030),
        (0.0707, 0.7060, 0.2234), (0.0041, 0.0586, 0.9373),
    ]  # fmt: skip
    for pixel, row in zip(soft.T, expected, strict=True):
        assert pixel.tolist() == pytest.approx(row, abs=1.1e-4)
    sums = log_scores(PIXELS, THETA, 0.25).logsumexp(dim=0)
    assert sums.tolist() == pytest.approx([-0.3634, 0.0537, 0.2486, 0.3482, 2.0679], abs=1e-4)
    assert kept.tolist() == [False, True, True, True, True]
    hard = torch.where(kept, soft.argmax(dim=0), 255)
    assert hard.tolist() == [255, 1, 0, 1, 2]  # pixel 1 is one that hard CBST drops


def test_m3_the_compact_test_equals_the_comparison_of_costs():
    """Cost of y against 0: sum y log(y lambda / p ...) as the official function compares them."""
    for alpha in (0.25, 0.5, 1.0):
        soft, kept = soft_labels(PIXELS, THETA, alpha)
        cost = -(soft * (PIXELS / THETA[:, None]).log()).sum(0)
        cost += alpha * (soft * soft.log()).sum(0)
        assert (cost < 0).tolist() == kept.tolist()


def test_m3_alpha_one_keeps_all():
    soft, kept = soft_labels(PIXELS, THETA, 1.0)
    assert kept.all()
    expected = [
        (0.375, 0.375, 0.25), (0.2778, 0.3889, 0.3333), (0.68, 0.16, 0.16),
        (0.2432, 0.4324, 0.3243), (0.1466, 0.2845, 0.5690),
    ]  # fmt: skip
    for pixel, row in zip(soft.T, expected, strict=True):
        assert pixel.tolist() == pytest.approx(row, abs=1e-4)


def test_m10_prior_multiplies_before_the_label():
    maps = with_prior(torch.tensor([[[0.6]], [[0.3]], [[0.1]]]),
                      torch.tensor([[[0.2]], [[0.9]], [[0.5]]]))  # fmt: skip
    assert maps.flatten().tolist() == pytest.approx([0.12, 0.27, 0.05])
    assert int(maps.argmax(dim=0)) == 1


def test_zero_probabilities_and_classes_never_predicted_are_finite():
    maps = torch.tensor([[1.0, 0.5], [0.0, 0.5], [0.0, 0.0]])
    theta = torch.tensor([0.9, 1.0, 1.0])
    soft, kept = soft_labels(maps, theta, 0.25)
    assert torch.isfinite(soft).all() and kept.tolist() == [True, False]
    assert select_labels(maps, theta).tolist() == [0, 255]
