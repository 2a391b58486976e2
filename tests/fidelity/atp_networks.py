"""The two networks of the ATP recordings: DAFormer and DeepLabV2, narrow and shallow."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfda_bench.networks.checkpoints.rename import rename_daformer
from sfda_bench.networks.declare import for_task
from sfda_bench.plan import catalog
from sfda_bench.plan.method import merge
from tests.fidelity.compare import vectors
from tests.fidelity.rules import fill, normal_weight, positions

FACTS, _ = vectors('atp')
SALT = 0x5BD1E995
#: The recorded networks: ours by name, with these widths and depths.
NETWORKS = {
    'daformer': (
        'daformer_b5',
        {
            'backbone': {'num_layers': [1, 1, 1, 1], 'drop_path_rate': 0.0},
            'decode_head': {'channels': 32, 'embed_dims': 32, 'dropout_ratio': 0.0},
        },
    ),
    'dlv2': (
        'deeplabv2_r101_v1c',
        {
            'backbone': {'depth': 50, 'stem_channels': 8, 'base_channels': 8},
            'decode_head': {'in_channels': 256},
        },
    ),
}
#: The authors' projector in ours, by its start.
PROJECTOR = {
    'auxiliary_head.convs.0.conv.': '0.',
    'auxiliary_head.convs.0.bn.': '1.',
    'auxiliary_head.convs.1.conv.': '3.',
    'auxiliary_head.convs.1.bn.': '4.',
}


def network(kind: str, task: str) -> dict[str, Any]:
    """Config of a recorded network."""
    name, changes = NETWORKS[kind]
    return merge(for_task(catalog.load('networks', name), task)['model'], changes)


def weight(name: str, noise: np.ndarray) -> np.ndarray:
    """The weights' rule: classifiers are six times as large."""
    classifier = re.search(r'(conv_seg|aspp_modules\.\d\.conv)\.weight$', name)
    return normal_weight(name, noise) * (6.0 if classifier else 1.0)


class Recorded:
    """A recorded network: its start, and where the recorded entries of its tensors are in ours.

    The converter of published weights places them: it is given tensors that number their entries.
    """

    def __init__(self, kind: str) -> None:
        facts = FACTS[f'nets_{kind}']
        shapes = {key: tuple(shape) for key, shape in facts['shapes'].items()}
        self.start = converted(fill(shapes, weight, np.float64))
        self.groups: dict[str, list[float]] = facts['groups']
        sizes = {k: math.prod(s) for k, s in shapes.items() if not k.endswith('batches_tracked')}
        *begins, total = np.cumsum([0, *sizes.values()])
        numbers = torch.arange(total).split(list(sizes.values()))
        ours = converted({k: n.view(shapes[k]) for k, n in zip(sizes, numbers, strict=True)})
        owner, index = np.zeros(total, dtype=np.int64), np.zeros(total, dtype=np.int64)
        for place, numbered in enumerate(ours.values()):
            owner[numbered.numpy()] = place
            index[numbered.flatten().numpy()] = np.arange(numbered.numel())
        self.places: dict[str, tuple[str, np.ndarray]] = {}
        for begin, (key, size) in zip(begins, sizes.items(), strict=True):
            taken = begin + positions(key, size, salt=SALT)
            (place,) = set(owner[taken])
            self.places[key] = (list(ours)[place], index[taken])

    def entries(self, state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        """The recorded entries of what is in our ``state``, by the authors' name."""
        return {
            key: state[name].detach().numpy().ravel()[taken]
            for key, (name, taken) in self.places.items()
            if name in state
        }


recorded = cache(Recorded)


def converted(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The authors' tensors under the names of the student and of its projector."""
    out = {}
    for key, value in rename_daformer(state).items():
        start = next((start for start in PROJECTOR if key.startswith(start)), None)
        if key.endswith('num_batches_tracked'):
            continue
        if start is None:
            out[f'student.{key}'] = value
        else:
            out[key.replace(start, f'projection_head.{PROJECTOR[start]}')] = value
    return out


def of_teacher(key: str) -> str:
    """Name of the teacher's tensor for one of the student's."""
    if key.startswith('student.'):
        return key.replace('student.', 'teacher.', 1)
    return f'teacher_{key}'
