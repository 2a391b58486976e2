"""Catalogue of tasks, networks, methods and suites, found by their config files.

Nothing is listed by hand: a new file in ``mm_configs/<kind>/`` is a new member.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from mmengine.config import Config

from sfda_bench.errors import BenchError, require_known
from sfda_bench.paths import CONFIGS
from sfda_bench.plan import plugins as outside
from sfda_bench.reading import first_line, read_text, require_file

CONFIG_ROOT = CONFIGS
KINDS = ('tasks', 'networks', 'methods', 'suites')


def names(kind: str) -> list[str]:
    """Names of all members of ``kind``, one of :data:`KINDS`."""
    folder = CONFIG_ROOT / kind
    return sorted(p.stem for p in folder.glob('*.py') if not p.stem.startswith('_'))


_added: dict[str, Path] = {}


def outside_methods() -> list[str]:
    """Names of methods of installed packages and of those given by :func:`add`."""
    return sorted({*outside.installed(), *_added})


def known(kind: str) -> list[str]:
    """Names that :func:`load` understands: the repository's, and methods from outside."""
    return sorted({*names(kind), *(outside_methods() if kind == 'methods' else [])})


def add(path: str | Path) -> str:
    """Make a method's config file outside the repository known by name; returns the name."""
    name = str(load('methods', str(path))['card']['name'])
    _added[name] = Path(path).resolve()
    return name


def config_path(kind: str, name: str) -> Path:
    """The config file of a member.

    Raises:
        UnknownNameError: There is none.
        BenchError: An installed package's method has the name of another one.
    """
    require_known(kind[:-1], name, known(kind))
    if kind != 'methods' or name not in outside_methods():
        return CONFIG_ROOT / kind / f'{name}.py'
    if name in names(kind):
        raise BenchError(
            f'two methods are called {name}: one here, one outside of the repository',
            'names that differ',
            'name the config file instead: --method path/to/config.py',
        )
    return _added.get(name) or outside.config_file(outside.installed()[name])


@functools.cache
def _load(path: Path, changed: int) -> Config:
    return read_config(path, 'a config')


def read_config(path: Path, expected: str) -> Config:
    """A Python config file, resolved with its bases; nothing it imports is imported.

    Args:
        path: The file.
        expected: What it should be, for messages.

    Raises:
        BenchError: It is absent, another kind of file, or fails when it is run.
    """
    read_text(path, f'{expected} (Python)')
    try:
        return Config.fromfile(str(path), import_custom_modules=False)
    except Exception as error:  # a config is a program: it may raise anything
        raise BenchError(
            f'{path} is not a valid config: {type(error).__name__}: {first_line(error)}',
            f'{expected} (Python)',
            f'edit {path}',
        ) from error


def load(kind: str, name: str) -> dict[str, Any]:
    """The resolved config of one member, as plain dictionaries (a fresh copy).

    Args:
        kind: One of :data:`KINDS`.
        name: Its name, or the path of a config file outside the repository.

    Raises:
        UnknownNameError: There is no such member.
        BenchError: The file does not parse or lacks its block.
    """
    if name.endswith('.py'):
        expected = f'the path of a {kind[:-1]} config (Python)'
        require_file(Path(name), expected)
        path = Path(name).resolve()
    else:
        path = config_path(kind, name)
    config = _load(path, path.stat().st_mtime_ns).to_dict()
    block = {'tasks': 'task', 'networks': 'network', 'methods': 'card', 'suites': 'suite'}[kind]
    if block not in config:
        raise BenchError(
            f'{path} defines no `{block}`', f'a top-level `{block} = dict(...)`', f'edit {path}'
        )
    config[block].setdefault('name', path.stem)
    config['__file__'] = str(path)
    return config
