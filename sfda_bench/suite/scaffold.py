"""``run_suite new-method``: the files of a new method, with the structure of one that there is."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sfda_bench.errors import BenchError, require_known
from sfda_bench.suite import catalog
from sfda_bench.suite.method import Method

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = Path(__file__).with_name('templates')
WIDTH = 100
TRAINING = ('adapt', 'stream')
"""Kinds of stages whose adapter is a method's own."""
HOOKS = ('losses', 'objective', 'train_step')
"""What an adapter may define, the most particular first."""


@dataclass(frozen=True)
class NewAdapter:
    """A class of the new method.

    Attributes:
        name: Its name.
        base: The class it starts from.
        module: Where that one is.
        hook: What is overridden, one of :data:`HOOKS`, or ''.
    """

    name: str
    base: str
    module: str
    hook: str


def new_method(name: str, like: str, outside: Path | None = None) -> list[Path]:
    """Write config, code, reported numbers and contract test of a new method.

    Args:
        name: Its name: lower-case letters, digits and underscores.
        like: A method that trains an adapter; its stages and profiles are taken over.
        outside: A folder outside the repository for all four files.

    Returns:
        The files, config first.

    Raises:
        BenchError: The name is not valid or taken, or a file is there already.
        UnknownNameError: No such method to start from.
    """
    _check_name(name)
    require_known('method', like, catalog.known('methods'))
    old = Method(like)
    files = _files(name, outside)
    taken = [str(path) for path in files.values() if path.exists()]
    if taken:
        raise BenchError(f'{", ".join(taken)} exists', 'a new method', 'choose another name')
    adapters = _adapters(name, old)
    values = _values(name, like, old, adapters, outside, files)
    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters['literal'] = literal
    texts = {kind: env.get_template(f'{kind}.j2').render(**values) for kind in files}
    for kind, path in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[kind])
    return list(files.values())


def _check_name(name: str) -> None:
    if not re.fullmatch(r'[a-z][a-z0-9_]*', name) or keyword.iskeyword(name):
        raise BenchError(
            f'{name!r} cannot be the name of a method',
            'lower-case letters, digits and underscores, a letter first',
        )
    if name in catalog.known('methods'):
        raise BenchError(f'there is a method {name} already', 'a new name')


def _files(name: str, outside: Path | None) -> dict[str, Path]:
    """Where each template goes."""
    if outside is not None:
        folder = Path(outside).resolve()
        return {
            'config.py': folder / f'{name}.py',
            'code.py': folder / f'{name}_code.py',
            'reported.yaml': folder / f'{name}.yaml',
            'test.py': folder / f'test_{name}.py',
        }
    return {
        'config.py': catalog.CONFIG_ROOT / 'methods' / f'{name}.py',
        'code.py': ROOT / 'sfda_bench' / 'methods' / f'{name}.py',
        'reported.yaml': ROOT / 'results' / 'reported' / f'{name}.yaml',
        'test.py': ROOT / 'tests' / 'methods' / f'test_{name}.py',
    }


def _values(
    name: str,
    like: str,
    old: Method,
    adapters: Mapping[str, NewAdapter],
    outside: Path | None,
    files: Mapping[str, Path],
) -> dict[str, Any]:
    """What the templates are filled with."""
    path = f"str(Path(__file__).with_name('{name}.py'))"
    spec = old.spec()
    return {
        'name': name,
        'like': like,
        'track': old.card.track,
        'card': old.card.model_dump(include={'setting', 'predict_on'}, exclude_defaults=True),
        'stages': _renamed(spec['stages'], adapters),
        'profiles': _renamed(spec['profiles'], adapters),
        'skip': spec['skip'],
        'adapters': list(adapters.values()),
        'imports': _imports(adapters.values()),
        'outside': outside is not None,
        'method': path if outside is not None else repr(name),
        'code_files': [files['code.py'].name] if outside is not None else [],
    }


