"""Two terms of URMA; its labels are learned by the shared ``PseudoLabelLoss``.

S and Fleuret, Uncertainty Reduction for Model Adaptation in Semantic Segmentation, CVPR 2021;
formulae of the released code ``utils/loss.py``, from the method's spec sheet. The diversity term of
that file, whose weight there is 0, is ``BatchDiversityLoss`` with weight 1 / ln 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sfda_bench.adapt.losses import AdaptationLoss
from sfda_bench.errors import BenchError
from sfda_bench.registry import MODELS

TINY = 1e-10


def mean_of(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of a map (N, H, W), or its weighted mean; 0 where all weights are."""
    if weight is None:
        return values.mean()
    return (values * weight).sum() / weight.sum().clamp_min(torch.finfo(values.dtype).tiny)


@MODELS.register_module()
class NormalisedEntropyLoss(AdaptationLoss):
    """``-sum_c p_c log2(p_c + 1e-10) / log2 K``, mean over pixels, in [0, 1]; reads no labels."""

    default_name = 'loss_entropy'

    def value(
        self, logits: Tensor, labels: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """The (weighted) mean over pixels."""
        p = logits.softmax(dim=1)
        entropy = -(p * (p + TINY).log2()).sum(dim=1)
        return mean_of(entropy, weight) / math.log2(logits.shape[1])


@MODELS.register_module()
class DecoderDisagreementLoss(AdaptationLoss):
    """Squared distance of auxiliary decoders' predictions to the main one; reads no labels.

    A mean over pixels and classes, a sum over decoders. The main prediction is a target: it gets no
    gradient, the decoders and what they read do.

    Takes by keyword ``decoders``, which it needs: logits (N, C, H, W) of each of them.
    """

    default_name = 'loss_uncertainty'

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None = None,
        weight: Tensor | None = None,
        decoders: Sequence[Tensor] = (),
    ) -> Tensor:
        """Sum over the decoders.

        Raises:
            BenchError: There are none.
        """
        if not decoders:
            raise BenchError(f'{type(self).__name__} without decoders', 'a call with decoders')
        target = logits.detach().softmax(dim=1)
        parts = [
            mean_of((one.softmax(dim=1) - target).square().mean(dim=1), weight) for one in decoders
        ]
        return torch.stack(parts).sum()
