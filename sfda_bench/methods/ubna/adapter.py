"""UBNA and UBNA+: the source's batch-norm statistics are moved towards the target, not replaced.

Klingner, Termoehlen, Ritterbach, Fingscheidt: Unsupervised BatchNorm Adaptation (UBNA), arXiv
2011.08502; code ifnspaml/UBNA.

Faithful: the running update and its momentum over batches and layers, number and size of the
batches, normalisation by the batch on the way, the augmentation.
Deviates: network and images, see the card.
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor

from sfda_bench.adapt.adapter import Adapter
from sfda_bench.adapt.entropy import pixel_entropy
from sfda_bench.adapt.norm import statistics_layers
from sfda_bench.registry import MODELS


@MODELS.register_module()
class UBNA(Adapter):
    """Forward batches of the target in training mode; nothing is optimised, there are no losses.

    An iteration:

    1. :class:`~sfda_bench.methods.ubna.hooks.FadingMomentumHook` sets the momenta; without it the
       layers keep their own.
    2. Forward: each layer normalises with its batch and moves its running statistics (the
       variance unbiased, as PyTorch has it).

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        **kwargs: See :class:`~sfda_bench.adapt.adapter.Adapter`.
    """

    passes = (0, 1)

    def __init__(self, segmentor: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(segmentor, trainable='none', norm_mode='train', dropout=False, **kwargs)
        statistics_layers(self.student)  # refuses a network without any

    @torch.no_grad()
    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """One forward pass.

        Returns:
            ``{'entropy': mean pixel entropy}`` for the log.
        """
        images = self.data_preprocessor(data, True)['inputs']
        return {'entropy': pixel_entropy(self.logits(images)).mean()}
