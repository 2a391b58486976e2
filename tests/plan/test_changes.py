"""What is typed is what runs, or it is refused: names, presets, and what contradicts itself."""

from __future__ import annotations

import pytest

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method
from sfda_bench.plan.selectors import parse_method
from sfda_bench.plan.settings import settings_of

TASK = 'gta5_to_cityscapes'


def stages(text: str, profile: str = 'paper') -> dict[str, dict]:
    """Stages of a selector as a user types it, by name."""
    selector = parse_method(text)
    found = Method(selector.name).stages(profile, TASK, selector.params)
    return {stage['name']: stage for stage in found}


def refused(text: str) -> BenchError:
    with pytest.raises(BenchError) as error:
        stages(text)
    return error.value


SPELLINGS = ['mixing', 'adapter.mixing', 'adapt.mixing', 'adapt.adapter.mixing']


@pytest.mark.parametrize('name', SPELLINGS)
@pytest.mark.parametrize('first', [True, False])
def test_a_preset_is_contradicted_under_every_spelling(name, first):
    parts = ['variant=mocm', f'{name}=none']
    error = refused(f'stvm[{",".join(parts if first else parts[::-1])}]')
    assert 'variant=mocm of stvm sets adapter.mixing=metric' in error.found
    assert f'{name}=none was given beside it' in error.found
    assert error.fix == f"--method 'stvm[{name}=none]'"
    mended = stages(f'stvm[{name}=none]')['adapt']['adapter']
    assert mended['mixing'] == 'none'


@pytest.mark.parametrize('name', SPELLINGS)
def test_what_agrees_with_a_preset_may_stand_beside_it(name):
    adapter = stages(f'stvm[variant=mean_teacher,{name}=None]')['adapt']['adapter']
    assert (adapter['reliability'], adapter['mixing']) == ('one', 'none')


def test_other_settings_may_stand_beside_a_preset():
    adapter = stages('stvm[variant=threshold,threshold=0.5]')['adapt']['adapter']
    assert (adapter['reliability'], adapter['threshold']) == ('threshold', 0.5)


def test_an_unknown_value_of_a_preset_is_answered_with_the_known_ones_and_a_way_around():
    error = refused('stvm[variant=custom]')
    assert error.found == "unknown variant of stvm 'custom'"
    assert error.expected.startswith('one of: mean_teacher, mocm, reliability')
    assert "'stvm[adapter.reliability=...,adapter.mixing=...]'" in error.fix
    with pytest.raises(UnknownNameError, match='did you mean mocm'):
        stages('stvm[variant=mocn]')
    for value in ('1', 'none', '[mocm]'):
        assert 'unknown variant of stvm' in refused(f'stvm[variant={value}]').found


@pytest.mark.parametrize(
    ('text', 'meanings'),
    [
        ('iapc[flip=False]', ['adapter.flip', 'pack.flip', 'stage.flip']),
        ('iapc[crop_size=(64, 64)]', ['pack.crop_size', 'stage.crop_size']),
        ('iapc[adapt.flip=False]', ['adapt.pack.flip', 'adapt.stage.flip']),
        ('cbst[flip=True]', ['adapter.flip', 'stage.flip']),
        ('cbst[crop_size=(64, 64)]', ['augment1.crop_size', 'stage.crop_size']),
        ('intrada_uda[flip=False]', ['adapter.flip', 'stage.flip']),
    ],
)
def test_a_field_of_the_stage_does_not_win_over_a_parameter_of_its_objects(text, meanings):
    error = refused(text)
    assert 'means several things' in error.found
    listed = error.expected.removeprefix('one of: ').split('), ')
    assert sorted(part.split(' (now ')[0] for part in listed) == meanings


def test_each_of_them_can_be_set():
    adapt = stages('iapc[stage.flip=True]')['adapt']
    assert (adapt['flip'], adapt['pack']['flip']) == (True, 0.5)
    adapt = stages('iapc[adapt.pack.flip=0.25]')['adapt']
    assert (adapt['flip'], adapt['pack']['flip']) == (False, 0.25)
    found = stages('cbst[stage.flip=False,label0.adapter.flip=False]')
    assert found['train0']['flip'] is False and found['train1']['flip'] is False
    assert found['label0']['adapter']['flip'] is False and found['label1']['adapter']['flip']
    assert stages('cbst[train0.flip=False]')['train0']['flip'] is False
    assert stages('tent[adapt.stage.iters=3]')['adapt']['iters'] == 3


def every_method():
    for name in catalog.names('methods'):
        method = Method(name)
        for profile in ('paper', 'pocket'):
            yield method, profile


def test_a_short_name_works_where_and_only_where_it_means_one_thing():
    for method, profile in every_method():
        known = settings_of(method.stages(profile, TASK, {}), method.code_files)
        for setting in known:
            if type(setting.value) not in (int, float, bool):
                continue
            full = {s.full for s in known if s.key == setting.key}
            # the same value for all of a name: in rounds they differ, and one setting is meant
            params = {setting.key: setting.value}
            if len(full) == 1:
                method.stages(profile, TASK, params)
                continue
            with pytest.raises(BenchError, match='means several things') as error:
                method.stages(profile, TASK, params)
            shown = error.value.expected
            own = f'adapter.{setting.key} (now ' in shown  # the one part of the adapter among them
            missing = [name for name in full if f'{name} (now ' not in shown]
            assert len(missing) <= own


def test_the_name_of_one_stage_goes_before_that_of_all_in_any_order():
    for text in ('cbst[iters=2,train2.iters=9]', 'cbst[train2.stage.iters=9,stage.iters=2]'):
        found = stages(text)
        assert [found[f'train{i}']['iters'] for i in range(3)] == [2, 2, 9]


@pytest.mark.parametrize(
    'text',
    [
        'tent[lr=1e-4,optimizer.lr=1e-3]',
        'tent[iters=3,stage.iters=4]',
        'tent[adapt.lr=1e-4,adapt.optimizer.lr=1e-3]',
    ],
)
def test_two_values_for_one_setting_are_refused(text):
    error = refused(text)
    assert 'are both' in error.found and error.fix == 'leave one of them out'


def test_one_value_under_two_names_is_none_too_many():
    found = stages('tent[lr=1,optimizer.lr=1.0]')['adapt']
    assert found['optim_wrapper']['optimizer']['lr'] == 1.0
