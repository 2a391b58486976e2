"""``show``: the recipe of a method on one screen, and what another profile does differently."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sfda_bench.cli.console import dump
from sfda_bench.cli.recipe import Group, Row, StageRecipe, folded, recipe_of
from sfda_bench.errors import require_known
from sfda_bench.plan import catalog, composition
from sfda_bench.plan.composition import Link
from sfda_bench.plan.method import Method
from sfda_bench.plan.selectors import parse_method

WIDTH, INDENT = 100, 20
#: What stands for a value that one of two recipes does not have.
ABSENT = 'absent'
#: Rows of a group of stages: row -> (type, setting -> (text, whether it is stated)).
Sheet = dict[str, tuple[str, dict[str, tuple[str, bool]]]]


def show(arguments: argparse.Namespace) -> int:
    """Print the recipe of a method."""
    name, params = parse_method(arguments.method)
    method = Method(name)
    links = composition.links_of(method, params)
    require_known('task', arguments.task, catalog.names('tasks'))

    def stages(profile: str | None) -> list[StageRecipe]:
        return recipe_of(method, profile, arguments.task, params) if profile else []

    here, there = stages(arguments.profile), stages(arguments.against)
    if arguments.json:
        dump(as_json(links, arguments, params, here, there))
        return 0
    settings = ', '.join(f'{key}={shown(value)}' for key, value in params.items())
    card, networks = composition.card_of(links), composition.networks_of(links, arguments.profile)
    told = 'none that all its methods run on' if networks is None else ', '.join(networks)
    lines = [
        f'{method.name}: {card.title}, track {card.track}, fidelity {card.fidelity}',
        f'profile {arguments.profile}, task {arguments.task}, '
        f'networks: {told or "those of the suite"}',
        *([f'settings: {settings}'] if settings else []),
        'stages: ' + (', '.join(stage.name for stage in here) or 'none; the source model as it is'),
    ]
    if arguments.against:
        lines.append(f'* differs in profile {arguments.against}, whose value stands in brackets')
    print('\n'.join([*_wrapped(lines), *as_text(here, there, arguments.against)]))
    return 0


def as_text(
    here: Sequence[StageRecipe], there: Sequence[StageRecipe], against: str | None
) -> list[str]:
    """The recipe as lines, with the differences to another one marked."""
    others, lines = folded(there), []
    for group in folded(here):
        other = next((one for one in others if one.base == group.base), None)
        lines += ['', *_wrapped([_head(group, other, against)])]
        if other is None:
            lines += _rows(sheet(group.stages), {}, None)
        else:
            others.remove(other)
            lines += _rows(sheet(group.stages), sheet(other.stages), against)
    for group in others:
        lines += ['', f'* {", ".join(stage.name for stage in group.stages)}: only in {against}']
    return lines


def _head(group: Group, other: Group | None, against: str | None) -> str:
    """What the stages of a group are called, what they are, and what they start from."""
    text = f'{group.name}  ({group.stages[0].kind})  {_about(group)}'
    if against and other is None:
        return f'* {text}  [not in {against}]'
    if other is not None and _about(other) != _about(group):
        return f'* {text}  [{against}: {_about(other)}]'
    return text


def _about(group: Group) -> str:
    starts = ' / '.join(dict.fromkeys(stage.start for stage in group.stages))
    numbers = ', '.join(stage.name.removeprefix(group.base) for stage in group.stages)
    return (f'N = {numbers}; ' if len(group.stages) > 1 else '') + f'starts from {starts}'


def sheet(stages: Sequence[StageRecipe]) -> Sheet:
    """The values of stages that are alike, as text; where they differ, one after the other."""
    found: Sheet = {}
    for label, row in stages[0].rows.items():
        rows = [stage.rows[label] for stage in stages]
        keys = dict.fromkeys(key for one in rows for key in (*one.stated, *one.defaults))
        texts = {key: _text_of(key, stages, rows) for key in keys}
        found[label] = (
            row.type,
            {key: (text, any(key in one.stated for one in rows)) for key, text in texts.items()},
        )
    return found


def _text_of(key: str, stages: Sequence[StageRecipe], rows: Sequence[Row]) -> str:
    values = [
        _numbered(stage.name, shown(one.stated.get(key, one.defaults.get(key))))
        if key in one.stated or key in one.defaults
        else ABSENT
        for stage, one in zip(stages, rows, strict=True)
    ]
    return ' / '.join(values if len(set(values)) > 1 else values[:1])


def _numbered(stage: str, text: str) -> str:
    """A reference to a stage of the same number, as that of stage N."""
    number = re.search(r'\d+$', stage)
    return re.sub(rf'(stage://\w*?){number[0]}/', r'\1N/', text) if number else text


def _rows(here: Sheet, there: Sheet, against: str | None) -> list[str]:
    lines: list[str] = []
    for label in dict.fromkeys([*here, *there]):
        row, other = here.get(label), there.get(label)
        if against is None or (row and other and row[0] == other[0]):
            kind, values = row or ('', {})
            lines += _listed(f'  {label}', kind, *_items(values, other and other[1], against))
            continue
        # another class, or none: its settings are not compared
        lines += _listed(f'* {label}', *_alone(row))
        lines += _listed(f'    {against}', *_alone(other))
    return lines


def _alone(row: tuple[str, dict[str, tuple[str, bool]]] | None) -> tuple[str, list[str], list[str]]:
    kind, values = row or (ABSENT, {})
    return kind, *_items(values, None, None)


def _items(
    values: dict[str, tuple[str, bool]],
    others: dict[str, tuple[str, bool]] | None,
    against: str | None,
) -> tuple[list[str], list[str]]:
    """``name=value`` of what is stated or differs, and of what is left at its default."""
    stated: list[str] = []
    defaults: list[str] = []
    for key in dict.fromkeys([*values, *(others or {})]):
        text, is_stated = values.get(key, (ABSENT, True))
        other = (others or {}).get(key, (ABSENT, True))[0]
        if against and text != other:
            stated.append(f'*{key}={text} [{against}: {other}]')
        else:
            (stated if is_stated else defaults).append(f'{key}={text}')
    return stated, defaults


def _listed(label: str, head: str, stated: Sequence[str], defaults: Sequence[str]) -> Iterable[str]:
    """A row: its label, its type, what is stated, and below, what is left at its default."""
    left = ['default:', *_commas(defaults)] if defaults else []
    if stated and left:
        yield from _packed(label, [*([f'{head}:'] if head else []), *_commas(stated)])
        yield from _packed('', left)
    else:
        mark = ':' if stated else ','
        items = [*([head + (mark if stated or left else '')] if head else []), *_commas(stated)]
        yield from _packed(label, [*items, *left])


def _commas(items: Sequence[str]) -> list[str]:
    return [f'{item},' for item in items[:-1]] + list(items[-1:])


def _packed(label: str, items: Sequence[str]) -> list[str]:
    """Items in lines of at most :data:`WIDTH` characters; none is broken that fits in one."""
    lines, current = [], f'{label:{INDENT - 1}}'
    for item in items:
        if len(current) + 1 + len(item) > WIDTH and current.strip():
            lines.append(current)
            current = ' ' * (INDENT - 1)
        current += f' {item}'
    return _wrapped([*lines, current])


def _wrapped(lines: Iterable[str]) -> list[str]:
    indent = ' ' * (INDENT + 2)
    return [
        part.rstrip()
        for line in lines
        for part in (
            textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_on_hyphens=False)
            if len(line) > WIDTH
            else [line]
        )
    ]


def shown(value: Any) -> str:
    """A value as it is typed after ``name=``, without the noise of binary fractions."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return f'{value:.10g}'
    if isinstance(value, (list, tuple)):
        inner = ', '.join(map(shown, value))
        return f'[{inner}]' if isinstance(value, list) else f'({inner})'
    if isinstance(value, Mapping):
        return '{' + ', '.join(f'{key}: {shown(item)}' for key, item in value.items()) + '}'
    return str(value)


