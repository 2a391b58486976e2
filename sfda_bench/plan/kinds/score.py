"""Kind ``score``: predicts the target's validation images and counts confusions."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from sfda_bench.networks.declare import prediction_map
from sfda_bench.plan import configs, pipelines
from sfda_bench.plan.model import StageDraft
from sfda_bench.plan.setup import Setup
from sfda_bench.scoring.protocols import InferenceProtocol
from sfda_bench.store.filenames import ARTIFACTS, COUNTS_NAME, PREDICTIONS

INIT, HANDS_ON, IN_METHODS, SHARED = 'last', False, False, True


def draft(setup: Setup, spec: Mapping[str, Any], parent: str | None) -> StageDraft:
    """The stage that scores a checkpoint, or what a stream predicted.

    Args:
        setup: Task, network, protocols.
        spec: ``of``, the title of what is scored; ``iteration`` of a checkpoint that was kept on
            the way; or ``stream`` and ``flow``, name and order of a stream whose predictions are
            scored.
        parent: Id of the stage that made them.
    """
    if 'stream' in spec:
        return _of_stream(setup, spec, str(parent))
    iteration, target = spec.get('iteration'), setup.task['target_val']
    pipeline = pipelines.test_pipeline(setup.inference, setup.task['name'])
    dataset = pipelines.dataset_config(target, setup.data_root, pipeline)
    config = score_config(setup, predictor(setup.model, setup.inference), dataset)
    title = f'score {spec["of"]}'
    if iteration is not None:
        config['stage']['iteration'] = iteration
        title += f' at {iteration}'
    data = {'score': setup.fingerprint(target, True)}
    return StageDraft(
        config, 'score', title, data, parent, weights=configs.checkpoint_name(iteration)
    )


def predictor(model: Mapping[str, Any], protocol: InferenceProtocol) -> dict[str, Any]:
    """The segmentor's config, wrapped where mmseg's own inference is not the protocol's."""
    module = copy.deepcopy(dict(model))
    if protocol.stock:
        return module
    return {'type': 'ProtocolSegmentor', 'module': module, 'options': protocol.options()}


def _of_stream(setup: Setup, spec: Mapping[str, Any], stream: str) -> StageDraft:
    target, name = setup.task['target_val'], spec['stream']
    model = {'type': 'SavedPredictions', 'folder': f'stage://{name}/{ARTIFACTS}/{PREDICTIONS}'}
    dataset = {
        'type': 'LabelledStream',
        'dataset': pipelines.bare_dataset(target, setup.data_root),
        **spec['flow'],
        'pipeline': pipelines.stream_pipeline(setup.inference, setup.task['name'], labels=True),
    }
    return StageDraft(
        score_config(setup, model, dataset),
        'score',
        f'score {spec["of"]}',
        {'score': setup.fingerprint(target, True)},
        reads={name: stream},
    )


def score_config(setup: Setup, model: dict[str, Any], dataset: dict[str, Any]) -> dict[str, Any]:
    """Config of a stage that predicts labelled images and counts confusions.

    Args:
        setup: Network and protocols.
        model: The segmentor, or what replays predictions made before.
        dataset: Resolved, labelled data-set config.
    """
    stage = {
        'kind': 'score',
        'name': 'score',
        'sealed': False,
        'inference': setup.inference.ref,
        'inference_digest': setup.inference.digest,
    }
    config = configs.common(0, stage)
    config.update(
        model=model,
        test_dataloader=configs.test_loader(dataset, 1, setup.workers),
        test_cfg={'type': 'TestLoop'},
        test_evaluator={
            'type': 'ConfusionMetric',
            'num_classes': len(setup.scoring.labels),
            'prediction_map': prediction_map(setup.block, setup.task),
            'out_file': COUNTS_NAME,
            'save_predictions': PREDICTIONS,
        },
        default_hooks=configs.test_hooks(),
    )
    return config
