"""Provenance of a result: what it rests on, and the first thing in which two results differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sfda_bench.plan.identity import decisive
from sfda_bench.plan.model import Plan
from sfda_bench.run.status import flat
from sfda_bench.store.runs import Store

Facts = dict[str, dict[str, Any]]
#: (name in its entry, id)
Stages = Sequence[Sequence[str]]
NOTHING = 'nothing that is recorded'


def facts_of(plan: Plan, store: Store) -> Facts:
    """Config, code and data of every stage of a plan, by id; paths of this machine left out."""
    roots = {str(store.root): '<runs>', str(plan.data_root): '<data>'}
    return {
        stage.id: {
            'config': {
                key: _placed(value, roots) for key, value in flat(decisive(stage.config)).items()
            },
            'code': {name: value[:12] for name, value in stage.modules.items()},
            'data': dict(stage.data),
        }
        for stage in plan.stages.values()
    }


def _placed(value: Any, roots: Mapping[str, str]) -> Any:
    """A path without the place it has on this machine; of a stage's, without its id."""
    if not isinstance(value, str):
        return value
    for root, name in roots.items():
        if value.startswith(f'{root}/'):
            rest = value[len(root) + 1 :]
            return f'{name}/{rest.partition("/")[2]}' if name == '<runs>' else f'{name}/{rest}'
    return value


def differences(
    old: Stages,
    new: Stages,
    old_facts: Facts,
    new_facts: Facts,
    machines: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> list[str]:
    """What differs between two results, in the order config, code, data, libraries, hardware.

    Args:
        old: Stages of the anchored result, in order.
        new: Those of the new one.
        old_facts: What is known of the old stages.
        new_facts: What is known of the new ones.
        machines: ``versions`` and ``hardware`` of both.
    """
    found: dict[str, list[str]] = {'config': [], 'code': [], 'data': [], 'id': []}
    names = [list(name for name, _ in stages) for stages in (old, new)]
    if names[0] != names[1]:
        found['config'].append(f'config stages: {", ".join(names[0])} -> {", ".join(names[1])}')
    before: dict[str, str] = {name: identity for name, identity in old}
    for name, identity in new:
        if before.get(name, identity) == identity:
            continue
        a, b = old_facts.get(before[name]), new_facts.get(identity)
        if a is None or b is None:
            found['id'].append(f'stage {name}: id {before[name]} -> {identity}, no more is known')
            continue
        found['config'] += _moved(f'config {name}.', a['config'], b['config'])
        found['code'] += [f'code {module} changed' for module in _keys(a['code'], b['code'])]
        found['data'] += _moved('data ', a['data'], b['data'])
    lines = [line for kind in ('config', 'code', 'data', 'id') for line in found[kind]]
    lines += _moved('library ', machines[0].get('versions', {}), machines[1].get('versions', {}))
    lines += _moved('hardware ', machines[0].get('hardware', {}), machines[1].get('hardware', {}))
    return list(dict.fromkeys(lines))


def _keys(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterable[str]:
    return sorted(key for key in {*a, *b} if key not in a or key not in b or a[key] != b[key])


def _moved(prefix: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    return [
        f'{prefix}{key}: {_text(a.get(key, "absent"))} -> {_text(b.get(key, "absent"))}'
        for key in _keys(a, b)
    ]


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f'{text[:37]}...'
