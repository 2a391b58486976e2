"""Which stages run first."""

from __future__ import annotations

from sfda_bench.run.order import by_longest_way, effort


def test_what_much_rests_on_runs_first_and_nothing_is_lost(bench):
    plan = bench.plan('tent[iters=2]', 'stvm[iters=900]', 'cbst[iters=50]')
    found = by_longest_way(list(plan.stages.values()))
    assert {stage.id for stage in found} == set(plan.stages)
    titles = [stage.title.split('[')[0] for stage in found]
    assert titles.index('stvm') < titles.index('cbst') < titles.index('tent')


def test_the_way_to_the_end_counts_not_the_stage_alone(bench):
    plan = bench.plan('cbst[iters=50]', 'tent[iters=60]')
    found = [stage.title for stage in by_longest_way(list(plan.stages.values()))]
    labels = next(i for i, title in enumerate(found) if '] threshold0' in title)
    short = next(i for i, title in enumerate(found) if title.startswith('tent[iters=60] adapt'))
    assert labels < short, 'a cheap stage before three rounds of training'
    first, *_ = (plan.stages[i] for i in plan.entries[0].stages)
    assert effort(first) > effort(plan.stages[plan.entries[0].stages[-1]]) / 10
