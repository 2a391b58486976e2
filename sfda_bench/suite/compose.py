"""From task, network, method and protocol to a resolved mmengine config.

The result is a stock config: ``python tools/train.py runs/<id>/config.py`` runs it by itself. All
functions are pure: dictionaries in, dictionaries out.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sfda_bench.scoring.protocols import InferenceProtocol
from sfda_bench.suite.names import ARTIFACTS, COUNTS_NAME, FINAL_NAME, PREDICTIONS

Config = dict[str, Any]


def common(seed: int, stage: Config) -> Config:
    """What the configs of all stages share."""
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
    config = common(seed, stage)
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


def label_config(
    *,
    model: Config,
    dataset: Config,
    writer: Config,
    batch_size: int,
    seed: int,
    stage: Config,
    load_from: Path | None,
    workers: int = 0,
) -> Config:
    """Config of a stage that passes over the target once and writes files for later stages.

    Args:
        model: The plain segmentor, or an adapter whose ``predict`` does more.
        dataset: Unlabelled.
        writer: Config of the metric that receives the predictions; its ``out_dir`` is set to the
            stage's ``artifacts`` folder.
        batch_size: Images a forward.
        seed: Seed, for writers that draw.
        stage: Our own block.
        load_from: The checkpoint that predicts.
        workers: Loader workers.
    """
    config = common(seed, stage)
    config.update(
        model=copy.deepcopy(model),
        test_dataloader=test_loader(dataset, batch_size, workers),
        test_cfg={'type': 'TestLoop'},
        test_evaluator={**copy.deepcopy(writer), 'out_dir': ARTIFACTS},
        default_hooks=test_hooks(),
        load_from=str(load_from) if load_from else None,
    )
    return config


def test_loader(dataset: Config, batch_size: int, workers: int) -> Config:
    """Loader that passes over a data set once, in order."""
    return {
        'batch_size': batch_size,
        'num_workers': workers,
        'persistent_workers': workers > 0,
        'pin_memory': False,
        'sampler': {'type': 'DefaultSampler', 'shuffle': False},
        'dataset': dataset,
    }


def test_hooks() -> Config:
    """Hooks of stages that pass over a data set once."""
    return {
        'timer': {'type': 'IterTimerHook'},
        'logger': {'type': 'LoggerHook', 'interval': 50},
        'param_scheduler': None,
        'checkpoint': None,
        'sampler_seed': None,
        'progress': {'type': 'ProgressHook'},
    }


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
        'convert': {'sha256': source.get('sha256'), 'converter': source['converter']},
        'convert_from': str(Path(data_root) / source['checkpoint']),
        'origin': source.get('origin', ''),
    }
    config = common(0, stage)
    config['model'] = copy.deepcopy(model)
    return config


def initial_config(model: Config, init: Mapping[str, Any], seed: int, data_root: Path) -> Config:
    """Config of a stage that makes a network's initial weights: drawn, or ImageNet-type ones.

    Args:
        model: The plain segmentor; heads, and whatever the file lacks, are drawn.
        init: As the source of :func:`convert_config`; empty = everything is drawn.
        seed: Seed of the draws.
        data_root: Folder of all data sets.
    """
    stage: Config = {'kind': 'source', 'name': 'initial', 'sealed': False, 'initial': {}}
    if init:
        stage['initial'] = {'sha256': init.get('sha256'), 'converter': init['converter']}
        stage['convert_from'] = str(Path(data_root) / init['checkpoint'])
        stage['origin'] = init.get('origin', '')
    config = common(seed, stage)
    config['model'] = copy.deepcopy(model)
    return config


def checkpoint_name(iteration: int | None = None) -> str:
    """File of a stage's last checkpoint, or of the one kept at an iteration."""
    return FINAL_NAME if iteration is None else f'iter_{iteration}.pth'


def place(config: Config, work_dir: Path) -> Config:
    """The config with its paths below ``work_dir`` (they are not part of the identity)."""
    config['work_dir'] = str(work_dir)
    if 'test_evaluator' in config:
        evaluator = config['test_evaluator']
        if 'out_dir' in evaluator:
            evaluator['out_dir'] = str(work_dir / ARTIFACTS)
        else:
            evaluator['out_file'] = str(work_dir / COUNTS_NAME)
            evaluator['save_predictions'] = str(work_dir / PREDICTIONS)
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
    prediction_map: Sequence[int] | None,
    num_classes: int,
    load_from: Path | None,
    workers: int = 0,
) -> Config:
    """Config of a stage that predicts the target's validation images and counts confusions.

    Args:
        model: The plain segmentor, or what replays predictions made before.
        dataset: Resolved, labelled data-set config.
        protocol: How to predict.
        prediction_map: Class of the label space of each output, ``None`` = the outputs themselves.
        num_classes: Classes of the label space.
        load_from: The checkpoint to score; ``None`` for a model that has no weights.
        workers: Loader workers.
    """
    stage = {
        'kind': 'score',
        'name': 'score',
        'sealed': False,
        'inference': protocol.ref,
        'inference_digest': protocol.digest,
    }
    config = common(0, stage)
    model = copy.deepcopy(model)
    if protocol.fuse != 'none':
        model = {
            'type': 'FusedViews',
            'module': model,
            'fuse': protocol.fuse,
            'aux_weight': protocol.aux_weight,
        }
    config.update(
        model=model,
        test_dataloader=test_loader(dataset, 1, workers),
        test_cfg={'type': 'TestLoop'},
        test_evaluator={
            'type': 'ConfusionMetric',
            'num_classes': num_classes,
            'prediction_map': prediction_map,
            'out_file': COUNTS_NAME,
            'save_predictions': PREDICTIONS,
        },
        default_hooks=test_hooks(),
        load_from=str(load_from) if load_from else None,
    )
    return config
