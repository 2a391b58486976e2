"""Why a stage failed, in words a user can act on, whatever library the error came through."""

from __future__ import annotations

import errno
import os
import re

from sfda_bench.errors import BenchError, DataError

_DATA_FIX = 'get the file again; `python tools/prepare_data.py doctor` lists all such files'
#: An error of ours at the end of the traceback that torch makes a loader worker's error of.
_OF_WORKER = re.compile(r'^sfda_bench\.[\w.]+Error: ', re.MULTILINE)


def reason_of(error: BaseException) -> str:
    """Found, expected and fix where they are known; else the error's type and text."""
    full = _full_disk(error)
    if full is not None:
        return str(full)
    text = str(error)
    if 'in DataLoader worker process' in text and (lines := _OF_WORKER.split(text)[1:]):
        return _with_fix(lines[-1].rstrip())
    if isinstance(error, DataError):
        return _with_fix(text)
    return text if isinstance(error, BenchError) else f'{type(error).__name__}: {text}'


def _with_fix(text: str) -> str:
    return text if '\n  fix: ' in text else f'{text}\n  fix:      {_DATA_FIX}'


def _full_disk(error: BaseException) -> BenchError | None:
    """What lies behind an error of whoever wrote: torch says only that a position is wrong."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.errno in (errno.ENOSPC, errno.EDQUOT):
            return BenchError(
                f'{os.strerror(link.errno)} ({type(error).__name__}: {error})',
                'room for checkpoints, records and temporary files',
                'make space (`run_suite.py clean` lists what nothing needs) and run it again',
            )
        link = link.__cause__ or link.__context__
    return None
