"""What exists inside of a seal, as a process beside it sees: PIDs, sockets, shared memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import socket
from collections.abc import Iterable
from pathlib import Path

from sfda_bench.run.seal import calls
from sfda_bench.run.seal.kernel import checked, libc

#: C libraries and drivers ask these by themselves, e.g. for the name of a user.
_SERVICES = re.compile(
    r'(/var)?/run/(nscd|systemd/(userdb|resolve|journal)|nvidia-)|/var/lib/sss/|/tmp/nvidia-mps'
)
_LOOPBACK = re.compile(r'(::ffff:)?127\.|::1$')
_PROCESS = re.compile(r'/proc/(\d+)(/|$)')
_CREATE = 0o1000


def within(path: str, roots: Iterable[str]) -> bool:
    """Whether a path is one of the roots or lies in one."""
    return any(path == root or path.startswith(root.rstrip('/') + '/') for root in roots)


class Surroundings:
    """Tells whether what a sealed process asks for is its own.

    It is used in a process that shares mounts, network and message queues with the sealed one, and
    sees its PIDs from outside.

    Args:
        processes: The folder ``/proc`` of this process's own PID namespace, opened.
        apart: Whether the sealed process lives in namespaces of its own.
        writable: Folders of the stage.
        granted: Files and folders from outside that it reads.
    """

    def __init__(
        self, processes: int, apart: bool, writable: Iterable[str], granted: Iterable[str]
    ) -> None:
        self.processes, self.apart = processes, apart
        self.writable, self.granted = list(writable), list(granted)
        #: What led nowhere so far: honest code may come too early, and comes again.
        self.in_vain: dict[str, str] = {}

    # --- names of files ---------------------------------------------------------------------------

    def whole(self, task: int, folder: int | None, name: str) -> str:
        """The absolute name, with a number for ``/proc/self``, which is somebody else here.

        Args:
            task: The thread that gave it.
            folder: Its descriptor of the folder; ``None`` or -100: its working folder.
            name: The name it gave.
        """
        if not name.startswith('/'):
            here = 'cwd' if folder in (None, -100) else f'fd/{folder}'
            name = f'{os.readlink(f"{task}/{here}", dir_fd=self.processes)}/{name}'
        for alias in ('/proc/self', '/proc/thread-self'):
            if within(name, [alias]):
                return f'/proc/{self._inner(task)}{name.removeprefix(alias)}'
        return name

    def memory(self, path: str, created: bool) -> None:
        """Note shared memory that is looked for and not there: another stage may have left it."""
        if not self.apart or not path.startswith('/dev/shm/') or '/dev/shm/sem.' in path:
            return
        if created or os.path.lexists(path):
            self.in_vain.pop(path, None)
        else:
            self.in_vain[path] = f'shared memory {path}'

    # --- processes --------------------------------------------------------------------------------

    def process_of(self, path: str) -> str:
        """The foreign process whose folder in ``/proc`` a name lies in."""
        found = _PROCESS.match(os.path.normpath(path))
        return self.process(int(found.group(1))) if found else ''

    def process(self, number: int) -> str:
        """A process that lives outside and whose number was never given inside."""
        number = abs(number)
        if not self.apart or number <= 1 or Path(f'/proc/{number}').exists():
            return ''
        try:
            os.stat(str(number), dir_fd=self.processes)
        except OSError:
            return ''
        return f'process {number}' if number > self._last_process() else ''

    def _last_process(self) -> int:
        """The highest number inside: that of a child which is born there and ends at once."""
        child = os.fork()
        if child == 0:
            os._exit(0)
        try:
            return int(self._inner(child))
        finally:
            os.waitpid(child, 0)

    def _status(self, task: int, field: str) -> list[str]:
        handle = os.open(f'{task}/status', os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.processes)
        with os.fdopen(handle, encoding='utf-8', errors='replace') as stream:
            return next((s.split()[1:] for s in stream if s.startswith(field + ':')), [])

    def _inner(self, task: int) -> str:
        return self._status(task, 'NStgid')[-1]

    # --- sockets ----------------------------------------------------------------------------------

    def address(self, task: int, handle: int, address: bytes) -> str:
        """A socket outside that a ``sockaddr`` names.

        Args:
            task: The thread that wants to reach it.
            handle: Its own socket.
            address: The address.
        """
        family = int.from_bytes(address[:2], 'little')
        if family == socket.AF_UNIX and len(address) > 2:
            return self._local(task, address[2:])
        if family in (socket.AF_INET, socket.AF_INET6) and len(address) >= 16:
            start, end = (4, 8) if family == socket.AF_INET else (8, 24)
            shown = socket.inet_ntop(family, address[start:end])
            return self._remote(task, handle, shown, int.from_bytes(address[2:4], 'big'))
        return ''

    def _local(self, task: int, name: bytes) -> str:
        if name[:1] == b'\0':
            shown = os.fsdecode(name).replace('\0', '@')
            table = Path('/proc/1/net/unix').read_text(encoding='utf-8', errors='replace')
            inside = any(line.endswith(' ' + shown) for line in table.splitlines())
            return '' if self.apart and inside else f'socket {shown}'
        path = self.whole(task, None, os.fsdecode(name.partition(b'\0')[0]))
        real = os.path.realpath(path)
        made = self.apart and within(real, ('/tmp', '/dev/shm')) and os.path.lexists(real)
        if within(real, self.writable) or (made and not within(real, self.granted)):
            return ''
        return '' if _SERVICES.match(real) else f'socket {path}'

    def _remote(self, task: int, handle: int, shown: str, port: int) -> str:
        """An address outside, or note a TCP port at which nothing listens inside."""
        if not self.apart:
            return '' if _LOOPBACK.match(shown) else f'socket {shown}:{port}'
        if not self._is_stream(task, handle):
            return ''  # resolvers do so to sort addresses
        if self._listens(port):
            self.in_vain.pop(f'port {port}', None)
        else:
            self.in_vain[f'port {port}'] = f'socket {shown}:{port}'
        return ''

    def _is_stream(self, task: int, handle: int) -> bool:
        process = os.pidfd_open(int(self._status(task, 'Tgid')[0]))
        take = calls.number('pidfd_getfd')
        taken = libc.syscall(take, process, ctypes.c_long(handle), ctypes.c_long(0))
        os.close(process)
        with (
            contextlib.suppress(OSError),
            socket.socket(fileno=checked(taken, 'pidfd_getfd')) as found,
        ):
            return found.type == socket.SOCK_STREAM
        return True

    @staticmethod
    def _listens(port: int) -> bool:
        for table in ('tcp', 'tcp6'):
            for line in Path(f'/proc/1/net/{table}').read_text(encoding='utf-8').splitlines()[1:]:
                _, local, _, state = line.split()[:4]
                if state == '0A' and int(local.rpartition(':')[2], 16) == port:
                    return True
        return False

    # --- System V ---------------------------------------------------------------------------------

    def key(self, kind: str, key: int, flags: int) -> str:
        """Shared memory, semaphores or messages of a key that nobody made inside.

        Args:
            kind: ``shm``, ``sem`` or ``msg``.
            key: The key.
            flags: Those of the call.
        """
        if not self.apart or flags & _CREATE:
            return ''
        table = Path(f'/proc/sysvipc/{kind}').read_text(encoding='utf-8')
        made = [line.split()[0] for line in table.splitlines()[1:]]
        return '' if str(key) in made else f'{kind} of key {key}'
