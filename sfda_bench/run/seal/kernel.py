"""Linux system calls that the seal needs and Python lacks: namespaces, mounts, Landlock.

Numbers and structures are those of the kernel's user-space headers (``linux/landlock.h``,
``linux/capability.h``, ``sys/mount.h``).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

NEW_MOUNTS, NEW_IPC, NEW_USER, NEW_PIDS, NEW_NETWORK = (
    0x00020000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
)  # fmt: skip
BIND, RECURSIVE, PRIVATE = 4096, 16384, 1 << 18
NO_SUID, NO_DEVICES = 2, 4
EXECUTE, WRITE_FILE, READ_FILE, READ_FOLDER = 1, 2, 4, 8
TRUNCATE, DEVICE_CONTROL = 1 << 14, 1 << 15
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | DEVICE_CONTROL
DAC_OVERRIDE, DAC_READ_SEARCH = 1, 2
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def checked(result: int, what: str) -> int:
    """The result of a call to the C library, unless it failed.

    Raises:
        OSError: It did.
    """
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f'{what}: {os.strerror(code)}')
    return result


#: Mount namespace that this process or the one it was forked from has left; '' if it left none.
_left_mounts = ''


def _mounts() -> str:
    return str(Path('/proc/self/ns/mnt').readlink())


def unshare(flags: int) -> None:
    """Move this process, or its next children for :data:`NEW_PIDS`, into new namespaces."""
    global _left_mounts
    before = _mounts()
    checked(libc.unshare(flags), 'unshare')
    if flags & NEW_MOUNTS and _mounts() != before:
        _left_mounts = before


def require_own_mounts() -> None:
    """Refuse to change mounts that others see, whoever asks and whatever went wrong before.

    Raises:
        RuntimeError: This process has entered no mount namespace of its own.
    """
    if not _left_mounts or _mounts() == _left_mounts:
        raise RuntimeError('this mount would change the world outside: no namespace was entered')


def part_mounts() -> None:
    """No mount made from here on reaches another namespace.

    Raises:
        RuntimeError: This process has entered no mount namespace of its own.
        OSError: The kernel refuses, or a mount is still shared.
    """
    require_own_mounts()
    _mount('none', '/', None, RECURSIVE | PRIVATE)
    text = Path('/proc/self/mountinfo').read_text(encoding='utf-8')
    if any(' shared:' in line.partition(' - ')[0] for line in text.splitlines()):
        raise OSError(1, 'a mount is still shared with the outside')


def mount(source: str, target: str, kind: str | None, flags: int, data: str = '') -> None:
    """Mount or bind, in a mount namespace of this process's own only.

    Raises:
        RuntimeError: This process has entered no mount namespace of its own.
        OSError: The kernel refuses.
    """
    require_own_mounts()
    _mount(source, target, kind, flags, data)


def _mount(source: str, target: str, kind: str | None, flags: int, data: str = '') -> None:
    result = libc.mount(
        source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags),
        data.encode() or None,
    )  # fmt: skip
    checked(result, f'mount {target}')


def loopback_up() -> None:
    """Switch the loopback interface of this network namespace on; ranks talk over it."""
    require_own_mounts()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, 0x8914, struct.pack('16sh', b'lo', 0x1 | 0x40) + bytes(22))


def die_with_parent() -> None:
    """The kernel kills this process when its parent ends."""
    checked(libc.prctl(1, 9, 0, 0, 0), 'prctl')


def drop_capabilities(keep: Iterable[int] = ()) -> None:
    """Give up all capabilities but ``keep``, for good, also across ``exec``."""
    kept = set(keep)
    for number in range(64):
        if number not in kept:
            libc.prctl(24, number, 0, 0, 0)
    mask = sum(1 << number for number in kept)
    header = struct.pack('<Ii', 0x20080522, 0)
    data = struct.pack('<6I', mask, mask, 0, 0, 0, 0)
    checked(libc.capset(header, data), 'capset')


def no_new_privileges() -> None:
    """No program that this process starts gains rights."""
    checked(libc.prctl(38, 1, 0, 0, 0), 'prctl')


def landlock_abi() -> int:
    """Version of Landlock in this kernel; 0 without it."""
    return max(0, libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1))


def landlock(rules: Iterable[tuple[Path, int | None]], network: bool) -> None:
    """Restrict this process to ``rules``.

    Args:
        rules: Paths and their rights; ``None`` = all rights.
        network: Whether TCP is refused, too (from version 4).
    """
    abi = landlock_abi()
    every = (1 << 13) - 1
    for version, right in ((2, 1 << 13), (3, TRUNCATE), (5, DEVICE_CONTROL)):
        every |= right if abi >= version else 0
    attributes = struct.pack('<QQQ', every, 3 if network and abi >= 4 else 0, 3 if abi >= 6 else 0)[
        : 24 if abi >= 6 else 16 if abi >= 4 else 8
    ]
    size = ctypes.c_size_t(len(attributes))
    handle = checked(libc.syscall(_LANDLOCK_CREATE, attributes, size, 0), 'landlock')
    for path, rights in rules:
        with contextlib.suppress(FileNotFoundError):
            granted = os.open(path, os.O_PATH | os.O_CLOEXEC)
            wanted = every if rights is None else rights & every
            if not path.is_dir():
                wanted &= ON_FILES
            rule = struct.pack('<Qi', wanted, granted)
            checked(libc.syscall(_LANDLOCK_ADD, handle, 1, rule, 0), f'landlock {path}')
            os.close(granted)
    no_new_privileges()
    checked(libc.syscall(_LANDLOCK_RESTRICT, handle, 0), 'landlock')
    os.close(handle)


def forget_environment(kept: dict[str, str]) -> None:
    """Leave only ``kept`` in the environment, and wipe what the process was started with."""
    os.environ.clear()
    libc.clearenv()
    os.environ.update(kept)
    fields = Path('/proc/self/stat').read_text(encoding='utf-8').rpartition(')')[2].split()
    start, end = int(fields[47]), int(fields[48])
    if 0 < start < end:
        ctypes.memset(start, 0, end - start)
