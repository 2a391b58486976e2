"""Two terms of LD; its positive labels are learned by the shared ``PseudoLabelLoss``.

You et al., Domain Adaptive Semantic Segmentation without Source Data, ACM MM 2021, arXiv
2110.06484; formulae of the released code (``ldbe_trainer.py``), from the method's spec sheet.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from sfda_bench.adapt.entropy import pixel_entropy
from sfda_bench.adapt.losses import AdaptationLoss
from sfda_bench.errors import BenchError, require_known
from sfda_bench.registry import MODELS

Entropy = Literal['double_softmax', 'shannon']
LEAST = 1e-5


def averaged(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over all pixels of a map (N, H, W), each times its weight."""
    return (values if weight is None else values * weight).mean()


@MODELS.register_module()
class DoubleSoftmaxEntropyLoss(AdaptationLoss):
    """The entropy of LD, which takes the soft-max of a soft-max; reads no labels.

    ``ln sum_c exp(p_c) - sum_c p_c^2`` of the probabilities p: in effect maximum squares.

    Args:
        entropy: ``'double_softmax'``, as the code has it, or ``'shannon'``, as it is named.
        **kwargs: See :class:`~sfda_bench.adapt.losses.AdaptationLoss`.
    """

    default_name = 'loss_entropy'

    def __init__(self, entropy: Entropy = 'double_softmax', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.entropy = require_known('entropy', entropy, ('double_softmax', 'shannon'))

    def value(
        self, logits: Tensor, labels: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Mean over all pixels, in nats."""
        if self.entropy == 'shannon':
            return averaged(pixel_entropy(logits), weight)
        p = logits.softmax(dim=1)
        return averaged(p.logsumexp(dim=1) - p.square().sum(dim=1), weight)


@MODELS.register_module()
class MiddleClassLoss(AdaptationLoss):
    """Negative learning: a pixel is not of the class that is k-th most likely; reads no labels.

    ``-ln max(1 - p_n, 1e-5)``, the class n without gradient. One k a call, uniform within
    ``spread`` of half the number of classes. Takes by keyword ``rank``: k instead of a draw.

    Args:
        spread: Greatest distance of k to half the number of classes.
        **kwargs: See :class:`~sfda_bench.adapt.losses.AdaptationLoss`.
    """

    default_name = 'loss_negative'

    def __init__(self, spread: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if spread < 0:
            raise BenchError(f'spread {spread}', 'a whole number of at least 0')
        self.spread = spread

    def draw(self, classes: int) -> int:
        """k, from 1 to the number of classes."""
        off = int(torch.randint(-self.spread, self.spread + 1, ()))  # on the host
        return min(max(classes // 2 + off, 1), classes)

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None = None,
        weight: Tensor | None = None,
        rank: int | None = None,
    ) -> Tensor:
        """Mean over all pixels."""
        p = logits.softmax(dim=1)
        k = self.draw(logits.shape[1]) if rank is None else rank
        chosen = p.detach().topk(k, dim=1).indices[:, k - 1 :]
        rest = (1.0 - p.gather(1, chosen)).clamp_min(LEAST)
        return averaged(-rest.log().squeeze(1), weight)
