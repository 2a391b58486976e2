"""From task, network, method and protocol to a resolved mmengine config.

The result is a stock config: ``python tools/train.py runs/<id>/config.py`` runs it by itself. All
functions are pure: dictionaries in, dictionaries out.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sfda_bench.data.layout import require_root
from sfda_bench.scoring.protocols import InferenceProtocol

Config = dict[str, Any]

META_KEYS = (
    'img_path', 'sample_id', 'condition', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor',
    'flip', 'flip_direction',
)  # fmt: skip
FINAL_NAME = 'final.pth'
COUNTS_NAME = 'counts.npz'


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


def train_pipeline(recipe: Mapping[str, Any], network: Mapping[str, Any], labelled: bool) -> list:
    """Load, resize, crop, flip, pack.

    Args:
        recipe: Optional ``input_size`` (W, H), ``crop_size`` (H, W), ``flip`` (probability or
            bool), ``augment`` (further transforms before packing).
        network: The network's ``network`` block, for its resize library and mode.
        labelled: Whether train ids are loaded too.
    """
    convention = network['input']
    steps: list[Config] = [{'type': 'LoadImage'}]
    if labelled:
        steps.append({'type': 'LoadTrainIds'})
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
    steps.append({'type': 'PackSegInputs', 'meta_keys': META_KEYS})
    return steps


def test_pipeline(protocol: InferenceProtocol, task: str) -> list[Config]:
    """Load, resize as the protocol says for this task; labels stay at their native size."""
    steps: list[Config] = [{'type': 'LoadImage'}]
    size = protocol.size_by_task.get(task, protocol.size)
    if size is not None and protocol.resize is not None:
        resize = protocol.resize
        steps.append(
            {'type': 'ResizeTo', 'size': tuple(size), 'lib': resize.lib, 'mode': resize.mode}
        )
    steps.append({'type': 'LoadTrainIds'})
    steps.append({'type': 'PackSegInputs', 'meta_keys': META_KEYS})
    return steps


def _common(seed: int, stage: Config) -> Config:
    return {
        'default_scope': 'sfda_bench',
        'custom_imports': {'imports': ['sfda_bench.registry'], 'allow_failed_imports': False},
        'env_cfg': {
            'cudnn_benchmark': False,
            'mp_cfg': {'mp_start_method': 'fork', 'opencv_num_threads': 0},
            'dist_cfg': {'backend': 'nccl'},
        },
        'log_level': 'INFO',
        'log_processor': {'by_epoch': False},
        'visualizer': {'type': 'mmengine.Visualizer', 'vis_backends': []},
        'randomness': {'seed': seed},
        'work_dir': '',
        'load_from': None,
        'resume': False,
        'stage': stage,
    }


def train_config(
    *,
    model: Config,
    dataset: Config,
    recipe: Mapping[str, Any],
    seed: int,
    stage: Config,
    load_from: Path | None = None,
    workers: int = 0,
) -> Config:
    """Config of a stage that trains: a source model, an oracle, or an adapter.

    Args:
        model: A segmentor or an adapter.
        dataset: Resolved data-set config.
        recipe: ``iters``, ``batch_size``, ``optim_wrapper``, optional ``param_scheduler``,
            ``hooks``, ``keep`` (iterations whose weights are kept for curves).
        seed: Seed of weights, data order and augmentation.
        stage: Our own block (``kind``, ``name``, ``sealed``, ...).
        load_from: Parent checkpoint.
        workers: Loader workers; does not influence the result.
    """
    iters = int(recipe['iters'])
    config = _common(seed, stage)
    config.update(
        model=_stackable(model),
        train_dataloader={
            'batch_size': int(recipe['batch_size']),
            'num_workers': workers,
            'persistent_workers': workers > 0,
            'pin_memory': False,
            'sampler': {'type': 'ResumableSampler', 'shuffle': True, 'seed': seed},
            'dataset': dataset,
        },
        train_cfg={'type': 'IterBasedTrainLoop', 'max_iters': iters, 'val_interval': iters + 1},
        optim_wrapper=copy.deepcopy(recipe['optim_wrapper']),
        param_scheduler=_schedulers(recipe.get('param_scheduler', []), iters),
        default_hooks={
            'timer': {'type': 'IterTimerHook'},
            'logger': {'type': 'LoggerHook', 'interval': max(1, min(50, iters // 10))},
            'param_scheduler': {'type': 'ParamSchedulerHook'},
            'checkpoint': {
                'type': 'StageCheckpointHook',
                'interval': max(1, min(500, iters // 5)),
                'keep': list(recipe.get('keep', [])),
            },
            'sampler_seed': None,
            'watch': {'type': 'WatchHook'},
            'progress': {'type': 'ProgressHook'},
            'export': {'type': 'ExportHook'},
        },
        custom_hooks=copy.deepcopy(list(recipe.get('hooks', []))),
        load_from=str(load_from) if load_from else None,
    )
    return config


def _stackable(model: Config) -> Config:
    """A copy whose data preprocessor stacks training images of one size without padding."""
    model = copy.deepcopy(model)
    segmentor = model.get('segmentor', model)
    preprocessor = segmentor['data_preprocessor']
    if 'size' not in preprocessor:
        preprocessor.setdefault('size_divisor', 1)
    return model


def convert_config(model: Config, source: Mapping[str, Any], data_root: Path) -> Config:
    """Config of a source stage that converts a published checkpoint instead of training one.

    Args:
        model: The plain segmentor it must fit, strictly.
        source: ``checkpoint`` (below the data root), ``sha256``, ``converter``, ``origin``.
        data_root: Folder of all data sets.
    """
    stage = {
        'kind': 'source',
        'name': 'source',
        'sealed': False,
        'convert': {'sha256': source['sha256'], 'converter': source['converter']},
        'convert_from': str(Path(data_root) / source['checkpoint']),
        'origin': source.get('origin', ''),
    }
    config = _common(0, stage)
    config['model'] = copy.deepcopy(model)
    return config


def place(config: Config, work_dir: Path) -> Config:
    """The config with its paths below ``work_dir`` (they are not part of the identity)."""
    config['work_dir'] = str(work_dir)
    if 'test_evaluator' in config:
        config['test_evaluator']['out_file'] = str(work_dir / COUNTS_NAME)
    return config


def _schedulers(schedulers: Sequence[Mapping[str, Any]], iters: int) -> list[Config]:
    """Fill in ``end`` where a scheduler leaves it open: the last iteration of the stage."""
    out = []
    for scheduler in schedulers:
        item = dict(copy.deepcopy(dict(scheduler)))
        item.setdefault('by_epoch', False)
        item.setdefault('end', iters)
        out.append(item)
    return out


def score_config(
    *,
    model: Config,
    dataset: Config,
    protocol: InferenceProtocol,
    task: Mapping[str, Any],
    num_classes: int,
    stage: Config,
    load_from: Path,
    workers: int = 0,
) -> Config:
    """Config of a stage that predicts the target's validation images and counts confusions.

    Args:
        model: The plain segmentor.
        dataset: Resolved, labelled data-set config.
        protocol: How to predict.
        task: The task block (``prediction_map``).
        num_classes: Classes of the label space.
        stage: Our own block.
        load_from: The checkpoint to score.
        workers: Loader workers.
    """
    config = _common(0, stage)
    config.update(
        model=copy.deepcopy(model),
        test_dataloader={
            'batch_size': 1,
            'num_workers': workers,
            'persistent_workers': workers > 0,
            'pin_memory': False,
            'sampler': {'type': 'DefaultSampler', 'shuffle': False},
            'dataset': dataset,
        },
        test_cfg={'type': 'TestLoop'},
        test_evaluator={
            'type': 'ConfusionMetric',
            'num_classes': num_classes,
            'prediction_map': task.get('prediction_map'),
            'out_file': COUNTS_NAME,
        },
        default_hooks={
            'timer': {'type': 'IterTimerHook'},
            'logger': {'type': 'LoggerHook', 'interval': 50},
            'param_scheduler': None,
            'checkpoint': None,
            'sampler_seed': None,
            'progress': {'type': 'ProgressHook'},
        },
        load_from=str(load_from),
    )
    return config
