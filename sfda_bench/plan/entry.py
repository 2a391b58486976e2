"""Expands entries into stages: the one caller of stage kinds and of the graph.

A method's stages stand in its config in order. Each names its kind, starts from weights (``init``)
and may read what others made (``stage://<name>/<path>``). A method that is started from another one
(:mod:`~sfda_bench.plan.composition`) has that one's stages before its own.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sfda_bench.errors import require_known
from sfda_bench.networks.declare import check_classes, check_declaration, check_inference, for_task
from sfda_bench.plan import black_box, catalog, composition, execution, kinds
from sfda_bench.plan.chain import Chain, Start, check_files
from sfda_bench.plan.execution import Execution
from sfda_bench.plan.graph import StageGraph
from sfda_bench.plan.kinds import gate, score, source
from sfda_bench.plan.method import Method
from sfda_bench.plan.model import Entry
from sfda_bench.plan.references import references
from sfda_bench.plan.setup import Setup
from sfda_bench.scoring.protocols import (
    InferenceProtocol,
    ScoringProtocol,
    load_inference,
    load_scoring,
)
from sfda_bench.store.record import EntryKey
from sfda_bench.store.runs import Store


class EntryPlanner:
    """Plans entries into one graph.

    Args:
        suite: The suite block.
        data_root: Folder of all data sets.
        store: Where stages lie.
        workers: Loader workers.
    """

    def __init__(self, suite: Mapping[str, Any], data_root: Path, store: Store, workers: int):
        self.suite, self.data_root, self.workers = suite, data_root, workers
        self.graph = StageGraph(data_root, store)
        self.entries: list[Entry] = []
        self._starts: dict[tuple[str, str], Start] = {}

    def add(
        self,
        task: Mapping[str, Any],
        network_name: str,
        method: Method,
        params: dict[str, Any],
        seed: int,
    ) -> None:
        """Add one entry with all its stages.

        Raises:
            BenchError: Settings that are refused, or a chain of methods that hand on nothing.
        """
        links = composition.links_of(method, params)
        setup = self._setup(task, network_name, method, seed)
        entry = Entry(
            key=EntryKey(
                suite=self.suite['name'],
                task=task['name'],
                network=setup.block['name'],
                method=method.name,
                params=execution.canonical(composition.params_of(links, params)),
                seed=seed,
                inference=setup.inference.id if self.suite.get('by_protocol') else '',
            ),
            method=method,
            card=composition.card_of(links),
            task=task,
            profile=self.suite['profile'],
            inference=setup.inference,
            scoring=setup.scoring,
            skip=composition.skip_reason(links, task['name'], network_name),
        )
        self.entries.append(entry)
        specs, profile = [], self.suite['profile']
        for link in links:
            stages = link.method.stages(profile, task['name'], link.params, entry.key.network)
            kinds.check(link.method, stages)
            specs.append(stages)
        how = [execution.split(link.params)[0] for link in links]
        if entry.skip:
            return
        key = (task['name'], network_name)
        if key not in self._starts:
            self._starts[key] = self._start(setup)
        start = self._starts[key]
        entry.source_score, entry.stages = start.scored, [start.source]
        chain = Chain(start.source, {'source': start.source})
        for number, (link, own) in enumerate(zip(links, specs, strict=True), 1):
            if number > 1:
                chain = Chain(chain.weights, {'source': chain.weights})
            # stages of an init are called after it, as in an entry of its own
            whole = number == len(links)
            label = entry.key.label if whole else composition.selector_of(links[:number]).text
            part = replace(setup, method=link.method, label=label)
            made = [self._stage(part, spec, chain, start, how[number - 1]) for spec in own]
            entry.stages += made
            if not whole:
                prefix = composition.prefix_of(links[number - 1 :])
                entry.before |= {i: prefix + self.graph.stages[i].name for i in made}
            parents = [self.graph.stages[i].parents for i in made]
            chain.check(links[:number], whole, parents, self.suite['profile'])
        self._score(setup, entry, chain, how[-1])

    def _setup(self, task: Mapping[str, Any], network: str, method: Method, seed: int) -> Setup:
        config = for_task(catalog.load('networks', network), task['name'])
        block = config['network']
        inference, scoring = self._inference(block, task['name']), scoring_of(block, task)
        check_declaration(block, config['model'])
        check_classes(block, task, set(scoring.indices))
        return Setup(
            suite=self.suite,
            data_root=self.data_root,
            runs=self.graph.store.root,
            workers=self.workers,
            task=task,
            network=config,
            method=method,
            seed=seed,
            inference=inference,
            scoring=scoring,
        )

    def _inference(self, block: Mapping[str, Any], task: str) -> InferenceProtocol:
        own = self.suite.get('network_inference', {})
        wanted = own.get(block['name'], self.suite['inference'])
        inference = load_inference(wanted if isinstance(wanted, str) else wanted[task])
        check_inference(block, inference.model_dump())
        return inference

    def _title(self, stage: str) -> str:
        return self.graph.stages[stage].title

    # --- what a method starts from ----------------------------------------------------------------

    def _start(self, setup: Setup) -> Start:
        """The source model, its score, and the gate of a foreign one."""
        model = self.graph.add(source.draft(setup, {}, self._initial(setup)))
        scored = self.graph.add(score.draft(setup, {'of': self._title(model)}, model))
        card = gate.expected(setup)
        if card is None:
            return Start(model, scored, None)
        spec = {'scored': self.graph.stages[scored], 'card': card}
        return Start(model, scored, self.graph.add(gate.draft(setup, spec, scored)))

    def _initial(self, setup: Setup) -> str | None:
        """What training on labels starts from: ImageNet-type weights if the network has some."""
        if not source.has_initial(setup):
            return None
        return self.graph.add(source.initial(setup, source.SOURCE_SEED))

    # --- the method's own -------------------------------------------------------------------------

    def _stage(
        self,
        setup: Setup,
        spec: Mapping[str, Any],
        chain: Chain,
        start: Start,
        how: Execution,
    ) -> str:
        """Plan one stage of a method and return its id.

        Args:
            setup: Task, network, method, seed.
            spec: ``name``; ``kind``; ``init`` (``'last'``, ``'scratch'``, ``'initial'`` = the
                network's ImageNet-type weights if it has some, or a stage's name); ``vendor`` (see
                :mod:`~sfda_bench.plan.black_box`); and the kind's own.
            chain: What was planned before; changed.
            start: What the method starts from.
            how: How its networks compute.
        """
        own = copy.deepcopy(dict(spec))
        name = require_known('stage kind', own.pop('kind', kinds.DEFAULT), kinds.in_methods())
        vendor, kind = bool(own.pop('vendor', False)), kinds.find(name)
        init, bound = own.pop('init', kind.INIT), kind.INIT == 'scratch'
        parent = self._parent(setup, init, bound, chain)
        black_box.check(
            setup.method,
            own,
            name,
            vendor=vendor,
            from_source=parent == start.source,
            reads=references(own),
        )
        draft = kind.draft(setup, own, parent)
        draft = replace(draft, config=how.changed(draft.config))
        wanted = references(draft.config)
        if chain.named['source'] != start.source:
            check_files(setup.method.name, draft)
        draft = replace(
            draft,
            reads={n: chain.named[require_known('stage', n, chain.named)] for n in wanted},
            code_files=setup.method.code_files,
        )
        # a bound trains on labels, whatever the checkpoint was worth
        gated = [start.gate] if start.gate and parent == start.source and not bound else []
        stage = self.graph.add(draft, gated)
        chain.named[own['name']] = stage
        if kind.HANDS_ON:
            chain.weights = stage
            chain.trained.append((stage, draft))
        if draft.flow is not None:
            chain.stream = draft
        return stage

    def _parent(self, setup: Setup, init: str, bound: bool, chain: Chain) -> str | None:
        if init == 'last':
            return chain.weights
        if init == 'scratch':
            # a bound starts where the source model started
            return self._initial(setup) if bound else None
        if init == 'initial' and init not in chain.named:
            chain.named[init] = self.graph.add(source.initial(setup, setup.seed))
        return chain.named[require_known('stage to start from', init, chain.named)]

    # --- scores -----------------------------------------------------------------------------------

    def _score(self, setup: Setup, entry: Entry, chain: Chain, how: Execution) -> None:
        """Plan the scores of an entry: its last one, and those of its curve."""
        if chain.stream is not None:
            name = chain.stream.name
            spec = {'of': chain.stream.title, 'stream': name, 'flow': chain.stream.flow}
            entry.stages.append(self.graph.add(score.draft(setup, spec, chain.named[name])))
            return
        last = score.draft(setup, {'of': self._title(chain.weights)}, chain.weights)
        entry.stages.append(self.graph.add(replace(last, config=how.changed(last.config))))
        for name, stage, at in chain.curve(self.suite.get('curve_stages') == 'all'):
            kept = score.draft(setup, {'of': self._title(stage), 'iteration': at}, stage)
            kept = replace(kept, config=how.changed(kept.config))
            entry.curve.append((name, at, self.graph.add(kept)))


def scoring_of(network: Mapping[str, Any], task: Mapping[str, Any]) -> ScoringProtocol:
    """A task's scoring protocol; its own for networks of fewer outputs, if it names one."""
    own = task.get('class_scoring', {}).get(network.get('classes'))
    return load_scoring(own or task['scoring'])
