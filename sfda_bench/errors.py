"""Errors a user can act on: what was found, what was expected, and the command that mends it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """An error of input or environment, shown without a traceback.

    Args:
        found: What was found.
        expected: What was expected instead.
        fix: The command or step that mends it.
    """

    def __init__(self, found: str, expected: str = '', fix: str = '') -> None:
        self.found, self.expected, self.fix = found, expected, fix
        lines = [found]
        if expected:
            lines.append(f'  expected: {expected}')
        if fix:
            lines.append(f'  fix:      {fix}')
        super().__init__('\n'.join(lines))

    def __reduce__(self) -> tuple:
        return type(self), (self.found, self.expected, self.fix)


class DataError(BenchError):
    """A data set is missing, incomplete or not what its name says."""


class UnknownNameError(BenchError):
    """A name that is not registered, with the nearest names that are.

    Args:
        kind: What the name should be, e.g. ``'task'``.
        name: The name as given.
        known: The names that exist.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        near = difflib.get_close_matches(name, self.known, n=3, cutoff=0.5)
        hint = f'did you mean {" or ".join(near)}?' if near else ''
        super().__init__(
            f'unknown {kind} {name!r}', f'one of: {", ".join(self.known) or "(none)"}', hint
        )

    def __reduce__(self) -> tuple:
        return type(self), (self.kind, self.name, self.known)


def require_known(kind: str, name: str, known: Iterable[str]) -> str:
    """Return ``name`` if it is among ``known``, else raise :class:`UnknownNameError`."""
    known = list(known)
    if name not in known:
        raise UnknownNameError(kind, name, known)
    return name
