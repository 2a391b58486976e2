"""Per-image confusion counts as an mmengine metric: the only thing a score stage writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from sfda_bench.adapt.host import bytes_of
from sfda_bench.atomic import write_with
from sfda_bench.labels import IGNORE
from sfda_bench.registry import METRICS
from sfda_bench.scoring.confusion import confusion_counts, mean_iou


@METRICS.register_module()
class ConfusionMetric(BaseMetric):
    """Count ``K x (K + 1)`` confusions an image; the last column holds void predictions.

    Args:
        num_classes: K, the number of classes of the label space.
        prediction_map: For each output channel the class of the label space it stands for, applied
            after the arg-max; ``None`` if the two spaces are the same.
        ignore_index: Label value that is not counted.
        out_file: NPZ file for ``counts`` (uint32, N x K x (K + 1)), ``ids``, ``conditions``;
            relative paths are below the run's folder.
        save_predictions: Folder for the predictions as PNG files of class ids, or ``None``.
    """

    default_prefix = None

    def __init__(
        self,
        num_classes: int,
        prediction_map: Sequence[int] | None = None,
        ignore_index: int = IGNORE,
        out_file: str | None = None,
        save_predictions: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.out_file = out_file
        self.save_predictions = save_predictions
        self._map: np.ndarray | None = None
        if prediction_map is not None:
            self._map = np.full(256, IGNORE, dtype=np.uint8)
            self._map[: len(prediction_map)] = prediction_map

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count one batch; full-size logits are dropped at once."""
        for sample in data_samples:
            sample.pop('seg_logits', None)
            prediction = _map_of(sample['pred_sem_seg'])
            if self._map is not None:
                prediction = self._map[prediction]
            truth = _map_of(sample['gt_sem_seg'])
            counts = confusion_counts(prediction, truth, self.num_classes, self.ignore_index)
            self.results.append(
                (
                    sample['sample_id'],
                    sample.get('position', 0),
                    sample.get('condition', ''),
                    counts.astype(np.uint32),
                )
            )
            if self.save_predictions:
                _save_png(Path(self.save_predictions) / f'{sample["sample_id"]}.png', prediction)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Stack the counts, write them, return mIoU in percent.

        They are in the order of image ids, or of positions where the images are a stream.
        """
        unique = {image_id: rest for image_id, *rest in results}
        ids = sorted(unique, key=lambda i: (unique[i][0], i))
        counts = np.stack([unique[i][2] for i in ids])
        if self.out_file:
            arrays: dict[str, Any] = {
                'counts': counts,
                'ids': np.array(ids, dtype=np.str_),
                'conditions': np.array([unique[i][1] for i in ids], dtype=np.str_),
            }

            def write(temporary: Path) -> None:
                with temporary.open('wb') as stream:
                    np.savez_compressed(stream, **arrays)

            write_with(Path(self.out_file), write)
        return {'mIoU': 100.0 * float(mean_iou(counts.sum(axis=0, dtype=np.int64)))}


def _map_of(entry: Any) -> np.ndarray:
    data = entry['data'] if isinstance(entry, dict) else entry.data
    return bytes_of(data.squeeze(0))


def _save_png(path: Path, labels: np.ndarray) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)
