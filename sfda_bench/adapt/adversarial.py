"""Adversarial adaptation with two optimisers, through mmengine's ``OptimWrapperDict``.

Vu et al., ADVENT, CVPR 2019, arXiv 1811.12833 (``train_UDA.py::train_advent``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sfda_bench.adapt.adapter import Adapter
from sfda_bench.adapt.branches import views_of
from sfda_bench.adapt.discriminator import self_information
from sfda_bench.errors import BenchError
from sfda_bench.registry import MODELS

#: Losses of the heads, main first, by their names in the config.
SEGMENTATION = ('segmentation', 'segmentation_auxiliary')
ADVERSARIAL = ('adversarial_main', 'adversarial_auxiliary')
#: Pairs of branches: the labelled one and the one aligned to it.
BRANCHES = (('source', 'target'), ('easy', 'hard'))


@MODELS.register_module()
class AdversarialAdapter(Adapter):
    """Segmentation on a labelled branch, alignment of another one's self-information to it.

    A method overrides :meth:`seen`, the map that the discriminators look at. With an auxiliary
    head the network is aligned at both outputs, with one discriminator each.

    An iteration:

    1. ``segmentation`` and ``segmentation_auxiliary``
       (:class:`~sfda_bench.adapt.losses.PseudoLabelLoss`) on the labelled branch, by head.
    2. ``adversarial_main`` and ``adversarial_auxiliary``
       (:class:`~sfda_bench.adapt.discriminator.DomainLoss`) of the discriminators' opinion on the
       other branch, which is to be taken for the labelled one. Weights of 0 train without. The
       network's step.
    3. ``discrimination`` (:class:`~sfda_bench.adapt.discriminator.DiscriminationLoss`) of each
       discriminator on the same predictions; the discriminators' step.

    No hooks: nothing is done from time to time.

    Args:
        segmentor: Config of the network.
        split: ``split.json`` of a ranking stage; without hard images there is no adversary.
        discriminator: Config, without ``in_channels``.
        norm_mode: ``'train'``: running statistics move with both branches, as in the code.
        **kwargs: See :class:`~sfda_bench.adapt.adapter.Adapter`.
    """

    passes = (2, 0)
    #: Forward and backward passes of each discriminator in a step, for the benchmark.
    judgements = 3

    def __init__(
        self,
        segmentor: dict[str, Any],
        split: str | None = None,
        discriminator: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, **kwargs)
        self.hard = True
        if split is not None:
            self.hard = json.loads(Path(split).read_text(encoding='utf-8'))['hard'] != 0
        config = {'type': 'FCDiscriminator', **(discriminator or {})}
        self.discriminators = nn.ModuleList(
            MODELS.build({**config, 'in_channels': self.num_classes}) for _ in self.heads
        )

    @property
    def heads(self) -> list[nn.Module]:
        """The main head, and the auxiliary one if the network has it."""
        heads = [self.student.decode_head]
        if getattr(self.student, 'with_auxiliary_head', False):
            extra = self.student.auxiliary_head
            heads.append(extra[0] if isinstance(extra, nn.ModuleList) else extra)
        return heads

    def outputs(self, images: Tensor) -> list[Tensor]:
        """Logits (N, C, H, W) of every head at the size of ``images``."""
        features = self.student.extract_feat(images)
        size = (images.shape[-2], images.shape[-1])
        coarse = [head(features) for head in self.heads]
        self.note_prediction(coarse[0])
        return [self.resized(x, size) for x in coarse]

    def seen(self, logits: Tensor) -> Tensor:
        """What the discriminators look at (N, C, H, W): the self-information of each class."""
        return self_information(logits.softmax(dim=1))

    def of_heads(self, names: Sequence[str], outputs: list, *args: Any) -> list[Tensor]:
        """The weighted loss of each head's output, main first, by the losses' names."""
        found = [self.term(name, x, *args) for name, x in zip(names, outputs, strict=False)]
        return [value for term in found for value in term.values()]

    def total(self, segmentation: list, adversarial: list) -> Tensor:
        """Sum of the weighted losses of all heads."""
        parts = [*segmentation, *adversarial]
        return torch.stack([torch.as_tensor(part) for part in parts]).sum()

    def train_step(self, data: dict, optim_wrapper: Any) -> dict[str, Tensor]:
        """One step of the network, then one of the discriminators on the same predictions.

        Args:
            data: A paired batch: ``source`` and ``target``, or ``easy`` and ``hard``.
            optim_wrapper: ``OptimWrapperDict`` with ``student`` and ``discriminators``.

        Returns:
            For the log: the sum of the network's losses, and the weighted ones of the main head.
        """
        views = views_of(**self.data_preprocessor(data, True))
        labelled, other = _branches(views)
        log: dict[str, Tensor] = {}
        self.discriminators.requires_grad_(False)
        student = optim_wrapper['student']
        with student.optim_context(self):
            first = self.outputs(views[labelled])
            segmentation = self.of_heads(SEGMENTATION, first, views[f'{labelled}_label'])
            second = self.outputs(views[other]) if self.aligned else []
            opinions = [d(self.seen(x)) for d, x in zip(self.discriminators, second, strict=False)]
            adversarial = self.of_heads(ADVERSARIAL, opinions)
            loss = self.total(segmentation, adversarial)
        student.update_params(loss)
        log.update(loss=loss.detach(), segmentation=segmentation[0].detach())
        if self.aligned:
            log['adversarial'] = adversarial[0].detach()
            log['discrimination'] = self._train_discriminators(
                [x.detach() for x in first], [x.detach() for x in second],
                optim_wrapper['discriminators'],
            )  # fmt: skip
        return log

    @property
    def aligned(self) -> bool:
        """Whether there is an adversary at all."""
        stated: Any = [self.terms[name] for name in ADVERSARIAL if name in self.terms]
        return self.hard and any(loss.loss_weight for loss in stated[: len(self.heads)])

    def _train_discriminators(self, first: list, second: list, wrapper: Any) -> Tensor:
        self.discriminators.requires_grad_(True)
        with wrapper.optim_context(self):
            losses = [
                self.term('discrimination', d(self.seen(a)), on_target=d(self.seen(b)))
                for d, a, b in zip(self.discriminators, first, second, strict=True)
            ]
            loss = torch.stack([value for term in losses for value in term.values()]).sum()
        wrapper.update_params(loss)
        return loss.detach()


def _branches(views: dict[str, Tensor]) -> tuple[str, str]:
    for pair in BRANCHES:
        if set(pair) <= set(views) and f'{pair[0]}_label' in views:
            return pair
    raise BenchError(
        f'an adversarial stage with the branches {sorted(views)}',
        'source (labelled) and target, or easy (labelled) and hard',
        'set `data=dict(pair=dict(...))` in the stage',
    )
