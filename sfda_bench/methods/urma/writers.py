"""URMA's thresholds, which count every n-th pixel of a class over a whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sfda_bench.adapt.pseudo_label import ThresholdWriter
from sfda_bench.registry import METRICS


@METRICS.register_module()
class BatchThresholdWriter(ThresholdWriter):
    """A :class:`~sfda_bench.adapt.pseudo_label.ThresholdWriter` with the stride over batches.

    The pixels of a class are numbered through all images of a batch, by image, row and column, so
    that the thresholds depend (slightly) on the batch size, as in ``validate_model`` of the
    released code. The maps of a batch are of one width.

    Args:
        out_dir: See :class:`~sfda_bench.adapt.pseudo_label.ThresholdWriter`.
        stride: Every how many-th pixel of a class counts.
        **kwargs: Likewise.
    """

    def __init__(self, out_dir: str, stride: int = 10, **kwargs: Any) -> None:
        super().__init__(out_dir, stride=stride, **kwargs)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Add one batch of probability maps as one tall map."""
        maps = torch.cat([sample.pop('probabilities') for sample in data_samples], dim=1)
        names = [sample['sample_id'] for sample in data_samples]
        super().process(data_batch, [{'sample_id': names[0], 'probabilities': maps}])
        self.results.extend(names[1:])
