"""SHOT's diversity; its entropy is the registered ``OffsetEntropyLoss``, with the same 1e-5.

Source: SHOT (arXiv 2002.08546), code tim-learn/SHOT; formulae from its spec sheet.
"""

from __future__ import annotations

from torch import Tensor

from sfda_bench.adapt.entropy import TINY
from sfda_bench.adapt.losses import AdaptationLoss
from sfda_bench.registry import MODELS


@MODELS.register_module()
class BatchDiversityLoss(AdaptationLoss):
    """``sum_c q_c ln(q_c + 1e-5)`` of the mean prediction q over all pixels of a batch.

    Least where all classes are predicted alike; reads no labels. On scenes whose classes are not
    balanced it can call up rare classes that are not there.
    """

    default_name = 'loss_diversity'

    def value(
        self, logits: Tensor, labels: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Minus the entropy of the (weighted) mean prediction."""
        p = logits.softmax(dim=1)
        if weight is None:
            mean = p.mean(dim=(0, 2, 3))
        else:
            mean = (weight.unsqueeze(1) * p).sum(dim=(0, 2, 3)) / weight.sum()
        return (mean * (mean + TINY).log()).sum()
