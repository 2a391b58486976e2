"""Methods outside the repository: where their configs are, which code they run, how it is loaded.

Nothing of such a method is imported to plan it: configs are read as text, code by its syntax tree.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from sfda_bench.errors import BenchError

Node = TypeVar('Node', str, Path)
GROUP = 'sfda_bench.methods'
"""Group of entry points. Each names a config as a dotted path: ``mine = "my_package.mine"``."""


@functools.cache
def installed() -> dict[str, EntryPoint]:
    """Entry points of installed packages that offer methods, by the method's name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def origin(point: EntryPoint) -> str:
    """The package that offers a method, for people."""
    return f'{point.dist.name} {point.dist.version}' if point.dist else point.value


def config_file(point: EntryPoint) -> Path:
    """The config file an entry point names; its package is not imported.

    Raises:
        BenchError: There is no such file.
    """
    top, *rest = point.module.split('.')
    spec = importlib.util.find_spec(top)
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not rest and spec and spec.origin:
        found = [Path(spec.origin)]
    else:
        found = [Path(folder, *rest).with_suffix('.py') for folder in folders]
    for path in found:
        if path.is_file():
            return path
    raise BenchError(
        f'method {point.name} of {origin(point)} names the config {point.value}',
        'the dotted path of a Python config file, e.g. my_package.my_method',
        f'mend the entry point of group {GROUP}, or uninstall the package',
    )


# --- code ---------------------------------------------------------------------------------------


def package_of(path: Path) -> tuple[Path, str] | None:
    """Folder of the outermost package a file lies in, and the file's dotted name.

    ``None`` if no ``__init__.py`` lies beside it.
    """
    folder = path.parent
    if not (folder / '__init__.py').is_file():
        return None
    while (folder.parent / '__init__.py').is_file():
        folder = folder.parent
    relative = path.relative_to(folder.parent).with_suffix('')
    parts = relative.parts[:-1] if path.name == '__init__.py' else relative.parts
    return folder, '.'.join(parts)


def closure(files: Iterable[Path]) -> list[Path]:
    """``files`` and all modules of their own packages that they import, sorted."""
    return reach((Path(path).resolve() for path in files), _own_imports)


def reach(start: Iterable[Node], following: Callable[[Node], Iterable[Node]]) -> list[Node]:
    """All that ``following`` leads to from ``start``, itself included, sorted."""
    seen: set[Node] = set()
    todo = list(start)
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo.extend(following(node))
    return sorted(seen)


def imported(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, wherever in it; ``from a import b`` gives both a, a.b."""
    home = package_of(path)
    package = home[1].split('.') if home else []
    if path.name != '__init__.py':
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = '.'.join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f'{base}.{alias.name}' for alias in node.names)


def _own_imports(path: Path) -> Iterator[Path]:
    """Files of the file's own package that run when it is imported."""
    home = package_of(path)
    if home is None:
        return
    root = home[0]
    for name in [home[1], *imported(path)]:
        parts = name.split('.')
        if parts[0] != root.name:
            continue
        for end in range(1, len(parts) + 1):
            base = root.parent.joinpath(*parts[:end])
            for found in (base.with_suffix('.py'), base / '__init__.py'):
                if found.is_file():
                    yield found


def readable(path: Path) -> Path:
    """What a sealed process must read to import a file: its whole package, or the file alone."""
    home = package_of(path)
    return home[0] if home else path


def import_file(path: Path) -> ModuleType:
    """Import a Python file from outside the package, under its dotted name if it has one.

    Its package need not be on ``sys.path``, whose folders a sealed process may not list.
    """
    home = package_of(path)
    if home is None:
        return _load(f'sfda_method_{path.stem}', path, None)
    root, dotted = home
    parts = dotted.split('.')
    for end in range(1, len(parts)):
        folder = root.parent.joinpath(*parts[:end])
        _load('.'.join(parts[:end]), folder / '__init__.py', folder)
    return _load(dotted, path, None)


def _load(name: str, path: Path, folder: Path | None) -> ModuleType:
    known = sys.modules.get(name)
    if known is not None and Path(getattr(known, '__file__', None) or '').resolve() == path:
        return known
    where = [str(folder)] if folder else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=where)
    if spec is None or spec.loader is None:
        raise BenchError(f'cannot import {path}', 'a Python file')
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
