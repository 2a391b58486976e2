"""The training data of a stage: data-set config, fingerprints, and the folders it may read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sfda_bench.errors import BenchError, require_known
from sfda_bench.plan import pipelines
from sfda_bench.plan.setup import Setup

Spec = dict[str, Any]
#: Config of the data set, fingerprints by role, folders that a sealed process may read.
TrainingData = tuple[Spec, dict[str, str], list[str]]
#: Fields of a stage's recipe that a branch of its data may have of its own.
RECIPE_FIELDS = ('input_size', 'crop_size', 'flip', 'augment')


def training_data(setup: Setup, data: Any, recipe: Mapping[str, Any]) -> TrainingData:
    """What a stage trains on.

    Args:
        setup: Task, network, method.
        data: ``'target'``; ``'source'`` (labelled; not for sealed methods; as
            ``dict(type='source', subset=dict(portion=, seed=))`` a random part);
            ``dict(type='target', labels=<folder>, confidence=<folder>, soft=<folder>,
            sample_list=<file>)`` (each optional); or
            ``dict(pair=dict(<name>=<one of these>, ...))``. Each may have fields of the recipe
            of its own: ``input_size``, ``crop_size``, ``flip``, ``augment``.
        recipe: For the pipeline; ``input_size`` is the target's.

    Raises:
        BenchError: A sealed method asks for source data.
    """
    if isinstance(data, str):
        data = {'type': data}
    if 'pair' in data:
        parts = {name: training_data(setup, part, recipe) for name, part in data['pair'].items()}
        config = {'type': 'PairedDatasets', 'datasets': {n: p[0] for n, p in parts.items()}}
        fingerprints = {k: v for p in parts.values() for k, v in p[1].items()}
        return config, fingerprints, sorted({g for p in parts.values() for g in p[2]})
    kind = require_known('kind of training data', data['type'], ('target', 'source'))
    own = {key: data[key] for key in RECIPE_FIELDS if key in data}
    if kind == 'source':
        shared = {key: value for key, value in recipe.items() if key != 'input_size'}
        return _source(setup, {**shared, **own}, data.get('subset'))
    return _target(setup, {**recipe, **own}, data)


def _target(setup: Setup, recipe: Mapping[str, Any], data: Mapping[str, Any]) -> TrainingData:
    """Images of the target without its labels, perhaps with those that a stage made."""
    spec = setup.task['target_train']
    target = dict(spec)
    if data.get('sample_list'):
        target['sample_list'] = data['sample_list']
    labels = data.get('labels')
    pipeline = pipelines.train_pipeline(recipe, setup.block, labelled=labels is not None)
    dataset = pipelines.unlabelled(pipelines.dataset_config(target, setup.data_root, pipeline))
    if labels is not None:
        dataset.update(type='PseudoLabelledTarget', label_dir=labels)
    if data.get('confidence'):
        dataset['confidence_dir'] = data['confidence']
        dataset['pipeline'] = pipelines.with_confidence(pipeline)
    if data.get('soft'):
        dataset.update(type='SoftLabelledTarget', soft_dir=data['soft'])
        dataset['pipeline'] = pipelines.with_soft_labels(pipeline)
    return dataset, {'adapt': setup.fingerprint(spec, False)}, setup.images(spec)


def _source(setup: Setup, recipe: Mapping[str, Any], subset: Spec | None) -> TrainingData:
    """Labelled source images."""
    if setup.method.sealed:
        raise BenchError(
            f'method {setup.method.name} asks for source data',
            'track uda for a method that reads them',
            f'mend `track` or `data` in {setup.method.file}',
        )
    spec = setup.task['source']
    classes = setup.block.get('classes')
    pipeline = pipelines.train_pipeline(setup.sized(recipe, spec), setup.block, True, classes)
    dataset = pipelines.dataset_config(spec, setup.data_root, pipeline)
    root = dataset['data_root']
    if subset:
        dataset = {'type': 'RandomSubset', 'dataset': dataset, **subset}
    return dataset, {'source_data': setup.fingerprint(spec, True)}, [root]
