"""Kinds of stages: one module each, found by its file or, from outside, by its entry point.

A kind is a module with a pure function ``draft(setup, spec, parent) -> StageDraft``, and:

* ``INIT``: what a stage starts from if its spec does not say (``'last'``, ``'scratch'``);
* ``HANDS_ON``: whether the next stage may start from its checkpoint;
* ``IN_METHODS``: whether a method's config may ask for it (``kind='...'``);
* ``SHARED``: whether several devices may share its batch;
* optional ``check(method, specs)``: refuses a method whose stages do not go together.

A package from outside names its module under the entry point group ``sfda_bench.kinds``.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, Protocol

from sfda_bench.errors import BenchError, require_known
from sfda_bench.plan.method import Method
from sfda_bench.plan.model import StageDraft
from sfda_bench.plan.setup import Setup

GROUP = 'sfda_bench.kinds'
DEFAULT = 'adapt'


class Kind(Protocol):
    """What a module of a kind has."""

    INIT: str
    HANDS_ON: bool
    IN_METHODS: bool
    SHARED: bool

    def draft(self, setup: Setup, spec: Mapping[str, Any], parent: str | None) -> StageDraft:
        """The stage that a spec describes.

        Args:
            setup: Task, network, method, seed, protocols.
            spec: The stage in a method's config, without ``kind`` and ``init``.
            parent: Id of the stage that it starts from.
        """


def names() -> list[str]:
    """Names of all kinds, sorted."""
    return sorted(_own() | set(_outside()))


def in_methods() -> list[str]:
    """Names of the kinds that a method's config may ask for, sorted."""
    return [name for name in names() if find(name).IN_METHODS]


def find(name: str) -> Kind:
    """The module of a kind.

    Raises:
        UnknownNameError: There is none.
        BenchError: A package from outside names one that cannot be imported, or like one of ours.
    """
    require_known('stage kind', name, names())
    outside = _outside().get(name)
    if outside is None:
        return importlib.import_module(f'{__name__}.{name}')
    if name in _own():
        raise BenchError(
            f'entry point {outside.value} is a stage kind {name}, and so is one of ours',
            'another name',
        )
    try:
        return outside.load()
    except Exception as error:  # what a package does on import is its own affair
        raise BenchError(
            f'stage kind {name} ({outside.value}) cannot be imported: {error}'
        ) from error


def shared(name: str) -> bool:
    """Whether several devices may share the batch of a stage of this kind."""
    return find(name).SHARED


def check(method: Method, specs: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a method whose stages do not go together, as each kind sees it."""
    for name in names():
        refuse = getattr(find(name), 'check', None)
        if refuse is not None:
            refuse(method, specs)


@functools.cache
def _own() -> frozenset[str]:
    return frozenset(module.name for module in pkgutil.iter_modules(__path__))


def _outside() -> dict[str, metadata.EntryPoint]:
    return _installed(tuple(sys.path))


@functools.cache
def _installed(path: tuple[str, ...]) -> dict[str, metadata.EntryPoint]:
    """Entry points of the packages on ``path``; looking through them takes time."""
    return {point.name: point for point in metadata.entry_points(group=GROUP)}
