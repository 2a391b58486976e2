"""LD's labelling: probabilities by each image's own statistics, thresholds, selection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sfda_bench.adapt.features import size_of
from sfda_bench.adapt.host import class_counts
from sfda_bench.adapt.norm import set_norm_mode
from sfda_bench.adapt.predictor import ProbabilityPredictor
from sfda_bench.adapt.pseudo_label import (
    THRESHOLDS_NAME,
    PseudoLabelWriter,
    ThresholdWriter,
    read_thresholds,
)
from sfda_bench.adapt.thresholds import BINS, ConfidenceHistogram, lower_edge
from sfda_bench.errors import require_known
from sfda_bench.labels import IGNORE
from sfda_bench.registry import METRICS, MODELS

Selection = Literal['any', 'argmax']


@MODELS.register_module()
class OwnStatisticsPredictor(ProbabilityPredictor):
    """Probabilities of images one by one, with batch norm by the image itself; no mirroring.

    The logits are upsampled to the network's input, and from there to the size of the maps.

    Args:
        segmentor: Config of the network.
        label_bn: ``'train'``: statistics of the image, as in the code (the running ones, which
            move there, stay as they are); ``'eval'``: the running ones.
        at: See :class:`~sfda_bench.adapt.predictor.ProbabilityPredictor`.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        label_bn: Literal['train', 'eval'] = 'train',
        at: Literal['file', 'input'] = 'file',
    ) -> None:
        super().__init__(segmentor, at=at)
        self.label_bn = require_known('label_bn', label_bn, ('train', 'eval'))

    @torch.no_grad()
    def probabilities(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Probabilities (N, C, H, W) at ``size`` = (H, W) of normalised images (N, 3, h, w)."""
        set_norm_mode(self.student, 'batch' if self.label_bn == 'train' else 'eval')
        logits = torch.cat([self.logits(one[None], size_of(images)) for one in images])
        return self.resized(logits, size).softmax(dim=1)


def every_nth_sorted(
    confidence: Tensor, labels: Tensor, step: int = 5
) -> tuple[Tensor, Tensor, Tensor]:
    """Every ``step``-th confidence of each class, in ascending order from its least.

    Args:
        confidence: (P,) of one image.
        labels: (P,).
        step: 1 keeps all.

    Returns:
        Confidences and labels in that order, and which of them are kept (P,).
    """
    order = confidence.argsort()
    order = order[labels[order].argsort(stable=True)]  # by class, then by confidence
    confidence, labels = confidence[order], labels[order]
    place = torch.arange(len(labels), device=labels.device)
    first = torch.searchsorted(labels.contiguous(), labels.contiguous())
    return confidence, labels, (place - first) % step == 0


@METRICS.register_module()
class SortedThresholdWriter(ThresholdWriter):
    """Class thresholds from every fifth confidence of each image and class, in sorted order.

    Where a portion of a class is less than one value, the threshold is its greatest value, so that
    nothing is selected by it; 1 for a class that is never predicted, which no probability exceeds.

    Args:
        out_dir: See :class:`~sfda_bench.adapt.pseudo_label.ThresholdWriter`.
        portion: Share q of each class.
        stride: Every how many-th sorted confidence counts.
        legacy_zero_index: Take the least value there, as the code does: it selects nearly all.
    """

    def __init__(
        self,
        out_dir: str,
        portion: float = 0.1,
        stride: int = 5,
        legacy_zero_index: bool = False,
    ) -> None:
        super().__init__(out_dir, portion=portion, stride=stride)
        self.legacy_zero_index = legacy_zero_index

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Add a batch of probability maps, image by image."""
        for sample in data_samples:
            maps = sample.pop('probabilities')
            if self.histogram is None or self.pixels is None:
                self.histogram = ConfidenceHistogram(len(maps), device=maps.device)
                self.pixels = torch.zeros(len(maps), dtype=torch.int64, device=maps.device)
            confidence, labels = (found.flatten() for found in maps.max(dim=0))
            self.pixels += class_counts(labels, len(maps))
            self.histogram.add(*every_nth_sorted(confidence, labels, self.stride))
            self.results.append(sample['sample_id'])

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Write the thresholds; those of rank 0 are replaced."""
        found = super().compute_metrics(results)
        path = self.out_dir / THRESHOLDS_NAME
        content = read_thresholds(path)
        if self.histogram is not None:
            table = self.histogram.counts.view(-1, BINS).cpu().numpy()
            for index, row in enumerate(table):
                bins = np.flatnonzero(row)
                if len(bins) and not content['requested'][index]:
                    edge = lower_edge(int(bins[-1 if self.legacy_zero_index else 0]))
                    content['theta'][index] = edge or 1.0
        self.write_json(THRESHOLDS_NAME, content)
        return found


def exceeding(
    probabilities: Tensor,
    theta: Tensor,
    portion: float,
    selection: Selection = 'any',
    legacy_zero_index: bool = False,
) -> tuple[Tensor, Tensor]:
    """Which pixels are selected by a class threshold, and which by the image's own.

    Args:
        probabilities: (C, ...).
        theta: (C,).
        portion: Share q of the image's pixels.
        selection: ``'any'``: any class exceeds its threshold, as in the code; ``'argmax'``: the
            one that is most likely does.
        legacy_zero_index: Where ``portion`` is less than one pixel, cut at the least value, not at
            the greatest.

    Returns:
        Two bool masks (...). All comparisons are strict: ties at the cut are dropped.
    """
    theta = theta.to(probabilities)
    confidence, labels = probabilities.max(dim=0)
    if selection == 'argmax':
        chosen = confidence > theta[labels]
    else:
        column = theta.view(-1, *[1] * confidence.dim())
        chosen = (probabilities > column).any(dim=0)
    values = confidence.flatten()
    rank = int(portion * len(values))
    if rank:
        cut = values.kthvalue(len(values) - rank + 1).values
    else:
        cut = values.min() if legacy_zero_index else values.max()
    return chosen, confidence > cut


@METRICS.register_module()
class UnionLabelWriter(PseudoLabelWriter):
    """The most likely class where a class threshold or the image's own is exceeded.

    Args:
        out_dir: See :class:`~sfda_bench.adapt.pseudo_label.Writer`.
        thresholds: ``thresholds.json`` of an earlier stage, whose portion is the image's, too.
        selection: See :func:`exceeding`.
        legacy_zero_index: Likewise.
    """

    def __init__(
        self,
        out_dir: str,
        thresholds: str,
        selection: Selection = 'any',
        legacy_zero_index: bool = False,
    ) -> None:
        super().__init__(out_dir, thresholds)
        self.selection: Selection = require_known('selection', selection, ('any', 'argmax'))
        self.legacy_zero_index = legacy_zero_index

    def label(self, maps: Tensor, seed: int) -> Tensor:
        """Labels (H, W) of probabilities (C, H, W)."""
        self.theta = self.theta.to(maps.device)
        by_class, by_image = exceeding(
            maps, self.theta, self.content['portion'], self.selection, self.legacy_zero_index
        )
        return torch.where(by_class | by_image, maps.argmax(dim=0), IGNORE)
