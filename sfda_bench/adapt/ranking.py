"""Rank target images by entropy and split them into easy and hard ones.

Pan, Shin, Rameau, Lee, Kweon, CVPR 2020, arXiv 2004.07703 (IntraDA); ATP splits the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sfda_bench.adapt.discriminator import self_information
from sfda_bench.adapt.host import fetched
from sfda_bench.adapt.pseudo_label import LABELS_NAME, Writer
from sfda_bench.atomic import write_text
from sfda_bench.errors import BenchError, require_known
from sfda_bench.registry import METRICS

Normalisation = Literal['none', 'code', 'paper']
TRAIN_IDS = 19
#: Those of wall, fence, pole, light, sign, terrain, rider, truck, bus, train, motorcycle.
RARE = (3, 4, 5, 6, 7, 9, 12, 14, 15, 16, 17)


def ranking_score(probabilities: Tensor) -> Tensor:
    """Mean self-information over classes and pixels of (C, H, W), a scalar of its device."""
    return self_information(probabilities, dim=0).mean()


def normaliser(classes: Sequence[int], kind: Normalisation) -> float:
    """Factor on the score for the classes present in the arg-max map.

    Args:
        classes: Train ids that occur.
        kind: ``'none'``; ``'code'``: ``(11 - r) / 11 + 0.5`` for r rare classes; ``'paper'``:
            ``1 / r``, which the paper leaves undefined for r = 0 and is 1 here.
    """
    require_known('normalisation', kind, ('none', 'code', 'paper'))
    present = len(set(classes) & set(RARE))
    if kind == 'none':
        return 1.0
    if kind == 'code':
        return (len(RARE) - present) / len(RARE) + 0.5
    return 1.0 / max(present, 1)


def split(scores: Mapping[str, float], portion: float) -> tuple[list[str], list[str]]:
    """Easy and hard ids: the first ``int(N * portion)`` by ascending score, and the rest."""
    if not 0.0 < portion <= 1.0:
        raise BenchError(f'easy_portion {portion}', 'above 0, at most 1')
    ranked = sorted(scores, key=lambda name: (scores[name], name))
    easy = int(len(ranked) * portion)
    return ranked[:easy], ranked[easy:]


@METRICS.register_module()
class EntropyRankWriter(Writer):
    """Write arg-max labels, ``easy.txt``, ``hard.txt``, ``ranking.json`` and ``split.json``.

    Without hard images ``hard.txt`` repeats the easy ones, so that pairs can still be drawn, and
    ``split.json`` says ``hard: 0``, which switches the adversary off.

    Args:
        out_dir: See :class:`~sfda_bench.adapt.pseudo_label.Writer`.
        easy_portion: Share lambda of easy images.
        normalisation: See :func:`normaliser`.
        **kwargs: As in the base.
    """

    def __init__(
        self,
        out_dir: str,
        easy_portion: float = 0.67,
        normalisation: Normalisation = 'none',
        **kwargs: Any,
    ) -> None:
        super().__init__(out_dir, **kwargs)
        require_known('normalisation', normalisation, ('none', 'code', 'paper'))
        self.portion, self.normalisation = easy_portion, normalisation

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score and label one batch."""
        folder = self.out_dir / LABELS_NAME
        folder.mkdir(parents=True, exist_ok=True)
        for sample in data_samples:
            maps = sample.pop('probabilities')
            if self.normalisation != 'none' and len(maps) != TRAIN_IDS:
                raise BenchError(
                    f'normalisation {self.normalisation!r} with {len(maps)} outputs',
                    f'{TRAIN_IDS}, the train ids of which it counts the rare ones',
                    'rank with normalisation=none',
                )
            found = maps.argmax(dim=0).to(torch.uint8), ranking_score(maps)
            labels, information = fetched(*found)
            classes = np.unique(labels).tolist()
            score = float(information) * normaliser(classes, self.normalisation)
            Image.fromarray(labels).save(folder / f'{sample["sample_id"]}.png')
            self.results.append((sample['sample_id'], score))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Split and write the lists."""
        scores = dict(results)
        easy, hard = split(scores, self.portion)
        if not easy:
            raise BenchError(
                f'no easy image: {self.portion} of {len(scores)} images', 'a larger easy_portion'
            )
        self.write_json('ranking.json', {name: scores[name] for name in [*easy, *hard]})
        self.write_json('split.json', {'easy': len(easy), 'hard': len(hard)})
        write_text(self.out_dir / 'easy.txt', '\n'.join(sorted(easy)) + '\n')
        write_text(self.out_dir / 'hard.txt', '\n'.join(sorted(hard or easy)) + '\n')
        self.warn([] if hard else ['no hard image after the split: trained without an adversary'])
        return {'easy': len(easy), 'hard': len(hard)}
