"""Moderated variances, against values of R's limma (3.54.1, ``squeezeVar``)."""

import numpy as np
import pytest
from scipy.special import polygamma

from sfda_bench.scoring.moderation import moderate

VARIANCES = np.array([0.3, 1.2, 0.8, 4.1, 2.5, 0.05, 1.9, 0.6])


def test_equal_degrees_of_freedom():
    found, prior = moderate(VARIANCES, np.full(8, 2.0))
    assert prior == pytest.approx(7.621241, rel=1e-5)
    expected = [1.0469728, 1.2340589, 1.1509095, 1.8368917, 1.5042943, 0.9950045, 1.3795703]
    np.testing.assert_allclose(found[:7], expected, rtol=1e-6)


def test_unequal_degrees_of_freedom():
    found, prior = moderate(VARIANCES, np.repeat([2.0, 4.0], 4))
    assert prior == pytest.approx(3.0376929, rel=1e-5)
    expected = [0.63141111, 0.98871753, 0.82991467, 2.14003820, 1.78763913, 0.39513734]
    np.testing.assert_allclose(found[:6], expected, rtol=1e-6)


def test_variances_that_spread_no_more_than_chance_become_one():
    found, prior = moderate(np.array([1.0, 1.1, 0.9, 1.05]), np.full(4, 2.0))
    assert prior == np.inf
    np.testing.assert_allclose(found, 1.0125)


def test_a_spread_just_beyond_chance_is_none():
    """The prior's freedom would lie beyond any that can be solved for."""
    logs = np.array([1.0, -1.0])
    chance = polygamma(1, 1.0)
    variances = np.exp(logs * np.sqrt((chance + 1e-9) / logs.var(ddof=1)))
    assert moderate(variances, np.full(2, 2.0))[1] == np.inf


def test_nothing_to_borrow_from():
    for alone in ([0.3], [0.0, 0.0, 0.0]):
        found, prior = moderate(np.array(alone), np.full(len(alone), 2.0))
        assert found.tolist() == alone and prior == 0


def test_a_variance_of_zero_is_drawn_up():
    found, prior = moderate(np.array([0.0, 0.0, 1.0, 2.0, 0.5, 1.5]), np.full(6, 2.0))
    assert np.isfinite(found).all() and 0 < found[0] < found[4] and 0 < prior < 1
