"""Stages of kind ``stream``: a model meets the validation images one by one and adapts on the way.

The stage is sealed and sees images only; its predictions are files. A score stage, which is not
sealed, reads them together with the labels when the stream is over. A stream that was interrupted
starts again from its beginning.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfda_bench.errors import BenchError, require_known
from sfda_bench.networks.declare import prediction_map
from sfda_bench.suite import compose, pipelines
from sfda_bench.suite.method import Method
from sfda_bench.suite.names import ARTIFACTS, PREDICTIONS
from sfda_bench.suite.stages import Entry

if TYPE_CHECKING:
    from sfda_bench.suite.chain import Chain
    from sfda_bench.suite.planner import Planner

Spec = dict[str, Any]
#: What each setting means: the resets that it allows, and its least and greatest number of rounds.
SETTINGS: dict[str, tuple[tuple[str, ...], int, int | None]] = {
    'online': (('never', 'condition'), 1, 1),
    'episodic': (('image',), 1, 1),
    'continual': (('never', 'condition'), 2, None),
}
META_KEYS = (*pipelines.META_KEYS, 'round', 'position')


def check_kinds(method: Method, specs: list[Spec]) -> None:
    """A test-time method is one stream, and nobody else has any.

    Raises:
        BenchError: Otherwise; or the card's setting does not fit its track.
    """
    card = method.card
    streams = sum(spec.get('kind') == 'stream' for spec in specs)
    test_time = card.track == 'test-time'
    if streams != test_time or (test_time and len(specs) != 1):
        raise BenchError(
            f'method {method.name} of track {card.track} has {len(specs)} stages, {streams} of '
            'kind stream',
            'one stage of kind stream for track test-time, none for the others',
            f'mend {method.file}',
        )
    if test_time != (card.setting != 'offline'):
        raise BenchError(
            f'method {method.name} of track {card.track} has the setting {card.setting}',
            f'one of {", ".join(SETTINGS)} for track test-time, offline for the others',
            f'mend `setting` in the card in {method.file}',
        )


def check_setting(method: Method, spec: Mapping[str, Any]) -> None:
    """Refuse a stream whose resets or rounds are not those of the card's setting."""
    setting = method.card.setting
    resets, least, most = SETTINGS[require_known('setting', setting, SETTINGS)]
    reset_on = spec['adapter'].get('reset_on', 'never')
    rounds = spec.get('rounds', 1)
    if reset_on not in resets or rounds < least or (most is not None and rounds > most):
        raise BenchError(
            f'method {method.name}: reset_on={reset_on}, rounds={rounds}, setting {setting}',
            f'reset_on {" or ".join(resets)}, {least if most else f"{least} or more"} round(s)',
            f'mend {method.file}, or choose the variant of another setting',
        )


def add(chain: Chain, spec: Spec, parent: str | None) -> str:
    """Plan a stream and return its id.

    Args:
        chain: The entry's stages so far.
        spec: ``name``, ``adapter`` (a ``TestTimeAdapter``), optional ``optim_wrapper``, ``rounds``,
            ``batch_size``, and ``order`` (conditions; by default the task's ``stream_order``, else
            the order of the files).
        parent: The stage it starts from.
    """
    planner, entry = chain.planner, chain.entry
    check_setting(entry.method, spec)
    if entry.inference.fuse != 'none':
        raise BenchError(
            f'inference protocol {entry.inference.ref} shows several views of an image',
            'one view: a stream predicts each image once',
            'choose another protocol, or `averaging` in the adapter',
        )
    target = entry.task['target_val']
    pipeline = _pipeline(pipelines.test_pipeline(entry.inference, entry.task['name']), False)
    dataset = pipelines.dataset_config(target, planner.data_root, [])
    dataset.pop('pipeline')
    chain.flow = {
        'order': spec.get('order') or entry.task.get('stream_order'),
        'rounds': spec.get('rounds', 1),
    }
    config = stream_config(
        model={**spec['adapter'], 'segmentor': chain.network['model']},
        dataset={'type': 'TargetStream', 'dataset': dataset, **chain.flow, 'pipeline': pipeline},
        optim_wrapper=spec.get('optim_wrapper'),
        batch_size=spec.get('batch_size', 1),
        seed=entry.key.seed,
        stage=chain.block('stream', spec['name'], planner.grants(target)),
        load_from=planner.final(parent),
        workers=planner.workers,
    )
    chain.stream = spec['name']
    return chain.register(config, spec['name'], parent, {'stream': planner.data(target, False)})


def score(planner: Planner, entry: Entry, chain: Chain) -> str:
    """Plan the stage that scores what a stream predicted and return its id."""
    target = entry.task['target_val']
    inner = pipelines.dataset_config(target, planner.data_root, [])
    inner.pop('pipeline')
    steps = pipelines.test_pipeline(entry.inference, entry.task['name'])
    name = str(chain.stream)
    stream_id = chain.named[name]
    config = compose.score_config(
        model={'type': 'SavedPredictions', 'folder': f'stage://{name}/{ARTIFACTS}/{PREDICTIONS}'},
        dataset={
            'type': 'LabelledStream',
            'dataset': inner,
            **chain.flow,
            'pipeline': _pipeline(steps, True),
        },
        protocol=entry.inference,
        prediction_map=prediction_map(chain.network['network'], entry.task),
        num_classes=len(entry.scoring.labels),
        load_from=None,
        workers=planner.workers,
    )
    return planner.register(
        config,
        f'score {planner.stages[stream_id].title}',
        [stream_id],
        {'score': planner.data(target, True)},
        places={name: planner.store.path(stream_id)},
    )


def _pipeline(steps: list[Spec], labels: bool) -> list[Spec]:
    """A test pipeline with images or labels alone, packed with their place in the stream."""
    keep = [step for step in steps[:-1] if (step['type'] == 'LoadTrainIds') == labels]
    return [*keep, {**steps[-1], 'meta_keys': META_KEYS}]


def stream_config(
    *,
    model: Spec,
    dataset: Spec,
    optim_wrapper: Mapping[str, Any] | None,
    batch_size: int,
    seed: int,
    stage: Spec,
    load_from: Path | None,
    workers: int = 0,
) -> Spec:
    """Config of a stage that adapts while it predicts.

    Args:
        model: A ``TestTimeAdapter`` with its segmentor.
        dataset: The unlabelled stream.
        optim_wrapper: For methods with gradients.
        batch_size: Images that arrive together.
        seed: Seed of the entry.
        stage: Our own block.
        load_from: The checkpoint it starts from.
        workers: Loader workers.
    """
    config = compose.common(seed, stage)
    config.update(
        model=copy.deepcopy(model),
        test_dataloader=compose.test_loader(dataset, batch_size, workers),
        test_cfg={'type': 'OnlineAdaptLoop', 'optim_wrapper': copy.deepcopy(optim_wrapper)},
        test_evaluator={'type': 'StreamWriter', 'out_dir': ARTIFACTS},
        default_hooks={**compose.test_hooks(), 'watch': {'type': 'WatchHook'}},
        load_from=str(load_from) if load_from else None,
    )
    return config
