from __future__ import annotations

from pathlib import Path

import pytest

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.suite import catalog
from sfda_bench.suite.method import Method

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


def test_an_unknown_profile_is_refused(outside):
    with pytest.raises(BenchError, match='no profile'):
        Method(outside).stages('camvid', TASK, {})


def test_an_invalid_card_names_its_file(tmp_path):
    path = tmp_path / 'bad.py'
    path.write_text(OUTSIDE.replace("'source-free'", "'sourcefree'"))
    with pytest.raises(BenchError, match=r'bad\.py'):
        Method(str(path))
