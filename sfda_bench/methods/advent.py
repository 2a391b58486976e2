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

from sfda_bench.adapt.adversarial import AdversarialAdapter
from sfda_bench.adapt.branches import views_of
from sfda_bench.adapt.discriminator import self_information
from sfda_bench.adapt.self_training_loss import label_loss
from sfda_bench.registry import MODELS


@MODELS.register_module()
class AdvEnt(AdversarialAdapter):
    """Alignment of weighted self-information maps; everything is in the base."""


def normalised_entropy(logits: Tensor) -> Tensor:
    """Mean over the pixels of the entropy in [0, 1] (``entropy_loss``) of logits (N, C, H, W)."""
    return self_information(logits.softmax(dim=1)).sum(dim=1).mean()


@MODELS.register_module()
class MinEnt(AdversarialAdapter):
    """Minimise the target's entropy directly; the weights are those of ADVENT's configuration."""

    judgements = 0

    def __init__(self, segmentor: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(segmentor, **kwargs)
        self.discriminators = nn.ModuleList()

    def train_step(self, data: dict, optim_wrapper) -> dict[str, Tensor]:
        """One step of the network; there are no discriminators to train."""
        views = views_of(**self.data_preprocessor(data, True))
        with optim_wrapper.optim_context(self):
            first = self.outputs(views['source'])
            segmentation = [label_loss(x, views['source_label']) for x in first]
            entropies = [normalised_entropy(x) for x in self.outputs(views['target'])]
            loss = self.objective(segmentation, entropies)
        optim_wrapper.update_params(loss)
        return {
            'loss': loss.detach(),
            'segmentation': segmentation[0].detach(),
            'entropy': torch.as_tensor(entropies[0]).detach(),
        }
