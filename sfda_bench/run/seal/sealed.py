"""Runs a function in a sealed child: namespaces, then Landlock, then the audit hook.

Three processes: the stage's own, which stays outside, keeps lock and state and judges; one that
enters the namespaces and hands signals on; and the first process of the new PID namespace, which
runs the method. What it says comes back as JSON over a pipe, never as pickles.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sfda_bench import interrupts
from sfda_bench.run.outcome import SealedStageError, judge
from sfda_bench.run.seal import namespaces
from sfda_bench.run.seal.guard import Guard
from sfda_bench.run.seal.kernel import die_with_parent
from sfda_bench.run.seal.surroundings import Surroundings
from sfda_bench.run.seal.watch import Watcher
from sfda_bench.run.temporary import short_folder

Body = Callable[[], dict[str, Any]]


def run_sealed(guard: Guard, body: Body) -> dict[str, Any]:
    """Run ``body`` in a sealed child process.

    Args:
        guard: What it may read and write.
        body: Returns what JSON can hold.

    Returns:
        What it returned, with the guard's verdict in ``guard``.

    Raises:
        GuardViolationError: Something was tried that is not allowed.
        SealedStageError: ``body`` failed.
    """
    judge(RuntimeError())  # what it imports cannot be read inside
    guard.prepare()
    with short_folder() as folder:
        guard.grant_temporary(folder)
        return _run(guard, body)


def _run(guard: Guard, body: Body) -> dict[str, Any]:
    sys.stdout.flush()
    sys.stderr.flush()
    said, say = os.pipe()
    ask, answer = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.close(said)
        os.close(answer)
        try:
            _middle(guard, body, say, ask)
        finally:
            os._exit(1)  # never back into what the process outside was doing
    os.close(say)
    os.close(ask)
    messages, stop = _listen(middle, said, answer)
    status = os.waitpid(middle, 0)[1]
    return _judge(guard, messages, status, stop)


def _judge(guard: Guard, messages: list[dict[str, Any]], status: int, stop: Any) -> dict[str, Any]:
    guard.violations += [str(m['violation']) for m in messages if 'violation' in m]
    guard.check()
    seal = next((m['seal'] for m in messages if 'seal' in m), None)
    last = messages[-1] if messages else {}
    if seal is not None and 'result' in last:
        result: dict[str, Any] = last['result']
        result['guard'] = seal
        return result
    if stop is not None:
        raise stop
    if 'error' in last:
        raise SealedStageError(last['state'], last['error'])
    if os.WIFSIGNALED(status):
        # Ends as the child did, so that the executor sees an out-of-memory kill as one.
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    raise SealedStageError('failed', f'the sealed process ended with code {status >> 8}')


def _listen(middle: int, said: int, answer: int) -> tuple[list[dict[str, Any]], Any]:
    """All messages until the pipe closes, and the request to stop that came meanwhile."""
    messages: list[dict[str, Any]] = []
    stop = None
    rest = b''
    while True:
        try:
            block = os.read(said, 65536)
            if not block:
                break
            *lines, rest = (rest + block).split(b'\n')
            for line in lines:
                message = _parsed(line)
                if 'maps' in message and answer >= 0:
                    # Closing the pipe lets it go on; without ids it says itself what is missing.
                    with contextlib.suppress(OSError):
                        if message['maps'] is True:
                            namespaces.write_maps(middle)
                    os.close(answer)
                    answer = -1
                messages.append(message)
        except interrupts.Stopped as asked:
            stop = asked
            with contextlib.suppress(ProcessLookupError):
                os.kill(middle, signal.SIGTERM)
    os.close(said)
    if answer >= 0:
        os.close(answer)
    return messages, stop


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def tell(pipe: int, **message: Any) -> None:
    """Write a message to the process outside; short ones arrive whole."""
    data = json.dumps(message).encode() + b'\n'
    while data:
        data = data[os.write(pipe, data) :]


def _middle(guard: Guard, body: Body, say: int, ask: int) -> None:
    """Enter the namespaces, start their first process, hand on signals, end as it ends."""
    die_with_parent()
    os.setsid()
    own = _close_all_but(say, ask)
    processes = os.open('/proc', os.O_PATH | os.O_CLOEXEC)
    hand, take = socket.socketpair()
    parted = None
    try:
        namespaces.enter()
    except OSError as error:
        parted = error
    tell(say, maps=parted is None)
    os.read(ask, 1)
    os.close(ask)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    inner = os.fork()
    if inner == 0:
        die_with_parent()
        os.close(own)
        os.close(processes)
        take.close()
        guard.hand_over = lambda listener: _hand_over(hand, listener)
        interrupts.listen(signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        _inner(guard, body, say, parted)
    hand.close()
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(inner, number))
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    folders = (map(str, guard.writable), map(str, guard.readable))
    around = Surroundings(processes, parted is None, *folders)
    for name in _watch(Watcher(guard.bounds(), around), take, inner):
        tell(say, violation=name[:1000])
    status = os.waitpid(inner, 0)[1]
    if os.WIFSIGNALED(status):
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(os.WEXITSTATUS(status))


def _hand_over(hand: socket.socket, listener: int) -> None:
    socket.send_fds(hand, [b'x'], [listener])
    os.close(listener)
    hand.close()


def _watch(watcher: Watcher, take: socket.socket, inner: int) -> list[str]:
    """What the process ``inner`` tried, known when it has ended."""
    _, listeners, _, _ = socket.recv_fds(take, 1, 1)
    for listener in listeners:
        watcher.serve(listener, inner)
    return watcher.named


def _inner(guard: Guard, body: Body, say: int, parted: OSError | None) -> None:
    """The first process of the namespace: seal, run, tell."""
    code = 1
    try:
        guard.report = lambda path: tell(say, violation=path)
        tell(say, seal=guard.seal(parted is None, str(parted and parted.strerror)))
        result = body()
        guard.check()
        tell(say, result=result)
        code = 0
    except BaseException as error:
        state, reason = judge(error)
        tell(say, state=state, error=reason)
        with contextlib.suppress(OSError, ValueError):
            print(error) if isinstance(error, interrupts.Stopped) else traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _close_all_but(*needed: int) -> int:
    """Let go of inherited descriptors, the fork server's above all; standard input reads nothing.

    Their numbers stay taken, by nothing: an inherited object that is collected later closes the
    number that it knows, which would by then be a pipe or a file of the stage.

    Returns a spare descriptor.
    """
    from multiprocessing import resource_tracker

    inherited = list(_open_descriptors())
    nothing = os.open('/dev/null', os.O_RDONLY | os.O_CLOEXEC)
    for handle in inherited:
        if handle > 2 and handle not in (*needed, nothing):
            with contextlib.suppress(OSError):
                os.dup2(nothing, handle, inheritable=False)
    # A tracker of its own starts inside when one is needed.
    tracker: Any = resource_tracker._resource_tracker
    tracker._fd = tracker._pid = None
    os.dup2(nothing, 0)
    return nothing


def _open_descriptors() -> Iterator[int]:
    yield from sorted(int(entry.name) for entry in Path('/proc/self/fd').iterdir())
