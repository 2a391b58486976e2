"""Predictions of a model nobody may look into: written by its owner, learned from by others.

An image's predictions are its arg-max labels and the probability of each, as PNG files; the other
probabilities are taken to share the rest, as in DINE (Liang, Hu, Feng, He, CVPR 2022, arXiv
2104.01539: adaptive label smoothing, here with one class kept).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import log_softmax

from sfda_bench.adapt.host import fetched
from sfda_bench.adapt.pseudo_label import LABELS_NAME, STATS_NAME, Writer
from sfda_bench.data.pseudo import LEVELS
from sfda_bench.labels import IGNORE
from sfda_bench.registry import METRICS

CONFIDENCE_NAME = 'confidence'


def distillation_loss(
    logits: Tensor, labels: Tensor, confidence: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy with the target ``c`` for the label and ``(1 - c) / (K - 1)`` elsewhere.

    Args:
        logits: (N, K, H, W).
        labels: (N, H, W), 255 ignored.
        confidence: c, (N, H, W) in [0, 1].
        weight: (N, H, W) of each pixel.

    Returns:
        A scalar, the mean over labelled pixels; 0 if there are none.
    """
    log_p = log_softmax(logits, dim=1)
    kept = labels != IGNORE
    own = log_p.gather(1, labels.masked_fill(~kept, 0)[:, None]).squeeze(1)
    rest = (log_p.sum(dim=1) - own) / (logits.shape[1] - 1)
    loss = -(confidence * own + (1.0 - confidence) * rest)
    loss = loss if weight is None else loss * weight
    return (loss * kept).sum() / kept.sum().clamp(min=1)


@METRICS.register_module()
class PredictionWriter(Writer):
    """Write ``labels/<sample_id>.png`` (train ids) and ``confidence/<sample_id>.png`` (uint16).

    Args:
        out_dir: See :class:`~sfda_bench.adapt.pseudo_label.Writer`.
        **kwargs: Likewise.
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Write one batch of probability maps."""
        for sample in data_samples:
            maps = sample.pop('probabilities')
            confidence, labels = maps.max(dim=0)
            steps = (confidence.double() * LEVELS).round().to(torch.int32)
            bytes_, levels, mean = fetched(labels.to(torch.uint8), steps, confidence.mean())
            words = levels.astype(np.uint16)
            for folder, values in ((LABELS_NAME, bytes_), (CONFIDENCE_NAME, words)):
                path = self.out_dir / folder / f'{sample["sample_id"]}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(path)
            counts = np.bincount(bytes_.ravel(), minlength=len(maps))
            self.results.append((sample['sample_id'], counts, float(mean)))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Write the pixels of each class and the mean confidence."""
        pixels = np.sum([counts for _, counts, _ in results], axis=0).astype(np.int64)
        mean = float(np.mean([value for *_, value in results]))
        self.write_json(STATS_NAME, {'pixels': pixels.tolist(), 'mean_confidence': mean})
        return {'images': len(results), 'mean_confidence': mean}
