"""The recipe of a method as plain values: what each of its stages is, starts from and is set to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sfda_bench.plan import catalog, composition, kinds
from sfda_bench.plan.method import Method
from sfda_bench.plan.settings import PARTS, STAGE_FIELDS, Setting, settings_of
from sfda_bench.plan.signatures import REQUIRED, UNREADABLE

#: The row of what belongs to the stage itself.
STAGE = 'stage'
#: Fields of a stage that have a place of their own, or whose rows are made of settings.
#: What a kind of stage reads if nothing is stated.
_DATA = {
    'adapt': 'target',
    'label': 'target',
    'stream': 'validation images of the target, in order',
    'train': 'target with its labels',
}
_KNOWN = {'name', 'kind', 'init', 'data', *STAGE_FIELDS, *PARTS}


@dataclass
class Row:
    """What a stage builds from one config, and how it is set.

    Attributes:
        type: Its class; '' for the stage's own fields.
        stated: Values that the config, a profile, a task or the user state.
        defaults: Those that are left at the default of the code.
    """

    type: str = ''
    stated: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)


@dataclass
class StageRecipe:
    """One stage.

    Attributes:
        name: Its name.
        kind: Its kind.
        start: What weights it starts from.
        rows: By what is set: ``stage``, ``data``, ``adapter``, ``optimizer``, ...
    """

    name: str
    kind: str
    start: str
    rows: dict[str, Row]


def recipe_of(
    method: Method, profile: str, task: str, params: Mapping[str, Any]
) -> list[StageRecipe]:
    """The stages of a method, after those of the methods that it is started from, as they run.

    Args:
        method: The method.
        profile: Which of its recipes.
        task: Name of the task.
        params: Settings of the user.

    Raises:
        BenchError: There is no such profile, or a setting is refused.
    """
    found: list[StageRecipe] = []
    links, source = composition.links_of(method, params), 'the source model'
    for number, link in enumerate(links):
        specs = link.method.stages(profile, task, link.params)
        prefix = composition.prefix_of(links[number:])
        made, source = _recipes(link.method, specs, suite_size(profile, task), prefix, source)
        found += made
    return found


def _recipes(
    method: Method,
    specs: Sequence[dict[str, Any]],
    size: tuple[int, int] | None,
    prefix: str,
    source: str,
) -> tuple[list[StageRecipe], str]:
    """The stages of one method, and what the next one starts from.

    Args:
        method: The method.
        specs: Its stages.
        size: Of the suite's training images.
        prefix: What stands before the stages' names.
        source: What it starts from itself.
    """
    found: list[StageRecipe] = []
    weights = source
    for spec in specs:
        name = spec.get('kind', kinds.DEFAULT)
        kind = kinds.find(name)
        init = spec.get('init', kind.INIT)
        if init in {stage['name'] for stage in specs}:
            init = prefix + init
        start = _start(init, kind.INIT, weights, source)
        rows = _rows(spec, settings_of([spec], method.code_files))
        if 'input_size' not in spec and _DATA.get(name) == 'target' and size:
            rows[STAGE].stated['input_size'] = size
        found.append(StageRecipe(prefix + spec['name'], name, start, rows))
        if kind.HANDS_ON:
            weights = prefix + spec['name']
    return found, weights


def suite_size(profile: str, task: str) -> tuple[int, int] | None:
    """The size at which the suite of a profile trains on a task's target; ``None`` = native."""
    if profile not in catalog.names('suites'):
        return None
    sizes = catalog.load('suites', profile)['suite'].get('input_size', {})
    return sizes.get(catalog.load('tasks', task)['task']['target_train']['folder'])


def _start(init: str, default: str, weights: str, source: str) -> str:
    if init == 'last':
        return weights
    if init == 'scratch':
        # a bound starts where the source model started
        return 'the initial weights of the network' if default == 'scratch' else 'random weights'
    known = {'initial': 'the initial weights of the network', 'source': source}
    return known.get(init, init)


def _rows(spec: Mapping[str, Any], settings: Sequence[Setting]) -> dict[str, Row]:
    own = {key: value for key, value in spec.items() if key not in _KNOWN}
    data = spec.get('data') or _DATA.get(spec.get('kind', kinds.DEFAULT))
    rows = {STAGE: Row(), **({'data': _data(data)} if data else {})}
    seen = set()
    for setting in settings:
        row = rows.setdefault(setting.holder or STAGE, Row())
        if setting.holder:
            row.type = str(setting.place.get('type', ''))
        seen.add(id(setting.place))
        if setting.full != 'init':
            values = row.stated if setting.key in setting.place else row.defaults
            values[setting.key] = _plain(setting.value)
    rows[STAGE].stated.update(own)
    if 'recipe' in own:  # all of it is in the recipe that is named
        rows[STAGE].defaults.clear()
    for part in PARTS:
        short = {'param_scheduler': 'schedule'}.get(part, part)
        for label, place in _built(short, spec.get(part)):
            if id(place) not in seen:  # nothing of it can be set
                rows.setdefault(label, Row(str(place['type'])))
            rules = dict(_flat('', place.get('paramwise_cfg', {}), ':'))
            if rules:
                rows[label.replace('optim_wrapper', 'paramwise')] = Row(
                    str(place.get('constructor', '')), rules
                )
    return rows


def _built(label: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """(label, config) of all that a part builds."""
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _built(f'{label}{index}' if len(value) > 1 else label, item)
    elif isinstance(value, dict) and 'type' in value:
        yield label, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _built(f'{name}.{label}', inner)


def _data(data: Any) -> Row:
    """What a stage reads: of each branch, where it has several, its kind and its files."""
    if isinstance(data, str):
        return Row(data)
    if 'pair' in data:
        return Row(stated=dict(_flat('', data['pair'], '.')))
    return Row(data['type'], dict(_flat('', {k: v for k, v in data.items() if k != 'type'}, '.')))


def _flat(prefix: str, value: Mapping[str, Any], mark: str) -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if key == 'custom_keys':
            yield from _flat(prefix, inner, mark)
        elif isinstance(inner, Mapping):
            yield from _flat(f'{prefix}{key}{mark}', inner, mark)
        else:
            yield f'{prefix}{key}', inner


def _plain(value: Any) -> Any:
    if value is REQUIRED:
        return 'required'
    return 'computed' if value is UNREADABLE else value


@dataclass
class Group:
    """Stages that are alike but for their number, such as ``label0`` and ``label1``.

    Attributes:
        base: Their name without the number.
        stages: They build the same things; values may differ.
    """

    base: str
    stages: list[StageRecipe]

    @property
    def name(self) -> str:
        """What to call them: ``labelN`` where there are several."""
        return f'{self.base}N' if len(self.stages) > 1 else self.stages[0].name


def folded(stages: Sequence[StageRecipe]) -> list[Group]:
    """The stages in groups, in their order."""
    groups: dict[tuple, Group] = {}
    for stage in stages:
        base = re.sub(r'\d+$', '', stage.name)
        shape = tuple((label, row.type) for label, row in stage.rows.items())
        group = groups.setdefault((base, stage.kind, shape), Group(base, []))
        group.stages.append(stage)
    return list(groups.values())
