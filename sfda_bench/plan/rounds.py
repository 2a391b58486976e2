"""Rounds of a method: its stages written once, repeated by the plan.

A config's block ``rounds`` describes what follows the method's ``stages``::

    rounds = dict(
        count=3,
        values=dict(portion=[0.20, 0.25, 0.30]),
        stages=dict(
            threshold=dict(kind='label', writer=dict(portion='{portion}', ...), ...),
            train=dict(data=dict(labels='stage://label{round}/artifacts/labels'), ...),
        ),
    )

``{round}`` is the index of the round, from 0, any other name in braces one of ``values``, by round.
A text that is nothing but such a name becomes the value itself. A stage's name is that of its entry
with the index behind it. In ``profiles``, the entry's name stands for the stages of all rounds,
``train1`` for one of them, and ``rounds`` for how many there are: later ones are left out unless
something says ``enabled=True``.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from sfda_bench.errors import BenchError, require_known

_NAME = re.compile(r'\{(\w+)\}')
#: The key of a profile, and of a user's settings, that says how many rounds there are.
ROUNDS = 'rounds'


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``change`` merged in as mmengine merges configs (``_delete_`` replaces)."""
    merged = Config._merge_a_into_b(copy.deepcopy(dict(change)), copy.deepcopy(dict(base)))
    return dict(merged)


class Rounds:
    """The block ``rounds`` of a method's config.

    Args:
        block: ``count``, ``values`` and ``stages``; empty: the method has no rounds.
        file: The config, for messages.

    Raises:
        BenchError: Another field, no count, or a list of values that is too short.
    """

    def __init__(self, block: Mapping[str, Any], file: str) -> None:
        for key in block:
            require_known(f'field of `rounds` in {file}', key, ('count', 'values', 'stages'))
        self.count = int(block.get('count', 0))
        self.entries: Mapping[str, Mapping[str, Any]] = block.get('stages', {})
        values: dict[str, Any] = {'round': range(self.count), **block.get('values', {})}
        self.values: list[dict[str, Any]] = []
        for name, listed in values.items():
            if len(listed) < self.count:
                raise BenchError(
                    f'{len(listed)} values of {name} for {self.count} rounds in {file}',
                    'one for each round',
                )
        for index in range(self.count):
            self.values.append({name: listed[index] for name, listed in values.items()})
        self.file = file

    def stages(self) -> list[dict[str, Any]]:
        """The stages of all rounds."""
        return [
            {'name': f'{name}{index}', **self._filled(entry, index)}
            for index in range(self.count)
            for name, entry in self.entries.items()
        ]

    def profile(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """What a profile changes, by name of a stage; late rounds are left out."""
        left = {key: v for key, v in changes.items() if key not in (ROUNDS, *self.entries)}
        if not self.count:
            return dict(changes)
        for index in range(self.count):
            for name in self.entries:
                change = self._filled(changes.get(name, {}), index)
                if index >= changes.get(ROUNDS, self.count):
                    change.setdefault('enabled', False)
                own = self._filled(left.get(f'{name}{index}', {}), index)
                left[f'{name}{index}'] = merge(change, own)
        return left

    def chosen(self, count: Any) -> dict[str, bool]:
        """Whether the stages of the rounds take place, by name, where a user says how many.

        Raises:
            BenchError: Not 1 to ``count`` of the config.
        """
        if type(count) is not int or not 1 <= count <= self.count:
            raise BenchError(f'rounds = {count!r}', f'a whole number from 1 to {self.count}')
        return {f'{n}{i}': i < count for i in range(self.count) for n in self.entries}

    def _filled(self, value: Any, index: int) -> Any:
        """A copy of ``value`` with the names in braces replaced."""
        if isinstance(value, Mapping):
            return {key: self._filled(item, index) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self._filled(item, index) for item in value)
        if not isinstance(value, str):
            return value
        whole = _NAME.fullmatch(value)
        if whole:
            return copy.deepcopy(self._value(whole[1], index))
        return _NAME.sub(lambda found: str(self._value(found[1], index)), value)

    def _value(self, name: str, index: int) -> Any:
        known = self.values[index]
        return known[require_known(f'value by round in {self.file}', name, known)]
