"""A sweep: the same number of settings of each method, and evidence of each trial without labels.

Trials are ordinary entries, so cache, clusters and resuming work as they do for all; a stage of
kind ``validate`` examines the last checkpoint of each, and of the source model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sfda_bench.errors import BenchError
from sfda_bench.networks.declare import for_task
from sfda_bench.plan import catalog, composition
from sfda_bench.plan.expand import Selection, plan_of
from sfda_bench.plan.graph import StageGraph
from sfda_bench.plan.kinds import validate
from sfda_bench.plan.method import SEALED_TRACKS, Method
from sfda_bench.plan.model import Entry, Plan
from sfda_bench.plan.search import Space, space_of, trials
from sfda_bench.plan.selectors import MethodSelector, match
from sfda_bench.plan.setup import Setup
from sfda_bench.store.runs import Store

#: Trials are compared on this seed; what is chosen is measured again on others.
SEARCH_SEED = 0


@dataclass
class Candidate:
    """One trial.

    Attributes:
        params: Its settings, full names; those of trial 0 are the published ones.
        entry: Its entry.
        evidence: Id of its ``validate`` stage.
    """

    params: dict[str, Any]
    entry: Entry
    evidence: str


@dataclass
class Pool:
    """The trials of one method on one task and network.

    Attributes:
        reference: The method as it was named, which may be a file.
        space: What was searched.
        base: Settings that every trial has.
        candidates: In the order of their numbers.
        source: Id of the ``validate`` stage of the source model.
    """

    reference: str
    space: Space
    base: dict[str, Any]
    candidates: list[Candidate] = field(default_factory=list)
    source: str = ''


@dataclass(frozen=True)
class Wanted:
    """What a sweep is asked for.

    Attributes:
        suite: The suite block.
        methods: Methods, perhaps with settings that all their trials have.
        tasks: Tasks or globs; ``None``: all of the suite.
        networks: Likewise.
        budget: Trials a method.
        axes: Axes typed by the user, see :func:`~sfda_bench.plan.search.space_of`.
    """

    suite: Mapping[str, Any]
    methods: Sequence[MethodSelector]
    tasks: Sequence[str] | None = None
    networks: Sequence[str] | None = None
    budget: int = 8
    axes: Mapping[str, str | None] | None = None


def plan_sweep(
    wanted: Wanted, data_root: Path | None, store: Store, workers: int = 0
) -> tuple[Plan, list[Pool]]:
    """The search on one seed: entries of all trials, and their ``validate`` stages.

    Args:
        wanted: What is asked for.
        data_root: Folder of all data sets.
        store: Where the stages will lie.
        workers: Loader workers of each stage.

    Raises:
        BenchError: A method that is not offline or reads labels, an axis it does not have, or too
            few different settings.
    """
    whole: Plan | None = None
    pools: list[Pool] = []
    for task in match('task', wanted.tasks, wanted.suite['tasks']):
        for name, base in wanted.methods:
            method = _searched(name, base)
            space = space_of(method, wanted.axes)
            settings = trials(space, method, wanted.suite['profile'], task, base, wanted.budget)
            selectors = [MethodSelector(name, params) for params in settings]
            selection = Selection([task], wanted.networks, selectors, [SEARCH_SEED])
            part = plan_of(wanted.suite, selection, data_root, store, workers)
            pools += _pools(wanted.suite, part, store, workers, Pool(name, space, base))
            whole = part if whole is None else _joined(whole, part)
    if whole is None:
        raise BenchError('a sweep without a method', 'at least one')
    return whole, pools


def _searched(name: str, base: Mapping[str, Any]) -> Method:
    method = Method(name)
    card = composition.card_of(composition.links_of(method, base))
    if card.track not in SEALED_TRACKS or card.setting != 'offline':
        raise BenchError(
            f'{method.name} is of track {card.track}, setting {card.setting}',
            'a method that adapts offline without labels or source data',
            'python tools/run_suite.py list methods',
        )
    return method


def _pools(
    suite: Mapping[str, Any],
    plan: Plan,
    store: Store,
    workers: int,
    empty: Pool,
) -> list[Pool]:
    """The entries of a plan of one method and task by network, with their evidence planned."""
    graph = StageGraph(plan.data_root, store)
    graph.stages = plan.stages
    found: dict[str, Pool] = {}
    for entry in plan.entries:
        if entry.skip:
            continue
        setup = setup_of(suite, entry, plan.data_root, store, workers)
        pool = found.setdefault(entry.key.network, replace(empty, candidates=[]))
        pool.source = examine(graph, setup, entry.stages[0])
        evidence = examine(graph, setup, last_weights(entry, plan))
        pool.candidates.append(Candidate(entry.key.params, entry, evidence))
    return list(found.values())


def examine(graph: StageGraph, setup: Setup, stage: str, iteration: int | None = None) -> str:
    """Plan the ``validate`` stage of a checkpoint; returns its id."""
    spec = {'of': graph.stages[stage].title, 'iteration': iteration}
    return graph.add(validate.draft(setup, spec, stage))


def last_weights(entry: Entry, plan: Plan) -> str:
    """Id of the stage whose last checkpoint is scored."""
    return plan.stages[entry.stages[-1]].parents[0]


def setup_of(
    suite: Mapping[str, Any], entry: Entry, data_root: Path, store: Store, workers: int
) -> Setup:
    """What an entry was planned with."""
    network = catalog.load('networks', entry.key.network)
    return Setup(
        suite=suite,
        data_root=data_root,
        runs=store.root,
        workers=workers,
        task=entry.task,
        network=for_task(network, entry.key.task),
        method=entry.method,
        seed=entry.key.seed,
        inference=entry.inference,
        scoring=entry.scoring,
    )


def _joined(first: Plan, second: Plan) -> Plan:
    entries = [*first.entries, *second.entries]
    return Plan(first.suite, first.data_root, entries, {**first.stages, **second.stages})
