"""Mechanisms of methods: stated on every card, and the page lists what the cards say."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from sfda_bench.paths import REPOSITORY
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Mechanism, Method

PAGE = REPOSITORY / 'docs' / 'mechanisms.md'


@pytest.mark.parametrize('name', catalog.names('methods'))
def test_every_method_but_the_bounds_has_one(name):
    card = Method(name).card
    assert bool(card.mechanisms) == (card.track != 'bound')


@pytest.mark.parametrize('mechanism', get_args(Mechanism))
def test_the_page_lists_the_methods_of_a_mechanism(mechanism):
    [row] = [line for line in PAGE.read_text().splitlines() if line.startswith(f'| {mechanism} |')]
    listed = re.findall(r'`(\w+)`', row.split('|')[3])
    names = catalog.names('methods')
    assert listed == [n for n in names if mechanism in Method(n).card.mechanisms]
