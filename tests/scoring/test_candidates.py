"""The registry of validators, choices, and what is reported of a choice."""

from __future__ import annotations

import numpy as np
import pytest

from sfda_bench.scoring.candidates import VALIDATORS, Evidence, choose, scores_of
from sfda_bench.scoring.prediction_statistics import (
    Statistics,
    ViewStatistics,
    statistics_of,
    view_statistics,
)
from sfda_bench.scoring.selection import judge, ranks, weighted_rank_correlation

CLASSES, IMAGES, PIXELS = 5, 4, 60


def evidence(logits: np.ndarray, seed: int = 9) -> Evidence:
    """Of logits (M, K, N); the second view is the first with a little noise."""
    rng = np.random.default_rng(seed)
    other = logits + rng.normal(size=logits.shape) * 0.3
    return Evidence(
        statistics=Statistics.stack([statistics_of(one) for one in logits]),
        views=ViewStatistics.stack(
            [view_statistics(one, two) for one, two in zip(logits, other, strict=True)]
        ),
        logits=logits.transpose(0, 2, 1).reshape(-1, CLASSES),
        image=np.repeat(np.arange(IMAGES), PIXELS),
        ids=tuple('abcd'),
    )


@pytest.fixture(scope='module')
def pool() -> dict[str, Evidence]:
    """Confident and right of many classes; unsure; collapsed to one class; noise."""
    rng = np.random.default_rng(0)
    street = np.eye(CLASSES)[rng.integers(0, CLASSES, (IMAGES, PIXELS))].transpose(0, 2, 1)
    collapsed = np.zeros((IMAGES, CLASSES, PIXELS))
    collapsed[:, 1] = 40
    noise = rng.normal(size=street.shape) * 0.01
    return {
        'good': evidence(4 * street + rng.normal(size=street.shape) * 0.2),
        'unsure': evidence(street + rng.normal(size=street.shape) * 0.2),
        'collapsed': evidence(collapsed),
        'noise': evidence(noise),
    }


def pick(name: str, pool: dict[str, Evidence], source: Evidence | None = None) -> str:
    return list(pool)[choose(scores_of(name, list(pool.values()), source))]


@pytest.mark.parametrize('name', ['entropy', 'msp', 'entropy_balanced', 'corr_c', 'snd_seg'])
def test_these_fall_for_a_collapse(name, pool):
    assert pick(name, pool) == 'collapsed'
    assert VALIDATORS[name].rewards.startswith('one class everywhere')


@pytest.mark.parametrize('name', ['infomax', 'infomax_image', 'bnm', 'bnm_n', 'softmax_corr'])
def test_these_take_confident_and_even_predictions(name, pool):
    assert pick(name, pool) == 'good'


def test_diversity_alone_takes_noise(pool):
    assert pick('diversity', pool) == 'noise'


def test_a_pool_that_has_collapsed_votes_for_collapse(pool):
    bad = {'good': pool['good'], 'first': pool['collapsed'], 'second': pool['collapsed']}
    assert pick('ensv', bad) == 'first'


def test_agreement_with_the_source_is_a_control(pool):
    """It prefers who changed nothing, and says nothing without a source model."""
    assert scores_of('source_agreement', [pool['collapsed']], pool['collapsed']) == [1.0]
    assert pick('source_agreement', pool, pool['collapsed']) == 'collapsed'
    assert scores_of('source_agreement', list(pool.values())) == [-np.inf] * 4


@pytest.mark.parametrize('name', VALIDATORS)
def test_every_validator_scores_every_candidate(name, pool):
    found = scores_of(name, list(pool.values()), pool['good'])
    assert len(found) == len(pool) and np.isfinite(found).all()


@pytest.mark.parametrize('name', VALIDATORS)
def test_a_candidate_that_diverged_is_the_last(name, pool):
    found = scores_of(name, [None, *pool.values()], pool['good'])
    assert found[0] == -np.inf and np.isfinite(found[1:]).all()
    assert scores_of(name, [None, None]) == [-np.inf] * 2


@pytest.mark.parametrize('name', VALIDATORS)
def test_a_bootstrap_takes_images(name, pool):
    """All images in another order: the same scores, of pooled neighbours to rounding."""
    order = np.array([2, 0, 3, 1])
    moved = {key: one.take(order) for key, one in pool.items()}
    assert moved['good'].ids == ('c', 'a', 'd', 'b')
    before = scores_of(name, list(pool.values()), pool['good'])
    assert scores_of(name, list(moved.values()), moved['good']) == pytest.approx(before, abs=1e-9)


# --- what is reported ---------------------------------------------------------------------------


def test_a_choice_as_an_independent_program_judges_it():
    found = judge([0.1, 0.4, 0.3, 0.9, 0.8], [40, 44, 45, 20, 43])
    assert (found.index, found.miou, found.regret, found.rank) == (3, 20.0, 25.0, 5)
    assert found.worst
    assert found.spearman == pytest.approx(-0.4, abs=1e-12)
    assert found.weighted == pytest.approx(-0.8258597191466591, abs=1e-12)


def test_of_equal_scores_the_published_setting_wins():
    assert judge([1.0, 1.0, 0.5], [30, 40, 50]).index == 0


def test_nobody_is_the_worst_of_equals():
    found = judge([1.0, 2.0], [30, 30])
    assert not found.worst and found.rank == 1 and found.spearman is None


def test_ranks_share_their_mean():
    assert ranks([5, 1, 5, 7]).tolist() == [2.5, 1, 2.5, 4]
    assert weighted_rank_correlation([1, 2, 3], [4, 4, 4]) is None
