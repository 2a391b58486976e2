"""From evidence to the result of a sweep: how sure a choice is, and what failed."""

from __future__ import annotations

import numpy as np
import pytest

from sfda_bench.errors import BenchError
from sfda_bench.plan.expand import load_suite
from sfda_bench.plan.selectors import parse_method
from sfda_bench.plan.sweep import Wanted, plan_sweep
from sfda_bench.run.sweep import evidence_of, result_of, stability
from sfda_bench.scoring.candidates import VALIDATORS, Evidence
from sfda_bench.scoring.prediction_statistics import (
    Statistics,
    ViewStatistics,
    statistics_of,
    view_statistics,
)

IMAGES, CLASSES = 6, 4


def model(sharpness: list[float]) -> Evidence:
    """Predictions whose confidence differs by image."""
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(CLASSES, 5, 8)) * scale for scale in sharpness]
    return Evidence(
        statistics=Statistics.stack([statistics_of(one) for one in maps]),
        views=ViewStatistics.stack([view_statistics(one, one) for one in maps]),
        logits=np.zeros((IMAGES, CLASSES)),
        image=np.arange(IMAGES),
        ids=tuple('abcdef'),
    )


def test_a_choice_that_hangs_on_one_image_is_unstable():
    even, one_image = model([2.0] * IMAGES), model([1.0] * 5 + [40.0])
    clear = stability([even, model([1.0] * IMAGES), None])
    assert clear['entropy'] == 1
    shaky = stability([model([1.9] * IMAGES), one_image])
    # a bootstrap sample of six images lacks one of them with probability (5/6)^6 = 0.33
    assert 0.3 < shaky['entropy'] < 1
    assert stability([None]) == {}


def test_validators_of_single_pixels_or_images_have_none():
    found = stability([model([1.0] * IMAGES)] * 2, samples=3)
    assert set(found) == {
        name for name, v in VALIDATORS.items() if not v.sampled and name != 'infomax_image'
    }
    assert stability([model([1.0] * IMAGES)] * 2, samples=3) == found


@pytest.fixture
def planned(bench):
    """A sweep of two trials, the second at a rate at which Tent diverges."""
    wanted = Wanted(
        load_suite(bench.suite),
        [parse_method('tent[batch_size=1,iters=2,adapter.trainable=all]')],
        tasks=['gta5_to_cityscapes'],
        budget=2,
        axes={'optimizer.lr': '[1e15, 1e20]'},
    )
    return plan_sweep(wanted, bench.data_root, bench.store)


def test_trials_are_entries_with_evidence(planned):
    plan, (pool,) = planned
    assert [one.entry for one in pool.candidates] == plan.entries
    assert [set(one.params) for one in pool.candidates] == [
        {'batch_size', 'iters', 'adapter.trainable'},
        {'batch_size', 'iters', 'adapter.trainable', 'optimizer.lr'},
    ]
    for one in [*(c.evidence for c in pool.candidates), pool.source]:
        assert plan.stages[one].kind == 'validate'
    assert len({pool.source, *(c.evidence for c in pool.candidates)}) == 3


def test_a_trial_that_diverges_is_part_of_the_result(planned, bench):
    plan, (pool,) = planned
    bench.run(plan)
    found = result_of(pool, plan, bench.store, bench.records)
    good, bad = found.trials
    assert good.miou is not None and good.scores['bnm'] is not None and not good.reason
    assert bad.miou is None and set(bad.scores.values()) == {None}
    assert bad.reason.startswith('adapt: diverged')
    assert evidence_of(pool.candidates[1].evidence, bench.store) is None
    assert found.seconds is None, 'what a failed stage cost is not known'
    assert found.source_classes and found.source_miou is not None


def test_all_trials_may_start_from_another_method(bench):
    def swept(text):
        suite = load_suite(bench.suite)
        wanted = Wanted(suite, [parse_method(text)], tasks=['gta5_to_cityscapes'], budget=2)
        return plan_sweep(wanted, bench.data_root, bench.store)

    plan, (pool,) = swept('tent[init=bn_adapt[iters=2]]')
    assert [one.params['init'] for one in pool.candidates] == ['bn_adapt[iters=2]'] * 2
    firsts = {one.entry.stages[1] for one in pool.candidates}
    assert len(firsts) == 1 and plan.stages[firsts.pop()].title.startswith('bn_adapt[iters=2]')
    with pytest.raises(BenchError, match='is of track uda'):
        swept('tent[init=advent]')
