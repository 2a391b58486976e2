"""Kind ``label``: one pass over the target's training images that writes files for later stages."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from sfda_bench.errors import BenchError
from sfda_bench.plan import configs
from sfda_bench.plan.model import StageDraft
from sfda_bench.plan.setup import Setup
from sfda_bench.plan.training_data import training_data
from sfda_bench.store.filenames import ARTIFACTS

INIT, HANDS_ON, IN_METHODS, SHARED = 'last', False, True, False


def draft(setup: Setup, spec: Mapping[str, Any], parent: str | None) -> StageDraft:
    """The stage that labels.

    Args:
        setup: Task, network, method, seed.
        spec: ``name``; ``writer``, the metric that receives the predictions and whose ``out_dir``
            becomes the stage's ``artifacts``; optional ``adapter`` whose ``predict`` does more than
            the plain network's, ``data``, ``batch_size``, and ``seeded`` for writers that draw.
        parent: The stage whose checkpoint predicts.

    Raises:
        BenchError: It starts from no weights.
    """
    if parent is None:
        raise BenchError(f'labelling stage {spec["name"]} starts from no weights', 'a stage')
    recipe = {**setup.sized(spec, setup.task['target_train']), 'crop_size': None, 'flip': False}
    dataset, data, grants = training_data(setup, spec.get('data', 'target'), recipe)
    model = setup.model
    if 'adapter' in spec:
        model = {**spec['adapter'], 'segmentor': model}
    stage = setup.stage_block('label', spec['name'], grants)
    config = configs.common(setup.seed if spec.get('seeded') else 0, stage)
    config.update(
        model=copy.deepcopy(model),
        test_dataloader=configs.test_loader(dataset, spec.get('batch_size', 1), setup.workers),
        test_cfg={'type': 'TestLoop'},
        test_evaluator={**copy.deepcopy(spec['writer']), 'out_dir': ARTIFACTS},
        default_hooks=configs.test_hooks(),
    )
    return StageDraft(config, spec['name'], setup.title(spec['name']), data, parent)
