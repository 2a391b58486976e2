"""Golden runs: the same code gives the same bits, twice and since it was last pinned."""

from __future__ import annotations

import pytest

from tests.harness import Bench
from tests.run.golden import pins, platform_key, run

pytestmark = pytest.mark.fast


#: What another processor may change of a percentage, and of the weights' length (relative).
POINTS, SHARE = 0.5, 1e-4


@pytest.fixture(scope='module')
def found(pocket_root, tmp_path_factory):
    return run(Bench(pocket_root, tmp_path_factory.mktemp('golden')))


def test_two_independent_runs_have_the_same_bits(found, pocket_root, tmp_path):
    assert run(Bench(pocket_root, tmp_path)) == found


def test_the_bits_are_those_that_were_pinned(found):
    known = pins().get(platform_key())
    if known is None:
        pytest.skip(f'no pin for {platform_key()}: the numbers are compared to a tolerance')
    assert found[0] == known, 'if the change is meant: python -m tests.run.golden'


def test_the_numbers_are_those_that_were_pinned_whatever_the_platform(found):
    known = pins()['numbers']
    assert known.keys() == found[1].keys()
    for method, numbers in found[1].items():
        assert numbers['miou'] == pytest.approx(known[method]['miou'], abs=POINTS), method
        assert numbers['norm'] == pytest.approx(known[method]['norm'], rel=SHARE), method
