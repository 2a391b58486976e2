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


def test_seed_ranges():
    assert parse_seeds(['0-2', '5,1']) == [0, 1, 2, 5]
    assert parse_seeds(None) is None
    for bad in ('a', '2-0', '-1'):
        with pytest.raises(BenchError):
            parse_seeds([bad])
