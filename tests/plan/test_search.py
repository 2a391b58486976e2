"""Search spaces: what may be declared, and that a smaller budget is the start of a larger one."""

from __future__ import annotations

from pathlib import Path

import pytest

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.plan.method import Method
from sfda_bench.plan.search import DEFAULT_AXES, parse_axis, points, space_of, trials

TASK = 'gta5_to_cityscapes'


def drawn(name: str, budget: int, base=None, axes=None, profile='pocket'):
    method = Method(name)
    return trials(space_of(method, axes), method, profile, TASK, base or {}, budget)


def test_a_method_that_declares_nothing_has_two_axes():
    space = space_of(Method('advent'))
    assert {axis.name: axis.text for axis in space.axes} == DEFAULT_AXES


def test_the_first_trial_is_the_published_setting():
    assert drawn('tent', 1) == [{}]
    assert drawn('tent', 3, {'adapter.norm_mode': 'eval'})[0] == {'adapter.norm_mode': 'eval'}


@pytest.mark.parametrize('name', ['tent', 'stvm', 'cbst', 'iapc', 'atp', 'intrada'])
def test_a_smaller_budget_is_the_start_of_a_larger_one(name):
    small, large = drawn(name, 4), drawn(name, 9)
    assert large[:4] == small
    assert len({str(sorted(item.items())) for item in large}) == 9


def test_trials_of_tent_are_pinned():
    """Other ones would be run again by everyone: raise SPACE_VERSION on purpose, or never."""
    assert drawn('tent', 5) == [
        {},
        {'optimizer.lr': 6.59e-05, 'iters': 30},
        {'optimizer.lr': 0.000142, 'iters': 120},
        {'optimizer.lr': 0.000824, 'iters': 30},
        {'optimizer.lr': 1.3e-05, 'iters': 60},
    ]


def test_rates_stay_in_their_range_and_cover_it():
    rates = [item['optimizer.lr'] for item in drawn('tent', 17)[1:]]
    assert min(rates) >= 1e-5 and max(rates) <= 1e-3
    thirds = [sum(1e-5 * 10**low <= r < 1e-5 * 10 ** (low + 0.5) for r in rates) for low in
              (0, 0.5, 1, 1.5)]  # fmt: skip
    assert all(3 <= count <= 5 for count in thirds), 'sixteen points, four a quarter'
    lengths = {item['iters'] for item in drawn('tent', 17)[1:]}
    assert lengths == {30, 60, 120}


def test_all_stages_of_a_method_move_together():
    """Full names; the stage stands in front only where the values differ."""
    trial = drawn('cbst', 2)[1]
    assert set(trial) == {'optimizer.lr', 'iters'}
    stages = Method('cbst').stages('pocket', TASK, trial)
    trained = [s for s in stages if 'optim_wrapper' in s]
    assert {s['optim_wrapper']['optimizer']['lr'] for s in trained} == {trial['optimizer.lr']}
    two = drawn('iapc', 2)[1]
    assert [name for name in two if name.endswith('optimizer.lr')]
    for name in ('atp', 'intrada'):
        trial = drawn(name, 2)[1]
        assert Method(name).stages('pocket', TASK, trial)


def test_axes_as_typed():
    found = drawn('tent', 4, axes={'optimizer.lr': 'times(0.5, 2)', 'flip': '[True, False]'})
    assert all(set(item) == {'optimizer.lr', 'stage.flip'} for item in found[1:])
    only = drawn('tent', 3, axes={'lr': None})
    assert all(set(item) == {'optimizer.lr'} for item in only[1:])


def test_a_budget_that_the_axes_cannot_fill_is_refused():
    with pytest.raises(BenchError, match='2 different settings') as error:
        drawn('tent', 4, axes={'flip': '[True, False]'})
    assert '--budget 2' in str(error.value)
    with pytest.raises(BenchError, match='budget of 0'):
        drawn('tent', 0)


def test_an_axis_that_the_method_does_not_have_is_refused():
    with pytest.raises(BenchError, match='no such setting'):
        drawn('tent', 2, axes={'adapter.nothing': '[1, 2]'})
    with pytest.raises(UnknownNameError, match='did you mean lr'):
        drawn('tent', 2, axes={'lrr': None})


@pytest.mark.parametrize(
    'text', ['log(1)', 'log(10, 0.1)', 'log(0, 1)', 'times(-1, 2)', 'times(2)', '[1]', 'power(1)',
             '7', 'times(inf, 1)', "log('a', 'b')", 'log(__import__("os"), 1)']
)  # fmt: skip
def test_axes_of_another_form_are_refused(text):
    with pytest.raises(BenchError, match='axis x='):
        parse_axis('x', text, 'a test')


def test_axes_read_as_they_are_written():
    for text in ('log(0.1, 10)', 'times(0.5, 1, 2)', "['a', 'b']"):
        assert parse_axis('x', text, 'a test').text == text
    assert parse_axis('x', [1, 2], 'a test').values == (1, 2)


def test_points_do_not_depend_on_how_many_are_drawn():
    space = space_of(Method('tent'))
    first = [next(iter(points(space))) for _ in range(2)]
    assert first[0] == first[1]
    other = next(iter(points(space_of(Method('minent')))))
    assert other != first[0], 'methods do not share their draws'


def declared(tmp_path: Path, search: str) -> Method:
    (tmp_path / 'mine.py').write_text(
        f"""
card = dict(name='mine', title='Mine', track='source-free', fidelity='paper')
search = {search}
stages = [dict(name='adapt', adapter=dict(type='Tent'), iters=10, batch_size=1,
    optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)))]
"""
    )
    return Method(str(tmp_path / 'mine.py'))


def test_a_config_declares_its_axes_and_its_objective(tmp_path):
    method = declared(tmp_path, "dict(axes={'adapter.dropout': '[True, False]'}, "
                      "optimises=['entropy'])")  # fmt: skip
    space = space_of(method)
    assert [axis.name for axis in space.axes] == ['adapter.dropout']
    assert space.optimises == ('entropy',)
    assert 'search' not in method.spec()


@pytest.mark.parametrize(
    ('search', 'message'),
    [('dict(optimizes=[])', 'did you mean optimises'), ("dict(optimises=['entropie'])", 'entropy')],
)
def test_a_misspelt_declaration_is_named(tmp_path, search, message):
    with pytest.raises(UnknownNameError, match=message):
        space_of(declared(tmp_path, search))


def test_reading_the_declaration_changes_no_plan(bench, tmp_path):
    """The same method with and without one: the same stages."""
    ids = []
    for folder, search in (('a', "dict(axes={'lr': 'log(0.5, 2)'}, optimises=['msp'])"), ('b', {})):
        (tmp_path / folder).mkdir()
        declared(tmp_path / folder, str(search))
        plan = bench.plan(str(tmp_path / folder / 'mine.py'))
        ids.append((plan.entries[0].stages, sorted(plan.stages)))
    assert ids[0] == ids[1]


def test_the_objectives_of_ours_are_declared():
    assert space_of(Method('tent')).optimises == ('entropy',)
    assert space_of(Method('iapc')).optimises == ('entropy',)
    assert space_of(Method('stvm')).optimises == ()
