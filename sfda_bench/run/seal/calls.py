"""System calls that a sealed process is refused, or whose use is told to a watcher outside.

A seccomp filter stops the process at these calls and asks whoever holds its listener (see
``linux/seccomp.h``, user notification); without one it refuses the first list and lets the second
pass. Numbers are those of the kernel's tables for x86_64 and aarch64.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import struct
from dataclasses import dataclass

from sfda_bench.run.seal.kernel import checked, libc, no_new_privileges

#: They lead around namespaces or widen the kernel's surface: refused, whatever their arguments.
REFUSED: dict[str, tuple[int, int]] = {
    'ptrace': (101, 117),
    'process_vm_readv': (310, 270),
    'process_vm_writev': (311, 271),
    'pidfd_getfd': (438, 438),
    'kcmp': (312, 272),
    'add_key': (248, 217),
    'request_key': (249, 218),
    'keyctl': (250, 219),
    'perf_event_open': (298, 241),
    'bpf': (321, 280),
    'userfaultfd': (323, 282),
    'io_uring_setup': (425, 425),
    'io_uring_enter': (426, 426),
    'io_uring_register': (427, 427),
    'fanotify_init': (300, 262),
    'fanotify_mark': (301, 263),
    'name_to_handle_at': (303, 264),
    'open_by_handle_at': (304, 265),
    'chroot': (161, 51),
    'pivot_root': (155, 41),
    'mount': (165, 40),
    'umount2': (166, 39),
    'unshare': (272, 97),
    'setns': (308, 268),
    'open_tree': (428, 428),
    'move_mount': (429, 429),
    'fsopen': (430, 430),
    'fsconfig': (431, 431),
    'fsmount': (432, 432),
    'fspick': (433, 433),
    'mount_setattr': (442, 442),
    'open_tree_attr': (467, 467),
}
#: What they may reach is decided elsewhere; a watcher only looks at what they ask for.
WATCHED: dict[str, tuple[int, int | None]] = {
    'open': (2, None),
    'creat': (85, None),
    'openat': (257, 56),
    'openat2': (437, 437),
    'execve': (59, 221),
    'execveat': (322, 281),
    'link': (86, None),
    'linkat': (265, 37),
    'rename': (82, None),
    'renameat': (264, 38),
    'renameat2': (316, 276),
    'truncate': (76, 45),
    'chdir': (80, 49),
    'mknod': (133, None),
    'mknodat': (259, 33),
    'connect': (42, 203),
    'kill': (62, 129),
    'tkill': (200, 130),
    'rt_sigqueueinfo': (129, 138),
    'pidfd_open': (434, 434),
    'mq_open': (240, 180),
}
#: Watched where the argument of this number is not 0: a key, an address.
WATCHED_WITH: dict[str, tuple[int, int, int]] = {
    'shmget': (29, 194, 0),
    'semget': (64, 190, 0),
    'msgget': (68, 186, 0),
    'sendto': (44, 206, 4),
}
SOCKET, VSOCK = (41, 198), 40
#: Flags of ``clone`` that make namespaces; ``clone3``, which hides them, is said to be absent, and
#: C libraries then use ``clone``.
CLONE, CLONE3, NEW_NAMESPACES = (56, 220), 435, 0x7E020000
_MACHINES = {'x86_64': (0, 0xC000003E, 317), 'aarch64': (1, 0xC00000B7, 277)}
_ALLOW, _ERROR, _TELL = 0x7FFF0000, 0x00050000, 0x7FC00000
_REFUSE = _ERROR | errno.EPERM
_NEW_LISTENER, _WAIT_KILLABLE = 1 << 3, 1 << 5
_RECEIVE, _SEND, _STILL_THERE, _FLAGS = 0xC0502100, 0xC0182101, 0x40082102, 0x40082104


@dataclass(frozen=True)
class Call:
    """A call at which a process waits.

    Attributes:
        token: The kernel's number for this request.
        task: The thread that calls, as this process counts.
        name: The call's name; ``''`` for one of a foreign table.
        arguments: Its six arguments.
    """

    token: int
    task: int
    name: str
    arguments: tuple[int, ...]


def forbid(watched: bool) -> int | None:
    """Put the filter on this process, for good.

    Args:
        watched: Whether somebody will answer; what is refused without him is refused, too.

    Returns:
        The listener, from which :func:`receive` reads; ``None`` if there is none.

    Raises:
        OSError: The machine or the kernel has no such filter.
    """
    if platform.machine() not in _MACHINES:
        raise OSError(38, 'no list of system calls for this machine')
    no_new_privileges()
    if watched:
        # EBUSY: a container listens already; EINVAL: an old kernel
        for flags in (_NEW_LISTENER | _WAIT_KILLABLE, _NEW_LISTENER):
            with contextlib.suppress(OSError):
                return _install(_program(_TELL), flags)
    _install(_program(_REFUSE), 0)
    return None


def _install(program: list[tuple[int, int, int, int]], flags: int) -> int:
    packed = ctypes.create_string_buffer(b''.join(struct.pack('<HBBI', *i) for i in program))
    head = ctypes.c_char_p(struct.pack('<HxxxxxxQ', len(program), ctypes.addressof(packed)))
    number = _MACHINES[platform.machine()][2]
    return checked(libc.syscall(number, 1, flags, head), 'seccomp')


def _program(stop: int) -> list[tuple[int, int, int, int]]:
    """The filter; ``stop`` is what happens at a call of the lists."""
    column, arch, _ = _MACHINES[platform.machine()]
    load, equal, give, larger, any_of = 0x20, 0x15, 0x06, 0x35, 0x45
    program = [(load, 0, 0, 4), (equal, 1, 0, arch), (give, 0, 0, stop), (load, 0, 0, 0)]
    # The second call table of x86_64 has numbers of its own.
    program += [(larger, 0, 1, 0x40000000), (give, 0, 0, stop)]
    told = {**REFUSED, **WATCHED} if stop == _TELL else REFUSED
    for number in (numbers[column] for numbers in told.values()):
        if number is not None:
            program += [(equal, 0, 1, number), (give, 0, 0, stop)]
    for first, second, argument in WATCHED_WITH.values() if stop == _TELL else ():
        low, high = 16 + 8 * argument, 20 + 8 * argument
        program += [(equal, 0, 5, (first, second)[column]), (load, 0, 0, low), (equal, 0, 2, 0)]
        program += [(load, 0, 0, high), (equal, 1, 0, 0), (give, 0, 0, stop)]
        program += [(load, 0, 0, 0)]
    program += [(equal, 0, 1, CLONE3), (give, 0, 0, _ERROR | errno.ENOSYS)]
    program += [(equal, 0, 4, CLONE[column]), (load, 0, 0, 16)]
    program += [(any_of, 0, 1, NEW_NAMESPACES), (give, 0, 0, stop), (give, 0, 0, _ALLOW)]
    program += [(equal, 0, 3, SOCKET[column]), (load, 0, 0, 16), (equal, 0, 1, VSOCK)]
    return [*program, (give, 0, 0, stop), (give, 0, 0, _ALLOW)]


def _names() -> dict[int | None, str]:
    column = _MACHINES[platform.machine()][0]
    lists: dict[str, tuple[int | None, ...]] = {**REFUSED, **WATCHED, **WATCHED_WITH}
    lists |= {'socket': SOCKET, 'clone': CLONE}
    return {numbers[column]: name for name, numbers in lists.items()}


def number(name: str) -> int:
    """The number of one of the calls refused."""
    return REFUSED[name][_MACHINES[platform.machine()][0]]


def prefer_fast_answers(listener: int) -> None:
    """Wake the watcher on the processor of the caller, where the kernel can."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(listener, _FLAGS, 1)


