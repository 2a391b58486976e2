"""Names what a sealed stage tries, also in C and in other programs: a watcher outside of the seal.

It reads the arguments of a system call while the caller waits. It protects nothing: the kernel
refuses by itself what is only named here, and a caller that changes its arguments in between goes
unnamed, not unrefused.
"""

from __future__ import annotations

import ctypes
import os
import select
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from sfda_bench.run.seal import calls
from sfda_bench.run.seal.calls import Call
from sfda_bench.run.seal.surroundings import Surroundings, within

_LONGEST = 4096
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
#: (argument of the folder, argument of the path, whether it is written) of each path of a call.
_PATHS: dict[str, tuple[tuple[int | None, int, bool], ...]] = {
    'open': ((None, 0, False),),
    'creat': ((None, 0, True),),
    'openat': ((0, 1, False),),
    'openat2': ((0, 1, False),),
    'execve': ((None, 0, False),),
    'execveat': ((0, 1, False),),
    'link': ((None, 0, False), (None, 1, True)),
    'linkat': ((0, 1, False), (2, 3, True)),
    'rename': ((None, 0, True), (None, 1, True)),
    'renameat': ((0, 1, True), (2, 3, True)),
    'renameat2': ((0, 1, True), (2, 3, True)),
    'truncate': ((None, 0, True),),
    'chdir': ((None, 0, False),),
    'mknod': ((None, 0, True),),
    'mknodat': ((0, 1, True),),
}
_OPENED = ('open', 'openat', 'openat2')
#: Arguments of calls: flags of opening, a file mode, an address (its length follows).
_FLAGS = {'open': 1, 'openat': 2}
_MODES = {'mknod': 1, 'mknodat': 2}
_ADDRESSES = {'connect': 1, 'sendto': 4}
#: Table in ``/proc/sysvipc`` of what a key names, and the argument with its flags.
_KEYS = {'shmget': ('shm', 2), 'semget': ('sem', 2), 'msgget': ('msg', 1)}
#: What is made by calls that are told for their flags alone.
_MADE = {'socket': 'VM socket', 'clone': 'new namespace'}
#: Size of the ring that libuv, over which ranks meet, asks for first; it goes on without.
_OF_LIBUV = 256
_PROCESSES = ('kill', 'tkill', 'rt_sigqueueinfo', 'pidfd_open')


@dataclass
class Bounds:
    """What a sealed process may do unnamed.

    Attributes:
        protected: Files and folders whose use is named, but for what is granted.
        granted: Files and folders that may be read.
        writable: Folders that may be written.
        fixed: Folders whose writing is named.
    """

    protected: list[str]
    granted: list[str]
    writable: list[str]
    fixed: list[str]

    def judge(self, path: str, written: bool) -> str:
        """What is wrong with the use of a resolved path; ``''`` if nothing is."""
        if within(path, self.protected) and not within(path, self.granted):
            return path
        # Python caches what it imports wherever it may.
        if not written or within(path, self.writable) or '/__pycache__' in path:
            return ''
        return f'writing {path}' if within(path, self.fixed) else ''

    def plain(self, name: str) -> bool:
        """Whether reading a file of this name needs no second look."""
        return (
            within(name, self.fixed)
            and '/..' not in name
            and not within(name, ['/proc', *self.writable])
        )


class Watcher:
    """Answers the calls of a sealed process and its descendants, and names what is not allowed.

    Args:
        bounds: What is allowed.
        around: What exists inside of the seal.
    """

    def __init__(self, bounds: Bounds, around: Surroundings) -> None:
        self.bounds, self.around = bounds, around
        self.named: list[str] = []

    def serve(self, listener: int, first: int) -> None:
        """Answer until the process ``first``, the last to end, has ended."""
        calls.prefer_fast_answers(listener)
        ended = os.pidfd_open(first)
        poll = select.poll()
        for handle in (listener, ended):
            poll.register(handle, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if ready.get(listener, 0) & select.POLLIN:
                self._answer(listener)
            elif ready:
                break
        os.close(ended)
        self.named += self.around.in_vain.values()

    def _answer(self, listener: int) -> None:
        call = calls.receive(listener)
        if call is None:
            return
        allowed, found = False, ['a system call']
        try:
            allowed, found = self._judge(call)
        finally:
            if found and calls.waits(listener, call):
                self.named += [what for what in found if what not in self.named]
            calls.answer(listener, call, allowed)

    def _judge(self, call: Call) -> tuple[bool, list[str]]:
        """Whether the kernel shall decide (or refuse), and what is named."""
        if call.name in _MADE:
            return False, [_MADE[call.name]]
        if call.name == 'io_uring_setup' and call.arguments[0] == _OF_LIBUV:
            return False, []
        if call.name not in calls.WATCHED and call.name not in calls.WATCHED_WITH:
            return False, [f'system call {call.name or "of a foreign table"}']
        try:
            return True, list(filter(None, self._arguments(call)))
        except PermissionError:
            return True, [f'{call.name} with arguments that cannot be read']
        except (OSError, ValueError, LookupError, struct.error):
            return True, []  # the kernel cannot read them either, or the process is gone

    def _arguments(self, call: Call) -> Iterable[str]:
        if call.name in _PATHS:
            return self._paths(call)
        if call.name in _PROCESSES:
            return [self.around.process(_signed(call.arguments[0]))]
        if call.name in _ADDRESSES:
            place = _ADDRESSES[call.name]
            address = calls.memory_of(call.task, call.arguments[place], 128)
            address = address[: min(call.arguments[place + 1], 128)]
            return [self.around.address(call.task, _signed(call.arguments[0]), address)]
        if call.name == 'mq_open':
            return [] if call.arguments[1] & os.O_CREAT else ['message queue of another process']
        kind, place = _KEYS[call.name]
        return [self.around.key(kind, _signed(call.arguments[0]), call.arguments[place])]

    def _paths(self, call: Call) -> Iterable[str]:
        flags = self._flags(call)
        mode = call.arguments[_MODES[call.name]] if call.name in _MODES else 0
        if stat.S_ISBLK(mode & 0xFFFF) or stat.S_ISCHR(mode & 0xFFFF):
            yield 'making a device'
        for folder, place, written in _PATHS[call.name]:
            written = written or bool(flags & _WRITES)
            memory = calls.memory_of(call.task, call.arguments[place], _LONGEST)
            name = os.fsdecode(memory.partition(b'\0')[0])
            if not name or (not written and self.bounds.plain(name)):
                continue
            base = None if folder is None else _signed(call.arguments[folder])
            path = self.around.whole(call.task, base, name)
            if call.name in _OPENED:
                self.around.memory(path, bool(flags & os.O_CREAT))
            yield self.around.process_of(path)
            yield self.bounds.judge(os.path.realpath(path), written)

    @staticmethod
    def _flags(call: Call) -> int:
        if call.name == 'openat2':
            return struct.unpack('<Q', calls.memory_of(call.task, call.arguments[2], 8))[0]
        return call.arguments[_FLAGS[call.name]] if call.name in _FLAGS else 0


def _signed(argument: int) -> int:
    return ctypes.c_int32(argument & 0xFFFFFFFF).value
