"""Building the stages of an entry and merging equal ones."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sfda_bench.data.fingerprint import split_fingerprint
from sfda_bench.data.layout import image_dirs, require_root
from sfda_bench.networks.declare import (
    check_classes,
    check_declaration,
    check_inference,
    for_task,
    prediction_map,
)
from sfda_bench.scoring.protocols import InferenceProtocol, load_inference, load_scoring
from sfda_bench.suite import catalog, compose, files, names, pipelines, streams
from sfda_bench.suite.chain import Chain, resolve
from sfda_bench.suite.identity import decisive, digest, module_hashes, modules_of, stage_id
from sfda_bench.suite.method import Method, merge
from sfda_bench.suite.record import EntryKey
from sfda_bench.suite.stages import Entry, Stage
from sfda_bench.suite.store import Store, sha256_file

SOURCE_SEED = 0  # one source model for all seeds: methods are compared from the same start


class Planner:
    """Builds the stages of entries and merges equal ones.

    Args:
        suite: The suite block.
        data_root: Folder of all data sets.
        store: Where stages lie.
        workers: Loader workers.
    """

    def __init__(self, suite: Mapping[str, Any], data_root: Path, store: Store, workers: int):
        self.suite, self.data_root, self.store, self.workers = suite, data_root, store, workers
        self.entries: list[Entry] = []
        self.stages: dict[str, Stage] = {}
        self._starts: dict[tuple[str, str], tuple[str, str, str | None]] = {}

    def add(
        self,
        task: Mapping[str, Any],
        network_name: str,
        method: Method,
        params: dict[str, Any],
        seed: int,
    ) -> None:
        """Add one entry with all its stages."""
        network = for_task(catalog.load('networks', network_name), task['name'])
        block = network['network']
        inference = self._inference(block, task['name'])
        scoring = load_scoring(task['scoring'])
        check_declaration(block, network['model'])
        check_classes(block, task, set(scoring.indices))
        entry = Entry(
            key=EntryKey(
                suite=self.suite['name'],
                task=task['name'],
                network=block['name'],
                method=method.name,
                params=params,
                seed=seed,
            ),
            method=method,
            task=task,
            profile=self.suite['profile'],
            inference=inference,
            scoring=scoring,
            skip=method.skip_reason(task['name'], network_name),
        )
        self.entries.append(entry)
        specs = method.stages(self.suite['profile'], task['name'], params)
        streams.check_kinds(method, specs)
        if entry.skip:
            return
        start = (task['name'], network_name)
        if start not in self._starts:
            source = self._source(task, network)
            scored = self._score(entry, network, source)
            gate = self._gate(entry, network, scored)
            self._starts[start] = source, scored, gate
        source, entry.source_score, gate = self._starts[start]
        entry.stages = [source]
        chain = Chain(self, entry, network, source, {'source': source}, gate)
        for spec in specs:
            entry.stages.append(chain.add(spec))
        if chain.stream:
            entry.stages.append(streams.score(self, entry, chain))
            return
        entry.stages.append(self._score(entry, network, chain.weights))
        entry.curve = [(i, self._score(entry, network, chain.weights, i)) for i in chain.kept]

    def _inference(self, block: Mapping[str, Any], task: str) -> InferenceProtocol:
        wanted = self.suite['inference']
        name = wanted if isinstance(wanted, str) else wanted[task]
        inference = load_inference(name)
        check_inference(block, inference.model_dump())
        return inference

    # --- stages ---------------------------------------------------------------------------------

    def _source(self, task: Mapping[str, Any], network: Mapping[str, Any]) -> str:
        recipe = self.recipe(network)
        name = network['network']['name']
        if 'checkpoint' in recipe:
            config = compose.convert_config(network['model'], recipe, self.data_root)
            return self.register(config, f'convert {name}', [], self._file(recipe))
        parent = self.start(network)
        title = f'train {task["source"]["folder"]} {name} s{SOURCE_SEED}'
        return self.supervised(task['source'], network, recipe, SOURCE_SEED, parent, title)

    def start(self, network: Mapping[str, Any]) -> str | None:
        """What training on labels starts from: ImageNet-type weights if the network has some."""
        return self.initial(network, SOURCE_SEED) if self.recipe(network).get('init') else None

    def initial(self, network: Mapping[str, Any], seed: int) -> str:
        """The stage that makes a network's initial weights; ImageNet-type ones if it has some."""
        init = self.recipe(network).get('init') or {}
        config = compose.initial_config(network['model'], init, seed, self.data_root)
        title = f'initial weights {network["network"]["name"]} s{seed}'
        return self.register(config, title, [], self._file(init) if init else {})

    def _file(self, source: Mapping[str, Any]) -> dict[str, str]:
        """The fingerprint of a checkpoint file that no SHA-256 is stated for."""
        if source.get('sha256'):
            return {}
        return {'checkpoint': sha256_file(self.data_root / source['checkpoint'])}

    def recipe(self, network: Mapping[str, Any]) -> dict[str, Any]:
        """How the network is trained on labels, as its config and then the suite say."""
        return merge(network['network']['source'], self.suite.get('source', {}))

    def supervised(
        self,
        spec: Mapping[str, Any],
        network: Mapping[str, Any],
        recipe: Mapping[str, Any],
        seed: int,
        parent: str | None,
        title: str,
        model: Mapping[str, Any] | None = None,
    ) -> str:
        """A stage that trains the plain network on labels; equal ones merge, whatever their use."""
        recipe = self.sized(recipe, spec)
        block = network['network']
        pipeline = pipelines.train_pipeline(recipe, block, True, block.get('classes'))
        config = compose.train_config(
            model=dict(model or network['model']),
            dataset=pipelines.dataset_config(spec, self.data_root, pipeline),
            recipe=recipe,
            seed=seed,
            stage={'kind': 'train', 'name': 'train', 'sealed': False},
            load_from=self.final(parent),
            workers=self.workers,
        )
        return self.register(
            config, title, [parent] if parent else [], {'train': self.data(spec, True)}
        )

    def sized(self, recipe: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        """A recipe with the suite's training size for a data set, unless it has its own."""
        sizes = self.suite.get('input_size', {})
        recipe = dict(recipe)
        recipe.setdefault('input_size', sizes.get(spec['folder']))
        return recipe

    def _gate(self, entry: Entry, network: Mapping[str, Any], scored: str) -> str | None:
        """The check of a foreign checkpoint's score, if its card states one for this task."""
        source = network['network']['source']
        card = source.get('expected', {}).get(entry.key.task)
        if card is None:
            return None
        config = copy.deepcopy(self.stages[scored].config)
        block = {key: value for key, value in network['network'].items() if key != 'source'}
        config['stage'] = {
            'kind': 'gate',
            'name': 'gate',
            'sealed': False,
            'gate': {**card, 'scoring': entry.scoring.ref, 'images': 20, 'network': block},
            'gate_counts': str(self.store.path(scored) / names.COUNTS_NAME),
            'origin': str(source.get('checkpoint', '')),
        }
        title = f'gate {self.stages[scored].title}'
        return self.register(config, title, [scored], self.stages[scored].data)

    def _score(
        self, entry: Entry, network: Mapping[str, Any], parent: str, iteration: int | None = None
    ) -> str:
        """The stage that scores a stage's checkpoint, or one it kept on the way."""
        target = entry.task['target_val']
        pipeline = pipelines.test_pipeline(entry.inference, entry.task['name'])
        config = compose.score_config(
            model=network['model'],
            dataset=pipelines.dataset_config(target, self.data_root, pipeline),
            protocol=entry.inference,
            prediction_map=prediction_map(network['network'], entry.task),
            num_classes=len(entry.scoring.labels),
            load_from=self.store.path(parent) / compose.checkpoint_name(iteration),
            workers=self.workers,
        )
        title = f'score {self.stages[parent].title}'
        if iteration is not None:
            config['stage']['iteration'] = iteration
            title += f' at {iteration}'
        return self.register(config, title, [parent], {'score': self.data(target, True)})

    # --- helpers --------------------------------------------------------------------------------

    def final(self, parent: str | None) -> Path | None:
        """The checkpoint a stage hands on."""
        return self.store.path(parent) / names.FINAL_NAME if parent else None

    def grants(self, spec: Mapping[str, Any]) -> list[str]:
        """Folders of a split's images, without labels."""
        root = require_root(self.data_root, spec['folder'])
        dirs = image_dirs(spec['folder'], root, spec['split'], spec.get('conditions'))
        return [str(path) for path in dirs]

    def data(self, spec: Mapping[str, Any], labelled: bool) -> str:
        """Fingerprint of a task's data-set block."""
        conditions = spec.get('conditions')
        return _fingerprint(
            spec['folder'],
            str(require_root(self.data_root, spec['folder'])),
            spec['split'],
            tuple(conditions) if conditions else None,
            labelled,
        )

    def register(
        self,
        config: dict[str, Any],
        title: str,
        parents: list[str],
        data: dict[str, str],
        code_files: Sequence[Path] = (),
        places: Mapping[str, Path] | None = None,
    ) -> str:
        """Give a config its id, merge it with an equal one, and fill in its paths.

        Args:
            config: Resolved config with symbolic references to other stages.
            title: For people.
            parents: Ids of the stages it starts from or reads.
            data: Fingerprints by role.
            code_files: Python files outside the package.
            places: Folders of the stages that the config refers to.
        """
        config, given = files.symbolic(config)
        roots = modules_of(decisive(config))
        if {'convert', 'initial'} & set(config['stage']):
            roots.add('sfda_bench.networks.convert')
        if 'gate' in config['stage']:
            roots.add('sfda_bench.networks.gate')
        modules, code = _modules(tuple(sorted(roots)), tuple(code_files))
        if code_files:
            config['stage']['code_files'] = [str(path) for path in code_files]
        identity = stage_id(config, parents, data, code)
        if identity not in self.stages:
            config = files.concrete(resolve(config, places or {}), given)
            config = compose.place(config, self.store.path(identity))
            stage = config['stage']
            stage.update(id=identity, title=title, parents=parents)
            self.stages[identity] = Stage(
                identity, stage['name'], stage['kind'], title, config, parents, data, code, modules
            )
        return identity


@functools.cache
def _modules(roots: tuple[str, ...], files: tuple[Path, ...]) -> tuple[dict[str, str], str]:
    """Hash of each module, and the fingerprint of all of them."""
    hashes = module_hashes(roots, files)
    return hashes, digest(hashes)


@functools.cache
def _fingerprint(
    folder: str, root: str, split: str, conditions: tuple[str, ...] | None, labelled: bool
) -> str:
    return split_fingerprint(folder, Path(root), split, conditions, labelled)
