"""Error boundary of every command: bad input, files or pipes end in clear words.

Inside, code raises; here alone an error becomes a message on standard error and an exit code.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable

from sfda_bench import interrupts
from sfda_bench.errors import BenchError, of_system


def run(function: Callable[[], int | None], again: str, failure: int = 1) -> int:
    """Call a command; returns its exit code.

    Args:
        function: Returns an exit code, or ``None`` for 0.
        again: What continues the work after Ctrl-C.
        failure: Exit code for bad input and for files that cannot be read or written.

    Returns:
        The command's own code, ``failure``, 128 + the number of the signal that stopped it, or,
        like other programs, that of SIGPIPE if nobody reads its output any more (``| head``).
    """
    interrupts.replace_unknown()
    return interrupts.answered(lambda: _told(function, failure), again)


def _told(function: Callable[[], int | None], failure: int) -> int:
    try:
        code = function() or 0
        sys.stdout.flush()
        return code
    except BenchError as error:
        found = error
    except UnicodeError as error:
        found = BenchError(f'text that is not UTF-8: {error}', 'UTF-8', 'save the file as UTF-8')
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return 128 + signal.SIGPIPE
        found = of_system(_named(error))
    with contextlib.suppress(OSError):
        print(f'error: {found}', file=sys.stderr)
    return failure


def _named(error: OSError) -> OSError:
    """The error, with the name of standard output if that is what cannot be written."""
    if error.errno is None or error.filename is not None:
        return error
    try:
        print(end=' ', flush=True)  # what failed before is forgotten
    except OSError:
        _let_go(1)
        return OSError(error.errno, error.strerror, 'standard output')
    return error


def _nobody_reads() -> bool:
    """Whether standard output or error is a pipe without a reader; if so, it is let go."""
    closed = [number for number in (1, 2) if _is_broken(number)]
    for number in closed:
        _let_go(number)
    return bool(closed)


def _let_go(number: int) -> None:
    """Drop what Python would write there at its end, and complain about."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def _is_broken(number: int) -> bool:
    poll = select.poll()
    poll.register(number, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))
