"""ADVENT and MinEnt: adversarial and direct entropy minimisation (they read source data).

Vu, Jain, Bucher, Cord, Perez: ADVENT, CVPR 2019, arXiv 1811.12833; code valeoai/ADVENT.

Faithful: self-information of each class at full input size, weights 0.001 / 0.0002, discriminator,
order of the updates, batch norm statistics that follow both domains. Deviates: the last iterate is
scored, not the best on the validation labels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sfda_bench.adapt.adversarial import ADVERSARIAL, SEGMENTATION, AdversarialAdapter
from sfda_bench.adapt.branches import views_of
from sfda_bench.registry import MODELS


@MODELS.register_module()
class AdvEnt(AdversarialAdapter):
    """Alignment of weighted self-information maps; everything is in the base."""


@MODELS.register_module()
class MinEnt(AdversarialAdapter):
    """Minimise the target's entropy directly; the weights are those of ADVENT's configuration.

    An iteration: the losses ``segmentation`` and ``segmentation_auxiliary`` on the source, then
    ``adversarial_main`` and ``adversarial_auxiliary``, which are no game here but
    :class:`~sfda_bench.methods.advent.losses.SelfInformationLoss` on the target; the step.
    """

    judgements = 0

    def __init__(self, segmentor: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(segmentor, **kwargs)
        self.discriminators = nn.ModuleList()

    def train_step(self, data: dict, optim_wrapper) -> dict[str, Tensor]:
        """One step of the network; there are no discriminators to train."""
        views = views_of(**self.data_preprocessor(data, True))
        with optim_wrapper.optim_context(self):
            first = self.outputs(views['source'])
            segmentation = self.of_heads(SEGMENTATION, first, views['source_label'])
            entropies = self.of_heads(ADVERSARIAL, self.outputs(views['target']))
            loss = self.total(segmentation, entropies)
        optim_wrapper.update_params(loss)
        return {
            'loss': loss.detach(),
            'segmentation': segmentation[0].detach(),
            'entropy': torch.as_tensor(entropies[0]).detach(),
        }
