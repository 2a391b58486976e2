"""From probabilities and class thresholds to labels: hard (CBST) and soft (CRST, LRENT).

Zou et al., CBST, ECCV 2018, and CRST, ICCV 2019; official code ``label_selection``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sfda_bench.adapt.thresholds import bin_of
from sfda_bench.errors import BenchError
from sfda_bench.labels import IGNORE

RARE_SHARE = 1e-3


def select_labels(probabilities: Tensor, theta: Tensor) -> Tensor:
    """Label each pixel by its largest ratio probability / threshold, ignore it below 1.

    Args:
        probabilities: (C, ...) float32.
        theta: (C,) float32; of another width, values at the threshold would be dropped.

    Returns:
        int64 labels, 255 where no ratio reaches 1. The label may differ from the plain arg-max.
    """
    ratio, labels = (probabilities / _column(theta, probabilities)).max(dim=0)
    return torch.where(ratio >= 1, labels, IGNORE)


def thin_ties(
    labels: Tensor, probabilities: Tensor, theta: Tensor, keep: Tensor, seed: int
) -> Tensor:
    """Drop a fixed pseudo-random share of the pixels that lie in their threshold's own bin.

    Args:
        labels: (H, W) from :func:`select_labels`.
        probabilities: (C, H, W).
        theta: (C,).
        keep: (C,) share of such pixels to keep, see
            :class:`~sfda_bench.adapt.thresholds.ClassThresholds`.
        seed: Seed of the image's draw.
    """
    kept = labels != IGNORE
    index = torch.where(kept, labels, 0)
    chosen = probabilities.gather(0, index[None])[0]
    tied = kept & (bin_of(chosen) == bin_of(theta)[index])
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand(labels.shape, generator=generator).to(keep.device)
    return torch.where(tied & (draw >= keep[index]), IGNORE, labels)


def soft_labels(probabilities: Tensor, theta: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """LRENT labels ``y_k ~ (p_k / theta_k)^(1/alpha)`` and where they are kept.

    Source: CRST, step (a) with the entropy of the label as regulariser; a pixel is kept if
    ``sum_k (p_k / theta_k)^(1/alpha) > 1``, which the code writes as a comparison of costs.

    Args:
        probabilities: (C, ...).
        theta: (C,).
        alpha: Weight of the regulariser.

    Returns:
        (C, ...) labels that sum to 1, and the bool mask (...) of kept pixels.
    """
    scores = log_scores(probabilities, theta, alpha)
    return scores.softmax(dim=0), scores.logsumexp(dim=0) > 0


def log_scores(probabilities: Tensor, theta: Tensor, alpha: float) -> Tensor:
    """``log (p_k / theta_k) / alpha`` (C, ...)."""
    ratio = probabilities / _column(theta, probabilities)
    return ratio.clamp(min=1e-30).log() / alpha


def _column(theta: Tensor, like: Tensor) -> Tensor:
    return theta.to(like).view(-1, *[1] * (like.dim() - 1))


def with_prior(probabilities: Tensor, prior: Tensor) -> Tensor:
    """Spatial prior (CBST-SP): the product (C, H, W), not renormalised, before everything else.

    Raises:
        BenchError: The prior is of another size.
    """
    if prior.shape != probabilities.shape:
        raise BenchError(
            f'a prior of {tuple(prior.shape)} for maps of {tuple(probabilities.shape)}',
            'the size of the target files',
            'make it anew: python tools/prepare_data.py cbst-prior --size WxH',
        )
    return probabilities * prior.to(probabilities)


def rarest(pixels: Sequence[int] | NDArray, number: int) -> list[int]:
    """The ``number`` least predicted classes, rarest first."""
    return np.argsort(np.asarray(pixels), kind='stable')[:number].tolist()


def rare_classes(pixels: Sequence[int] | NDArray, share: float = RARE_SHARE) -> list[int]:
    """Classes with less than ``share`` of the predicted pixels, rarest first (``mine_id``)."""
    pixels = np.asarray(pixels, dtype=np.float64)
    total = max(float(pixels.sum()), 1.0)
    return [i for i in rarest(pixels, len(pixels)) if pixels[i] / total < share]
