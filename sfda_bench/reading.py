"""Files that people hand over: read whole, or refused by name for what they are instead."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfda_bench.errors import BenchError, of_system

#: What damaged arrays and archives raise in numpy and zipfile.
DAMAGE = (
    EOFError, ValueError, KeyError, TypeError, AttributeError, SyntaxError, NotImplementedError,
    IndexError, RuntimeError, OverflowError, MemoryError, zipfile.BadZipFile, zlib.error,
    struct.error,
)  # fmt: skip
LFS = b'version https://git-lfs'


def looks_like(start: bytes) -> str:
    """What a file is instead of what was expected, as far as its first bytes tell; else ''."""
    if not start:
        return 'it is empty'
    if start.startswith(b'\x1f\x8b'):
        return 'it is compressed (gunzip it first)'
    if start.startswith(LFS):
        return 'it is a pointer of git-lfs (git lfs pull fetches the file)'
    plain = start.replace(b'\0', b'').strip(b'\xff\xfe\xef\xbb\xbf \r\n\t')  # UTF-16 has zeros
    return 'it is a web page' if plain[:1] == b'<' else ''


def require_file(path: Path, expected: str, fix: str = '') -> None:
    """Raise unless ``path`` is a file or a link to one.

    Args:
        path: The path.
        expected: What it should be, e.g. ``'a record'``.
        fix: What mends it.

    Raises:
        BenchError: It is absent, a dangling link, a folder, or no ordinary file.
    """
    path = Path(path)
    if path.is_file():
        return
    if path.is_symlink() and not path.exists():
        found = f'{path} is a link to {path.readlink()}, which is absent'
    elif path.is_dir():
        found = f'{path} is a folder'
    elif path.exists():
        found = f'{path} is no ordinary file'
    else:
        found = f'no file {path}'
    raise BenchError(found, expected, fix or 'check the path')


def require_folder(path: Path, expected: str, fix: str = '') -> None:
    """Raise unless ``path`` is a folder or a link to one; arguments as :func:`require_file`."""
    path = Path(path)
    if not path.is_dir():
        found = f'{path} is a file' if path.exists() else f'no folder {path}'
        raise BenchError(found, expected, fix or 'check the path')


def read_start(path: Path, expected: str, fix: str = '') -> bytes:
    """The first bytes of a file that is there and readable, for :func:`looks_like`."""
    require_file(path, expected, fix)
    try:
        with Path(path).open('rb') as stream:
            return stream.read(64)
    except OSError as error:
        raise _unreadable(path, error, expected) from None


def read_bytes(path: Path, expected: str, fix: str = '') -> bytes:
    """All bytes of a file that is there, readable and not empty; see :func:`require_file`."""
    require_file(path, expected, fix)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise _unreadable(path, error, expected) from None
    if not data:
        raise BenchError(f'{path} is empty', expected, fix or 'fetch or write it again')
    return data


def read_text(path: Path, expected: str, fix: str = '') -> str:
    """A file's UTF-8 text; a byte order mark is no part of it.

    Raises:
        BenchError: Also if it is not UTF-8, a pointer of git-lfs or a web page.
    """
    data = read_bytes(path, expected, fix)
    other = looks_like(data)
    if other:
        raise BenchError(f'{path} cannot be used: {other}', expected, fix or 'fetch it again')
    try:
        return data.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise BenchError(
            f'{path} is not UTF-8 text: byte {data[error.start]:#04x} at {error.start}',
            f'{expected}, in UTF-8',
            fix or f'save it as UTF-8, or fetch it again ({path})',
        ) from None


def read_json(path: Path, expected: str, fix: str = '') -> Any:
    """The content of a JSON file.

    Raises:
        BenchError: Also if it is cut or not JSON at all.
    """
    text = read_text(path, expected, fix)
    try:
        return json.loads(text)
    except ValueError as error:
        why = f'{path} is not JSON: {error}'
        raise BenchError(why, expected, fix or 'write it again') from None


def read_arrays(
    path: Path, names: Sequence[str] | None, expected: str, fix: str = ''
) -> dict[str, NDArray[Any]]:
    """Arrays of an NPZ file, all of them decompressed and compared with their checksums.

    Args:
        path: The file.
        names: Those needed; ``None`` for all there are.
        expected: What it should be.
        fix: What mends it.

    Raises:
        BenchError: It is absent, cut, empty, another kind of file, or lacks an array.
    """
    other = looks_like(read_start(path, expected, fix))
    if other:
        raise BenchError(f'{path} cannot be used: {other}', expected, fix)
    try:
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in (names or found.files)}
    except OSError as error:
        raise _unreadable(path, error, expected) from None
    except DAMAGE as error:
        why = first_line(error)
        raise BenchError(f'{path} is damaged: {why}', expected, fix or 'write it again') from None


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type's name."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _unreadable(path: Path, error: OSError, expected: str) -> BenchError:
    named = of_system(error)
    reason = error.strerror or first_line(error)
    return BenchError(f'{path} cannot be read: {reason}', expected, named.fix)
