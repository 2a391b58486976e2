"""Parts that the mmengine configs of several stage kinds share.

The result is a stock config: ``python tools/train.py runs/<id>/config.py`` runs it by itself. All
functions are pure: dictionaries in, dictionaries out.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sfda_bench.store.filenames import ARTIFACTS, COUNTS_NAME, FINAL_NAME, PREDICTIONS

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
    workers: int = 0,
) -> Config:
    """Config of a stage that trains: a source model, an oracle, or an adapter.

    Args:
        model: A segmentor or an adapter.
        dataset: Resolved data-set config.
        recipe: ``iters``, ``batch_size``, ``optim_wrapper``, optional ``param_scheduler``,
            ``hooks`` by name, ``keep`` (iterations whose weights are kept for curves).
        seed: Seed of weights, data order and augmentation.
        stage: Our own block (``kind``, ``name``, ``sealed``, ...).
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
        param_scheduler=schedulers(recipe.get('param_scheduler', []), iters),
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
        custom_hooks=hooks(recipe.get('hooks', {})),
    )
    return config


def hooks(stated: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[Config]:
    """A stage's hooks, stated by name or as a list."""
    items = stated.values() if isinstance(stated, Mapping) else stated
    return [copy.deepcopy(dict(item)) for item in items]


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


def schedulers(schedulers: Sequence[Mapping[str, Any]], iters: int) -> list[Config]:
    """Fill in ``end`` where a scheduler leaves it open: one beyond the last iteration.

    mmengine's schedules reach their end one step early, so a poly rate is then exactly
    ``(1 - i / iters) ** power`` at iteration i, as in the loops of the published programs.
    """
    out = []
    for scheduler in schedulers:
        item = dict(copy.deepcopy(dict(scheduler)))
        item.setdefault('by_epoch', False)
        item.setdefault('end', iters + 1)
        out.append(item)
    return out
