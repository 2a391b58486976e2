"""Kind ``validate``: what label-free validators need of a checkpoint, from images without labels.

Sealed whatever the method's track is, and the network alone runs: no code of the method. So no
choice that rests on it can have seen a label.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from sfda_bench.plan import configs, pipelines
from sfda_bench.plan.model import StageDraft
from sfda_bench.plan.setup import Setup
from sfda_bench.store.filenames import ARTIFACTS

INIT, HANDS_ON, IN_METHODS, SHARED = 'last', False, False, False


def draft(setup: Setup, spec: Mapping[str, Any], parent: str | None) -> StageDraft:
    """The stage that passes once over the target's training images.

    Args:
        setup: Task, network, protocols.
        spec: ``of``, the title of what is examined; ``iteration`` of a checkpoint kept on the way.
        parent: Id of the stage that made it.
    """
    target = setup.task['target_train']
    pipeline = image_pipeline(setup)
    dataset = pipelines.dataset_config(target, setup.data_root, pipeline)
    stage = {
        **setup.stage_block('validate', 'validate', setup.images(target)),
        'sealed': True,
    }
    title, iteration = f'validate {spec["of"]}', spec.get('iteration')
    if iteration is not None:
        stage['iteration'] = iteration
        title += f' at {iteration}'
    config = configs.common(0, stage)
    config.update(
        model={'type': 'StatisticsPredictor', 'segmentor': copy.deepcopy(setup.model)},
        test_dataloader=configs.test_loader(pipelines.unlabelled(dataset), 1, setup.workers),
        test_cfg={'type': 'TestLoop'},
        test_evaluator={'type': 'StatisticsWriter', 'out_dir': ARTIFACTS},
        default_hooks=configs.test_hooks(),
    )
    data = {'adapt': setup.fingerprint(target, False)}
    return StageDraft(
        config, 'validate', title, data, parent, weights=configs.checkpoint_name(iteration)
    )


def image_pipeline(setup: Setup) -> list[dict[str, Any]]:
    """Images at the inference protocol's size, in one view, without labels."""
    one_view = {'scales': (1.0,), 'view_sizes': (), 'flip': False, 'score_at': 'native'}
    plain = setup.inference.model_copy(update=one_view)
    steps = pipelines.test_pipeline(plain, setup.task['name'])
    return [step for step in steps if step['type'] != 'LoadTrainIds']
