"""Data-set configs and pipelines of stages."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sfda_bench.data.layout import require_root
from sfda_bench.errors import BenchError
from sfda_bench.scoring.protocols import InferenceProtocol

Config = dict[str, Any]

META_KEYS = (
    'img_path', 'sample_id', 'condition', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor',
    'flip', 'flip_direction',
)  # fmt: skip


def dataset_config(spec: Mapping[str, Any], data_root: Path, pipeline: Sequence[Config]) -> Config:
    """A task's data-set block as a mmseg data-set config.

    Args:
        spec: ``type``, ``folder``, ``split`` and constructor arguments.
        data_root: Folder that holds all data sets.
        pipeline: Transforms.
    """
    config = dict(copy.deepcopy(dict(spec)))
    config['data_root'] = str(require_root(data_root, config.pop('folder')))
    config['pipeline'] = list(pipeline)
    return config


def unlabelled(dataset: Config) -> Config:
    """The same images without a label path."""
    inner = dict(dataset)
    pipeline = inner.pop('pipeline')
    return {'type': 'UnlabelledTarget', 'dataset': inner, 'pipeline': pipeline}


def train_pipeline(
    recipe: Mapping[str, Any],
    network: Mapping[str, Any],
    labelled: bool,
    classes: str | None = None,
) -> list:
    """Load, resize, crop, flip, pack.

    Args:
        recipe: Optional ``input_size`` (W, H), ``crop_size`` (H, W), ``flip`` (probability or
            bool), ``augment`` (further transforms before packing), ``pack`` (what packs instead).
        network: The network's ``network`` block, for its resize library and mode.
        labelled: Whether train ids are loaded too.
        classes: Class set of a network with fewer outputs; true labels are turned into its
            outputs (pseudo-labels already are outputs).
    """
    convention = network['input']
    steps: list[Config] = [{'type': 'LoadImage'}]
    if labelled:
        steps.append({'type': 'LoadTrainIds'})
    if labelled and classes:
        steps.append({'type': 'KeepClasses', 'classes': classes})
    if recipe.get('input_size'):
        steps.append(
            {
                'type': 'ResizeTo',
                'size': tuple(recipe['input_size']),
                'lib': convention['lib'],
                'mode': convention['mode'],
            }
        )
    if recipe.get('crop_size'):
        crop = {'type': 'RandomCrop', 'crop_size': tuple(recipe['crop_size'])}
        if labelled and recipe.get('cat_max_ratio'):
            crop['cat_max_ratio'] = recipe['cat_max_ratio']
        steps.append(crop)
    if recipe.get('flip'):
        probability = 0.5 if recipe['flip'] is True else float(recipe['flip'])
        steps.append({'type': 'RandomFlip', 'prob': probability})
    steps.extend(copy.deepcopy(list(recipe.get('augment', []))))
    pack = recipe.get('pack') or {'type': 'PackSegInputs', 'meta_keys': META_KEYS}
    steps.append(copy.deepcopy(pack))
    return steps


def with_confidence(steps: Sequence[Config]) -> list[Config]:
    """A training pipeline that also loads and packs the probabilities of its labels."""
    place = [step['type'] for step in steps].index('LoadTrainIds') + 1
    return [
        *steps[:place],
        {'type': 'LoadConfidence'},
        *steps[place:-1],
        {**steps[-1], 'type': 'PackWithConfidence'},
    ]


def with_soft_labels(steps: Sequence[Config]) -> list[Config]:
    """A training pipeline whose views take the soft labels of the whole image along."""
    place = [step['type'] for step in steps].index('LoadTrainIds') + 1
    return [
        *steps[:place],
        {'type': 'WithSoftLabels', 'transforms': list(steps[place:-1])},
        {**steps[-1], 'type': 'PackSoftLabels'},
    ]


def test_pipeline(protocol: InferenceProtocol, task: str) -> list[Config]:
    """Load, resize as the protocol says for this task; labels stay at their native size.

    A protocol of several views makes one input a view, in the order of its ``views``, unless the
    network's own input is resized: then one input stands for all.
    """
    size = protocol.size_by_task.get(task, protocol.size)
    on_tensor = protocol.resize is not None and protocol.resize.on_tensor
    ends = [*_labels(protocol), {'type': 'PackForTest', 'meta_keys': META_KEYS}]
    several = len(protocol.scales) > 1 or len(protocol.view_sizes) > 1 or protocol.flip
    if several and not on_tensor:
        return [{'type': 'LoadImage'}, _views(protocol, task, size, ends)]
    steps: list[Config] = [{'type': 'LoadImage'}]
    if size is not None and not on_tensor:
        steps.append(_resize(protocol, size))
    return [*steps, *ends]


def _labels(protocol: InferenceProtocol) -> list[Config]:
    """Labels at the size they are scored at."""
    steps: list[Config] = [{'type': 'LoadTrainIds'}]
    if protocol.score_at != 'native':
        steps.append({'type': 'ScoreAt', 'size': tuple(protocol.score_at)})
    return steps


def _resize(protocol: InferenceProtocol, size: tuple[int, int] | None) -> Config:
    how = protocol.resize
    if size is None or how is None:
        return {'type': 'ResizeTo', 'size': None}
    return {'type': 'ResizeTo', 'size': tuple(size), 'lib': how.lib, 'mode': how.mode}


def _views(
    protocol: InferenceProtocol, task: str, size: tuple[int, int] | None, ends: list[Config]
) -> Config:
    """``TestTimeAug`` over the protocol's sizes and mirrorings."""
    if size is None and protocol.scales != (1.0,):
        raise BenchError(
            f'inference protocol {protocol.ref} scales images of unknown size',
            'a `size`',
            'give it one, under a new version',
        )
    sizes = [None] if size is None else protocol.sizes(size, task)
    flips = [0.0, 1.0] if protocol.flip else [0.0]
    return {
        'type': 'TestTimeAug',
        'transforms': [
            [_resize(protocol, each) for each in sizes],
            [{'type': 'RandomFlip', 'prob': probability} for probability in flips],
            *[[step] for step in ends],
        ],
    }


def bare_dataset(spec: Mapping[str, Any], data_root: Path) -> Config:
    """A task's data-set block as a config without a pipeline, for what wraps it."""
    config = dataset_config(spec, data_root, [])
    config.pop('pipeline')
    return config


def stream_pipeline(protocol: InferenceProtocol, task: str, labels: bool) -> list[Config]:
    """A test pipeline with images or labels alone, packed with their place in the stream."""
    steps = test_pipeline(protocol, task)
    places = {'meta_keys': (*META_KEYS, 'round', 'position')}
    if steps[-1]['type'] == 'TestTimeAug':
        sizes, flips, *_, (pack,) = steps[-1]['transforms']
        pack = {**pack, **places}
        if labels:
            return [{'type': 'LoadTrainIds'}, pack]
        return [*steps[:-1], {**steps[-1], 'transforms': [sizes, flips, [pack]]}]
    keep = [step for step in steps[:-1] if (step['type'] == 'LoadTrainIds') == labels]
    return [*keep, {**steps[-1], **places}]