def receive(listener: int) -> Call | None:
    """The next call that waits; ``None`` if its process is gone."""
    buffer = bytearray(80)
    try:
        fcntl.ioctl(listener, _RECEIVE, buffer)
    except OSError:
        return None
    token, task, _, number, arch, _, *arguments = struct.unpack('<QIIiIQ6Q', buffer)
    own = arch == _MACHINES[platform.machine()][1]
    return Call(token, task, NAMES.get(number, '') if own else '', tuple(arguments))


def answer(listener: int, call: Call, allowed: bool) -> None:
    """Let a call go on to the kernel, or refuse it."""
    reply = (call.token, 0, 0, 1) if allowed else (call.token, 0, -errno.EPERM, 0)
    with contextlib.suppress(OSError):
        fcntl.ioctl(listener, _SEND, struct.pack('<QqiI', *reply))


def waits(listener: int, call: Call) -> bool:
    """Whether the process still waits, so that what was read is its own."""
    try:
        fcntl.ioctl(listener, _STILL_THERE, struct.pack('<Q', call.token))
    except OSError:
        return False
    return True


def memory_of(task: int, address: int, size: int) -> bytes:
    """Up to ``size`` bytes of another process's memory; less at the end of a mapping.

    Raises:
        OSError: Nothing of it can be read.
    """
    first = min(size, os.sysconf('SC_PAGE_SIZE') - address % os.sysconf('SC_PAGE_SIZE'))
    out = ctypes.create_string_buffer(size)
    local = (ctypes.c_uint64 * 2)(ctypes.addressof(out), size)
    remote = (ctypes.c_uint64 * 4)(address, first, address + first, size - first)
    count = libc.process_vm_readv(task, local, 1, remote, 2 if size > first else 1, 0)
    return out.raw[: checked(count, 'process_vm_readv')]


NAMES = _names() if platform.machine() in _MACHINES else {}
