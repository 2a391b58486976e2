"""Kind ``stream``: a model meets the validation images one by one and adapts on the way.

The stage is sealed and sees images only; its predictions are files. A score stage, which is not
sealed, reads them together with the labels when the stream is over. A stream that was interrupted
continues from its last checkpoint.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from sfda_bench.errors import BenchError, require_known
from sfda_bench.plan import configs, pipelines
from sfda_bench.plan.method import Method
from sfda_bench.plan.model import StageDraft
from sfda_bench.plan.setup import Setup
from sfda_bench.scoring.protocols import InferenceProtocol
from sfda_bench.store.filenames import ARTIFACTS

INIT, HANDS_ON, IN_METHODS, SHARED = 'last', False, True, False
#: What each setting means: the resets that it allows, and its least and greatest number of rounds.
SETTINGS: dict[str, tuple[tuple[str, ...], int, int | None]] = {
    'online': (('never', 'condition'), 1, 1),
    'episodic': (('image',), 1, 1),
    'continual': (('never', 'condition'), 2, None),
}


def check(method: Method, specs: Sequence[Mapping[str, Any]]) -> None:
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


def draft(setup: Setup, spec: Mapping[str, Any], parent: str | None) -> StageDraft:
    """The stage that adapts while it predicts.

    Args:
        setup: Task, network, method, seed.
        spec: ``name``, ``adapter`` (a ``OnlineAdapter``), optional ``optim_wrapper``, ``rounds``,
            ``batch_size``, ``order`` (conditions; by default the task's ``stream_order``, else
            the order of the files), and ``several_views`` (the adapter's type where the inference
            protocol has several views, see :func:`adapter_of`).
        parent: The stage that it starts from.

    Raises:
        BenchError: Resets or rounds of another setting, or an inference protocol of several views
            which are not the adapter's own.
    """
    check_setting(setup.method, spec)
    adapter = adapter_of(setup, spec)
    target = setup.task['target_val']
    flow = {
        'order': spec.get('order') or setup.task.get('stream_order'),
        'rounds': spec.get('rounds', 1),
    }
    dataset = {
        'type': 'TargetStream',
        'dataset': pipelines.bare_dataset(target, setup.data_root),
        **flow,
        'pipeline': pipelines.stream_pipeline(setup.inference, setup.task['name'], labels=False),
    }
    at_once = {'upsample_steps': 1} if setup.inference.upsample_steps == 1 else {}
    stage = setup.stage_block('stream', spec['name'], setup.images(target))
    config = configs.common(setup.seed, stage)
    config.update(
        model=copy.deepcopy({**adapter, **at_once, 'segmentor': setup.model}),
        test_dataloader=configs.test_loader(dataset, spec.get('batch_size', 1), setup.workers),
        test_cfg={
            'type': 'OnlineAdaptLoop',
            'optim_wrapper': copy.deepcopy(spec.get('optim_wrapper')),
        },
        test_evaluator={'type': 'StreamWriter', 'out_dir': ARTIFACTS},
        default_hooks={**configs.test_hooks(), 'watch': {'type': 'WatchHook'}},
    )
    data = {'stream': setup.fingerprint(target, False)}
    return StageDraft(config, spec['name'], setup.title(spec['name']), data, parent, flow=flow)


def adapter_of(setup: Setup, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The adapter's config under the inference protocol.

    A stream predicts each image once, so a protocol of several views is one of a method that sees
    an image in several views itself and says by ``several_views`` which adapter takes them from the
    pipeline. They must be the same ones: then the protocol's passes are the method's own.

    Raises:
        BenchError: The protocol needs more than one plain view, and the method has no such adapter
            or other views.
    """
    protocol = setup.inference
    if protocol.model_copy(update={'upsample_steps': 2}).stock:
        return dict(spec['adapter'])
    found = f'inference protocol {protocol.ref} has several views, windows or class factors'
    other = spec.get('several_views')
    if other is None or not _of_views_alone(protocol):
        raise BenchError(
            found,
            'one plain view: a stream predicts each image once',
            'choose another protocol, or `averaging` in the adapter',
        )
    own, asked = spec['adapter'], _views(protocol)
    apart = [f'{n} {own.get(n)}, there {v}' for n, v in asked.items() if own.get(n) != v]
    if apart:
        raise BenchError(
            f'{found}, and {setup.method.name} predicts with others: {"; ".join(apart)}',
            'the views of the protocol: the prediction is made of them',
            'leave these settings as they are, or choose another protocol',
        )
    return {**spec['adapter'], 'type': other}


def _of_views_alone(protocol: InferenceProtocol) -> bool:
    """Whether a protocol is a mean of probabilities over scales and mirrorings, in windows."""
    one = {'scales': (1.0,), 'flip': False, 'window': None, 'fuse': 'none'}
    window = protocol.window
    square = window is None or all(len(set(side)) == 1 for side in (window.crop, window.stride))
    return (
        square
        and (protocol.fuse, protocol.fuse_at, protocol.score_at) == ('softmax', 'label', 'native')
        and not (protocol.view_sizes or protocol.rescale or protocol.aux_weight)
        and protocol.model_copy(update=one).stock
    )


def _views(protocol: InferenceProtocol) -> dict[str, Any]:
    """The fields of a protocol by the names that they have in an adapter."""
    window = protocol.window
    if window is None:
        windows: dict[str, Any] = {'window': None}
    else:
        windows = {'window': window.crop[0], 'stride': window.stride[0]}
    return {'scales': list(protocol.scales), 'flip': protocol.flip, **windows}
