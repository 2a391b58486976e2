"""A card says ``official`` where, and only where, a module of this folder replays the method."""

from __future__ import annotations

import importlib
from pathlib import Path

from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method


def replayed() -> set[str]:
    """Methods named by ``METHODS`` of the modules of this folder."""
    found: set[str] = set()
    for path in Path(__file__).parent.glob('test_*.py'):
        module = importlib.import_module(f'{__package__}.{path.stem}')
        found |= set(getattr(module, 'METHODS', ()))
    return found


def test_official_methods_are_those_that_are_replayed():
    official = {
        name for name in catalog.names('methods') if Method(name).card.fidelity == 'official'
    }
    assert official == replayed()


def test_some_are():
    assert {'advent', 'minent', 'intrada_uda', 'tent_online'} <= replayed()
