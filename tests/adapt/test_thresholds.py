"""Streaming thresholds against the sort, with the cases of the CBST sheet (M1, M7)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfda_bench.adapt.selection import rare_classes, rarest, select_labels, thin_ties
from sfda_bench.adapt.thresholds import (
    BINS,
    ConfidenceHistogram,
    bin_of,
    every_nth,
    exact_thresholds,
    lower_edge,
    rank_of,
)
from sfda_bench.errors import BenchError, UnknownNameError

LISTS = [
    np.array([0.95, 0.99, 0.90, 0.80, 0.85, 0.70, 0.97, 0.60, 0.55, 0.92]),
    np.array([0.70, 0.50, 0.60, 0.40, 0.65]),
    np.array([0.45, 0.30]),
    np.array([]),
]


@pytest.mark.parametrize(
    ('portion', 'theta', 'selected'),
    [
        (0.2, (0.97, 0.70, 1, 1), (2, 1, 0, 0)),
        (0.4, (0.92, 0.65, 1, 1), (4, 2, 0, 0)),
        (0.5, (0.90, 0.65, 0.45, 1), (5, 2, 1, 0)),
    ],
)
def test_m1_thresholds_of_the_official_function(portion, theta, selected):
    assert exact_thresholds(LISTS, portion) == pytest.approx(theta)
    histogram = ConfidenceHistogram(4)
    for index, values in enumerate(LISTS):
        values = torch.tensor(values, dtype=torch.float32)
        histogram.add(values, torch.full(values.shape, index))
    found = histogram.thresholds(portion)
    assert found.theta == pytest.approx(theta, abs=6.2e-5)
    assert all(f <= t for f, t in zip(found.theta, np.float32(theta), strict=True))
    assert tuple(found.requested) == selected == tuple(found.at_least)
    assert tuple(found.counts) == (10, 5, 2, 0)


def test_m1_rare_classes():
    assert rarest([4000, 2000, 3, 0], 3) == [3, 2, 1]
    assert rare_classes([4000, 2000, 3, 0]) == [3, 2]
    assert rare_classes([0, 0]) == [0, 1]


A = [
    (0.95, 0.90, 0.85, 0.80, 0.75, 0.70, 0.20, 0.30),
    (0.03, 0.05, 0.10, 0.15, 0.20, 0.20, 0.60, 0.50),
    (0.02, 0.05, 0.05, 0.05, 0.05, 0.10, 0.20, 0.20),
]
B = [
    (0.99, 0.65, 0.60, 0.55, 0.30, 0.25, 0.20, 0.10),
    (0.005, 0.2, 0.2, 0.3, 0.55, 0.60, 0.70, 0.45),
    (0.005, 0.15, 0.2, 0.15, 0.15, 0.15, 0.10, 0.45),
]


@pytest.mark.parametrize(
    ('policy', 'portion', 'theta', 'labels'),
    [
        ('class', 0.5, (0.95, 0.60, 1), ('0-----1-', '0----11-')),
        ('class', 0.2, (1, 1, 1), ('--------', '--------')),
        ('global', 0.5, (0.60, 0.60, 0.60), ('0000001-', '000--11-')),
    ],
)
def test_m7_mxnet_blocks(policy, portion, theta, labels):
    maps = [torch.tensor(m, dtype=torch.float32) for m in (A, B)]
    lists: list[list[np.ndarray]] = [[], [], []]
    for map_ in maps:
        confidence, predicted = (t.numpy() for t in map_.max(dim=0))
        for index, values in enumerate(every_nth(confidence, predicted, 3)):
            lists[index].append(values)
    values = [np.concatenate(parts) for parts in lists]
    assert [v.tolist() for v in values] == [
        pytest.approx([0.95, 0.75, 0.99]), pytest.approx([0.60, 0.55]), []
    ]  # fmt: skip
    found = exact_thresholds(values, portion, policy, leading_zero=True)
    assert found == pytest.approx(theta)
    for map_, text in zip(maps, labels, strict=True):
        chosen = select_labels(map_, torch.tensor(found))
        assert ''.join('-' if i == 255 else str(int(i)) for i in chosen) == text


def smooth_maps(images: int, classes: int, scale: float, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(images, classes, 6, 9, generator=generator) * scale
    maps = torch.nn.functional.interpolate(coarse, size=(37, 61), mode='bilinear')
    return list(maps.softmax(dim=1))


@pytest.mark.parametrize('scale', [0.1, 2.0, 12.0])
@pytest.mark.parametrize('stride', [1, 4])
@pytest.mark.parametrize('policy', ['class', 'global'])
def test_streaming_equals_the_sort_to_a_ten_thousandth(scale, stride, policy):
    maps = smooth_maps(5, 7, scale, seed=3)
    histogram = ConfidenceHistogram(7, stride=stride)
    lists: list[list[np.ndarray]] = [[] for _ in range(7)]
    for map_ in maps:
        confidence, labels = histogram.update(map_)
        for index, part in enumerate(every_nth(confidence.numpy(), labels.numpy(), 7, stride)):
            lists[index].append(part)
    values = [np.concatenate(parts) for parts in lists]
    for portion in (0.05, 0.2, 0.25, 0.5):
        found = histogram.thresholds(portion, policy)
        exact = exact_thresholds(values, portion, policy)
        assert np.abs(np.array(found.theta) - exact).max() < 1e-4
        assert found.counts == [len(v) for v in values]


def test_bins_are_fine_everywhere_and_order_preserving():
    values = torch.linspace(0, 1, 50001)
    bins = bin_of(values)
    assert int(bins.min()) == 0 and int(bins.max()) == BINS - 1
    assert bool((bins[1:] <= bins[:-1]).all())
    edges = torch.tensor([lower_edge(int(b)) for b in bins])
    assert bool((edges <= values + 1e-7).all()) and float((values - edges).max()) < 6.2e-5
    near = 1 - torch.tensor([0.0, 1.0, 2.0, 3.0]) * 2**-24
    assert bin_of(near).unique().numel() == 4
    assert torch.tensor([lower_edge(int(b)) for b in bin_of(near)]).tolist() == near.tolist()


def test_a_saturated_network_keeps_the_requested_share_when_ties_are_thinned():
    """The measured trap: confidences that crowd at one value keep far more than asked for."""
    confidence = torch.full((1, 100, 200), 0.999)
    confidence[:, :5] = 0.9999
    maps = torch.cat([confidence, 1 - confidence])
    histogram = ConfidenceHistogram(2)
    histogram.update(maps)
    found = histogram.thresholds(0.2)
    theta, keep = torch.tensor(found.theta), torch.tensor(found.tie_keep)
    labels = select_labels(maps, theta)
    assert int((labels != 255).sum()) == 20000  # as published: all ties are kept
    assert (found.requested[0], found.at_least[0]) == (4000, 20000)
    thinned = thin_ties(labels, maps, theta, keep, seed=0)
    assert int((thinned != 255).sum()) == pytest.approx(4000, abs=200)
    assert bool((thinned[:5] == 0).all())
    assert torch.equal(thinned, thin_ties(labels, maps, theta, keep, seed=0))


def test_a_threshold_of_zero_becomes_one_as_in_the_sorted_reference():
    """A spatial prior may make every class of a pixel impossible."""
    confidence = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.3])
    histogram = ConfidenceHistogram(2)
    histogram.add(confidence, torch.zeros(5, dtype=torch.uint8))
    assert histogram.thresholds(0.5).theta == [1.0, 1.0]
    assert exact_thresholds([confidence.numpy(), np.zeros(0)], 0.5).tolist() == [1.0, 1.0]


@pytest.mark.parametrize('stride', [1, 4])
def test_tensor_operations_count_as_the_compiled_loop(stride):
    generator = torch.Generator().manual_seed(0)
    confidence = torch.rand(5000, generator=generator) ** 0.1
    labels = torch.randint(0, 5, (5000,), generator=generator)
    compiled, plain = ConfidenceHistogram(5, stride), ConfidenceHistogram(5, stride)
    compiled.add(confidence, labels)
    assert plain._scatter(confidence, labels)
    assert torch.equal(plain.counts, compiled.counts)
    for wrong in ((confidence.clone().fill_(torch.nan), labels), (confidence, labels + 1)):
        assert not plain._scatter(*wrong)


def test_portions_ranks_and_wrong_arguments():
    assert (rank_of(7, 0.5), rank_of(7, 0.5, 'round'), rank_of(0, 0.5)) == (3, 4, 0)
    with pytest.raises(BenchError, match='portion 20'):
        rank_of(10, 20)
    with pytest.raises(UnknownNameError, match='did you mean global'):
        ConfidenceHistogram(2).thresholds(0.2, 'globl')
    with pytest.raises(BenchError, match='stride 0'):
        ConfidenceHistogram(2, stride=0)


def test_every_fourth_row_is_a_sample_with_the_same_thresholds():
    maps = smooth_maps(40, 7, 2.0, seed=5)
    whole, sample = ConfidenceHistogram(7), ConfidenceHistogram(7, rows=4)
    for map_ in maps:
        whole.update(map_)
        sample.update(map_)
    seen, total = int(sample.counts.sum()), int(whole.counts.sum())
    assert 0.2 < seen / total < 0.3
    assert seen == pytest.approx(total / 4, rel=0.1)
    difference = np.subtract(whole.thresholds(0.2).theta, sample.thresholds(0.2).theta)
    assert np.abs(difference).max() < 0.02


def test_counts_are_those_of_the_bins():
    histogram = ConfidenceHistogram(7)
    expected = torch.zeros(7 * BINS, dtype=torch.int64)
    for map_ in smooth_maps(3, 7, 5.0, seed=2):
        histogram.update(map_)
        confidence, labels = map_.max(dim=0)
        index = (labels * BINS + bin_of(confidence)).flatten()
        expected += torch.bincount(index, minlength=7 * BINS)
    assert torch.equal(histogram.counts, expected)


def test_bands_of_rows_cover_a_tall_map_in_turn():
    histogram = ConfidenceHistogram(2, rows=4)
    map_ = torch.linspace(0.51, 0.99, 64)[None, :, None].expand(2, 64, 3).contiguous()
    map_[1] = 1 - map_[0]
    seen = torch.cat([histogram.update(map_)[0].clone() for _ in range(4)])
    assert torch.equal(seen.sort().values, map_[0].flatten().sort().values)


def test_a_confidence_that_is_not_a_number_is_refused():
    with pytest.raises(BenchError, match='not a number'):
        ConfidenceHistogram(2).update(torch.full((2, 3, 3), float('nan')))


@pytest.mark.parametrize('label', [-1, 2, 255])
def test_a_label_that_is_no_class_is_refused(label):
    with pytest.raises(BenchError, match='a label that is no class'):
        ConfidenceHistogram(2).add(torch.tensor([0.9]), torch.tensor([label]))
