"""What there is to run: tasks, networks, methods and suites, found by their config files.

Nothing is listed by hand: a new file in ``mm_configs/<kind>/`` is a new member.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from mmengine.config import Config

from sfda_bench.errors import BenchError, require_known

CONFIG_ROOT = Path(__file__).resolve().parents[2] / 'mm_configs'
KINDS = ('tasks', 'networks', 'methods', 'suites')


def names(kind: str) -> list[str]:
    """Names of all members of ``kind``, one of :data:`KINDS`."""
    folder = CONFIG_ROOT / kind
    return sorted(p.stem for p in folder.glob('*.py') if not p.stem.startswith('_'))


@functools.cache
def _load(path: Path, changed: int) -> Config:
    try:
        return Config.fromfile(str(path), import_custom_modules=False)
    except (SyntaxError, KeyError, TypeError, ValueError) as error:
        raise BenchError(f'{path} is not a valid config: {error}') from error


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
        path = Path(name).resolve()
        if not path.is_file():
            raise BenchError(f'no {kind[:-1]} config {name}', 'the path of a Python config file')
    else:
        path = CONFIG_ROOT / kind / f'{require_known(kind[:-1], name, names(kind))}.py'
    config = _load(path, path.stat().st_mtime_ns).to_dict()
    block = {'tasks': 'task', 'networks': 'network', 'methods': 'card', 'suites': 'suite'}[kind]
    if block not in config:
        raise BenchError(f'{path} defines no `{block}`', f'a top-level `{block} = dict(...)`')
    config[block].setdefault('name', path.stem)
    config['__file__'] = str(path)
    return config
