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

from sfda_bench.adapt.entropy import pixel_entropy
from sfda_bench.adapt.test_time import TestTimeAdapter
from sfda_bench.registry import MODELS


@MODELS.register_module()
class TentStream(TestTimeAdapter):
    """Minimise the mean pixel entropy of each batch; normalisation parameters only.

    Args:
        **kwargs: See :class:`~sfda_bench.adapt.test_time.TestTimeAdapter`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{'trainable': 'norm_affine', **kwargs})

    def objective(self, images: Tensor, logits: Tensor) -> dict[str, Tensor]:
        """Mean entropy in nats over all pixels at the head's resolution."""
        return {'loss_entropy': pixel_entropy(logits).mean()}
