"""Golden runs: the same code gives the same bits, twice and since it was last pinned."""

from __future__ import annotations

import pytest

from tests.suite.conftest import Bench
from tests.suite.golden import pins, platform_key, run_digest

pytestmark = pytest.mark.fast


@pytest.fixture(scope='module')
def digest(pocket_root, tmp_path_factory) -> dict[str, str]:
    return run_digest(Bench(pocket_root, tmp_path_factory.mktemp('golden')))


def test_two_independent_runs_have_the_same_bits(digest, pocket_root, tmp_path):
    assert run_digest(Bench(pocket_root, tmp_path)) == digest


def test_the_bits_are_those_that_were_pinned(digest):
    known = pins().get(platform_key())
    if known is None:
        pytest.skip(f'no pin for {platform_key()}')
    assert digest == known, 'if the change is meant: python -m tests.suite.golden'
