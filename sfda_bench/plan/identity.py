"""Identity of a stage: a hash of what decides its result.

Same id, same result, so a stage is never run twice. What does not decide the result (paths, worker
counts, logging, how often a checkpoint is written) stays out of the hash.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sfda_bench import paths
from sfda_bench.plan.plugins import closure, imported, package_of, reach

PACKAGE = 'sfda_bench'
ID_LENGTH = 12

#: Keys that never decide a result, wherever they stand in a config.
VOLATILE_KEYS = frozenset(
    {
        'data_root', 'num_workers', 'persistent_workers', 'pin_memory', 'out_file',
        'save_predictions', 'out_dir', 'checkpoint_interval',
    }
)  # fmt: skip
#: Top-level keys of a mmengine config that never decide a result.
VOLATILE_TOP = frozenset(
    {
        'work_dir', 'load_from', 'resume', 'log_level', 'log_processor', 'visualizer', 'env_cfg',
        'launcher', 'default_hooks', 'default_scope', 'custom_imports',
    }
)  # fmt: skip
#: Keys of our own ``stage`` block that name or place a stage without deciding its result.
VOLATILE_STAGE = frozenset(
    {
        'name', 'title', 'id', 'parents', 'grants', 'protected', 'guard', 'convert_from', 'origin',
        'code_files', 'gate_counts', 'single_device',
    }
)  # fmt: skip


def digest(value: Any, length: int = ID_LENGTH) -> str:
    """First ``length`` hex digits of the SHA-256 of ``value`` as canonical JSON."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(',', ':'), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def canonical(value: Any) -> Any:
    """``value`` as plain JSON types: tuples become lists, keys strings, paths text."""
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(canonical(item) for item in value)
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise TypeError(f'a config value of type {type(value).__name__} cannot be hashed: {value!r}')


def decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved stage config that decides the stage's result."""
    top = {key: _without_volatile(item) for key, item in config.items() if key not in VOLATILE_TOP}
    stage = dict(top.get('stage', {}))
    top['stage'] = {key: item for key, item in stage.items() if key not in VOLATILE_STAGE}
    return top


def _without_volatile(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_volatile(v) for k, v in value.items() if k not in VOLATILE_KEYS}
    if isinstance(value, (list, tuple)):
        return [_without_volatile(item) for item in value]
    return value


def stage_id(
    config: Mapping[str, Any], parents: Iterable[str], data: Mapping[str, str], code: str
) -> str:
    """Id of a stage.

    Args:
        config: Its resolved config (the seed is part of it).
        parents: Ids of the stages it starts from, in order.
        data: Fingerprint of each data set it reads, by role.
        code: Fingerprint of the code it runs.
    """
    return digest(
        {
            'config': decisive(config),
            'parents': list(parents),
            'data': dict(data),
            'code': code,
        }
    )


# --- code fingerprint ---------------------------------------------------------------------------


def module_hashes(roots: Iterable[str], extra_files: Iterable[Path] = ()) -> dict[str, str]:
    """Hash of each module in ``roots`` and of all ``sfda_bench`` modules they import, by name.

    Comments, docstrings and formatting do not count, so tidying up leaves results valid.

    Args:
        roots: Dotted module names inside the package.
        extra_files: Files of methods that live outside the package; what they import of this
            package and of their own counts too.
    """
    files = closure(extra_files)
    ours = {name for path in files for name in imported(path) if _is_ours(name)}
    parts = {name: module_hash(module_file(name)) for name in reachable({*roots, *ours})}
    for path in files:
        home = package_of(path)
        parts[f'file:{home[1] if home else path.name}'] = module_hash(path)
    return parts


def reachable(roots: Iterable[str]) -> list[str]:
    """All modules of the package that ``roots`` import, directly or not, sorted."""
    return reach(roots, imports_of)


def module_file(name: str) -> Path:
    """The file of a module of the package."""
    base = paths.REPOSITORY.joinpath(*name.split('.'))
    return base / '__init__.py' if base.is_dir() else base.with_suffix('.py')


@functools.cache
def imports_of(name: str) -> tuple[str, ...]:
    """Modules of the package that ``name`` imports anywhere in its file."""
    return tuple(sorted({found for found in imported(module_file(name)) if _is_ours(found)}))


def _is_ours(name: str) -> bool:
    """Whether a dotted name is a module of this package."""
    return name.startswith(f'{PACKAGE}.') and module_file(name).is_file()


@functools.cache
def module_hash(path: Path) -> str:
    """SHA-256 of a Python file's syntax tree without docstrings and positions."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            _drop_docstring(node)
    return hashlib.sha256(_dump(tree).encode()).hexdigest()


def _drop_docstring(node: Any) -> None:
    if ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:]


def _dump(node: Any) -> str:
    """The tree as text; empty fields are left out, so that Python versions agree."""
    if isinstance(node, ast.AST):
        fields = ((name, getattr(node, name, None)) for name in node._fields)
        inner = ','.join(
            f'{k}={_dump(v)}' for k, v in fields if v not in (None, []) and k != 'kind'
        )
        return f'{type(node).__name__}({inner})'
    if isinstance(node, list):
        return '[' + ','.join(_dump(item) for item in node) + ']'
    return repr(node)


# --- which modules a config runs ----------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def registered_names() -> dict[str, str]:
    """Class name -> module for every class of the package under a ``register_module`` decorator.

    Read from the source, so that planning needs neither torch nor mmseg.
    """
    found: dict[str, str] = {}
    for path in sorted(paths.PACKAGE.rglob('*.py')):
        text = path.read_text(encoding='utf-8')
        if 'register_module' not in text:
            continue
        relative = path.relative_to(paths.REPOSITORY).with_suffix('')
        module = '.'.join(relative.parts)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and _is_registered(node):
                found[node.name] = module
    return found


def _is_registered(node: ast.ClassDef | ast.FunctionDef) -> bool:
    return any('register_module' in ast.unparse(item) for item in node.decorator_list)


def modules_of(config: Any) -> set[str]:
    """Modules of the package whose registered classes a config names by type or constructor."""
    names = registered_names()
    found: set[str] = set()
    if isinstance(config, Mapping):
        for key in ('type', 'constructor'):
            kind = str(config.get(key)).split('.')[-1]
            if kind in names:
                found.add(names[kind])
        for item in config.values():
            found |= modules_of(item)
    elif isinstance(config, (list, tuple)):
        for item in config:
            found |= modules_of(item)
    return found
