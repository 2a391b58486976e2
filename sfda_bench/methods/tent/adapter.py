"""Tent, offline: entropy minimisation over the affine parameters of the normalisation layers.

Wang, Shelhamer, Liu, Olshausen, Darrell: Tent: Fully Test-Time Adaptation by Entropy Minimization,
ICLR 2021, arXiv 2006.10726.

Faithful: the loss (mean Shannon entropy of the prediction, section 3.1), the parameters that move
(scale and shift of normalisation layers, 3.2), normalisation with target statistics.
Deviates: the paper adapts online, one pass over the test stream; here the model is trained on the
target's *training* images and then scored with the running statistics gathered on the way.
"""

from __future__ import annotations

from torch import Tensor

from sfda_bench.adapt.adapter import Adapter, Trainable
from sfda_bench.registry import MODELS


@MODELS.register_module()
class Tent(Adapter):
    """Minimise the mean pixel entropy; trains normalisation parameters unless told otherwise.

    An iteration: the loss ``entropy`` (:class:`~sfda_bench.methods.tent.losses.PixelEntropyLoss`)
    and a step; no hooks.

    Args:
        trainable: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        **kwargs: See :class:`~sfda_bench.adapt.adapter.Adapter`.
    """

    def __init__(self, trainable: Trainable = 'norm_affine', **kwargs) -> None:
        super().__init__(trainable=trainable, **kwargs)

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mean entropy in nats over all pixels at the head's resolution."""
        return self.term('entropy', self.logits(views['image']))
