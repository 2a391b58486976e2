"""Requests to stop (Ctrl-C, ``kill``, a closed terminal): answered at once, or at a safe point."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Executor

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: A terminal, ``make`` and ``timeout`` may each deliver the same request.
SAME_REQUEST_SECONDS = 0.3


class Stopped(KeyboardInterrupt):
    """The process was asked to stop.

    It is no ``Exception``, so that code that swallows errors does not swallow it.

    Args:
        signum: The signal that asked.
    """

    def __init__(self, signum: int = signal.SIGINT) -> None:
        self.signum = int(signum)
        super().__init__(f'stopped by {signal.Signals(self.signum).name}')

    @property
    def code(self) -> int:
        """Exit code of a process that ends for it, as shells count."""
        return 128 + self.signum


class _Requests:
    """What was asked so far; there is one for the process."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.signum = int(signal.SIGINT)
        self.depth = 0

    def answer(self, signum: int, frame: Any) -> None:
        """The signal handler: the first request may wait for a safe point, the next does not."""
        now = time.monotonic()
        if self.depth and self.times and now - self.times[-1] < SAME_REQUEST_SECONDS:
            return
        self.times.append(now)
        self.signum = signum
        if not self.depth or len(self.times) > 1:
            raise Stopped(signum)


_requests = _Requests()


def listen(*signals: int) -> None:
    """Answer these signals (default: :data:`SIGNALS`), except those the process was told to ignore.

    Processes forked from here leave Ctrl-C to their parent. Outside of the main thread, where
    Python cannot, nothing happens.
    """
    _requests.times.clear()
    sys.unraisablehook = _unraisable
    with contextlib.suppress(ValueError):
        for signum in signals or SIGNALS:
            if signal.getsignal(signum) != signal.SIG_IGN:
                signal.signal(signum, _requests.answer)


def _unraisable(problem: Any) -> None:
    """Where Python drops an interrupt (callbacks, finalisers), ask again a moment later."""
    if isinstance(problem.exc_value, Stopped):
        again = threading.Timer(0.05, os.kill, (os.getpid(), problem.exc_value.signum))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(problem)


def _after_fork() -> None:
    """A forked process leaves Ctrl-C to its parent, and ends on the other signals."""
    for signum in SIGNALS:
        if signal.getsignal(signum) == _requests.answer:
            quiet = signum == signal.SIGINT
            signal.signal(signum, signal.SIG_IGN if quiet else signal.SIG_DFL)
    _requests.times.clear()
    _requests.depth = 0


os.register_at_fork(after_in_child=_after_fork)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Inside, the first request only sets :func:`requested`; a second one still ends at once."""
    _requests.depth += 1
    try:
        yield
    finally:
        _requests.depth -= 1


@contextlib.contextmanager
def own() -> Iterator[None]:
    """Processes started inside never see Ctrl-C, which a terminal sends to the whole group.

    Here it is answered on leaving, so keep the block short.
    """
    from multiprocessing import resource_tracker

    # It would unblock the signal when it starts.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def cancelling(pool: Executor) -> Iterator[None]:
    """If the block fails or is stopped, the pool's waiting jobs are dropped."""
    try:
        yield
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def requested() -> bool:
    """Whether the process was asked to stop."""
    return bool(_requests.times)


def check() -> None:
    """Raise :class:`Stopped` if the process was asked to stop."""
    if requested():
        raise Stopped(_requests.signum)


def begin() -> None:
    """What every command does first, before its imports: end in one line on Ctrl-C.

    Text that the terminal's encoding lacks is replaced instead of refused.
    """

    def end(signum: int, frame: Any) -> None:
        os.write(2, b'\ninterrupted\n')
        os._exit(128 + signum)

    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, end)
    replace_unknown()


def replace_unknown() -> None:
    """Print a question mark for what the encoding of standard output or error lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and 'utf' not in stream.encoding.lower():
            stream.reconfigure(errors='replace')


def answered(function: Callable[[], int], again: str) -> int:
    """Call ``function``; if it is stopped, say so in one line.

    Args:
        function: Returns an exit code.
        again: What continues the work.

    Returns:
        Its exit code, or 128 + the signal's number.
    """
    listen()
    try:
        return function()
    except KeyboardInterrupt as stop:
        end = stop
    except BaseException as error:
        # Libraries turn an interrupt into errors of their own, imports above all.
        if not requested():
            raise
        end = Stopped(_requests.signum).with_traceback(error.__traceback__)
    print(f'\ninterrupted; {again}', file=sys.stderr)
    return getattr(end, 'code', 128 + signal.SIGINT)
