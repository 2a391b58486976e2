from __future__ import annotations

from pathlib import Path

import pytest

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method

TASK = 'gta5_to_cityscapes'
OUTSIDE = """
card = dict(name='mine', title='Mine', track='source-free', fidelity='paper')
stages = [
    dict(
        name='adapt', adapter=dict(type='Tent', dropout=False), iters=100, batch_size=4,
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)),
        overrides={'synthia_*': dict(iters=40, flip=True), 'synthia_to_cityscapes': dict(iters=50)},
    ),
]
profiles = dict(paper=dict(), pocket=dict(adapt=dict(iters=7)))
"""


@pytest.fixture
def outside(tmp_path: Path) -> str:
    path = tmp_path / 'mine.py'
    path.write_text(OUTSIDE)
    return str(path)


@pytest.mark.parametrize('name', catalog.names('methods'))
def test_every_card_is_valid_and_named_as_its_file(name):
    method = Method(name)
    assert method.name == name
    for suite in catalog.names('suites'):
        profile = catalog.load('suites', suite)['suite']['profile']
        method.stages(profile, TASK, {})


def test_profile_then_task_then_user(outside):
    method = Method(outside)
    assert method.stages('paper', TASK, {})[0]['iters'] == 100
    assert method.stages('pocket', TASK, {})[0]['iters'] == 7
    assert method.stages('paper', 'synthia_to_cityscapes', {})[0]['iters'] == 50
    other = method.stages('paper', 'synthia_to_acdc', {})[0]
    assert (other['iters'], other['flip']) == (40, True)
    assert 'flip' not in method.stages('paper', TASK, {})[0]
    stage = method.stages('pocket', TASK, {'iters': 3, 'lr': 1, 'adapt.dropout': True})[0]
    assert stage['iters'] == 3
    assert stage['optim_wrapper']['optimizer']['lr'] == 1.0
    assert stage['adapter']['dropout'] is True
    assert method.stages('paper', TASK, {})[0]['adapter']['dropout'] is False


def test_an_unknown_parameter_is_refused_with_the_nearest(outside):
    with pytest.raises(UnknownNameError, match=r'did you mean .*iters'):
        Method(outside).stages('paper', TASK, {'iter': 3})


def test_a_parameter_of_another_type_is_refused(outside):
    with pytest.raises(BenchError, match='is a str'):
        Method(outside).stages('paper', TASK, {'iters': 'many'})


def paper(method, **params):
    return Method(method).stages('paper', TASK, params)


def test_a_short_name_that_means_two_things_is_refused_with_both():
    with pytest.raises(BenchError, match='means several things') as error:
        paper('iapc', momentum=0.5)
    assert 'adapter.momentum (now 0.9999)' in error.value.expected
    assert 'optimizer.momentum (now 0.9)' in error.value.expected
    with pytest.raises(BenchError, match='means several things'):
        paper('iapc', **{'adapt.momentum': 0.5})


def test_full_names_keep_two_settings_of_one_name_apart():
    memory = paper('iapc', **{'adapter.momentum': 0.5})[1]
    assert memory['hooks']['teacher']['momentum'] == 0.5
    assert memory['optim_wrapper']['optimizer']['momentum'] == 0.9
    sgd = paper('iapc', **{'adapt.optimizer.momentum': 0.5})[1]
    assert sgd['hooks']['teacher']['momentum'] == 0.9999
    assert sgd['optim_wrapper']['optimizer']['momentum'] == 0.5
    advent = paper('advent', **{'discriminators.optimizer.lr': 1e-3})[0]['optim_wrapper']
    assert advent['discriminators']['optimizer']['lr'] == 1e-3
    assert advent['student']['optimizer']['lr'] == 2.5e-4


