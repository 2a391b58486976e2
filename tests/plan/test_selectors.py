from __future__ import annotations

import pytest

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.plan.selectors import match, parse_method, parse_seeds

KNOWN = ['gta5_to_cityscapes', 'synthia_to_cityscapes', 'cityscapes_to_acdc']


def test_globs_keep_the_known_order():
    assert match('task', ['*_to_cityscapes'], KNOWN) == KNOWN[:2]
    assert match('task', None, KNOWN) == KNOWN


def test_a_misspelt_name_gets_the_nearest():
    with pytest.raises(UnknownNameError, match='did you mean gta5_to_cityscapes'):
        match('task', ['gta_to_cityscapes'], KNOWN)


def test_method_parameters_are_literals():
    selector = parse_method('iapc[weight_entropy=1.0,norm_mode=eval,crop=(96, 96),flip=true]')
    assert selector.name == 'iapc'
    assert selector.params == {
        'weight_entropy': 1.0,
        'norm_mode': 'eval',
        'crop': (96, 96),
        'flip': True,
    }
    assert parse_method('tent') == ('tent', {})


@pytest.mark.parametrize('text', ['tent[lr]', 'tent[=1]', 'tent]', 'tent[lr=1'])
def test_an_unreadable_selector_is_refused(text):
    with pytest.raises(BenchError):
        parse_method(text)


@pytest.mark.parametrize(
    'text',
    [
        'cbst[init=bn_adapt[source_weight=0.5],iters=3]',
        'a[init=b[init=c[x=1,y=two],z=(1, 2)],m=[1, 2]]',
        "a[init=b[path='x,y]',word='1']]",
        'a[init=last]',
    ],
)
def test_nested_selectors_are_read_back_from_their_text(text):
    found = parse_method(text)
    assert parse_method(found.text) == found == parse_method(f' {text} ')
    assert found.text == text


def test_the_text_of_a_selector_is_canonical():
    assert parse_method('a[y = 1, init = b[ q=2,  p=1 ]]').text == 'a[init=b[p=1,q=2],y=1]'
    assert parse_method('a[init=b[]]').params == {'init': 'b'}


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('a[init=b[x=1]', 'do not fit'),
        ('a[init=b]]', 'do not fit'),
        ('a[x=[1]', 'do not fit'),
        ("a[x='1]", 'do not fit'),
        ('a[init=b[x]]', 'cannot read'),
        ('a[init=]', 'cannot read method selector'),
        ('a[init=b,init=c]', 'init is given twice'),
        ('a[init=b,c]', 'cannot read'),
    ],
)
def test_a_nested_selector_of_another_form_is_refused(text, told):
    with pytest.raises(BenchError, match=told):
        parse_method(text)


def test_seed_ranges():
    assert parse_seeds(['0-2', '5,1']) == [0, 1, 2, 5]
    assert parse_seeds(None) is None
    for bad in ('a', '2-0', '-1'):
        with pytest.raises(BenchError):
            parse_seeds([bad])
