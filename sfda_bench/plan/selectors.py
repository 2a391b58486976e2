"""Selectors: what a user may write after ``--task``, ``--network``, ``--method``, ``--seed``."""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sfda_bench.errors import BenchError, UnknownNameError

#: The setting whose value may be another method: that which a method starts from the result of.
INIT = 'init'
_METHOD = re.compile(r'^(?P<name>[^\[\]]+?)(?:\[(?P<params>.*)\])?$')


class MethodSelector(NamedTuple):
    """A method with changed parameters, e.g. ``tent[lr=1e-4,iters=50]``.

    Its ``init`` may be another selector, in its canonical text: ``cbst[init=tent[iters=50]]``.
    """

    name: str
    params: dict[str, Any]

    @property
    def text(self) -> str:
        """The canonical text, which :func:`parse_method` reads back: keys sorted, no spaces."""
        return method_text(self.name, self.params)


def method_text(name: str, params: Mapping[str, Any]) -> str:
    """``name[key=value,...]`` with sorted keys; just the name without settings."""
    inside = ','.join(f'{key}={_value_text(key, params[key])}' for key in sorted(params))
    return f'{name}[{inside}]' if inside else name


def _value_text(key: str, value: Any) -> str:
    """A value as it may be typed; a text that would be read as something else is quoted."""
    if not isinstance(value, str) or key == INIT:
        return str(value)
    plain = literal(value) == value.strip() == value and not set(value) & set(',[](){}\'"')
    return value if plain else repr(value)


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

    The value of ``init`` may be such a selector again, to any depth: ``cbst[init=tent[iters=50]]``.

    Raises:
        BenchError: The text has another form, brackets or quotes are left open, or a key is twice
            there.
    """
    found = _METHOD.match(text.strip())
    if not found:
        raise BenchError(f'cannot read method selector {text!r}', "'name' or 'name[key=value,...]'")
    params: dict[str, Any] = {}
    for part in _split(found['params'] or '', text):
        key, equals, value = part.partition('=')
        key = key.strip()
        if not equals or not key:
            raise BenchError(f'cannot read {part!r} in {text!r}', 'key=value')
        if key in params:
            raise BenchError(f'{key} is given twice in {text!r}', 'one value for a setting')
        params[key] = literal(value.strip())
        if key == INIT and isinstance(params[key], str):
            params[key] = parse_method(params[key]).text
    return MethodSelector(found['name'].strip(), params)


def _split(text: str, whole: str) -> list[str]:
    """Split at commas outside of brackets and quotes.

    Args:
        text: What stands inside the brackets of a selector.
        whole: The selector, for messages.

    Raises:
        BenchError: A bracket or a quote has no partner.
    """
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
        if depth < 0:
            break
        if char == ',' and depth == 0 and not quote:
            parts.append(current)
            current = ''
        else:
            current += char
    if depth or quote:
        raise BenchError(
            f'brackets or quotes of method selector {whole!r} do not fit',
            'one that closes for each that opens: name[key=value,init=name[key=value]]',
        )
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
