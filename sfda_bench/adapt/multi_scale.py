"""Labels from several sizes and both mirrorings: arg-max of the added probabilities.

Source: IAPC, code ``generate_plabel_cityscapes.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData
from PIL import Image
from torch import Tensor

from sfda_bench.adapt.adapter import Adapter
from sfda_bench.adapt.host import bytes_of
from sfda_bench.adapt.pseudo_label import LABELS_NAME, STATS_NAME, Writer
from sfda_bench.registry import METRICS, MODELS


@MODELS.register_module()
class MultiScalePredictor(Adapter):
    """Predict the branches of ``PackSizes``, each also mirrored.

    See :class:`~sfda_bench.adapt.crops.PackSizes`. The soft-max is taken at the head's
    resolution, the maps are resized to the file's size and added; nothing is thresholded.

    Args:
        segmentor: Config of the network.
        flip: Whether each size is also predicted mirrored.
    """

    def __init__(self, segmentor: dict[str, Any], flip: bool = True) -> None:
        super().__init__(segmentor, trainable='none', norm_mode='eval', dropout=False)
        self.flip = flip

    @torch.no_grad()
    def scores(self, views: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Added probabilities (N, K, H, W) at ``size`` of views (N, 3, h, w) of the same images."""
        total: Tensor | None = None
        for images in views:
            maps = self.logits(images).softmax(dim=1)
            if self.flip:
                mirrored = self.logits(images.flip(dims=(3,))).softmax(dim=1)
                # Resizing is linear: adding first saves one pass at full size.
                maps = maps + mirrored.flip(dims=(3,))
            maps = self.resized(maps, size)
            total = maps if total is None else total.add_(maps)
        if total is None:
            raise ValueError('no view to predict')
        return total

    def predict(self, inputs: Any, data_samples: Any = None) -> list:
        """The samples of the first branch with ``pred_sem_seg`` at the size of the file."""
        names = list(inputs)
        samples = data_samples[names[0]]
        for index, sample in enumerate(samples):
            views = [inputs[name][index : index + 1] for name in names]
            best = self.scores(views, tuple(sample.ori_shape[:2])).argmax(dim=1)
            sample.set_data({'pred_sem_seg': PixelData(data=best)})
        return samples


@METRICS.register_module()
class LabelWriter(Writer):
    """Write every prediction to ``labels/<sample_id>.png`` (train ids) and ``stats.json``.

    Args:
        out_dir: The stage's ``artifacts`` folder (set by the suite).
        num_classes: K, for the statistics.
        **kwargs: As for :class:`~sfda_bench.adapt.pseudo_label.Writer`.
    """

    def __init__(self, out_dir: str, num_classes: int = 19, **kwargs: Any) -> None:
        super().__init__(out_dir, **kwargs)
        self.num_classes = num_classes

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Write one batch."""
        for sample in data_samples:
            labels = bytes_of(sample['pred_sem_seg']['data'].squeeze(0))
            path: Path = self.out_dir / LABELS_NAME / f'{sample["sample_id"]}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(labels).save(path)
            counts = np.bincount(labels.ravel(), minlength=self.num_classes)
            self.results.append((sample['sample_id'], counts))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Write the pixels of each class; warn of classes that were never predicted."""
        total = np.sum([counts for _, counts in dict(results).items()], axis=0).astype(np.int64)
        never = np.flatnonzero(total == 0).tolist()
        self.write_json(STATS_NAME, {'pixels': total.tolist(), 'never_predicted': never})
        names = ', '.join(map(str, never))
        self.warn(
            [f'classes never predicted on the target, so never labelled: {names}'] * bool(never)
        )
        return {'images': len(results), 'never_predicted': len(never)}
