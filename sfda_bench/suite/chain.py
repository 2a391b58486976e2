"""The stages of one method on one entry: each starts from weights and may read what others made.

A stage's spec names an earlier stage as ``stage://<name>/<path>``; such references stay symbolic in
the identity (the ids of the stages they name are among the parents) and become paths afterwards.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfda_bench.errors import BenchError, require_known
from sfda_bench.suite import black_box, compose, pipelines, streams
from sfda_bench.suite.stages import Entry

if TYPE_CHECKING:
    from sfda_bench.suite.planner import Planner

Spec = dict[str, Any]
KINDS = ('adapt', 'label', 'train', 'stream')
#: Fields of a stage's recipe that a branch of its data may have of its own.
RECIPE_FIELDS = ('input_size', 'crop_size', 'flip', 'augment')


@dataclass
class Chain:
    """Stages of one entry so far.

    Attributes:
        weights: Id of the stage whose checkpoint the next one starts from.
        named: Stage ids by name; ``source`` is the source model.
        kept: Iterations of the last adapt stage whose checkpoints are kept for a curve.
        gate: Id of the stage that checks a foreign source checkpoint, ``None`` without one.
        stream: Name of the stage whose predictions are scored instead of a checkpoint's.
        flow: Order and rounds of that stream.
    """

    planner: Planner
    entry: Entry
    network: Mapping[str, Any]
    weights: str
    named: dict[str, str] = field(default_factory=dict)
    gate: str | None = None
    kept: list[int] = field(default_factory=list)
    stream: str | None = None
    flow: Spec = field(default_factory=dict)

    def add(self, spec: Spec) -> str:
        """Plan one stage and return its id.

        Args:
            spec: ``name``, ``kind`` (``adapt``: trains an adapter; ``label``: one pass over the
                target that writes files; ``train``: trains the plain network on true labels, for
                bounds; ``stream``: see :mod:`~sfda_bench.suite.streams`), ``init`` (``'last'``,
                ``'scratch'``, ``'initial'`` = the network's ImageNet-type weights if it has some,
                or a stage's name), ``vendor`` (see :mod:`~sfda_bench.suite.black_box`), and the
                kind's own.
        """
        spec = copy.deepcopy(spec)
        kind = require_known('stage kind', spec.pop('kind', 'adapt'), KINDS)
        init = spec.pop('init', 'scratch' if kind == 'train' else 'last')
        parent = self._parent(init, kind)
        black_box.check(
            self.entry.method,
            spec,
            kind,
            vendor=bool(spec.pop('vendor', False)),
            from_source=parent == self.named['source'],
            reads=references(spec),
        )
        build = {'adapt': self._adapt, 'label': self._label, 'train': self._train}
        name = spec['name']
        stage_id = build[kind](spec, parent) if kind in build else streams.add(self, spec, parent)
        self.named[name] = stage_id
        if kind in ('adapt', 'train'):
            self.weights = stage_id
        return stage_id

    def _parent(self, init: str, kind: str) -> str | None:
        if init == 'scratch':
            # a bound starts where the source model started
            return self.planner.start(self.network) if kind == 'train' else None
        if init == 'last':
            return self.weights
        if init == 'initial' and init not in self.named:
            self.named[init] = self.planner.initial(self.network, self.entry.key.seed)
        return self.named[require_known('stage to start from', init, self.named)]

    # --- kinds ----------------------------------------------------------------------------------

    def _adapt(self, spec: Spec, parent: str | None) -> str:
        recipe = self.planner.sized(spec, self.entry.task['target_train'])
        dataset, data, grants = self._dataset(spec.get('data', 'target'), recipe)
        self.kept = recipe['keep'] = self._keep(int(recipe['iters']))
        config = compose.train_config(
            model={**spec['adapter'], 'segmentor': self.network['model']},
            dataset=dataset,
            recipe=recipe,
            seed=self.entry.key.seed,
            stage={
                **self.block('adapt', spec['name'], grants),
                'keep': self.kept,
                'single_device': bool(spec.get('single_device')),
            },
            load_from=self.planner.final(parent),
            workers=self.planner.workers,
        )
        return self.register(config, spec['name'], parent, data)

    def _keep(self, iters: int) -> list[int]:
        """Evenly spaced iterations inside a stage, as many as the suite's curves have points."""
        points = int(self.planner.suite.get('curve_points', 0))
        return sorted({iters * k // (points + 1) for k in range(1, points + 1)} - {0})

    def _label(self, spec: Spec, parent: str | None) -> str:
        if parent is None:
            raise BenchError(f'labelling stage {spec["name"]} starts from no weights', 'a stage')
        target = self.entry.task['target_train']
        recipe = {**self.planner.sized(spec, target), 'crop_size': None, 'flip': False}
        dataset, data, grants = self._dataset(spec.get('data', 'target'), recipe)
        model = self.network['model']
        if 'adapter' in spec:
            model = {**spec['adapter'], 'segmentor': model}
        config = compose.label_config(
            model=model,
            dataset=dataset,
            writer=spec['writer'],
            batch_size=spec.get('batch_size', 1),
            seed=self.entry.key.seed if spec.get('seeded') else 0,
            stage=self.block('label', spec['name'], grants),
            load_from=self.planner.final(parent),
            workers=self.planner.workers,
        )
        return self.register(config, spec['name'], parent, data)

    def _train(self, spec: Spec, parent: str | None) -> str:
        """A bound: the plain network on the target's true labels."""
        task, key = self.entry.task, self.entry.key
        if self.entry.method.sealed:
            raise BenchError(
                f'method {key.method} trains on target labels',
                'track bound for a stage of kind train',
                f'mend {self.entry.method.file}',
            )
        name, recipe = spec.pop('name'), spec
        if recipe.pop('recipe', None) == 'network':
            recipe = {**self.planner.recipe(self.network), **recipe}
        if 'iters' not in recipe:
            raise BenchError(
                f'method {key.method} has no recipe for {key.network} on {key.task}',
                "the network's own recipe, or `iters`, `batch_size`, `optim_wrapper` in the stage",
                f'add an override for stage {name} to {self.entry.method.file}',
            )
        model = dict(self.network['model'])
        if task.get('prediction_map'):
            loss = {'type': 'GroupedCrossEntropyLoss', 'groups': list(task['prediction_map'])}
            model['decode_head'] = {**model['decode_head'], 'loss_decode': loss}
        target = task['target_train']
        title = f'train {target["folder"]} {key.network} s{key.seed}'
        return self.planner.supervised(target, self.network, recipe, key.seed, parent, title, model)

    # --- data -----------------------------------------------------------------------------------

    def _dataset(self, data: Any, recipe: Mapping[str, Any]) -> tuple[Spec, Spec, list[str]]:
        """Data-set config, fingerprints by role, and the folders a sealed process may read.

        Args:
            data: ``'target'``; ``'source'`` (labelled; not for sealed methods; as
                ``dict(type='source', subset=dict(portion=, seed=))`` a random part);
                ``dict(type='target', labels=<folder>, confidence=<folder>, sample_list=<file>)``
                (each optional); or ``dict(pair=dict(<name>=<one of these>, ...))``. Each may have
                fields of the recipe of its own: ``input_size``, ``crop_size``, ``flip``,
                ``augment``.
            recipe: For the pipeline; ``input_size`` is the target's.
        """
        if isinstance(data, str):
            data = {'type': data}
        if 'pair' in data:
            parts = {name: self._dataset(part, recipe) for name, part in data['pair'].items()}
            config = {'type': 'PairedDatasets', 'datasets': {n: p[0] for n, p in parts.items()}}
            fingerprints = {k: v for p in parts.values() for k, v in p[1].items()}
            return config, fingerprints, sorted({g for p in parts.values() for g in p[2]})
        kind = require_known('kind of training data', data['type'], ('target', 'source'))
        own = {key: data[key] for key in RECIPE_FIELDS if key in data}
        if kind == 'source':
            shared = {key: value for key, value in recipe.items() if key != 'input_size'}
            return self._source_data({**shared, **own}, data.get('subset'))
        recipe = {**recipe, **own}
        target = dict(self.entry.task['target_train'])
        if data.get('sample_list'):
            target['sample_list'] = data['sample_list']
        labels = data.get('labels')
        block = self.network['network']
        pipeline = pipelines.train_pipeline(recipe, block, labelled=labels is not None)
        dataset = pipelines.unlabelled(
            pipelines.dataset_config(target, self.planner.data_root, pipeline)
        )
        if labels is not None:
            dataset.update(type='PseudoLabelledTarget', label_dir=labels)
        if data.get('confidence'):
            dataset['confidence_dir'] = data['confidence']
            dataset['pipeline'] = pipelines.with_confidence(pipeline)
        spec = self.entry.task['target_train']
        return dataset, {'adapt': self.planner.data(spec, False)}, self.planner.grants(spec)

    def _source_data(
        self, recipe: Mapping[str, Any], subset: Spec | None = None
    ) -> tuple[Spec, Spec, list[str]]:
        if self.entry.method.sealed:
            raise BenchError(
                f'method {self.entry.key.method} asks for source data',
                'track uda for a method that reads them',
                f'mend `track` or `data` in {self.entry.method.file}',
            )
        spec = self.entry.task['source']
        recipe = self.planner.sized(recipe, spec)
        block = self.network['network']
        pipeline = pipelines.train_pipeline(recipe, block, True, block.get('classes'))
        dataset = pipelines.dataset_config(spec, self.planner.data_root, pipeline)
        root = dataset['data_root']
        if subset:
            dataset = {'type': 'RandomSubset', 'dataset': dataset, **subset}
        return dataset, {'source_data': self.planner.data(spec, True)}, [root]

    # --- registration ---------------------------------------------------------------------------

    def block(self, kind: str, name: str, grants: Sequence[str]) -> Spec:
        """Our own block of a stage's config."""
        # what other stages learned from the source's weights is as good as these
        hidden = [str(self.planner.store.root)] if black_box.is_black_box(self.entry.method) else []
        return {
            'kind': kind,
            'name': name,
            'sealed': self.entry.method.sealed,
            'grants': list(grants),
            'protected': [str(self.planner.data_root), *hidden],
        }

    def register(self, config: Spec, name: str, parent: str | None, data: Spec) -> str:
        """Register a stage of this entry and return its id."""
        key = self.entry.key
        title = f'{key.method} {name} {key.task} {key.network} s{key.seed}'
        used = {n: self.named[require_known('stage', n, self.named)] for n in references(config)}
        places = {n: self.planner.store.path(i) for n, i in used.items()}
        config['stage']['grants'] += [str(path) for path in places.values()]
        parents = ([parent] if parent else []) + [used[n] for n in sorted(used)]
        if self.gate and parent == self.named['source']:
            parents.append(self.gate)
        files = self.entry.method.code_files
        return self.planner.register(config, title, parents, data, files, places)


PREFIX = 'stage://'


def references(value: Any) -> set[str]:
    """Names of the stages that ``stage://<name>/...`` strings in a config refer to."""
    if isinstance(value, str):
        return {value[len(PREFIX) :].split('/')[0]} if value.startswith(PREFIX) else set()
    if isinstance(value, Mapping):
        return set().union(*map(references, value.values()), set())
    if isinstance(value, (list, tuple)):
        return set().union(*map(references, value), set())
    return set()


def resolve(value: Any, places: Mapping[str, Path]) -> Any:
    """``value`` with its references replaced by paths."""
    if isinstance(value, str) and value.startswith(PREFIX):
        name, _, rest = value[len(PREFIX) :].partition('/')
        return str(places[name] / rest) if rest else str(places[name])
    if isinstance(value, Mapping):
        return {key: resolve(item, places) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(resolve(item, places) for item in value)
    return value
