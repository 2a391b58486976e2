"""The objective of Tent.

Wang et al., ICLR 2021, arXiv 2006.10726, section 3.1; official code ``softmax_entropy``.
"""

from __future__ import annotations

from torch import Tensor

from sfda_bench.adapt.entropy import pixel_entropy
from sfda_bench.adapt.losses import AdaptationLoss
from sfda_bench.registry import MODELS


@MODELS.register_module()
class PixelEntropyLoss(AdaptationLoss):
    """Mean over all pixels of the Shannon entropy of the prediction.

    Args:
        normalise: Divide by ln C, see :func:`~sfda_bench.adapt.entropy.pixel_entropy`.
        loss_weight: See :class:`~sfda_bench.adapt.losses.AdaptationLoss`.
        loss_name: Likewise.
    """

    default_name = 'loss_entropy'

    def __init__(
        self, normalise: bool = False, loss_weight: float = 1.0, loss_name: str = ''
    ) -> None:
        super().__init__(loss_weight, loss_name)
        self.normalise = normalise

    def value(
        self, logits: Tensor, labels: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """In nats, or between 0 and 1; labels are not used."""
        entropy = pixel_entropy(logits, self.normalise)
        return (entropy if weight is None else entropy * weight).mean()
