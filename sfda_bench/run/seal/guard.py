"""The data guard: during a sealed stage the process reads only what source-free adaptation may.

Namespaces hide what it may not see and Landlock refuses it, in the kernel, for C code,
sub-processes and loader workers too. An audit hook on Python's events names a violation even when
the method swallows the error; without Landlock the hook alone refuses, and the verdict says
``audited``.
"""

from __future__ import annotations

import functools
import os
import site
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sfda_bench.errors import BenchError
from sfda_bench.paths import PACKAGE
from sfda_bench.run.seal import calls, kernel, namespaces
from sfda_bench.run.seal.surroundings import within
from sfda_bench.run.seal.watch import Bounds
from sfda_bench.run.temporary import take_as_temporary

SYSTEM = namespaces.SYSTEM
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
            f'the method tried to reach {", ".join(self.paths[:5])}',
            'only the images of the adaptation split, the parent checkpoint and the software',
            'mend the method, or declare its true track (e.g. uda) in its card',
        )

    def __reduce__(self) -> tuple:
        return type(self), (self.paths,)


@functools.cache
def software_paths() -> list[Path]:
    """Folders of the interpreter, its packages and this package, never a whole checkout."""
    roots = {sys.prefix, sys.base_prefix, sys.exec_prefix, str(PACKAGE)}
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
        others: Folders of the harness whose reading is one, too: runs, results.
    """

    def __init__(
        self,
        readable: Iterable[Path],
        writable: Iterable[Path],
        protected: Iterable[Path],
        others: Iterable[Path] = (),
    ) -> None:
        readable, writable, protected = list(readable), list(writable), list(protected)
        self.names = [str(Path(p).absolute()) for p in [*readable, *writable, *protected]]
        self.readable = [Path(p).resolve() for p in readable]
        self.writable = [Path(p).resolve() for p in writable]
        # The name as given, too: inside the seal a link on its way may be gone.
        both = [str(q) for p in protected for q in (Path(p).resolve(), Path(p).absolute())]
        self.protected = list(dict.fromkeys(both))
        self.others = [str(Path(p).resolve()) for p in others]
        self.violations: list[str] = []
        self.temporary: Path | None = None
        self.kernel = self.watched = False
        #: Takes the listener of the watched calls to whoever answers; ``None``: nobody does.
        self.hand_over: Callable[[int], None] | None = None
        self.report: Callable[[str], None] = lambda path: None
        given = [str(Path(p).absolute()) for p in [*readable, *writable]]
        resolved = [str(p) for p in [*self.readable, *self.writable, *software_paths()]]
        self._allowed = (*resolved, *given)

    def prepare(self) -> None:
        """What is done before the seal: refuse what could not hold, make the own folder.

        Raises:
            BenchError: Protected data lie inside a folder that must stay readable.
        """
        self._check_overlap()
        for folder in self.writable:
            folder.mkdir(parents=True, exist_ok=True)

    def grant_temporary(self, folder: Path) -> None:
        """Temporary files go to ``folder``, which may be written."""
        self.temporary = folder
        self.names.append(str(folder))
        self.writable.append(folder)
        self._allowed = (*self._allowed, str(folder))

    def seal(self, apart: bool = False, why: str = 'not entered') -> dict[str, Any]:
        """Seal the process, for good.

        Args:
            apart: Whether this process is the first of namespaces entered for it alone.
            why: Why not.

        Returns:
            ``verdict`` (``'sealed'``: all of it in the kernel; ``'files only'``: Landlock without
            the rest; ``'audited'``: audit hook only), ``in_force`` and ``missing``.
        """
        self.prepare()
        in_force: list[str] = []
        missing: list[str] = []

        def put_on(part: str, step: Callable[[], object]) -> None:
            try:
                step()
                in_force.append(part)
            except OSError as error:
                missing.append(f'{part} ({error.strerror or error})')

        take_as_temporary(self.temporary or self.writable[0] / 'tmp')
        put_on('environment', lambda: kernel.forget_environment(namespaces.kept_environment()))
        if apart:
            put_on('network', kernel.loopback_up)
            put_on('file tree', self._hide)
            put_on('processes', namespaces.own_processes)
            os.chdir(self.writable[0])
        else:
            missing.append(f'namespaces ({why})')
        keep = (kernel.DAC_OVERRIDE, kernel.DAC_READ_SEARCH) if os.geteuid() == 0 else ()
        put_on('capabilities', lambda: kernel.drop_capabilities(keep))
        self.kernel = landlock_available()
        if self.kernel:
            put_on('files', lambda: self._landlock(alone=not apart))
        else:
            missing.append('files (no Landlock)')
        self.kernel = 'files' in in_force
        abi = kernel.landlock_abi() if self.kernel else 0
        (in_force if abi >= 6 else missing).append('scopes' if abi >= 6 else f'scopes (ABI {abi})')
        if self.kernel and not apart and abi >= 4 and _alone():
            in_force.append('TCP')
        # Last, since each file that is opened from here on is looked at.
        put_on('system calls', self._forbid_calls)
        if self.watched:
            in_force.append('names')
        sys.addaudithook(self._hook)
        verdict = 'audited' if not self.kernel else 'files only' if missing else 'sealed'
        return {'verdict': verdict, 'in_force': in_force, 'missing': missing}

    def bounds(self) -> Bounds:
        """What the stage may do without being named."""
        fixed = [*SYSTEM, *map(str, [*software_paths(), *self.readable])]
        return Bounds(
            protected=[*self.protected, *self.others],
            granted=list(self._allowed),
            writable=[str(folder) for folder in self.writable],
            fixed=[path for path in fixed if path not in ('/proc', '/sys')],
        )

    def _forbid_calls(self) -> None:
        listener = calls.forbid(watched=self.hand_over is not None)
        self.watched = listener is not None
        if self.hand_over is not None and listener is not None:
            self.hand_over(listener)

    def watch(self) -> None:
        """Only name violations: a process inside of a seal."""
        self.kernel = True
        sys.addaudithook(self._hook)

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
                if within(folder, [str(root)]):
                    raise BenchError(
                        f'the data root {folder} lies inside {root}, which stays readable',
                        'a data root outside of the software and run folders',
                        'move or bind-mount the data elsewhere and pass --data-root',
                    )

    def _hide(self) -> None:
        granted = [*self.readable, *self.writable, *software_paths()]
        namespaces.hide(granted, [*self.names, *sys.path, sys.executable])

    def _landlock(self, alone: bool) -> None:
        read = kernel.READ_FILE | kernel.READ_FOLDER
        software = [*map(Path, SYSTEM), *software_paths()]
        rules: list[tuple[Path, int | None]] = [(p, read | kernel.EXECUTE) for p in software]
        rules += [(path, read) for path in self.readable]
        rules += [(path, None) for path in [*self.writable, *map(Path, DEVICES)]]
        kernel.landlock(rules, network=alone and _alone())

    def _hook(self, event: str, args: tuple) -> None:
        if event == 'socket.connect':
            self._connecting(args[1])
        if event not in _OPEN_EVENTS or not args:
            return
        path = args[0]
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        # realpath: a link's name may lie in a granted folder while its target does not.
        text = os.fsdecode(path)
        real = os.path.realpath(text) if '\0' not in text else text
        if not within(real, self.protected) or within(real, self._allowed):
            return
        self._violated(real)
        if not self.kernel:
            raise PermissionError(13, 'refused by the data guard', real)

    def _violated(self, what: str) -> None:
        self.violations.append(what)
        self.report(what)

    def _connecting(self, address: Any) -> None:
        """Sockets lead out of the stage, but for its own folder and the loopback of its ranks."""
        if isinstance(address, tuple) and address:
            if str(address[0]).startswith('127.') or address[0] in ('localhost', '::1'):
                return
            self._violated(f'socket {address[0]}')
        elif isinstance(address, (str, bytes)):
            name = os.fsdecode(address)
            own = '\0' not in name and within(os.path.realpath(name), map(str, self.writable))
            if not own:
                self._violated('socket ' + name.replace('\0', '@'))


def _alone() -> bool:
    """Whether no other rank must be reached over TCP."""
    return os.environ.get('WORLD_SIZE', '1') == '1'


def landlock_available() -> bool:
    """Whether this kernel has Landlock."""
    return kernel.landlock_abi() >= 1
