"""Folders for temporary files, whose names are short enough for the sockets in them.

A socket's name has 107 bytes at most (``unix(7)``). Loader workers hand on their tensors over one;
with a longer name a batch would be lost and its reader wait for ever.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import multiprocessing.queues
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sfda_bench.errors import BenchError

_LONGEST = 107
#: What ``multiprocessing`` adds to the name of a temporary folder, and we to its parent's.
_ADDED = len('/sfda-12345678') + len('/pymp-12345678/listener-12345678')


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A new folder of this user alone below the temporary one, removed at the end.

    Raises:
        BenchError: No folder for temporary files can be written.
    """
    folder = Path(tempfile.mkdtemp(prefix='sfda-', dir=_parent())).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parent() -> str:
    """The usual folder of temporary files, or a shorter one if its name is too long."""
    for name in (tempfile.gettempdir(), '/tmp', '/var/tmp'):
        real = os.path.realpath(name)
        if len(os.fsencode(real)) + _ADDED <= _LONGEST and os.access(real, os.W_OK | os.X_OK):
            return real
    raise BenchError(
        'no folder for temporary files whose name leaves room for a socket',
        f'a writable one with a name of at most {_LONGEST - _ADDED} bytes',
        'export TMPDIR=/tmp',
    )


def short_sockets() -> None:
    """Sockets of this process and its children get short names, wherever ``TMPDIR`` leads."""
    settings = _settings()
    if len(os.fsencode(settings.get('tempdir') or tempfile.gettempdir())) + _ADDED > _LONGEST:
        # For good: the fork server is reached by a name in it until this process ends.
        settings['tempdir'] = tempfile.mkdtemp(prefix='sfda-', dir=_parent())
        atexit.register(shutil.rmtree, settings['tempdir'], ignore_errors=True)


def take_as_temporary(folder: Path) -> None:
    """Point temporary files of this process and its children to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ['TMPDIR'] = os.environ['MPLCONFIGDIR'] = str(folder)
    tempfile.tempdir = None
    _settings().pop('tempdir', None)


def _settings() -> dict[str, Any]:
    """What ``multiprocessing`` hands from a process to its children."""
    return vars(multiprocessing.current_process())['_config']


def end_with_lost_batches() -> None:
    """A loader worker that cannot hand on a batch ends, instead of printing why and going on.

    The reader then says that its worker has died; it would wait for ever for the batch.
    """

    def lost(error: Exception, batch: object) -> None:
        traceback.print_exception(error)
        sys.stderr.flush()
        os._exit(1)

    multiprocessing.queues.Queue._on_queue_feeder_error = staticmethod(lost)  # type: ignore[attr-defined]
