"""Statistics against scipy, closed forms and simulation."""

import numpy as np
import pytest
from scipy import stats

from sfda_bench.errors import BenchError
from sfda_bench.scoring import statistics as S


def simulate(rng, images, classes=19, quality=0.6, spread=0.15, present=0.8):
    """Per-image intersection and union of a made-up method; classes miss in some images."""
    size = rng.gamma(2.0, 500, (images, classes)) * (rng.random((images, classes)) < present)
    centre = np.linspace(quality - 0.3, quality + 0.3, classes)
    rate = np.clip(centre + rng.normal(0, spread, (images, 1)), 0.02, 0.98)
    union = np.round(size)
    return S.Parts(np.round(union * rate), union)


def test_weights_are_resampled_images():
    weights = S.bootstrap_weights(40, 5000)
    assert (weights.sum(1) == 40).all() and weights.mean() == pytest.approx(1)
    assert weights.var() == pytest.approx(1 - 1 / 40, rel=0.02)  # multinomial
    assert (S.bootstrap_weights(40, 5000) == weights).all()


def test_bootstrap_equals_drawing_images_one_by_one():
    parts = simulate(np.random.default_rng(0), 12, present=0.3)
    weights = S.bootstrap_weights(12, 50)
    for row, value in zip(weights, S.bootstrap_miou(parts, weights), strict=True):
        drawn = np.repeat(np.arange(12), row.astype(int))
        expected = S.miou(S.Parts(parts.inter[drawn], parts.union[drawn]))
        assert value == pytest.approx(expected, abs=1e-3)


def test_interval_agrees_with_scipy_on_a_mean():
    """One class and equal unions: mIoU is a mean, and scipy bootstraps means."""
    rng = np.random.default_rng(1)
    rate = rng.beta(5, 3, 80)
    parts = S.Parts(np.round(rate[:, None] * 1e6), np.full((80, 1), 1e6))
    low, high = S.image_interval(parts)
    reference = stats.bootstrap(
        (rate * 100,), np.mean, method='percentile', n_resamples=9999, random_state=rng
    ).confidence_interval
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=0.15)


@pytest.mark.parametrize('size', [1, 2, 7, 1000])
def test_percentiles_are_numpys(size):
    data = np.random.default_rng(8).normal(size=size)
    expected = np.quantile(data, [0.025, 0.975])
    assert S.percentile_interval(np.append(data, np.nan)) == pytest.approx(tuple(expected))
    assert np.isnan(S.percentile_interval(np.array([np.nan]))).all()


def test_intervals_cover_what_they_promise():
    """95 % intervals of simulated data hold the true mIoU 93 to 97 % of the time."""
    truth = S.miou(simulate(np.random.default_rng(99), 200_000))
    rng = np.random.default_rng(2)
    trials, hits = 800, 0
    for trial in range(trials):
        low, high = S.image_interval(simulate(rng, 150), samples=600, seed=trial % 7)
        hits += low <= truth <= high
    assert 0.93 <= hits / trials <= 0.97


def paired(rng, images, gain):
    a = simulate(rng, images)
    extra = gain + rng.normal(0, 0.03, (images, 1))
    return S.Parts(np.clip(np.round(a.inter + extra * a.union), 0, a.union), a.union), a


def test_paired_tests_see_a_small_constant_gain_and_only_that():
    rng = np.random.default_rng(3)
    better, worse = paired(rng, 100, 0.02)
    found = S.paired_bootstrap(better, worse)
    assert found.low > 0 and found.p < 1e-4 and found.difference == pytest.approx(2, abs=0.7)
    assert S.paired_permutation(better, worse) < 1e-3
    # The unpaired intervals overlap: pairing is what separates the two.
    assert S.image_interval(worse)[1] > S.image_interval(better)[0]
    same, other = paired(rng, 100, 0.0)
    assert S.paired_permutation(same, other) > 0.01


def test_null_p_values_are_uniform():
    rng = np.random.default_rng(4)
    p = []
    for _ in range(300):
        a = simulate(rng, 60)
        swap = rng.random((60, 1)) < 0.5
        other = np.clip(np.round(a.inter * rng.uniform(0.9, 1.1, (60, 1))), 0, a.union)
        first, second = np.where(swap, a.inter, other), np.where(swap, other, a.inter)
        p.append(S.paired_permutation(S.Parts(first, a.union), S.Parts(second, a.union), 400))
    assert stats.kstest(p, 'uniform').pvalue > 0.01


def test_identical_methods_are_not_different():
    a = simulate(np.random.default_rng(5), 30)
    assert S.paired_bootstrap(a, a) == S.Comparison(0, 0, 0, 1)
    assert S.paired_permutation(a, a, 200) == 1


def test_class_intervals_and_absent_classes():
    parts = simulate(np.random.default_rng(6), 50, classes=5)
    parts.union[:, 2] = parts.inter[:, 2] = 0
    drawn = S.bootstrap_classes(parts, S.bootstrap_weights(parts.images, 500, 0))
    found = np.array([S.percentile_interval(column) for column in drawn.T])
    value = 100 * parts.inter.sum(0) / np.maximum(parts.union.sum(0), 1)
    assert np.isnan(found[2]).all()
    rest = [0, 1, 3, 4]
    assert ((found[rest, 0] < value[rest]) & (value[rest] < found[rest, 1])).all()


def test_corrections():
    p = [0.01, 0.04, 0.03, 0.005]
    assert S.adjust(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert S.adjust(p, 'bh') == pytest.approx(stats.false_discovery_control(p))
    assert S.adjust([]).size == 0


def test_seed_summary():
    found = S.seed_summary([40.0, 42.0, 41.0])
    assert (found.mean, found.std) == (41.0, 1.0)
    low, high = stats.t.interval(0.95, 2, 41, 1 / np.sqrt(3))
    assert found.half_width == pytest.approx((high - low) / 2)
    assert S.seed_summary([40.0]).std is None
    with pytest.raises(BenchError):
        S.seed_summary([])


def test_different_images_cannot_be_paired():
    rng = np.random.default_rng(7)
    with pytest.raises(BenchError, match='same images'):
        S.paired_bootstrap(simulate(rng, 5), simulate(rng, 6))


def test_bootstrap_sums_are_exact_whatever_order_a_processor_adds_in():
    """Counts of full-size images pass 2**24, above which float32 rounds by the order of a sum."""
    rng = np.random.default_rng(3)
    inter = rng.integers(0, 2**21, (400, 3))
    parts = S.Parts(inter, inter + rng.integers(1, 2**21, (400, 3)))
    weights = S.bootstrap_weights(400, samples=50, seed=1)
    found = S.bootstrap_classes(parts, weights)
    drawn = weights.astype(np.int64)
    assert (drawn @ parts.union).min() > 2**24
    assert np.array_equal(found, (drawn @ parts.inter) / (drawn @ parts.union) * 100.0)
