"""Losses and hooks that a config may name, found in the source: listing them imports no torch."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sfda_bench.paths import PACKAGE
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method

#: Kinds of parts, and the registry each stands in.
REGISTRIES = {'losses': 'MODELS', 'hooks': 'HOOKS'}


def parts(kind: str) -> list[dict[str, Any]]:
    """Registered losses or hooks, one row each: name, what it is, the methods that use it.

    Args:
        kind: One of :data:`REGISTRIES`. A loss is what mmseg takes for one: it has a
            ``loss_name``.

    Returns:
        Rows sorted by name: ``loss`` or ``hook``, ``about`` (the first sentence of its docstring),
        ``methods`` (those whose configs state it, in any profile) and ``file``.
    """
    methods = [Method(name) for name in catalog.known('methods')]
    own = [path for method in methods for path in method.code_files]
    classes = {node.name: (node, path) for node, path in _classes([*PACKAGE.rglob('*.py'), *own])}
    used = {method.name: set(_types(method.spec())) for method in methods}
    return [
        {
            kind.removesuffix('es' if kind == 'losses' else 's'): name,
            'about': about(node),
            'methods': [method for method, types in used.items() if name in types],
            'file': _shown(path),
        }
        for name, (node, path) in sorted(classes.items())
        if _registered(node, REGISTRIES[kind]) and (kind != 'losses' or _is_loss(name, classes))
    ]


def about(node: ast.ClassDef) -> str:
    """The first sentence of a docstring, in plain text."""
    first = (ast.get_docstring(node) or '').split('\n\n')[0]
    plain = re.sub(r':\w+:`~?(?:[\w.]+\.)?(\w+)`', r'\1', ' '.join(first.split())).replace('``', '')
    return re.split(r'\. (?=[A-Z])', plain)[0].rstrip('.')


def _classes(files: Iterable[Path]) -> Iterator[tuple[ast.ClassDef, Path]]:
    for path in sorted(set(files)):
        for node in ast.parse(path.read_text(encoding='utf-8')).body:
            if isinstance(node, ast.ClassDef):
                yield node, path


def _registered(node: ast.ClassDef, registry: str) -> bool:
    calls = [ast.unparse(item) for item in node.decorator_list]
    return any(call.startswith(f'{registry}.register_module') for call in calls)


def _is_loss(name: str, classes: dict[str, tuple[ast.ClassDef, Path]]) -> bool:
    """Whether a class or one that it inherits from defines ``loss_name``."""
    if name not in classes:
        return False
    node, _ = classes[name]
    if any(isinstance(item, ast.FunctionDef) and item.name == 'loss_name' for item in node.body):
        return True
    return any(_is_loss(ast.unparse(base).split('.')[-1], classes) for base in node.bases)


def _types(value: Any) -> Iterator[str]:
    """Every ``type`` in a config."""
    if isinstance(value, dict):
        if isinstance(value.get('type'), str):
            yield value['type'].split('.')[-1]
        for item in value.values():
            yield from _types(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _types(item)


def _shown(path: Path) -> str:
    root = PACKAGE.parent
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
