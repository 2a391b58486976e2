"""Training on pseudo-labels, the second step of every round of ST, CBST and CRST.

Zou et al., CBST, ECCV 2018, arXiv 1810.07911, and CRST, ICCV 2019, arXiv 1908.09822.

Faithful: loss over kept pixels only, divided by their number in the batch; network in evaluation
mode (batch norm frozen, no dropout); a fresh optimiser each round; the regularisers' formulae.
Deviates: without source images (our source-free reading) the mean is over pseudo-labels alone; the
soft labels of LRENT are predicted on the training view by a frozen copy of the round's first
network instead of being stored for the whole image.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sfda_bench.adapt.adapter import Adapter
from sfda_bench.adapt.norm import NormMode
from sfda_bench.adapt.pseudo_label import read_thresholds
from sfda_bench.adapt.selection import soft_labels
from sfda_bench.labels import IGNORE
from sfda_bench.registry import MODELS


@MODELS.register_module()
class SelfTraining(Adapter):
    """Cross-entropy on the labels of an earlier stage, optionally regularised.

    An iteration: the loss ``label`` (:class:`~sfda_bench.adapt.losses.PseudoLabelLoss`), then
    ``regulariser`` (:class:`~sfda_bench.methods.self_training.losses.RegularityLoss`) on target
    images, logged by its own name; the step. There are no hooks: what is done again each round,
    thresholds and labels, are stages.

    Args:
        segmentor: Config of the network.
        norm_mode: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        dropout: Likewise.
        **kwargs: Likewise.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        norm_mode: NormMode = 'eval',
        dropout: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, norm_mode=norm_mode, dropout=dropout, **kwargs)

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses on ``image`` with its labels, or on ``source`` and ``target`` together."""
        names = [name for name in ('image', 'source', 'target') if name in views]
        images = torch.cat([views[name] for name in names])
        labels = torch.cat([views[f'{name}_label'] for name in names])
        on_target = torch.cat(
            [torch.full((len(views[name]),), float(name != 'source')) for name in names]
        ).to(images.device)
        logits = self.logits(images, (images.shape[-2], images.shape[-1]))
        losses = self.supervised(logits, labels, images, on_target)
        losses.update(self.regularised(logits, labels, on_target))
        losses['labelled'] = (labels != IGNORE).float().mean()
        return losses

    def supervised(
        self, logits: Tensor, labels: Tensor, images: Tensor, on_target: Tensor
    ) -> dict[str, Tensor]:
        """Cross-entropy on hard labels; ``on_target`` (N,) is 1 for target images."""
        return self.term('label', logits, labels)

    def regularised(self, logits: Tensor, labels: Tensor, on_target: Tensor) -> dict[str, Tensor]:
        """The regulariser on the target images; nothing where it is off or not stated."""
        if 'regulariser' not in self.terms:
            return {}
        loss: Any = self.terms['regulariser']
        if not loss.active:
            return {}
        return {f'loss_{loss.regulariser}': loss(logits, labels, image_weights=on_target)}


@MODELS.register_module()
class SoftSelfTraining(SelfTraining):
    """LRENT: soft labels ``(p / theta)^(1 / alpha)`` on the pixels an earlier stage kept.

    The loss ``label`` is :class:`~sfda_bench.methods.self_training.losses.SoftLabelLoss`.

    Args:
        segmentor: Config of the network.
        thresholds: ``thresholds.json`` of the round.
        alpha: Weight of the label's entropy.
        **kwargs: See :class:`SelfTraining`.
    """

    student_like = ('student', 'labeller')
    frozen = ('labeller',)
    passes = (1, 1)

    def __init__(
        self, segmentor: dict[str, Any], thresholds: str, alpha: float = 0.25, **kwargs: Any
    ) -> None:
        super().__init__(segmentor, **kwargs)
        network = {k: v for k, v in segmentor.items() if k != 'data_preprocessor'}
        self.labeller = MODELS.build(network).requires_grad_(False)
        self.alpha = alpha
        theta = torch.tensor(read_thresholds(thresholds)['theta'], dtype=torch.float32)
        self.register_buffer('theta', theta, persistent=False)

    @torch.no_grad()
    def soft_targets(self, images: Tensor, labels: Tensor, on_target: Tensor) -> Tensor:
        """Soft labels (N, C, H, W) of target images, one-hot ones of source images, 0 ignored."""
        size = (labels.shape[1], labels.shape[2])
        probabilities = self.logits_of(self.labeller, images, size).softmax(dim=1)
        soft, _ = soft_labels(probabilities.transpose(0, 1), self.get_buffer('theta'), self.alpha)
        kept = (labels != IGNORE)[:, None]
        index = torch.where(labels != IGNORE, labels, 0)[:, None]
        hard = torch.zeros_like(probabilities).scatter_(1, index, 1.0)
        chosen = torch.where(on_target.view(-1, 1, 1, 1) > 0, soft.transpose(0, 1), hard)
        return chosen * kept

    def supervised(
        self, logits: Tensor, labels: Tensor, images: Tensor, on_target: Tensor
    ) -> dict[str, Tensor]:
        """Cross-entropy on soft labels."""
        soft = self.soft_targets(images, labels, on_target)
        return self.term('label', logits, labels, soft=soft)
