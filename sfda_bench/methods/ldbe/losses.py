"""The loss of boundary enhancement.

Released code of You et al., ACM MM 2021 (``compute_unsupervised_loss``), from the method's spec
sheet.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy

from sfda_bench.adapt.losses import AdaptationLoss, needed
from sfda_bench.errors import BenchError
from sfda_bench.labels import IGNORE
from sfda_bench.registry import MODELS


@MODELS.register_module()
class ConfidentImageLoss(AdaptationLoss):
    """Cross-entropy, times the share of an image's pixels whose label is confident.

    The mean is over the pixels whose cross-entropy is not 0, of all images together; 0 where there
    are none. Takes by keyword ``confidence`` (N, H, W); without it every image counts in full.

    Args:
        confident: Least confidence that counts.
        **kwargs: See :class:`~sfda_bench.adapt.losses.AdaptationLoss`.
    """

    default_name = 'loss_mixed'

    def __init__(self, confident: float = 0.97, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0.0 <= confident <= 1.0:
            raise BenchError(f'confident {confident}', '0 to 1')
        self.confident = confident

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None,
        weight: Tensor | None = None,
        confidence: Tensor | None = None,
    ) -> Tensor:
        """The mean over pixels."""
        labels = needed(self, labels=labels)
        loss = cross_entropy(logits, labels, ignore_index=IGNORE, reduction='none')
        counted = (loss.detach() > 0).to(loss)
        if confidence is not None:
            share = (confidence >= self.confident).to(loss).mean(dim=(1, 2), keepdim=True)
            loss = loss * share
        if weight is not None:
            loss = loss * weight
        return (loss * counted).sum() / counted.sum().clamp_min(1.0)
