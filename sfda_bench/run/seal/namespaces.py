"""Namespaces of a sealed stage, in which only what it was granted exists."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from sfda_bench.run.seal import kernel

#: Folders that stay as they are; every other one at the root is emptied down to what is granted.
SYSTEM = ('/usr', '/lib', '/lib32', '/lib64', '/bin', '/sbin', '/etc', '/proc', '/sys')
_DEVICES = ('null', 'zero', 'full', 'random', 'urandom', 'dri', 'kfd', 'infiniband', 'nvidia*')
_KEPT = (
    'PATH', 'HOME', 'USER', 'LANG', 'LANGUAGE', 'TZ', 'TERM', 'LD_LIBRARY_PATH', 'PYTHONPATH',
    'PYTHONHASHSEED', 'PYTHONUTF8', 'PYTHONWARNINGS', 'PYTHONDONTWRITEBYTECODE', 'RANK',
    'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT', 'VIRTUAL_ENV', 'TMPDIR',
    'MPLCONFIGDIR',
)  # fmt: skip
_KEPT_FAMILIES = (
    'LC_', 'OMP_', 'KMP_', 'MKL_', 'OPENBLAS_', 'NUMEXPR_', 'NUMBA_', 'CUDA_', 'CUBLAS_', 'CUDNN_',
    'NVIDIA_', 'NCCL_', 'GLOO_', 'TORCH_', 'PYTORCH_', 'ATEN_', 'OPENCV_', 'HIP_', 'ROCR_',
)  # fmt: skip


def kept_environment() -> dict[str, str]:
    """The variables a stage keeps: those of libraries that decide how it computes."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_FAMILIES)
    }


def enter() -> None:
    """Move this single-threaded process into new namespaces; its children get their own PIDs."""
    flags = kernel.NEW_MOUNTS | kernel.NEW_IPC | kernel.NEW_PIDS | kernel.NEW_NETWORK
    kernel.unshare(kernel.NEW_USER | flags)


def write_maps(pid: int) -> None:
    """Give a process that entered a user namespace its ids; called from outside of it.

    As root all ids keep their meaning, so that files of other users stay readable.
    """
    root = os.geteuid() == 0
    for name, own in (('uid_map', os.geteuid()), ('gid_map', os.getegid())):
        folder = Path(f'/proc/{pid}')
        if root:
            whole = Path(f'/proc/self/{name}').read_text(encoding='utf-8')
            ranges = [line.split() for line in whole.splitlines()]
            text = ''.join(f'{inside} {inside} {count}\n' for inside, _, count in ranges)
        else:
            if name == 'gid_map':
                (folder / 'setgroups').write_text('deny', encoding='utf-8')
            text = f'{own} {own} 1\n'
        (folder / name).write_text(text, encoding='utf-8')


def links_of(names: Iterable[str]) -> dict[str, str]:
    """Symbolic links on the way to ``names``, with what they lead to."""
    found: dict[str, str] = {}
    for name in names:
        todo = Path(os.path.normpath(name))
        for _ in range(40):
            link = next((p for p in [*reversed(todo.parents), todo] if p.is_symlink()), None)
            if link is None:
                break
            found[str(link)] = str(link.readlink())
            target = Path(os.path.normpath(link.parent / found[str(link)]))
            todo = target / todo.relative_to(link)
    return found


def hide(granted: Iterable[Path], names: Iterable[str]) -> None:
    """Empty every folder at the root but the system's, down to ``granted``; a small ``/dev``.

    Args:
        granted: Resolved files and folders that stay.
        names: Names under which they are known; symbolic links on their way stay, too.
    """
    kernel.part_mounts()
    links = links_of(names)
    devices = [p for pattern in _DEVICES for p in sorted(Path('/dev').glob(pattern))]
    wanted = [p for p in _outermost(granted) if p.exists() and not _within(p, SYSTEM)]
    kept = [(p, os.open(p, os.O_PATH | os.O_CLOEXEC)) for p in [*wanted, *devices]]
    for folder in sorted(Path('/').iterdir()):
        if str(folder) not in SYSTEM and folder.is_dir() and not folder.is_symlink():
            kernel.mount(
                'tmpfs', str(folder), 'tmpfs', kernel.NO_SUID | kernel.NO_DEVICES, 'mode=755'
            )
    for path, handle in kept:
        _bind(path, handle)
    for link, target in links.items():
        if not os.path.lexists(link):
            Path(link).parent.mkdir(parents=True, exist_ok=True)
            Path(link).symlink_to(target)
    for name, target in (('fd', 'fd'), ('stdin', 'fd/0'), ('stdout', 'fd/1'), ('stderr', 'fd/2')):
        Path(f'/dev/{name}').symlink_to(f'/proc/self/{target}')
    for needed in ('/dev/shm', '/tmp'):
        Path(needed).mkdir(parents=True, exist_ok=True)
    # Shared memory of loader workers: of this stage alone.
    kernel.mount('tmpfs', '/dev/shm', 'tmpfs', kernel.NO_SUID | kernel.NO_DEVICES, 'mode=1777')


def own_processes() -> None:
    """Show only the processes of this PID namespace; no further user namespaces may be made."""
    kernel.part_mounts()
    kernel.mount('proc', '/proc', 'proc', kernel.NO_SUID | kernel.NO_DEVICES)
    with contextlib.suppress(OSError):
        Path('/proc/sys/user/max_user_namespaces').write_text('0', encoding='utf-8')


def _outermost(paths: Iterable[Path]) -> list[Path]:
    chosen: list[Path] = []
    for path in sorted(set(paths)):
        if not any(_within(path, (str(other),)) for other in chosen):
            chosen.append(path)
    return chosen


def _within(path: Path, roots: Iterable[str]) -> bool:
    return any(str(path) == root or str(path).startswith(root + '/') for root in roots)


def _bind(path: Path, handle: int) -> None:
    source = f'/proc/self/fd/{handle}'
    if Path(source).is_dir():
        path.mkdir(parents=True, exist_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    kernel.mount(source, str(path), None, kernel.BIND | kernel.RECURSIVE)
    os.close(handle)
