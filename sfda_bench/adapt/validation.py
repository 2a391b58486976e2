"""One pass over unlabelled images that keeps what label-free validators need, and no label.

The plain network in evaluation mode, one scale, the image and its mirror image; soft-max at the
head's resolution over all its classes. Padding does not count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from sfda_bench.adapt.adapter import Adapter
from sfda_bench.adapt.host import fetched
from sfda_bench.adapt.pseudo_label import Writer
from sfda_bench.registry import METRICS, MODELS
from sfda_bench.scoring.candidates import Evidence
from sfda_bench.scoring.prediction_statistics import (
    Statistics,
    ViewStatistics,
    sampled_pixels,
    statistics_of,
    view_statistics,
)
from sfda_bench.store.evidence import EVIDENCE_NAME, save_evidence


@MODELS.register_module()
class StatisticsPredictor(Adapter):
    """Predict logits of an image and of its mirror image, at the head's resolution; never trained.

    Args:
        segmentor: Config of the network.
    """

    def __init__(self, segmentor: dict[str, Any]) -> None:
        super().__init__(segmentor, trainable='none', norm_mode='eval', dropout=False)

    @torch.no_grad()
    def predict(self, inputs: Any, data_samples: Any = None) -> list:
        """The samples with ``logits`` and ``mirrored`` (K, h, w), both in the image's direction."""
        samples = data_samples or []
        first = self.logits(inputs)
        second = self.logits(inputs.flip(dims=(3,))).flip(dims=(3,))
        for index, sample in enumerate(samples):
            rows, columns = (
                inside(cells, padded, size)
                for cells, padded, size in zip(
                    first.shape[-2:], inputs.shape[-2:], sample.img_shape[:2], strict=True
                )
            )
            maps = {'logits': first, 'mirrored': second}
            sample.set_data({k: v[index, :, :rows, :columns].float() for k, v in maps.items()})
        return samples


def inside(cells: int, padded: int, size: int) -> int:
    """How many of a map's rows or columns look at the image: their centres lie before its end.

    Args:
        cells: Rows or columns of the map.
        padded: Height or width of the input, padding at its end included.
        size: Height or width of the image.
    """
    return min(cells, max(1, math.ceil(size * cells / padded - 0.5)))


@METRICS.register_module()
class StatisticsWriter(Writer):
    """Write the sums of every image and the logits of sampled pixels to ``evidence.npz``.

    Args:
        out_dir: See :class:`~sfda_bench.adapt.pseudo_label.Writer`.
        pixels: At most so many pixels of an image are sampled, always the same ones.
        **kwargs: See the base.
    """

    def __init__(self, out_dir: str, pixels: int = 512, **kwargs: Any) -> None:
        super().__init__(out_dir, **kwargs)
        self.pixels = pixels

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Reduce one batch."""
        for sample in data_samples:
            logits, mirrored = fetched(*(sample.pop(key) for key in ('logits', 'mirrored')))
            chosen = sampled_pixels(logits.shape[1], logits.shape[2], self.pixels)
            self.results.append(
                (
                    sample['sample_id'],
                    statistics_of(logits),
                    view_statistics(logits, mirrored),
                    logits.reshape(len(logits), -1)[:, chosen].T.copy(),
                )
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Write the evidence, in the order of image ids."""
        found = dict(sorted((image, rest) for image, *rest in results))
        sums, views, logits = zip(*found.values(), strict=True)
        evidence = Evidence(
            statistics=Statistics.stack(sums),
            views=ViewStatistics.stack(views),
            logits=np.concatenate(logits),
            image=np.repeat(np.arange(len(found)), [len(own) for own in logits]),
            ids=tuple(found),
        )
        self.out_dir.mkdir(parents=True, exist_ok=True)
        save_evidence(self.out_dir / EVIDENCE_NAME, evidence)
        return {'images': len(found)}
