"""The data guard: during a sealed stage the process reads only what source-free adaptation may.

Linux Landlock enforces it in the kernel, for C code, sub-processes and loader workers too. An audit
hook on Python's file events names the path of a violation even when the method swallows the error;
where the kernel has no Landlock the hook alone refuses, and the verdict says ``audited``.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path

from sfda_bench.errors import BenchError

PACKAGE_FOLDER = Path(__file__).resolve().parents[1]
SYSTEM = ('/usr', '/lib', '/lib32', '/lib64', '/bin', '/sbin', '/etc', '/proc', '/sys', '/run')
DEVICES = ('/dev',)
_OPEN_EVENTS = ('open', 'os.listdir', 'os.scandir', 'os.chdir', 'os.truncate', 'shutil.copyfile')


class GuardViolationError(BenchError):
    """A sealed stage tried to read what it must not.

    Args:
        paths: The paths it tried.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = sorted(set(paths))
        super().__init__(
            f'the method tried to read {", ".join(self.paths[:5])}',
            'only the images of the adaptation split, the parent checkpoint and the software',
            'mend the method, or declare its true track (e.g. uda) in its card',
        )

    def __reduce__(self) -> tuple:
        return type(self), (self.paths,)


def software_paths() -> list[Path]:
    """Folders of the interpreter, its packages and this package, never a whole checkout."""
    roots = {sys.prefix, sys.base_prefix, sys.exec_prefix, str(PACKAGE_FOLDER)}
    roots.update(sysconfig.get_paths().values())
    roots.update(site.getsitepackages())
    roots.add(site.getusersitepackages())
    packages = [p for p in sys.path if Path(p).name in ('site-packages', 'dist-packages')]
    return sorted({Path(p).resolve() for p in [*roots, *packages] if Path(p).exists()})


class Guard:
    """Seals the current process.

    Args:
        readable: Files and folders it may read besides the software.
        writable: Folders it may write.
        protected: Folders whose unauthorised reading is a violation (usually the data root).
    """

    def __init__(
        self, readable: Iterable[Path], writable: Iterable[Path], protected: Iterable[Path]
    ) -> None:
        self.readable = [Path(p).resolve() for p in readable]
        self.writable = [Path(p).resolve() for p in writable]
        self.protected = [str(Path(p).resolve()) for p in protected]
        self.violations: list[str] = []
        self.kernel = False
        self._sealed_by: int | None = None
        self._allowed = tuple(str(p) for p in [*self.readable, *self.writable, *software_paths()])

    def seal(self) -> str:
        """Seal the process, for good.

        Returns:
            ``'sealed'`` (kernel) or ``'audited'`` (audit hook only).

        Raises:
            BenchError: Protected data lie inside a folder that must stay readable.
        """
        self._check_overlap()
        self._use_own_temporary_folder()
        self.kernel = landlock_available()
        if self.kernel:
            self._landlock()
        self._sealed_by = os.getpid()
        sys.addaudithook(self._hook)
        return 'sealed' if self.kernel else 'audited'

    def check(self) -> None:
        """Raise :class:`GuardViolationError` if anything was tried that is not allowed."""
        if self.violations:
            raise GuardViolationError(self.violations)

    def _check_overlap(self) -> None:
        for folder in self.protected:
            for root in [
                *map(Path, SYSTEM),
                *map(Path, DEVICES),
                *software_paths(),
                *self.writable,
                *self.readable,
            ]:
                if _inside(folder, str(root)):
                    raise BenchError(
                        f'the data root {folder} lies inside {root}, which stays readable',
                        'a data root outside of the software and run folders',
                        'move or bind-mount the data elsewhere and pass --data-root',
                    )

    def _use_own_temporary_folder(self) -> None:
        folder = self.writable[0] / 'tmp'
        folder.mkdir(parents=True, exist_ok=True)
        os.environ['TMPDIR'] = os.environ['MPLCONFIGDIR'] = str(folder)
        tempfile.tempdir = None

    def _landlock(self) -> None:
        import landlock

        access = landlock.FSAccess
        read = access.READ_FILE | access.READ_DIR
        rules = landlock.Ruleset()
        system = [Path(p) for p in SYSTEM if Path(p).exists()]
        for path in [*system, *software_paths()]:
            rules.allow(str(path), rules=_for(path, read | access.EXECUTE, access))
        for path in self.readable:
            if path.exists():
                rules.allow(str(path), rules=_for(path, read, access))
        for path in [*self.writable, *(Path(p) for p in DEVICES)]:
            rules.allow(str(path), rules=access.all())
        rules.apply()

    def _hook(self, event: str, args: tuple) -> None:
        if event not in _OPEN_EVENTS or not args:
            return
        path = args[0]
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        # realpath: a link's name may lie in a granted folder while its target does not.
        real = os.path.realpath(os.fsdecode(path))
        if not any(_inside(real, root) for root in self.protected):
            return
        if any(_inside(real, allowed) for allowed in self._allowed):
            return
        self.violations.append(real)
        if not self.kernel:
            raise PermissionError(13, 'refused by the data guard', real)


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip('/') + '/')


def _for(path: Path, wanted, access):
    """Rights that may be granted on a path: folder rights are invalid on a file."""
    return wanted if path.is_dir() else wanted & access.all_file()


def landlock_available() -> bool:
    """Whether this kernel and Python have Landlock."""
    try:
        import landlock

        return landlock.landlock_abi_version() >= 1
    except (ImportError, OSError):
        return False
