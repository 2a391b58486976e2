"""Signatures of what a stage is built of, read from the source: planning imports no torch.

A registered class is found by name, its constructor's parameters with their defaults and types by
its syntax tree, those of its bases as far as ``**kwargs`` passes them on.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfda_bench.plan.identity import module_file, registered_names

#: What the harness fills in itself.
OURS = frozenset(
    {
        'self',
        'losses',
        'loss_name',
        'segmentor',
        'data_preprocessor',
        'init_cfg',
        'out_dir',
        'out_file',
        'optimizer',
        'upsample_steps',
    }
)
REQUIRED = object()
"""Default of a parameter that has none."""
UNREADABLE = object()
"""Default that is not a literal."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a constructor.

    Attributes:
        default: Its default; :data:`REQUIRED` or :data:`UNREADABLE` where there is none to show.
        types: Source of its annotation with the names of literal types replaced; '' without one.
    """

    default: Any
    types: str = ''


def _library(**defaults: Any) -> dict[str, Parameter]:
    """Parameters typed by their defaults; a pair is a default and its type."""
    return {
        key: Parameter(*value) if isinstance(value, list) else Parameter(value, _type(value))
        for key, value in defaults.items()
    }


def _type(value: Any) -> str:
    return type(value).__name__


_END = [None, 'int | None']
_ADAM = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, amsgrad=False)
#: Parameters of what torch and mmengine construct, by type, with the defaults they have there.
LIBRARY: dict[str, dict[str, Parameter]] = {
    'SGD': _library(lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False),
    'Adam': _library(**_ADAM, weight_decay=0.0),
    'AdamW': _library(**_ADAM, weight_decay=1e-2),
    'OptimWrapper': _library(accumulative_counts=1, clip_grad=[None, 'dict | None']),
    'PolyLR': _library(power=1.0, eta_min=0.0, begin=0, end=_END, by_epoch=False),
    'LinearLR': _library(start_factor=1 / 3, end_factor=1.0, begin=0, end=_END, by_epoch=False),
}


def parameters_of(kind: str, code_files: Iterable[Path] = ()) -> dict[str, Parameter]:
    """Parameters of a registered class, by name; empty if nothing is known of it.

    Args:
        kind: Its type as a config names it.
        code_files: Files of a method outside the package, searched first.
    """
    name = kind.split('.')[-1]
    if name in LIBRARY:
        return dict(LIBRARY[name])
    for path in code_files:
        if name in _classes(path):
            return dict(_parameters(path, name))
    module = registered_names().get(name)
    return dict(_parameters(module_file(module), name)) if module else {}


@functools.cache
def _parameters(path: Path, name: str) -> Mapping[str, Parameter]:
    """Parameters of a class of a file: its own, and its bases' where they are passed on."""
    cls = _classes(path)[name]
    init = next(
        (n for n in cls.body if isinstance(n, ast.FunctionDef) and n.name == '__init__'), None
    )
    found: dict[str, Parameter] = {}
    if init is None or init.args.kwarg is not None:
        for base in cls.bases:
            place = _place(path, base)
            if place is not None:
                found.update(_parameters(*place))
    return found | (_own(path, init) if init is not None else {})


def _own(path: Path, init: ast.FunctionDef) -> dict[str, Parameter]:
    arguments = init.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    pairs = [
        *zip(positional, [*defaults, *arguments.defaults], strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    return {
        argument.arg: Parameter(_default(path, default), _annotation(path, argument.annotation))
        for argument, default in pairs
        if argument.arg not in OURS
    }


def _default(path: Path, node: ast.expr | None) -> Any:
    if node is None:
        return REQUIRED
    if isinstance(node, ast.Name) and node.id in _assigned(path):
        node = _assigned(path)[node.id]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return UNREADABLE


def _annotation(path: Path, node: ast.expr | None) -> str:
    """An annotation's source with aliases such as ``NormMode`` written out."""
    if node is None:
        return ''

    class Aliases(ast.NodeTransformer):
        def visit_Name(self, name: ast.Name) -> ast.AST:
            place = _place(path, name)
            known = _assigned(place[0]).get(place[1]) if place else None
            return known if known is not None and 'Literal' in ast.unparse(known) else name

    return ast.unparse(Aliases().visit(ast.parse(ast.unparse(node), mode='eval').body))


def _place(path: Path, node: ast.expr) -> tuple[Path, str] | None:
    """(file, name) of a class or alias of the package that a file names; ``None`` if outside."""
    name = ast.unparse(node)
    if name in _classes(path) or name in _assigned(path):
        return path, name
    module = _imports(path).get(name)
    if module is None:
        return None
    file = module_file(module)
    return (file, name) if name in _classes(file) or name in _assigned(file) else None


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(Path(path).read_text(encoding='utf-8'))


@functools.cache
def _classes(path: Path) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in _tree(path).body if isinstance(node, ast.ClassDef)}


@functools.cache
def _assigned(path: Path) -> dict[str, ast.expr]:
    """Plain top-level assignments of a file."""
    found: dict[str, ast.expr] = {}
    for node in _tree(path).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found[node.target.id] = node.value
    return found


@functools.cache
def _imports(path: Path) -> dict[str, str]:
    """Name -> module of what a file imports from this package."""
    return {
        alias.asname or alias.name: node.module
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('sfda_bench')
        for alias in node.names
        if node.module
    }
