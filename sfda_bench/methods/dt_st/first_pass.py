"""DT-ST's first candidate labels and its class-balanced list, a labelling stage's artifacts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from sfda_bench.adapt.host import fetched
from sfda_bench.adapt.pseudo_label import STATS_NAME, Writer
from sfda_bench.atomic import write_text
from sfda_bench.errors import BenchError
from sfda_bench.methods.dt_st.candidates import (
    Candidates,
    balanced_order,
    confidence_thresholds,
    pixels_of,
    sure_labels,
)
from sfda_bench.registry import METRICS

FOLDER_NAME = 'candidates'
LIST_NAME = 'balanced.json'


@METRICS.register_module()
class CandidateWriter(Writer):
    """Write ``candidates/`` (the confident half of each class), ``balanced.json``, ``stats.json``.

    All maps of the data set are kept in memory, reduced: about 0.65 MB a Cityscapes image.

    Args:
        out_dir: The stage's ``artifacts`` folder (set by the suite).
        portion: Share of each class's pixels below the threshold.
        reduce: Every how many-th row and column of the maps is kept.
        least: Pixels of a class, at the size of the file, that an image contains it by.
        parts: Sub-epochs of the list, see :func:`balanced_order`.
        part: Images of a sub-epoch.
        **kwargs: As for :class:`~sfda_bench.adapt.pseudo_label.Writer`.
    """

    def __init__(
        self,
        out_dir: str,
        portion: float = 0.5,
        reduce: int = 4,
        least: int = 50,
        parts: int = 501,
        part: int = 500,
        **kwargs: Any,
    ) -> None:
        super().__init__(out_dir, **kwargs)
        self.portion, self.reduce, self.least = portion, reduce, least
        self.parts, self.part = parts, part
        self.classes = 0
        self.maps: dict[str, tuple[str, tuple[int, int], Any, Any]] = {}

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the small label and confidence maps of a batch."""
        for sample in data_samples:
            found = sample.pop('probabilities')
            self.classes = len(found)
            small = found[:, :: self.reduce, :: self.reduce]
            best, classes = small.max(dim=0)
            labels, confidence = fetched(classes.to(torch.uint8), best.float())
            name, size = sample['sample_id'], (int(found.shape[1]), int(found.shape[2]))
            self.maps[name] = (
                str(sample['img_path']),
                size,
                labels,
                confidence,
            )
            self.results.append(name)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Mask, write, and draw the list."""
        if not self.maps:
            raise BenchError('no image to label', 'at least one target image')
        names = sorted(self.maps)
        values = [
            np.concatenate([m[3][m[2] == index] for m in self.maps.values()])
            for index in range(self.classes)
        ]
        thresholds = confidence_thresholds(values, self.portion)
        rows = []
        for name in names:
            path, size, whole, confidence = self.maps[name]
            rows.append((name, path, size, sure_labels(whole, confidence, thresholds), whole))
        Candidates.write(self.out_dir / FOLDER_NAME, self.classes, rows, self.least)
        contained = np.stack(
            [pixels_of(row[4], row[2], self.classes) >= self.least for row in rows]
        )
        rng = np.random.default_rng(np.random.randint(2**31))
        order = balanced_order(contained, rng, self.parts, self.part)
        listed = {'ids': names, 'paths': [row[1] for row in rows], 'order': order}
        write_text(self.out_dir / LIST_NAME, json.dumps(listed))
        never = [index for index, each in enumerate(values) if not len(each)]
        found = [float(t) if np.isfinite(t) else None for t in thresholds]
        self.write_json(STATS_NAME, {'thresholds': found, 'never_predicted': never})
        ids = ', '.join(map(str, never))
        self.warn([f'classes never predicted on the target, so never pasted: {ids}'] * bool(never))
        return {'images': len(names), 'never_predicted': len(never)}
