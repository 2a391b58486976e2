"""A reported row's test, field by field: what its network, protocols and task come to.

Side by side with an authors' evaluation script this says whether the same thing is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sfda_bench.board.reported import UNKNOWN, ReportedRow
from sfda_bench.networks.declare import for_task
from sfda_bench.plan import catalog
from sfda_bench.scoring.protocols import (
    InferenceProtocol,
    ScoringProtocol,
    load_inference,
    load_scoring,
)

LIBRARIES = {'pillow': 'Pillow', 'cv2': 'OpenCV', 'torch': 'torch'}
PLACES = {'features': "the head's map", 'input': 'the input size', 'label': "the label's size"}
CHOICES = {
    'last': 'last',
    'online': 'as the stream goes',
    'best_val_labels': 'best on the validation labels (here a bound)',
    UNKNOWN: 'unknown: last and best are both tried',
}
NONE = 'none'


def resolved(told: ReportedRow) -> dict[str, str]:
    """The fields of a judgeable row's test, as text.

    Args:
        told: A row whose task, network and protocols are known and built here.
    """
    task = str(told.task_id)
    network = for_task(catalog.load('networks', str(told.network)), task)['network']
    inference, scoring = load_inference(told.inference), load_scoring(told.scoring)
    return {
        'input': _input(network['input']),
        **_resizing(inference, task),
        **_views(inference),
        **_enlarging(inference, bool(network['align_corners'])),
        **_scoring(inference, scoring),
        'checkpoint': CHOICES[told.selection],
        'split': told.split,
    }


def _input(declared: Mapping[str, Any]) -> str:
    """Channel order, mean and standard deviation, in the network's channel order."""
    mean, std = (', '.join(f'{float(x):.1f}' for x in declared[name]) for name in ('mean', 'std'))
    return f'{str(declared["channel_order"]).upper()}, mean {mean}, std {std}'


def _resizing(inference: InferenceProtocol, task: str) -> dict[str, str]:
    resize = inference.resize
    size = inference.size_by_task.get(task, inference.size)
    antialias = ', anti-aliased' if resize and resize.antialias else ''
    return {
        'what is resized': NONE if resize is None else 'tensor' if resize.on_tensor else 'image',
        'library': LIBRARIES[resize.lib] if resize else NONE,
        'interpolation': f'{resize.mode}{antialias}' if resize else NONE,
        'size': f'{size[0]}x{size[1]}' if size else "the image's own",
    }


def _views(inference: InferenceProtocol) -> dict[str, str]:
    scales = ', '.join(f'{scale:g}' for scale in inference.scales)
    if any(scale != round(scale) for scale in inference.scales):
        scales += {'floor': ', rounded down', 'round': '', 'half_up': ', half rounded up'}[
            inference.rounding
        ]
    window = inference.window
    fused = f'{inference.fuse}, at {PLACES[inference.fuse_at]}'
    return {
        'mirrored views': 'yes' if inference.flip else 'no',
        'scales': scales,
        'window': NONE if window is None else f'{window.crop}, stride {window.stride}',
        'fused': NONE if inference.fuse == 'none' else fused.replace('softmax', 'soft-max'),
        'class factors': 'one a class' if inference.rescale else NONE,
    }


def _enlarging(inference: InferenceProtocol, corners: bool) -> dict[str, str]:
    steps = {1: '1: to the label', 2: '2: to the input, to the label'}[inference.upsample_steps]
    aligned = corners if inference.align_corners == 'network' else inference.align_corners
    return {
        'enlarged by': inference.upsample,
        'upsampling steps': steps,
        'align_corners': str(aligned).lower(),
    }


def _scoring(inference: InferenceProtocol, scoring: ScoringProtocol) -> dict[str, str]:
    size = inference.score_at
    masked = f'truth outside of {len(scoring.kept_rows)} classes void, ' * (
        scoring.convention == 'masked'
    )
    mean = 'mean of the conditions' if scoring.mean_of == 'conditions' else 'one matrix'
    return {
        'scored at': "the label's own size" if size == 'native' else f'{size[0]}x{size[1]}',
        'classes': str(len(scoring.class_names)),
        'averaging': f'{masked}{mean}, mean IoU',
    }
