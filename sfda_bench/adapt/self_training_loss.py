"""Cross-entropy on pseudo-labels and the model regularisers of CRST.

Zou et al., CRST, ICCV 2019, arXiv 1908.09822; official code ``reg_loss_calc`` and
``reg_loss_calc_expand``, whose 0/0 on a batch without labels is guarded here.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, nll_loss

from sfda_bench.adapt.selection import IGNORE
from sfda_bench.errors import require_known

REGULARISERS = ('mrkld', 'mrl2', 'mrent')


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy summed over labelled pixels of the batch, divided by their number.

    Args:
        logits: (N, C, H, W).
        labels: (N, H, W) int64, 255 ignored.

    Returns:
        Scalar, 0 (with a gradient of 0) where nothing is labelled.
    """
    total = nll_loss(log_softmax(logits, dim=1), labels, ignore_index=IGNORE, reduction='sum')
    return total / (labels != IGNORE).sum().clamp(min=1)


def soft_label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with soft labels (N, C, H, W); all-zero vectors are ignored pixels."""
    total = -(labels * log_softmax(logits, dim=1)).sum()
    return total / (labels.sum(dim=1) > 0).sum().clamp(min=1)


def regularity(logits: Tensor, kind: str) -> Tensor:
    """Value of a regulariser at every pixel (N, H, W): small where the output is smooth.

    Args:
        logits: (N, C, H, W).
        kind: ``'mrkld'``: ``-(1/K) sum_k log p_k``; ``'mrl2'``: ``sum_k p_k^2``; ``'mrent'``:
            ``sum_k p_k log p_k`` (the last two have no public code).
    """
    require_known('regulariser', kind, REGULARISERS)
    log_p = log_softmax(logits, dim=1)
    if kind == 'mrkld':
        return -log_p.mean(dim=1)
    p = log_p.exp()
    return (p * p if kind == 'mrl2' else p * log_p).sum(dim=1)


def regularity_loss(
    logits: Tensor, labels: Tensor, kind: str, image_weights: Tensor | None = None
) -> Tensor:
    """Mean of the regulariser over the labelled pixels of images whose weight is not 0.

    Args:
        logits: (N, C, H, W).
        labels: (N, H, W).
        kind: See :func:`regularity`.
        image_weights: (N,) factors; the code gives the flag itself to target images, so that the
            weight acts twice, and 0 to source images.
    """
    if image_weights is None:
        image_weights = torch.ones(len(logits), device=logits.device)
    weights = image_weights.to(logits).view(-1, 1, 1)
    counted = (labels != IGNORE) & (weights != 0)
    total = (regularity(logits, kind) * weights * counted).sum()
    return total / counted.sum().clamp(min=1)
