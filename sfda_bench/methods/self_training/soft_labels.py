"""Soft labels of whole images: predicted and stored coarsely, evaluated where a view looks.

Zou et al., CRST, ICCV 2019 (LRENT); official code ``label_selection`` and ``GTA5StMineDataSet``:
the labels are made once a round, from the prediction of the whole image, and follow its image into
every view. The code keeps them at full size, 160 MB an image; here the logarithms of the
probabilities are kept at the resolution of the network's head, about 1 MB, and enlarged as the head
enlarges its logits, in the window of the view alone.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sfda_bench.adapt.host import fetched
from sfda_bench.adapt.predictor import ProbabilityPredictor
from sfda_bench.adapt.pseudo_label import PseudoLabelWriter
from sfda_bench.atomic import write_with
from sfda_bench.errors import BenchError
from sfda_bench.registry import METRICS, MODELS

SOFT_NAME = 'soft'
ARRAY = 'log_probabilities'


@MODELS.register_module()
class SoftLabelPredictor(ProbabilityPredictor):
    """Predict as the base, and give ``log_probabilities`` at the head's resolution besides.

    Args:
        segmentor: Config of the network.
        scale: See the base.
        flip: Likewise.
        at: Likewise.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        scale: float = 1.0,
        flip: bool = False,
        at: Literal['file', 'input'] = 'file',
    ) -> None:
        super().__init__(segmentor, scale=scale, flip=flip, at=at)
        self.coarse: list[Tensor] = []

    def logits(self, images: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """As the base; log-probabilities before enlarging are noted in ``coarse``."""
        output = super().logits(images)
        self.coarse.append(output.log_softmax(dim=1))
        return output if size is None else self.resized(output, size)

    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """The samples with ``probabilities`` and ``log_probabilities`` (C, h, w) float16."""
        samples = data_samples or []
        for index, sample in enumerate(samples):
            self.coarse = []
            super().predict(inputs[index : index + 1], [sample])
            logs = self.coarse[0]
            if self.flip:
                # the logarithm of the mean probability
                logs = torch.logaddexp(logs, self.coarse[1].flip(dims=(3,))) - math.log(2)
            sample.set_data({ARRAY: logs[0].half()})
        self.coarse = []
        return samples


@METRICS.register_module()
class SoftLabelWriter(PseudoLabelWriter):
    """Write ``soft/<sample_id>.npz`` beside the labels of the base: float16 (C, h, w).

    The thresholds and alpha are applied where the labels are used.

    Args:
        out_dir: See the base.
        thresholds: Likewise.
        alpha: Likewise; which pixels are kept depends on it.
    """

    # without `rule`, `ties` and `prior`: a prior of the file's size does not fit the stored maps
    def __init__(self, out_dir: str, thresholds: str, alpha: float = 0.25) -> None:
        super().__init__(out_dir, thresholds, rule='lrent', alpha=alpha)

    def on_host(self, labels: Tensor, sample: dict) -> np.ndarray:
        """The labels; the soft ones are written."""
        hard, logs = fetched(labels.to(torch.uint8), sample.pop(ARRAY))
        path = self.out_dir / SOFT_NAME / f'{sample["sample_id"]}.npz'
        write_with(path, functools.partial(_save, logs=logs))
        return hard


def _save(path: Path, logs: np.ndarray) -> None:
    with path.open('wb') as stream:  # a stream: numpy would add a suffix to a name
        np.savez(stream, log_probabilities=logs)


def soft_window(
    logs: Tensor,
    rows: Tensor,
    columns: Tensor,
    size: tuple[int, int],
    theta: Tensor,
    alpha: float,
    align_corners: bool,
) -> Tensor:
    """Soft labels ``(p / theta)^(1 / alpha)``, normalised, at places of an image.

    Args:
        logs: Logarithms of its probabilities (C, h, w).
        rows: Row of the image file that each row of the view looks at, fractional (H,).
        columns: Likewise (W,).
        size: (height, width) of the file.
        theta: Thresholds (C,).
        alpha: Weight of the label's entropy.
        align_corners: How the head enlarges its logits.

    Returns:
        (C, H, W), of the type of ``theta``.
    """
    table = logs.to(theta)
    for axis, places in ((1, rows), (2, columns)):
        table = _along(table, axis, places.to(theta), size[axis - 1], align_corners)
    return ((table - theta.log().view(-1, 1, 1)) / alpha).softmax(dim=0)


def _along(table: Tensor, axis: int, places: Tensor, size: int, align_corners: bool) -> Tensor:
    """Linear interpolation of ``table`` (C, h, w) along an axis at ``places`` of ``size``."""
    cells = table.shape[axis]
    if align_corners:
        place = places * ((cells - 1) / max(size - 1, 1))
    else:
        place = (places + 0.5) * (cells / size) - 0.5
    place = place.clamp(0, cells - 1)
    low = place.floor().long()
    weight = (place - low).view(-1, 1) if axis == 1 else place - low
    first = table.index_select(axis, low)
    second = table.index_select(axis, (low + 1).clamp(max=cells - 1))
    return torch.lerp(first, second, weight)


def require_soft(samples: Sequence[Any]) -> list[Any]:
    """``soft`` of each sample, as :class:`~.soft_views.PackSoftLabels` packs it.

    Raises:
        BenchError: A sample has none.
    """
    if any('soft' not in sample for sample in samples):
        raise BenchError(
            'target images without soft labels of the whole image',
            "data=dict(type='target', labels=..., soft='stage://<stage>/artifacts/soft')",
            "labels='view' predicts them on the view instead",
        )
    return [sample.soft for sample in samples]