def as_json(
    links: Sequence[Link],
    arguments: argparse.Namespace,
    params: Mapping[str, Any],
    here: Sequence[StageRecipe],
    there: Sequence[StageRecipe],
) -> dict[str, Any]:
    """The recipe as plain data, unfolded; ``differences`` are those to another profile."""
    card = composition.card_of(links)
    found: dict[str, Any] = {
        'method': card.name,
        'title': card.title,
        'track': card.track,
        'fidelity': card.fidelity,
        'profile': arguments.profile,
        'task': arguments.task,
        'networks': composition.networks_of(links, arguments.profile),
        'settings': dict(params),
        'stages': [_stage_json(stage) for stage in here],
    }
    if arguments.against:
        found['against'] = arguments.against
        found['differences'] = differences(here, there)
    return found


def _stage_json(stage: StageRecipe) -> dict[str, Any]:
    rows = {
        label: {'type': row.type, **row.stated, 'defaults': row.defaults}
        if row.type
        else {**row.stated, 'defaults': row.defaults}
        for label, row in stage.rows.items()
    }
    return {'name': stage.name, 'kind': stage.kind, 'starts_from': stage.start, **rows}


def differences(here: Sequence[StageRecipe], there: Sequence[StageRecipe]) -> list[dict[str, Any]]:
    """What differs between two recipes: stage, name of the setting, both values."""
    first, second = ({stage.name: _flat(stage) for stage in stages} for stages in (here, there))
    return [
        {'stage': stage, 'setting': key, 'here': a.get(key, ABSENT), 'there': b.get(key, ABSENT)}
        for stage in dict.fromkeys([*first, *second])
        for a, b in [(first.get(stage, {}), second.get(stage, {}))]
        for key in dict.fromkeys([*a, *b])
        if a.get(key, ABSENT) != b.get(key, ABSENT)
    ]


def _flat(stage: StageRecipe) -> dict[str, Any]:
    found: dict[str, Any] = {'kind': stage.kind, 'starts_from': stage.start}
    for label, row in stage.rows.items():
        prefix = '' if label == 'stage' else f'{label}.'
        found[f'{prefix}type'] = row.type
        found |= {f'{prefix}{key}': v for key, v in {**row.defaults, **row.stated}.items()}
    return found
