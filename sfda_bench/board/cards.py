"""Titles of tasks, networks and methods; a record may outlive the config it came from."""

from __future__ import annotations

from functools import cache

from sfda_bench.errors import BenchError
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Card, Method


@cache
def title(kind: str, name: str) -> str:
    """Title of a task or network (``kind`` 'tasks' or 'networks'); its name if it has none."""
    try:
        config = catalog.load(kind, name)
    except BenchError:
        return name
    return str(config[kind[:-1]].get('title', name)).replace('->', '→')


@cache
def card(name: str) -> Card | None:
    """Card of a method, or ``None`` if its config is not here."""
    try:
        return Method(name).card
    except BenchError:
        return None
