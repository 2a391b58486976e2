"""What is known of a candidate without labels, and every validator by name.

All are written so that higher is better. ``rewards`` says which worthless prediction a
validator likes best, so what it is blind to; it stands on the page of a sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sfda_bench.scoring import neighbours
from sfda_bench.scoring import validators as one_pass
from sfda_bench.scoring.prediction_statistics import Statistics, ViewStatistics, softmax


@dataclass(frozen=True)
class Evidence:
    """Predictions of one model on M unlabelled images, reduced.

    Attributes:
        statistics: Sums over one view.
        views: Sums over that view and the mirrored one.
        logits: Of sampled pixels (n, K).
        image: Index of the image of each of them (n,).
        ids: Names of the images.
    """

    statistics: Statistics
    views: ViewStatistics
    logits: np.ndarray
    image: np.ndarray
    ids: tuple[str, ...]

    @property
    def probabilities(self) -> np.ndarray:
        """Of the sampled pixels (n, K)."""
        return softmax(self.logits.T).T

    @property
    def labels(self) -> np.ndarray:
        """Predicted classes of the sampled pixels (n,)."""
        return self.logits.argmax(axis=1)

    def take(self, images: np.ndarray) -> Evidence:
        """The evidence of some images, in that order, perhaps repeatedly: a bootstrap sample."""
        pixels = [np.flatnonzero(self.image == image) for image in images]
        return replace(
            self,
            statistics=self.statistics.take(images),
            views=self.views.take(images),
            logits=self.logits[np.concatenate(pixels)],
            image=np.repeat(np.arange(len(images)), [len(own) for own in pixels]),
            ids=tuple(self.ids[image] for image in images),
        )


Scores = Callable[[Sequence[Evidence], Evidence | None], list[float]]
CONFIDENCE = 'one class everywhere, with full confidence'
EVEN = 'all classes equally often, which no street has'


@dataclass(frozen=True)
class Validator:
    """One validator.

    Attributes:
        name: Its name.
        scores: One number a candidate, of the pool and of the source model's evidence.
        rewards: The worthless prediction it likes best.
        source: Where the formula is from.
        sampled: Whether it sees sampled pixels only.
        per_image: Whether it needs the sums of each image, not only their total.
    """

    name: str
    scores: Scores
    rewards: str
    source: str
    sampled: bool = False
    per_image: bool = False


def _each(call: Callable[[Evidence], float]) -> Scores:
    return lambda pool, source: [call(one) for one in pool]


def _sums(call: Callable[[Statistics], float]) -> Scores:
    return _each(lambda one: call(one.statistics))


def _views(call: Callable[[ViewStatistics], float]) -> Scores:
    return _each(lambda one: call(one.views))


def _near_source(pool: Sequence[Evidence], source: Evidence | None) -> list[float]:
    if source is None:
        return [float('nan')] * len(pool)
    return [neighbours.agreement(one.labels, source.labels) for one in pool]


_FOUND = (
    Validator('entropy', _sums(one_pass.entropy), CONFIDENCE, 'Morerio et al., 2018'),
    Validator(
        'entropy_balanced', _sums(one_pass.entropy_balanced), CONFIDENCE, 'this project'
    ),
    Validator('msp', _sums(one_pass.msp), CONFIDENCE, 'mean of the largest probability'),
    Validator('mano', _sums(one_pass.mano), CONFIDENCE, 'MaNo, eq. 2 and 6'),
    Validator('diversity', _sums(one_pass.diversity), 'noise', 'second term of SHOT'),
    Validator('infomax', _sums(one_pass.infomax), EVEN, 'SHOT, over the whole set'),
    Validator('infomax_image', _sums(one_pass.infomax_image), EVEN, 'this project', per_image=True),
    Validator('bnm', _sums(one_pass.bnm), EVEN, 'BNM, over the whole set'),
    Validator('bnm_n', _sums(one_pass.bnm_n), EVEN, 'bnm by its greatest value'),
    Validator('fbnm', _sums(one_pass.fbnm), EVEN, 'fast BNM: column norms'),
    Validator('softmax_corr', _sums(one_pass.softmax_corr), EVEN, 'corr_c turned round'),
    Validator(
        'corr_c', _sums(one_pass.corr_c), CONFIDENCE, 'scripts of MixVal and EnsV: min is best'
    ),
    Validator('mcc', _sums(one_pass.mcc), EVEN, 'MCC, over the whole set'),
    Validator(
        'snd', _each(lambda one: neighbours.snd(one.probabilities)), CONFIDENCE,
        'SND, ICCV 2021: probabilities, pooled, without self', sampled=True,
    ),
    Validator(
        'snd_seg', _each(lambda one: neighbours.snd_seg(one.probabilities, one.image)), CONFIDENCE,
        "SND, its segmentation code: an image's pixels, with self", sampled=True,
    ),
    Validator(
        'snd_logits', _each(lambda one: neighbours.snd_logits(one.logits)), CONFIDENCE,
        'as MixVal and EnsV compute it: logits', sampled=True,
    ),
    Validator(
        'consistency', _views(one_pass.consistency), CONFIDENCE, 'equal classes when mirrored'
    ),
    Validator(
        'consistency_miou', _views(one_pass.consistency_miou), CONFIDENCE, 'this project'
    ),
    Validator(
        'consistency_js', _views(one_pass.consistency_js), 'the same anywhere, noise included',
        'Jensen-Shannon divergence when mirrored',
    ),
    Validator(
        'effective_invariance', _views(one_pass.effective_invariance), CONFIDENCE,
        'as in CRank',
    ),
    Validator(
        'ensv', lambda pool, source: neighbours.ensv([one.probabilities for one in pool]),
        'what most of the pool does', 'EnsV, NeurIPS 2024', sampled=True,
    ),
    Validator(
        'ensv_miou', lambda pool, source: neighbours.ensv_miou([one.probabilities for one in pool]),
        'what most of the pool does', 'this project', sampled=True,
    ),
    Validator(
        'source_agreement', _near_source, 'no adaptation at all', 'a trivial control', sampled=True
    ),
)  # fmt: skip
VALIDATORS: dict[str, Validator] = {validator.name: validator for validator in _FOUND}


def scores_of(
    name: str, pool: Sequence[Evidence | None], source: Evidence | None = None
) -> list[float]:
    """One score a candidate; that of a candidate without evidence (diverged) is -infinity.

    Args:
        name: A validator.
        pool: The candidates.
        source: The source model, for the control.
    """
    there = [one for one in pool if one is not None]
    found = iter(VALIDATORS[name].scores(there, source) if there else ())
    numbers = [float('-inf') if one is None else next(found) for one in pool]
    return [float('-inf') if np.isnan(number) else number for number in numbers]


def choose(scores: Sequence[float]) -> int:
    """Index of the highest score; of equal ones the first, so that the published setting wins."""
    return int(np.argmax(scores))
