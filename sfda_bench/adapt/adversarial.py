"""Adversarial adaptation with two optimisers, through mmengine's ``OptimWrapperDict``.

Vu et al., ADVENT, CVPR 2019, arXiv 1811.12833 (``train_UDA.py::train_advent``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from torch import Tensor, nn

from sfda_bench.adapt.adapter import Adapter
from sfda_bench.adapt.branches import views_of
from sfda_bench.adapt.discriminator import domain_loss, self_information
from sfda_bench.adapt.self_training_loss import label_loss
from sfda_bench.errors import BenchError
from sfda_bench.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS

SOURCE, TARGET = 0.0, 1.0
#: Pairs of branches: the labelled one and the one aligned to it.
BRANCHES = (('source', 'target'), ('easy', 'hard'))


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class SubmoduleOptimWrapperConstructor:
    """One optimiser wrapper for each named child of the model.

    Args:
        optim_wrapper_cfg: ``{child: optim_wrapper config}``; each may have its own
            ``paramwise_cfg``, ``constructor``, ``accumulative_counts`` or AMP type.
        paramwise_cfg: Not used; give it inside.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        if paramwise_cfg:
            raise BenchError('paramwise_cfg beside the children', 'inside the config of a child')
        self.configs = {name: dict(config) for name, config in optim_wrapper_cfg.items()}

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        """Build the wrappers."""
        model = getattr(model, 'module', model)
        children = dict(model.named_children())
        unknown = sorted(set(self.configs) - set(children))
        if unknown:
            raise BenchError(f'an optimiser for {", ".join(unknown)}', f'of {sorted(children)}')
        wrappers = {
            name: build_optim_wrapper(children[name], config)
            for name, config in self.configs.items()
        }
        return OptimWrapperDict(**wrappers)


@MODELS.register_module()
class AdversarialAdapter(Adapter):
    """Segmentation on a labelled branch, alignment of another one's self-information to it.

    A method overrides :meth:`seen`, the map that the discriminators look at. With an auxiliary
    head the network is aligned at both outputs, with one discriminator each.

    Args:
        segmentor: Config of the network.
        segmentation_auxiliary: Weight of the auxiliary head's cross-entropy.
        adversarial_main: Weight of the adversarial loss at the main output; 0 trains without.
        adversarial_auxiliary: Likewise at the auxiliary output.
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
        segmentation_auxiliary: float = 0.1,
        adversarial_main: float = 0.001,
        adversarial_auxiliary: float = 0.0002,
        split: str | None = None,
        discriminator: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, **kwargs)
        self.segmentation = (1.0, segmentation_auxiliary)
        self.adversarial = (adversarial_main, adversarial_auxiliary)
        if split is not None and json.loads(Path(split).read_text())['hard'] == 0:
            self.adversarial = (0.0, 0.0)
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

    def objective(self, segmentation: list, adversarial: list) -> Tensor:
        """Weighted sum of the losses of all heads, main first."""
        parts = [w * x for w, x in zip(self.segmentation, segmentation, strict=False)]
        parts += [w * x for w, x in zip(self.adversarial, adversarial, strict=False)]
        return torch.stack([torch.as_tensor(part) for part in parts]).sum()

    def train_step(self, data: dict, optim_wrapper: Any) -> dict[str, Tensor]:
        """One step of the network, then one of the discriminators on the same predictions.

        Args:
            data: A paired batch: ``source`` and ``target``, or ``easy`` and ``hard``.
            optim_wrapper: ``OptimWrapperDict`` with ``student`` and ``discriminators``.
        """
        views = views_of(**self.data_preprocessor(data, True))
        labelled, other = _branches(views)
        log: dict[str, Tensor] = {}
        self.discriminators.requires_grad_(False)
        student = optim_wrapper['student']
        with student.optim_context(self):
            first = self.outputs(views[labelled])
            segmentation = [label_loss(x, views[f'{labelled}_label']) for x in first]
            second = self.outputs(views[other]) if self.aligned else []
            adversarial = [
                domain_loss(d(self.seen(x)), SOURCE)
                for d, x in zip(self.discriminators, second, strict=False)
            ]
            loss = self.objective(segmentation, adversarial)
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
        return any(self.adversarial[: len(self.heads)])

    def _train_discriminators(self, first: list, second: list, wrapper: Any) -> Tensor:
        self.discriminators.requires_grad_(True)
        with wrapper.optim_context(self):
            losses = [
                discrimination_loss(d(self.seen(a)), d(self.seen(b)))
                for d, a, b in zip(self.discriminators, first, second, strict=True)
            ]
            loss = torch.stack(losses).sum()
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


def discrimination_loss(on_source: Tensor, on_target: Tensor) -> Tensor:
    """Half the sum of both domains' losses, from discriminator logits."""
    return (domain_loss(on_source, SOURCE) + domain_loss(on_target, TARGET)) / 2
