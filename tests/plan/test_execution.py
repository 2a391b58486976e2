"""Number format, memory layout and compiler as settings of an entry."""

from __future__ import annotations

import pytest

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.plan.execution import Execution, canonical, split
from sfda_bench.run.preflight import check_compilers


def hooks_of(plan, stage: str) -> list[dict]:
    return plan.stages[stage].config.get('custom_hooks', [])


def test_what_is_done_anyway_is_no_setting(bench):
    plain, stated = (bench.plan(text) for text in ('tent', 'tent[precision=fp32,compile=false]'))
    assert plain.entries[0].key == stated.entries[0].key
    assert plain.stages.keys() == stated.stages.keys()


def test_the_stages_of_a_method_and_its_score_compute_so_and_the_source_does_not(bench):
    plain, short = (bench.plan(text).entries[0] for text in ('cbst', 'cbst[precision=bf16]'))
    assert (short.stages[0], short.source_score) == (plain.stages[0], plain.source_score)
    assert not set(short.stages[1:]) & set(plain.stages)
    plan = bench.plan('cbst[precision=bf16]')
    wanted = {'type': 'ExecutionHook', 'precision': 'bf16'}
    assert all(wanted in hooks_of(plan, stage) for stage in plan.entries[0].stages[1:])
    assert wanted not in hooks_of(plan, plan.entries[0].stages[0])


def test_what_a_method_starts_from_has_settings_of_its_own(bench):
    (init,) = bench.plan('bn_adapt').entries
    plan = bench.plan('tent[init=bn_adapt,precision=bf16]')
    assert plan.entries[0].stages[1] == init.stages[1]
    assert plan.entries[0].key.params['precision'] == 'bf16'
    plan = bench.plan('tent[init=bn_adapt[precision=bf16]]')
    named = {plan.stages[stage].name: stage for stage in plan.entries[0].stages}
    found = [bool(hooks_of(plan, stage)) for stage in plan.entries[0].stages]
    assert len(named) >= 3
    assert found[1] and not found[-1]


def test_fp16_scales_the_loss_of_every_optimiser(bench):
    plan = bench.plan('tent[precision=fp16]')
    stage = plan.stages[plan.entries[0].stages[1]]
    assert stage.config['optim_wrapper']['type'] == 'ScaledOptimWrapper'
    plan = bench.plan('tent_online[precision=fp16]')
    stream = plan.stages[plan.entries[0].stages[1]]
    assert stream.config['test_cfg']['optim_wrapper']['type'] == 'ScaledOptimWrapper'
    two = Execution('fp16').changed(
        {
            'optim_wrapper': {
                'constructor': 'C',
                'student': {'optimizer': {}},
                'other': {'optimizer': {}},
            }
        }
    )['optim_wrapper']
    assert {two['student']['type'], two['other']['type']} == {'ScaledOptimWrapper'}
    assert two['constructor'] == 'C'


@pytest.mark.parametrize(
    ('method', 'error'),
    [
        ('tent[precision=half]', UnknownNameError),
        ('tent[precision=BF16]', UnknownNameError),
        ('tent[channels_last=2]', BenchError),
        ('tent[compile=nvcc]', UnknownNameError),
    ],
)
def test_values_that_do_not_exist_are_refused(bench, method, error):
    with pytest.raises(error):
        bench.plan(method)


def test_names_of_settings():
    execution, rest = split({'precision': 'bf16', 'compile': True, 'iters': 3})
    assert (execution, rest) == (Execution('bf16', False, 'inductor'), {'iters': 3})
    assert canonical({'compile': True, 'channels_last': False}) == {'compile': 'inductor'}


def test_a_compiler_in_processes_of_its_own_does_not_go_with_a_seal(bench):
    plan = bench.plan('tent[compile=inductor]')
    with pytest.raises(BenchError, match='compiler is a process'):
        check_compilers(plan.stages.values())
    check_compilers(bench.plan('tent[compile=aot_eager]').stages.values())
    check_compilers(bench.plan('oracle[compile=inductor]').stages.values())
