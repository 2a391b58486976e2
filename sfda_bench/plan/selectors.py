"""Selectors: what a user may write after ``--task``, ``--network``, ``--method``, ``--seed``."""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sfda_bench.errors import BenchError, UnknownNameError

_METHOD = re.compile(r'^(?P<name>[^\[\]]+?)(?:\[(?P<params>.*)\])?$')


class MethodSelector(NamedTuple):
    """A method with changed parameters, e.g. ``tent[lr=1e-4,iters=50]``."""

    name: str
    params: dict[str, Any]


def match(kind: str, patterns: Sequence[str] | None, known: Iterable[str]) -> list[str]:
    """Names that match any of ``patterns`` (globs), in the order of ``known``; all if ``None``.

    Raises:
        UnknownNameError: A pattern matches nothing, with the nearest names.
    """
    known = list(known)
    if not patterns:
        return known
    chosen: set[str] = set()
    for pattern in patterns:
        hits = fnmatch.filter(known, pattern)
        if not hits:
            raise UnknownNameError(kind, pattern, known)
        chosen.update(hits)
    return [name for name in known if name in chosen]


def parse_method(text: str) -> MethodSelector:
    """Parse ``name`` or ``name[key=value,...]``; values are Python literals or bare words.

    Raises:
        BenchError: The text has another form.
    """
    found = _METHOD.match(text.strip())
    if not found:
        raise BenchError(f'cannot read method selector {text!r}', "'name' or 'name[key=value,...]'")
    params: dict[str, Any] = {}
    for part in _split(found['params'] or ''):
        key, equals, value = part.partition('=')
        if not equals or not key.strip():
            raise BenchError(f'cannot read {part!r} in {text!r}', 'key=value')
        params[key.strip()] = literal(value.strip())
    return MethodSelector(found['name'], params)


def _split(text: str) -> list[str]:
    """Split at commas outside of brackets and quotes."""
    parts, depth, current, quote = [], 0, '', ''
    for char in text:
        if quote:
            quote = '' if char == quote else quote
        elif char in '\'"':
            quote = char
        elif char in '([{':
            depth += 1
        elif char in ')]}':
            depth -= 1
        if char == ',' and depth == 0 and not quote:
            parts.append(current)
            current = ''
        else:
            current += char
    return [part for part in [*parts, current] if part.strip()]


def literal(text: str) -> Any:
    """A Python literal, or the text itself (``true``/``false``/``none`` in any case)."""
    words = {'true': True, 'false': False, 'none': None, 'null': None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def parse_seeds(texts: Sequence[str] | None) -> list[int] | None:
    """``['0-2', '5']`` -> ``[0, 1, 2, 5]``; ``None`` if nothing was given.

    Raises:
        BenchError: Not numbers or ranges.
    """
    if not texts:
        return None
    seeds: list[int] = []
    for text in (part for item in texts for part in item.split(',')):
        found = re.fullmatch(r'\s*(\d+)(?:-(\d+))?\s*', text)
        if not found:
            raise BenchError(f'cannot read seed {text!r}', 'a number or a range such as 0-2')
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise BenchError(f'seed range {text!r} runs backwards', f'{last}-{first}')
        seeds.extend(range(first, last + 1))
    return list(dict.fromkeys(seeds))