def _adapters(name: str, old: Method) -> dict[str, NewAdapter]:
    """A class for each adapter of the old method's own stages, by the type it replaces."""
    from sfda_bench.registry import MODELS
    from sfda_bench.stack import import_stack
    from sfda_bench.suite.outside import import_file

    import_stack()
    for path in old.code_files:
        import_file(path)
    trained = [s for s in old.spec()['stages'] if s.get('kind', 'adapt') in TRAINING]
    types = list(dict.fromkeys(stage['adapter']['type'] for stage in trained))
    if not types:
        raise BenchError(
            f'method {old.name} trains no adapter: there is nothing to start from',
            'a method that does, e.g. --like tent',
        )
    found = {}
    for kind in types:
        base = MODELS.get(kind)
        if base is None or base.__module__.startswith('sfda_method_'):
            raise BenchError(
                f'the class {kind} of method {old.name} cannot be imported from elsewhere',
                'a method of this repository or of an installed package',
            )
        own = _class_name(name) + (kind if len(types) > 1 else '')
        while MODELS.get(own) is not None:
            own += 'Adapter'
        found[kind] = NewAdapter(own, base.__name__, base.__module__, _hook(base))
    return found


def _class_name(name: str) -> str:
    return ''.join(part.capitalize() for part in name.split('_'))


def _hook(base: type) -> str:
    """The method that an adapter's own class defines: its losses, or its whole step."""
    for cls in base.__mro__:
        if cls.__name__ == 'Adapter':
            break
        for hook in HOOKS:
            if hook in vars(cls):
                return hook
    return ''


def _imports(adapters: Iterable[NewAdapter]) -> list[str]:
    """Import lines, in the order ruff sorts them in."""
    adapters = list(adapters)
    hooks = {adapter.hook for adapter in adapters}
    lines = ['from mmengine.optim import OptimWrapper'] if 'train_step' in hooks else []
    lines += ['from torch import Tensor'] if hooks & set(HOOKS) else []
    modules: dict[str, set[str]] = {'sfda_bench.registry': {'MODELS'}}
    for adapter in adapters:
        modules.setdefault(adapter.module, set()).add(adapter.base)
    ours = [f'from {m} import {", ".join(sorted(names))}' for m, names in sorted(modules.items())]
    third = [line for line in ours if not line.startswith('from sfda_bench')]
    ours = [line for line in ours if line not in third]
    return [*sorted(lines + third), *([''] if lines or third else []), *ours]


def _renamed(value: Any, adapters: Mapping[str, NewAdapter]) -> Any:
    """``value`` with the types of adapters replaced by the new classes."""
    if isinstance(value, Mapping):
        changed = {key: _renamed(item, adapters) for key, item in value.items()}
        if changed.get('type') in adapters:
            changed['type'] = adapters[changed['type']].name
        return changed
    if isinstance(value, (list, tuple)):
        return type(value)(_renamed(item, adapters) for item in value)
    return value


def literal(value: Any, indent: int = 0, before: int = 12) -> str:
    """``value`` as Python source in the repository's format: ``dict(...)``, 100 columns.

    Args:
        value: Dictionaries, lists, tuples and plain values.
        indent: Columns of the line it begins on.
        before: Columns taken on that line, with one for a comma after it.
    """
    flat = _flat(value)
    if indent + before + len(flat) <= WIDTH or not isinstance(value, (Mapping, list, tuple)):
        return flat
    inner, pad = indent + 4, ' ' * (indent + 4)
    if isinstance(value, Mapping) and _keywords(value):
        parts = [f'{key}={literal(item, inner, len(key) + 2)}' for key, item in value.items()]
        opening, closing = 'dict(', ')'
    elif isinstance(value, Mapping):
        parts = [f'{k!r}: {literal(v, inner, len(repr(k)) + 3)}' for k, v in value.items()]
        opening, closing = '{', '}'
    else:
        parts = [literal(item, inner, 1) for item in value]
        opening, closing = ('[', ']') if isinstance(value, list) else ('(', ')')
    lines = ''.join(f'{pad}{part},\n' for part in parts)
    return f'{opening}\n{lines}{" " * indent}{closing}'


def _keywords(value: Mapping) -> bool:
    return all(isinstance(k, str) and k.isidentifier() and not keyword.iskeyword(k) for k in value)


def _flat(value: Any) -> str:
    """``value`` on one line."""
    if isinstance(value, Mapping):
        if _keywords(value):
            return f'dict({", ".join(f"{key}={_flat(item)}" for key, item in value.items())})'
        return '{' + ', '.join(f'{key!r}: {_flat(item)}' for key, item in value.items()) + '}'
    if isinstance(value, list):
        return f'[{", ".join(map(_flat, value))}]'
    if isinstance(value, tuple):
        return f'({", ".join(map(_flat, value))}{"," if len(value) == 1 else ""})'
    return repr(value)
