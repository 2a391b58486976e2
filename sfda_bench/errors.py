"""Errors a user can act on: what was found, what was expected, and the command that mends it."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from typing import TypeVar

Name = TypeVar('Name', bound=str)


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
        self.kind, self.name, self.known = kind, name, sorted(map(str, known))
        near = difflib.get_close_matches(str(name), self.known, n=3, cutoff=0.5)
        hint = f'did you mean {" or ".join(near)}?' if near else ''
        super().__init__(
            f'unknown {kind} {name!r}', f'one of: {", ".join(self.known) or "(none)"}', hint
        )

    def __reduce__(self) -> tuple:
        return type(self), (self.kind, self.name, self.known)


def require_known(kind: str, name: Name, known: Iterable[str]) -> Name:
    """Return ``name`` if it is among ``known``, else raise :class:`UnknownNameError`."""
    known = list(known)
    if name not in known:
        raise UnknownNameError(kind, name, known)
    return name


_CHECK_PATH = ('an existing path', 'check the path')
_PERMISSION = (
    'a path that you may read and, where something is to be written, write',
    'change its permissions, or name another place',
)
_SPACE = ('free space on the disk', 'make room (df -h), then run the same again')
#: What each error of the system calls for: expected, fix.
_SYSTEM = {
    errno.ENOENT: _CHECK_PATH,
    errno.ENOTDIR: ('a folder', 'name a folder, or move the file that is in its place'),
    errno.EISDIR: ('a file', 'name a file, or move the folder that is in its place'),
    errno.EEXIST: ('a folder', 'name a folder, or move the file that is in its place'),
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: ('a place that can be written', 'name another place'),
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: _SPACE,
    errno.ENAMETOOLONG: ('a shorter name', 'name another place'),
    errno.ELOOP: ('a path without circular links', 'mend the links'),
    errno.EMFILE: ('fewer open files', 'raise the limit (ulimit -n)'),
}


def of_system(error: OSError) -> BenchError:
    """An error of the operating system, or of a reader that raises its class, as one to act on."""
    expected, fix = _SYSTEM.get(
        error.errno or 0, ('files and folders that work', 'look at the path, then try again')
    )
    if error.errno is None or not error.strerror:
        return BenchError(str(error).strip() or type(error).__name__, expected, fix)
    named = [str(name) for name in (error.filename, error.filename2) if name is not None]
    where = f'{" -> ".join(named)}: ' if named else ''
    return BenchError(f'{where}{error.strerror}', expected, fix)
