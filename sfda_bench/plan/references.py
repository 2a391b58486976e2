"""Symbolic references of a stage's config to what other stages made, ``stage://<name>/<path>``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

PREFIX = 'stage://'


def references(value: Any) -> set[str]:
    """Names of the stages that ``stage://<name>/...`` strings in a config refer to."""
    if isinstance(value, str):
        return {value[len(PREFIX) :].split('/')[0]} if value.startswith(PREFIX) else set()
    if isinstance(value, Mapping):
        return set().union(*map(references, value.values()), set())
    if isinstance(value, (list, tuple)):
        return set().union(*map(references, value), set())
    return set()


def files_of(value: Any, name: str) -> set[str]:
    """Files of one stage that a config refers to, as paths in its folder."""
    if isinstance(value, str):
        stage, _, rest = value.removeprefix(PREFIX).partition('/')
        return {rest} if value.startswith(PREFIX) and stage == name else set()
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return set().union(*(files_of(item, name) for item in value), set())
    return set()


def resolve(value: Any, places: Mapping[str, Path]) -> Any:
    """``value`` with its references replaced by paths."""
    if isinstance(value, str) and value.startswith(PREFIX):
        name, _, rest = value[len(PREFIX) :].partition('/')
        return str(places[name] / rest) if rest else str(places[name])
    if isinstance(value, Mapping):
        return {key: resolve(item, places) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(resolve(item, places) for item in value)
    return value