@pytest.mark.parametrize(
    ('method', 'name', 'value', 'stage', 'place'),
    [
        ('iapc', 'buffers', 'ema', 1, 'hooks.teacher.buffers'),
        ('iapc', 'teacher.buffers', 'ema', 1, 'hooks.teacher.buffers'),
        ('iapc', 'adapter.buffers', 'ema', 1, 'hooks.teacher.buffers'),
        ('iapc', 'pack.scale', [0.5, 1.0], 1, 'pack.scale'),
        ('iapc', 'schedule.warmup', 10, 1, 'param_scheduler.0.warmup'),
        ('atp', 'weight_negative', 0.5, 1, 'adapter.losses.negative.loss_weight'),
        ('atp', 'losses.negative.loss_weight', 0.5, 1, 'adapter.losses.negative.loss_weight'),
        ('atp', 'propagate.adapter.weight_negative', 0.5, 3, 'adapter.losses.negative.loss_weight'),
        ('cbst', 'threshold0.writer.rounding', 'round', 0, 'writer.rounding'),
        ('tent', 'weight_decay', 0.1, 0, 'optim_wrapper.optimizer.weight_decay'),
        ('tent', 'input_size', [512, 256], 0, 'input_size'),
    ],
)
def test_what_a_config_does_not_repeat_can_be_set(method, name, value, stage, place):
    def of(stage):
        for key in place.split('.'):
            stage = stage[int(key) if isinstance(stage, list) else key]
        return stage

    stages = paper(method, **{name: value})
    assert of(stages[stage]) == value
    if name.startswith('propagate.'):
        assert of(stages[1]) != value


def test_every_setting_of_every_method_can_be_typed_by_its_full_name():
    """Its own value changes nothing; a required one or one without a value is left out."""
    for name in catalog.names('methods'):
        method = Method(name)
        for profile in ('paper', 'pocket'):
            stages = method.stages(profile, TASK, {})
            for full, value in method.parameters(stages).items():
                if type(value) in (int, float, str, bool) and '://' not in str(value):
                    method.stages(profile, TASK, {full: value})


@pytest.mark.parametrize(
    'params',
    [
        {'iters': 0}, {'iters': -5}, {'iters': 2.5}, {'iters': True}, {'batch_size': 0},
        {'batch_size': -1}, {'lr': float('inf')}, {'lr': float('nan')}, {'lr': -1e-4},
        {'lr': '1e'}, {'betas': [0.9]}, {'betas': [0.9, 1.5]}, {'weight_decay': -1},
        {'crop_size': [0, 64]}, {'crop_size': [64, 64, 3]}, {'crop_size': 'big'},
        {'flip': 1.5}, {'flip': 'often'}, {'dropout': 3}, {'norm_mode': 'frozen'},
        {'input_size': [-1, 64]}, {'optim_wrapper.accumulative_counts': 0}, {'eps': None},
    ],
    ids=str,
)  # fmt: skip
def test_a_value_that_no_run_can_mean_is_refused(params):
    with pytest.raises(BenchError):
        paper('tent', **params)


@pytest.mark.parametrize('change', ['iters=0', 'batch_size=0', 'crop_size=(0, 5)', 'flip=7'])
def test_so_is_one_that_a_config_states(tmp_path, change):
    path = tmp_path / 'mine.py'
    key = change.partition('=')[0]
    text = OUTSIDE.replace('iters=100, batch_size=4,', f'iters=100, batch_size=4, {change},')
    path.write_text(text.replace(f'{key}=100, ', '').replace(f'{key}=4, ', ''))
    with pytest.raises(BenchError, match=f'{key} in stage adapt of mine'):
        Method(str(path)).stages('paper', TASK, {})


def test_an_unknown_profile_is_refused(outside):
    with pytest.raises(BenchError, match='no profile'):
        Method(outside).stages('camvid', TASK, {})


def test_an_invalid_card_names_its_file(tmp_path):
    path = tmp_path / 'bad.py'
    path.write_text(OUTSIDE.replace("'source-free'", "'sourcefree'"))
    with pytest.raises(BenchError, match=r'bad\.py'):
        Method(str(path))
