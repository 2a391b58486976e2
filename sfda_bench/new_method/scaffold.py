"""``new-method``: writes the files of a new method, with the structure of an existing one."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sfda_bench.atomic import write_all
from sfda_bench.errors import BenchError, require_known
from sfda_bench.new_method.config_text import config_text, has_base
from sfda_bench.paths import INSTALLED, REPOSITORY
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method

TEMPLATES = Path(__file__).with_name('templates')
CODE = ('code.py', 'package.py')
TRAINING = ('adapt', 'stream')
"""Kinds of stages whose adapter is a method's own."""
OVERRIDES = ('losses', 'objective', 'train_step')
"""What an adapter may define, the most particular first."""


@dataclass(frozen=True)
class NewAdapter:
    """A class of the new method.

    Attributes:
        name: Its name.
        base: The class it starts from.
        module: Where that one is.
        overrides: What is overridden, one of :data:`OVERRIDES`, or ''.
    """

    name: str
    base: str
    module: str
    overrides: str


def new_method(name: str, like: str, outside: Path | None = None) -> list[Path]:
    """Write config, code, reported numbers and contract test of a new method.

    Like a bound, which trains no adapter, there is no code to write.

    Args:
        name: Its name: lower-case letters, digits and underscores.
        like: The method whose config is taken over, but for its card and the adapters it trains.
        outside: A folder outside the repository for all files.

    Returns:
        The files, config first.

    Raises:
        BenchError: The name is not valid or taken, or a file is there already.
        UnknownNameError: No such method to start from.
    """
    _check_name(name)
    if INSTALLED and outside is None:
        raise BenchError(
            'this is an installed package: a method cannot be written into it',
            'a folder of your own',
            f'new-method {name} --like {like} --outside DIR',
        )
    require_known('method', like, catalog.known('methods'))
    old = Method(like)
    files = _files(name, outside)
    taken = [str(path) for path in files.values() if path.exists()]
    if taken:
        raise BenchError(f'{", ".join(taken)} exists', 'a new method', 'choose another name')
    adapters = _adapters(name, old)
    if not adapters:
        files = {kind: path for kind, path in files.items() if kind not in CODE}
    values = _values(name, like, old, list(adapters.values()), files, outside)
    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    card = env.get_template('card.py.j2').render(**values).rstrip()
    classes = {kind: adapter.name for kind, adapter in adapters.items()}
    texts = {
        kind: env.get_template(f'{kind}.j2').render(**values)
        for kind in files
        if kind != 'config.py'
    }
    texts['config.py'] = config_text(Path(old.file), card, classes, outside is not None)
    write_all({path: texts[kind].encode() for kind, path in files.items()})
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
        'code.py': REPOSITORY / 'sfda_bench' / 'methods' / name / 'adapter.py',
        'package.py': REPOSITORY / 'sfda_bench' / 'methods' / name / '__init__.py',
        'reported.yaml': REPOSITORY / 'results' / 'reported' / f'{name}.yaml',
        'test.py': REPOSITORY / 'tests' / 'methods' / f'test_{name}.py',
    }


def _values(
    name: str,
    like: str,
    old: Method,
    adapters: list[NewAdapter],
    files: dict[str, Path],
    outside: Path | None,
) -> dict[str, Any]:
    """What the templates are filled with."""
    path = f"str(Path(__file__).with_name('{name}.py'))"
    return {
        'name': name,
        'like': like,
        'base': has_base(Path(old.file)),
        'track': old.card.track,
        'card': old.card.model_dump(include={'setting', 'predict_on'}, exclude_defaults=True),
        'adapters': adapters,
        'imports': _imports(adapters),
        'outside': outside is not None,
        'method': path if outside is not None else repr(name),
        'code_files': [files['code.py'].name] if outside is not None and adapters else [],
    }


def _adapters(name: str, old: Method) -> dict[str, NewAdapter]:
    """A class for each adapter of the old method's own stages, by the type it replaces."""
    from sfda_bench.plan.plugins import import_file
    from sfda_bench.registry import MODELS
    from sfda_bench.stack import import_stack

    import_stack()
    for path in old.code_files:
        import_file(path)
    trained = [s for s in old.spec()['stages'] if s.get('kind', 'adapt') in TRAINING]
    types = list(dict.fromkeys(stage['adapter']['type'] for stage in trained))
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
        found[kind] = NewAdapter(own, base.__name__, base.__module__, _overridden(base))
    return found


def _class_name(name: str) -> str:
    return ''.join(part.capitalize() for part in name.split('_'))


def _overridden(base: type) -> str:
    """The method that an adapter's own class defines: its losses, or its whole step."""
    for cls in base.__mro__:
        if cls.__name__ == 'Adapter':
            break
        for name in OVERRIDES:
            if name in vars(cls):
                return name
    return ''


def _imports(adapters: Iterable[NewAdapter]) -> list[str]:
    """Import lines, in the order ruff sorts them in."""
    adapters = list(adapters)
    own = {adapter.overrides for adapter in adapters}
    lines = ['from mmengine.optim import OptimWrapper'] if 'train_step' in own else []
    lines += ['from torch import Tensor'] if own & set(OVERRIDES) else []
    modules: dict[str, set[str]] = {'sfda_bench.registry': {'MODELS'}}
    for adapter in adapters:
        modules.setdefault(adapter.module, set()).add(adapter.base)
    ours = [f'from {m} import {", ".join(sorted(names))}' for m, names in sorted(modules.items())]
    third = [line for line in ours if not line.startswith('from sfda_bench')]
    ours = [line for line in ours if line not in third]
    return [*sorted(lines + third), *([''] if lines or third else []), *ours]
