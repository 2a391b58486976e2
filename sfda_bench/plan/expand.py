"""Makes a plan: the entries a call asks for, and the stages they rest on, merged by id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sfda_bench.data.layout import missing_message
from sfda_bench.errors import BenchError, require_known
from sfda_bench.plan import catalog, composition
from sfda_bench.plan.entry import EntryPlanner
from sfda_bench.plan.method import Method
from sfda_bench.plan.model import Plan
from sfda_bench.plan.selectors import MethodSelector, match, parse_method
from sfda_bench.store.runs import Store


@dataclass
class Selection:
    """What the user asked for; ``None`` = everything the suite has.

    A suite that states ``methods``, with settings perhaps, has these unless the user names some.
    Without methods and unless ``everything`` is asked for, a suite that names its
    ``default_methods`` has these. Without methods and networks, the networks of its
    ``default_runs`` run on the tasks named there; any other run of theirs is named. ``settings``
    are those of :mod:`sfda_bench.plan.execution`, for every method that does not state its own.
    """

    tasks: Sequence[str] | None = None
    networks: Sequence[str] | None = None
    methods: Sequence[MethodSelector] | None = None
    seeds: Sequence[int] | None = None
    everything: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)


def load_suite(name: str) -> dict[str, Any]:
    """The ``suite`` block of a suite config."""
    return catalog.load('suites', name)['suite']


def make_plan(
    suite_name: str,
    selection: Selection,
    data_root: Path | None,
    store: Store,
    workers: int = 0,
) -> Plan:
    """Expand a selection into entries and stages.

    Args:
        suite_name: Suite to plan.
        selection: What the user asked for.
        data_root: Folder of all data sets.
        store: Where the stages will lie (their paths point to each other).
        workers: Loader workers of each stage.

    Raises:
        DataError: Data sets are missing: one message for all of them.
        BenchError: Unknown names, protocols that do not fit a network.
    """
    return plan_of(load_suite(suite_name), selection, data_root, store, workers)


def plan_of(
    suite: Mapping[str, Any],
    selection: Selection,
    data_root: Path | None,
    store: Store,
    workers: int = 0,
) -> Plan:
    """:func:`make_plan` of a suite block that need not come from a file."""
    if not selection.methods and suite.get('methods'):
        selection = replace(selection, methods=[parse_method(text) for text in suite['methods']])
    tasks = match('task', selection.tasks, suite['tasks'])
    methods = _methods(selection.methods, suite.get('tracks'))
    methods = [(method, {**selection.settings, **params}) for method, params in methods]
    left: list[str] = []
    usual = suite.get('default_methods')
    if usual and not selection.methods and not selection.everything:
        left = [method.name for method, _ in methods if method.name not in usual]
        methods = [(method, params) for method, params in methods if method.name in usual]
    for method, params in methods if selection.methods else ():
        for task in tasks:  # what was typed is checked before anything is asked of the data
            for link in composition.links_of(method, params):
                link.method.stages(suite['profile'], task, link.params)
    chosen = _networks(suite, selection, methods)
    added = _added(suite, selection, [method.name for method, _ in methods])
    of_added = {name for (task, name) in added if task in tasks}
    chosen_names = {*of_added, *(name for names in chosen for name in names)}
    networks = [name for name in _known_networks(suite) if name in chosen_names]
    seeds = list(selection.seeds if selection.seeds is not None else suite['seeds'])
    specs = {name: catalog.load('tasks', name)['task'] for name in tasks}
    root = _require_data(suite, specs, networks, data_root)
    planner = EntryPlanner(suite, root, store, workers)
    for task in tasks:
        for network in match('network', None, _networks_of(suite, task, networks)):
            own = added.get((task, network), ())
            for (method, params), names in zip(methods, chosen, strict=True):
                for seed in seeds if network in names or method.name in own else ():
                    planner.add(specs[task], network, method, params, seed)
    return Plan(suite['name'], root, planner.entries, planner.graph.stages, left=left)


def _methods(
    selectors: Sequence[MethodSelector] | None, tracks: Sequence[str] | None = None
) -> list[tuple[Method, dict[str, Any]]]:
    """Chosen methods; without a selector all of the suite's tracks."""
    if not selectors:
        found = [Method(name) for name in catalog.names('methods')]
        return [(m, {}) for m in found if tracks is None or m.card.track in tracks]
    chosen: list[tuple[Method, dict[str, Any]]] = []
    for selector in selectors:
        names = [selector.name]
        if not selector.name.endswith('.py'):
            names = match('method', [selector.name], catalog.known('methods'))
        chosen += [(Method(name), dict(selector.params)) for name in names]
    return chosen


