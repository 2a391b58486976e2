"""Rounds that a config states once: names and values in braces, profiles, how many there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.plan.method import Method
from sfda_bench.plan.rounds import Rounds

TASK = 'gta5_to_cityscapes'
CONFIG = """
card = dict(name='mine', title='Mine', track='source-free', fidelity='paper')
stages = [dict(name='first', kind='label', batch_size=1)]
rounds = dict(
    count=3,
    values=dict(steps=[4, 5, 6]),
    stages=dict(
        label=dict(kind='label', batch_size=1, writer=dict(type='W', text='{round} of {steps}')),
        train=dict(
            adapter=dict(type='Tent'), iters='{steps}', batch_size=2,
            data=dict(labels='stage://label{round}/artifacts/labels'),
        ),
    ),
)
aliases = dict(size='stage.batch_size')
profiles = dict(
    paper=dict(),
    pocket=dict(
        rounds=2, train=dict(batch_size=3), train1=dict(iters=9),
        label=dict(overrides=dict(synthia_to_cityscapes=dict(enabled=True))),
    ),
)
"""


@pytest.fixture
def method(tmp_path: Path) -> Method:
    path = tmp_path / 'mine.py'
    path.write_text(CONFIG)
    return Method(str(path))


def named(method: Method, profile: str = 'paper', task: str = TASK, **params) -> dict[str, dict]:
    return {stage['name']: stage for stage in method.stages(profile, task, params)}


def test_every_round_has_its_names_and_values(method):
    stages = named(method)
    assert list(stages) == ['first', *(f'{n}{i}' for i in range(3) for n in ('label', 'train'))]
    assert [stages[f'train{i}']['iters'] for i in range(3)] == [4, 5, 6]
    assert stages['train2']['data'] == {'labels': 'stage://label2/artifacts/labels'}
    assert stages['label1']['writer']['text'] == '1 of 5'


def test_a_profile_changes_all_rounds_or_one_and_leaves_out_late_ones(method):
    stages = named(method, 'pocket')
    assert list(stages) == ['first', 'label0', 'train0', 'label1', 'train1']
    assert [stages[f'train{i}']['batch_size'] for i in range(2)] == [3, 3]
    assert [stages[f'train{i}']['iters'] for i in range(2)] == [4, 9]
    assert 'label2' in named(method, 'pocket', 'synthia_to_cityscapes')


def test_so_does_a_user(method):
    assert list(named(method, rounds=1)) == ['first', 'label0', 'train0']
    assert 'train2' in named(method, 'pocket', rounds=3)
    stages = named(method, **{'train1.iters': 7, 'rounds': 2})
    assert [stages[f'train{i}']['iters'] for i in range(2)] == [4, 7]
    for count in (0, 4, 1.0, True, 'two'):
        with pytest.raises(BenchError, match='rounds = '):
            named(method, rounds=count)


def test_another_name_of_a_setting_stands_for_it(method):
    stages = named(method, **{'size': 5, 'train1.size': 6})
    assert [stages[name]['batch_size'] for name in ('label0', 'train0', 'train1')] == [5, 5, 6]
    with pytest.raises(BenchError, match='are one setting'):
        named(method, **{'size': 5, 'stage.batch_size': 6})


def test_wrong_blocks_are_refused():
    with pytest.raises(UnknownNameError, match='did you mean count'):
        Rounds({'counts': 2}, 'mine.py')
    with pytest.raises(BenchError, match='1 values of lr for 2 rounds'):
        Rounds({'count': 2, 'values': {'lr': [1]}}, 'mine.py')
    with pytest.raises(UnknownNameError, match='did you mean round'):
        Rounds({'count': 2, 'stages': {'a': {'x': '{rund}'}}}, 'mine.py').stages()


@pytest.mark.parametrize('name', ['cbst', 'crst_mrkld', 'crst_lrent', 'self_training'])
def test_fewer_rounds_of_cbst(name):
    stages = [s['name'] for s in Method(name).stages('paper', TASK, {'rounds': 2})]
    assert stages == [f'{n}{i}' for i in range(2) for n in ('threshold', 'label', 'train')]


def test_the_weight_of_the_regulariser_keeps_its_name():
    for name in ('regulariser_weight', 'adapter.regulariser_weight', 'weight_regulariser'):
        stages = named(Method('crst_mrkld'), **{name: 0.5, f'train1.{name}': 0.25})
        weights = [stages[f'train{i}']['adapter']['losses']['regulariser'] for i in range(2)]
        assert [each['loss_weight'] for each in weights] == [0.5, 0.25]
