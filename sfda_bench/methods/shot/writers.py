"""What SHOT's labelling stages write: centroids, twice, then labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce
from PIL import Image
from torch import Tensor

from sfda_bench.adapt.host import class_counts, fetched
from sfda_bench.adapt.pseudo_label import LABELS_NAME, STATS_NAME, Writer
from sfda_bench.errors import BenchError
from sfda_bench.labels import IGNORE
from sfda_bench.methods.shot.adapter import nearest
from sfda_bench.methods.shot.centroids import Centroids, first_pass, second_pass, with_one
from sfda_bench.registry import METRICS

CENTROIDS_NAME = 'centroids.npz'


@METRICS.register_module()
class CentroidWriter(Writer):
    """Gather centroids over the data set and write ``centroids.npz``.

    Args:
        out_dir: See :class:`~sfda_bench.adapt.pseudo_label.Writer`.
        centroids: File of the first pass, whose labels this one gathers by; ``None``: this is the
            first, by probabilities.
        min_count: Classes with no more pixels than that get no label.
        **kwargs: See :class:`~sfda_bench.adapt.pseudo_label.Writer`.
    """

    def __init__(
        self, out_dir: str, centroids: str | None = None, min_count: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(out_dir, **kwargs)
        self.first = None if centroids is None else Centroids.load(centroids).require(min_count)
        self.min_count = min_count
        self.gathered: Centroids | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Add the pixels of one batch."""
        for sample in data_samples:
            probabilities: Tensor = sample.pop('probabilities').flatten(1)
            features = with_one(sample.pop('features').flatten(1))
            if self.gathered is None:
                classes, device = len(probabilities), features.device
                self.gathered = Centroids.empty(classes, len(features), device)
                self.first = None if self.first is None else self.first.to(device)
            if self.first is None:
                first_pass(self.gathered, features, probabilities)
            else:
                second_pass(self.gathered, features, self.first, self.min_count)
            self.results.append(sample['sample_id'])

    def evaluate(self, size: int) -> dict:
        """Sum over all processes first."""
        if self.gathered is not None:
            for part in (self.gathered.sums, self.gathered.mass, self.gathered.counts):
                all_reduce(part)
        return super().evaluate(size)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Write the file."""
        if self.gathered is None:
            raise BenchError('no image to label', 'at least one target image')
        self.gathered.save(self.out_dir / CENTROIDS_NAME)
        return {'images': len(results), 'classes': int((self.gathered.counts > 0).sum())}


@METRICS.register_module()
class CentroidLabelWriter(Writer):
    """Write ``labels/<sample_id>.png`` at the size of the file, and ``stats.json``.

    Every pixel is labelled.

    Args:
        out_dir: See :class:`~sfda_bench.adapt.pseudo_label.Writer`.
        centroids: File of the second pass.
        min_count: See :class:`CentroidWriter`.
        **kwargs: See :class:`~sfda_bench.adapt.pseudo_label.Writer`.
    """

    def __init__(self, out_dir: str, centroids: str, min_count: int = 0, **kwargs: Any) -> None:
        super().__init__(out_dir, **kwargs)
        self.centroids, self.min_count = Centroids.load(centroids).require(min_count), min_count

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Label one batch."""
        for sample in data_samples:
            maps, probabilities = sample.pop('features'), sample.pop('probabilities')
            features = with_one(maps.flatten(1))
            self.centroids = self.centroids.to(features.device)
            labels = self.centroids.nearest(features, self.min_count).view(maps.shape[1:])
            predicted = class_counts(probabilities.argmax(dim=0), IGNORE)
            counts = class_counts(labels, IGNORE)
            shape = (int(sample['ori_shape'][0]), int(sample['ori_shape'][1]))
            enlarged = nearest(labels.unsqueeze(0), shape)[0].to(torch.uint8)
            large, *found = fetched(enlarged, predicted, counts)
            path = self.out_dir / LABELS_NAME / f'{sample["sample_id"]}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(large).save(path)
            self.results.append((sample['sample_id'], np.stack(found)))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Write how many pixels each class has, and warn of classes that have none."""
        total = np.sum([found for _, found in sorted(dict(results).items())], axis=0)
        classes = len(self.centroids.counts)
        predicted, labelled = total[0][:classes].tolist(), total[1][:classes].tolist()
        self.write_json(STATS_NAME, {'predicted': predicted, 'labelled': labelled})
        absent = [str(index) for index, number in enumerate(labelled) if not number]
        if absent:
            self.warn([f'classes without a labelled pixel: {", ".join(absent)}'])
        return {'images': len(results), 'classes': classes - len(absent)}
