"""Shared ranks and tie groups."""

from itertools import combinations

import numpy as np
import pytest

from sfda_bench.scoring import ranking as R
from sfda_bench.scoring.statistics import Parts, paired_bootstrap


def method(name, gain, seeds=(0, 1, 2), images=60, noise=0.003, seed_noise=0.0):
    base = np.random.default_rng(0)
    union = base.integers(500, 900, (images, 7)).astype(float)
    rate = 0.5 + base.normal(0, 0.1, (images, 1))
    rng = np.random.default_rng(int(name))
    parts = []
    for _ in seeds:
        own = rate + gain + rng.normal(0, noise, (images, 1)) + rng.normal(0, seed_noise)
        parts.append(Parts(union * np.clip(own, 0, 1), union))
    return R.Contestant(name, tuple(seeds), tuple(parts))


def board(*contestants):
    drawn = R.draw(contestants, 2000)
    pairs = R.compare_all(drawn)
    means = {name: item.mean for name, item in drawn.items()}
    return means, pairs


def test_ranks_are_shared_where_nothing_separates():
    means, pairs = board(method('1', 0.05), method('2', 0.0501), method('3', 0.0))
    assert R.shared_ranks(means, pairs) == {'1': 1, '2': 1, '3': 3}
    assert [sorted(group) for group in R.tie_groups(means, pairs)] == [['1', '2'], ['3']]


def pair(a, b, difference, p):
    return R.Pair(a, b, difference, 0, 0, p, p)


def test_ties_need_not_be_transitive():
    means = {'a': 3.0, 'b': 2.0, 'c': 1.0}
    pairs = [pair('a', 'b', 1, 0.3), pair('b', 'c', 1, 0.3), pair('a', 'c', 2, 0.01)]
    assert R.tie_groups(means, pairs) == [['a', 'b'], ['b', 'c']]
    assert R.shared_ranks(means, pairs) == {'a': 1, 'b': 1, 'c': 2}
    assert R.last_ranks(means, pairs) == {'a': 2, 'b': 3, 'c': 3}


def test_a_letter_in_common_means_not_separable():
    """Also where an unsteady method lies between two steady ones, as ``b`` here."""
    means = {name: 5.0 - i for i, name in enumerate('abcde')}
    apart = [('a', 'c'), ('a', 'e'), ('c', 'd'), ('b', 'e')]
    pairs = [
        pair(x, y, means[x] - means[y], 0.01 if (x, y) in apart else 0.3)
        for x, y in combinations('abcde', 2)
    ]
    groups = R.tie_groups(means, pairs)
    assert groups[0] == ['a', 'b', 'd']
    first, last = R.shared_ranks(means, pairs), R.last_ranks(means, pairs)
    for x in 'abcde':  # a range is as long as there are methods that it cannot be told from
        assert last[x] - first[x] == 4 - sum(x in two for two in apart)
    for x, y in combinations('abcde', 2):
        assert any(x in g and y in g for g in groups) == ((x, y) not in apart)


def test_seed_noise_widens_a_comparison():
    quiet = board(method('1', 0.01), method('2', 0.0))[1][0]
    loud = board(method('1', 0.01, seed_noise=0.05), method('2', 0.0, seed_noise=0.05))[1][0]
    assert quiet.p < 1e-6 < 1e-2 < loud.p


def test_the_comparison_of_single_seeds_is_the_paired_bootstrap():
    a, b = method('1', 0.01, (0,), noise=0.02), method('2', 0.0, (0,), noise=0.02)
    found = board(a, b)[1][0]
    expected = paired_bootstrap(a.parts[0], b.parts[0], 2000)
    assert found.difference == pytest.approx(expected.difference)
    assert found.p == pytest.approx(expected.p, rel=0.05)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.1)


def test_equal_predictions_are_tied():
    one = method('1', 0.0)
    means, pairs = board(one, R.Contestant('2', one.seeds, one.parts))
    assert pairs[0].p == 1 and set(R.shared_ranks(means, pairs).values()) == {1}


def test_a_single_method_has_no_pairs():
    assert board(method('1', 0.0))[1] == []


def test_seeds_are_paired_when_shared():
    values = np.array([40.0, 45.0, 50.0])
    empty = np.zeros((3, 4))
    a, b = R.Drawn((0, 1, 2), values + 1, empty), R.Drawn((0, 1, 2), values, empty)
    assert R.seed_variance(a, b) == (0, 2)
    other = R.Drawn((3, 4, 5), values, empty)
    variance, freedom = R.seed_variance(a, other)
    assert variance == pytest.approx(25 / 3 * 2) and freedom == 2


def test_a_single_seed_spreads_as_the_others():
    several = R.Drawn((0, 1, 2), np.array([40.0, 45.0, 50.0]), np.zeros((3, 4)))
    single = R.Drawn((0,), np.array([40.0]), np.zeros((1, 4)))
    for pair_ in ((several, single), (single, several)):
        assert R.seed_variance(*pair_) == (pytest.approx(25 / 3 + 25), 2)


def test_one_seed_has_no_seed_variance():
    one = R.draw([method('1', 0.0, seeds=(0,))], 100)['1']
    assert R.seed_variance(one, one) == (0, 0)
    assert one.interval()[0] < one.mean < one.interval()[1]


def tables(means, count=200):
    """Comparisons of methods whose seeds spread differently, each with its own image noise."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        spread = 2 / np.sqrt(rng.chisquare(4, len(means)))
        values = (
            means[:, None]
            + rng.normal(0, 0.5, 3)
            + rng.normal(size=(len(means), 3)) * spread[:, None]
        )
        values += rng.normal(0, 0.5, (len(means), 1))
        drawn = {
            str(i): R.Drawn((0, 1, 2), v, np.tile(v.mean() + rng.normal(0, 0.5, 400), (3, 1)))
            for i, v in enumerate(values)
        }
        yield R.compare_all(drawn)


def test_equal_methods_are_seldom_told_apart():
    """19 methods, three seeds, at 5 %: plain variances of three seeds gave 34 % false tables."""
    false = [any(p.p_adjusted < 0.05 for p in pairs) for pairs in tables(np.zeros(19))]
    assert np.mean(false) < 0.12


def test_unequal_methods_are_told_apart():
    """Means one point apart: plain variances found 38 % of the differences."""
    found = [np.mean([p.p_adjusted < 0.05 for p in pairs]) for pairs in tables(np.arange(19.0), 50)]
    assert np.mean(found) > 0.5
