"""What the published CBST needs besides labels: few source images, well predicted target images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from sfda_bench.adapt.host import fetched
from sfda_bench.adapt.pseudo_label import Writer
from sfda_bench.atomic import write_text
from sfda_bench.data.cbst import class_balanced_score, select_by_score
from sfda_bench.data.sampler import PositionedIndex
from sfda_bench.errors import BenchError
from sfda_bench.registry import DATASETS, METRICS


@DATASETS.register_module()
class RandomSubset(Dataset):
    """A random part of a data set, the same for the same seed.

    Args:
        dataset: Config of the data set.
        portion: Share of the images, ``int(N * portion)`` but at least one.
        seed: Seed of the choice; CRST adds 1 each round, CBST keeps it, so that its subsets nest.
    """

    def __init__(self, dataset: dict[str, Any], portion: float, seed: int = 0) -> None:
        if not 0.0 < portion <= 1.0:
            raise BenchError(f'portion {portion}', 'above 0, at most 1')
        self.dataset = DATASETS.build(dict(dataset))
        size = len(self.dataset)
        order = np.random.default_rng(seed).permutation(size)
        self.indices = order[: max(1, int(size * portion))].tolist()

    @property
    def metainfo(self) -> dict:
        """Meta information of the data set."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Build the list of the data set."""
        self.dataset.full_init()

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        chosen = self.indices[int(index)]
        if isinstance(index, PositionedIndex):
            chosen = PositionedIndex(chosen, index.position, index.seed)
        return self.dataset[chosen]


@METRICS.register_module()
class BalancedScoreWriter(Writer):
    """Write ``subset.txt``: the images with the best class-balanced confidence score.

    CBST's released runs adapt on 505 of the 2975 Cityscapes images, chosen by this score with an
    unpublished threshold (author, CRST issues 11 and 16); no label is read.

    Args:
        out_dir: See :class:`~sfda_bench.adapt.pseudo_label.Writer`.
        portion: Share of the images to keep, ``round(N * portion)``.
        **kwargs: As in the base.
    """

    def __init__(self, out_dir: str, portion: float = 505 / 2975, **kwargs: Any) -> None:
        super().__init__(out_dir, **kwargs)
        self.portion = portion

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score one batch."""
        for sample in data_samples:
            maps = sample.pop('probabilities')
            best, classes = maps.max(dim=0)
            confidence, labels = fetched(best, classes.to(torch.uint8))
            score = class_balanced_score(labels, confidence, len(maps))
            self.results.append((sample['sample_id'], score))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Write the list and the scores."""
        scores = dict(results)
        chosen = select_by_score(scores, max(1, round(len(scores) * self.portion)))
        self.write_json('scores.json', scores)
        write_text(self.out_dir / 'subset.txt', '\n'.join(chosen) + '\n')
        return {'images': len(chosen)}