def _networks(
    suite: Mapping[str, Any],
    selection: Selection,
    methods: Sequence[tuple[Method, Mapping[str, Any]]],
) -> list[list[str]]:
    """Networks of each method: the user's choice, else those of its paper, else the suite's.

    A bound runs on every network that one of the others runs on.
    """
    known = _known_networks(suite)
    if selection.networks is not None:
        return [match('network', selection.networks, known)] * len(methods)
    own: list[set[str]] = []
    for method, params in methods:
        links = composition.links_of(method, params)
        published = set(composition.require_networks(links, suite['profile'])) & set(known)
        own.append(published or set(suite['networks']))
    bound = [method.card.track == 'bound' for method, _ in methods]
    others = set().union(*(names for names, alone in zip(own, bound, strict=True) if not alone))
    return [
        [name for name in known if name in (others if alone and others else names)]
        for names, alone in zip(own, bound, strict=True)
    ]


def _known_networks(suite: Mapping[str, Any]) -> list[str]:
    return [*suite['networks'], *suite.get('more_networks', [])]


def _added(
    suite: Mapping[str, Any], selection: Selection, methods: Sequence[str]
) -> dict[tuple[str, str], list[str]]:
    """What the suite's ``default_runs`` add where neither methods nor networks are named.

    Returns:
        Names of methods by (task, network): those that the run of a network states, or all
        ``methods`` if everything is asked for.
    """
    if selection.methods or selection.networks is not None:
        return {}
    found: dict[tuple[str, str], list[str]] = {}
    for network, run in suite.get('default_runs', {}).items():
        where = f'default_runs of suite {suite["name"]}'
        require_known(f'network in {where}', network, _known_networks(suite))
        for name in run['methods']:
            require_known(f'method in {where}', name, catalog.known('methods'))
        for task in run['tasks']:
            # a suite based on this one may have other tasks
            require_known(f'task in {where}', task, {*catalog.names('tasks'), *suite['tasks']})
            own = methods if selection.everything else run['methods']
            found[task, network] = [name for name in methods if name in own]
    return found


def _networks_of(suite: Mapping[str, Any], task: str, networks: Iterable[str]) -> list[str]:
    allowed = suite.get('task_networks', {}).get(task)
    return [name for name in networks if allowed is None or name in allowed]


def _require_data(
    suite: Mapping[str, Any],
    specs: Mapping[str, Mapping[str, Any]],
    networks: Sequence[str],
    data_root: Path | None,
) -> Path:
    """Name every missing data set and checkpoint at once, before anything is computed."""
    blocks = [catalog.load('networks', name)['network'] for name in networks]
    trains = any('checkpoint' not in block['source'] for block in blocks)
    roles = ['target_train', 'target_val'] + (['source'] if trains else [])
    wanted = [spec[role]['folder'] for spec in specs.values() for role in roles]
    error = missing_message(wanted, data_root, f'suite {suite["name"]}')
    if error is not None or data_root is None:
        raise error or BenchError('no data root was given', '--data-root DIR')
    _require_weights(suite, blocks, data_root)
    return Path(data_root).resolve()


def _require_weights(
    suite: Mapping[str, Any], blocks: Sequence[Mapping[str, Any]], data_root: Path
) -> None:
    found, origins = [], []
    for block in blocks:
        recipe = {**block['source'], **suite.get('source', {})}
        file = recipe if 'checkpoint' in recipe else recipe.get('init') or {}
        checkpoint = file.get('checkpoint')
        if checkpoint and not (data_root / checkpoint).is_file():
            found.append(f'network {block["name"]}: no file {data_root / checkpoint}')
            origins.append(f'{checkpoint}: {file.get("origin") or "origin unknown"}')
    if found:
        raise BenchError(
            '; '.join(found),
            f'these files below the data root ({"; ".join(origins)})',
            'put them there, choose another --network, or, to train from random weights instead '
            'of ImageNet-type ones, a suite of your own with source=dict(init=None)',
        )
