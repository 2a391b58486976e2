"""Tent as published: entropy minimisation on the stream that it predicts.

Wang, Shelhamer, Liu, Olshausen, Darrell: Tent: Fully Test-Time Adaptation by Entropy Minimization,
ICLR 2021, arXiv 2006.10726.

Faithful: the loss (mean Shannon entropy, section 3.1), the parameters that move (scale and shift of
normalisation layers, 3.2), normalisation with the statistics of the batch, prediction by the very
forward pass that the step is taken from when it goes on from image to image.
Deviates: batches of one image, as segmentation needs; sizes of steps are those of later work.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sfda_bench.adapt.online import OnlineAdapter
from sfda_bench.registry import MODELS


@MODELS.register_module()
class TentOnline(OnlineAdapter):
    """Minimise the mean pixel entropy of each batch; normalisation parameters only.

    The loss is ``entropy`` (:class:`~sfda_bench.methods.tent.losses.PixelEntropyLoss`).

    Args:
        **kwargs: See :class:`~sfda_bench.adapt.online.OnlineAdapter`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{'trainable': 'norm_affine', **kwargs})

    def objective(self, images: Tensor, logits: Tensor) -> dict[str, Tensor]:
        """Mean entropy in nats over all pixels at the head's resolution."""
        return self.term('entropy', logits)
