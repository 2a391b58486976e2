"""Atomic file writing: a reader sees the old file or the whole new one, never a part."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path


def write_with(path: Path, writer: Callable[[Path], None]) -> None:
    """Call ``writer(temporary path)`` in the target's folder, flush to disk, rename in place.

    Raises:
        OSError: Naming ``path``; what was there is as it was.
    """
    path = Path(path)
    if _is_device(path):
        with naming(path):
            writer(path)
        return
    with _removed_on_failure() as temporaries, naming(path):
        temporary = _aside(path, writer, temporaries)
        temporary.replace(path)


def write_all(files: Mapping[Path, bytes]) -> None:
    """Write several files that belong together: all are complete before the first is replaced.

    Raises:
        OSError: Naming the file; nothing was replaced.
    """
    ready = {}
    with _removed_on_failure() as temporaries:
        for path, data in files.items():
            with naming(path):
                if path.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
                if not _is_device(path):
                    ready[path] = _aside(path, _writer(data), temporaries)
        for path in files.keys() - ready.keys():
            with naming(path):
                path.write_bytes(files[path])
        for path, temporary in ready.items():
            with naming(path):
                temporary.replace(path)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    write_with(path, _writer(data))


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically."""
    write_bytes(path, text.encode())


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Replace a folder by one that holds ``files`` (relative name -> bytes) and nothing else.

    The new folder is complete before the old one goes.

    Raises:
        OSError: Naming ``folder``; what was there is as it was.
    """
    folder = Path(folder)
    with naming(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f'.{folder.name}.', suffix='.tmp'))
    old = aside / 'old'
    try:
        with naming(folder):
            for name, data in files.items():
                path = aside / 'new' / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            if folder.exists():
                folder.replace(old)
            (aside / 'new').replace(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.replace(folder)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of the system inside name ``path``, not a temporary file or nothing at all."""
    try:
        yield
    except OSError as error:
        temporary = error.filename is None or any(
            part.startswith(f'.{path.name}.') for part in Path(str(error.filename)).parts
        )
        if error.errno is None or not temporary:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _is_device(path: Path) -> bool:
    """Whether a pipe or device stands there, e.g. ``/dev/stdout``: it is written, not replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextlib.contextmanager
def _removed_on_failure() -> Iterator[list[Path]]:
    """A list of temporary files that are removed if the block fails."""
    temporaries: list[Path] = []
    try:
        yield temporaries
    except BaseException:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)
        raise


def _aside(path: Path, writer: Callable[[Path], None], temporaries: list[Path]) -> Path:
    """Write a temporary file beside ``path`` and flush it to disk; returns it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.', suffix='.tmp')
    os.close(handle)
    temporary = Path(name)
    temporaries.append(temporary)
    writer(temporary)
    with temporary.open('rb') as stream:
        os.fsync(stream.fileno())
    temporary.chmod(0o644)
    return temporary


def _writer(data: bytes) -> Callable[[Path], None]:
    def write(temporary: Path) -> None:
        temporary.write_bytes(data)

    return write
