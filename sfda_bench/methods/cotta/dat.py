"""DAT: CoTTA's labels, and of its weights only those that a few tensors' gradients single out.

Ni, Yang, Xu, Liu, Li, Jiao, Chen, Liu, Zhang: Distribution-Aware Continual Test-Time Adaptation for
Semantic Segmentation, arXiv 2309.13604; released code and its log, as the sheet has them.

Faithful: labels, both losses, the choice of tensors with the gradients that the code leaves
standing, an optimiser of its own for each image, the rate halved from round to round.
Deviates: views as CoTTA's; a fixed number of tensors a choice, see the card.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor

from sfda_bench.methods.cotta.adapter import CoTTA
from sfda_bench.methods.cotta.file_views import CoTTAFileViews
from sfda_bench.registry import MODELS


def largest(sums: Tensor, number: int) -> Tensor:
    """Indices of the largest values (n,), the first ones where they are equal.

    Args:
        sums: (n,).
        number: How many.
    """
    return torch.sort(sums, descending=True, stable=True).indices[:number]


@MODELS.register_module()
class DAT(CoTTA):
    """Train the tensors whose gradients unsure and sure pixels make the largest.

    An image:

    1. Prediction and label as in :class:`~sfda_bench.methods.cotta.adapter.CoTTA`; nothing returns
       to the source. The source model's greatest probability, mean over the views of ``ratios``,
       says how sure a pixel is.
    2. Two losses ``seg`` over all pixels: of the pixels below ``low``, and of those above ``high``.
       In the first images of a condition, each of them chooses the tensors of the largest sum of
       absolute gradients, which are trained from then on, until the condition changes.
    3. A step of an optimiser that begins anew, on the chosen tensors.

    The gradients are cleared as the code clears them: of the tensors that were chosen before this
    image, before each of the losses, so that these move by the sure pixels alone; of all others
    only with the first image of a condition. They add up, and a tensor that is newly chosen is
    compared and stepped by the sum.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        ratios: Scales of the views, not mirrored, that say how sure a pixel is.
        low: Greatest probability below which a pixel is unsure.
        high: That above which it is sure.
        search: Images of a condition in which tensors are chosen.
        tensors: How many each loss chooses in an image.
        rate_decay: Factor on the learning rate from each round to the next.
        restore: See :class:`~sfda_bench.adapt.online.OnlineAdapter`.
        **kwargs: See :class:`~sfda_bench.methods.cotta.adapter.CoTTA`.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        ratios: Sequence[float] = (1.0, 1.25, 1.5),
        low: float = 0.85,
        high: float = 0.99,
        search: int = 100,
        tensors: int = 1,
        rate_decay: float = 0.5,
        restore: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, restore=restore, **kwargs)
        self.ratios, self.low, self.high = tuple(ratios), low, high
        self.search, self.tensors, self.rate_decay = search, tensors, rate_decay
        self.sureness = torch.zeros(0)
        self._round = 1
        self._begin()

    def _begin(self) -> None:
        """Choose anew: no tensor is trained, no gradient is left."""
        self.chosen: list[int] = []
        self.left: dict[int, Tensor] = {}
        self.images = 0

    def reset(self) -> None:
        """As the base, and choose anew."""
        super().reset()
        self._begin()

    def _reset_optimizer(self) -> None:
        super()._reset_optimizer()
        self._begin()

    def adapt_step(self, data: dict, optim_wrapper: OptimWrapper | None = None) -> list:
        """Predict one image and adapt to it; the rate is that of its round."""
        self._round = int(data['data_samples'][0].metainfo.get('round') or 1)
        return super().adapt_step(data, optim_wrapper)

    @torch.no_grad()
    def predicted(self, images: Tensor) -> Tensor:
        """Labels (1, H, W) at the label's size; notes how sure the source model is."""
        found = super().predicted(images)
        views = [self.probabilities(self.source, images, ratio) for ratio in self.ratios]
        self.sureness = torch.stack([view.amax(dim=1) for view in views]).mean(dim=0)
        return found

    def objective(self, images: Tensor, logits: Tensor) -> dict[str, Tensor]:
        """Both losses at the label's size: ``unsure`` and ``sure``."""
        logits = self.resized(logits, self.label_size)
        found = {}
        for name, taken in (
            ('unsure', self.sureness < self.low),
            ('sure', self.sureness > self.high),
        ):
            (value,) = self.term('seg', logits, self.labels, taken.to(logits.dtype)).values()
            found[name] = value
        return found

    def adapt(self, images: Tensor, optim_wrapper: OptimWrapper | None) -> Tensor:
        """Choose tensors while it is time, take one step on those chosen."""
        if optim_wrapper is None:
            return super().adapt(images, None)
        with optim_wrapper.optim_context(self):
            logits = self.logits(images)
            losses = self.objective(images, logits)
        if self.images < self.search:
            self._choose(losses)
        else:  # what is chosen moves by the sure pixels alone, and nothing else is asked for
            self.left = dict(zip(self.chosen, self._gradients(losses['sure']), strict=True))
        self.images += 1
        self._step(optim_wrapper)
        self.loss_value = (losses['unsure'] + losses['sure']).detach()
        self._after_step()
        return logits.detach()

    def _gradients(self, loss: Tensor, keep: bool = False, every: bool = False) -> list[Tensor]:
        """Gradients of the chosen tensors, or of every one that is trained."""
        wanted = self._trained if every else [self._trained[index] for index in self.chosen]
        if not wanted:
            return []
        found = torch.autograd.grad(loss, wanted, retain_graph=keep, allow_unused=True)
        pairs = zip(found, wanted, strict=True)
        return [torch.zeros_like(p) if g is None else g for g, p in pairs]

    def _choose(self, losses: dict[str, Tensor]) -> None:
        """Add up gradients and let each loss choose the tensors of the largest ones."""
        before = range(len(self._trained)) if self.images == 0 else list(self.chosen)
        sums = []
        for name in ('unsure', 'sure'):
            for index in before:
                self.left.pop(index, None)
            found = self._gradients(losses[name], keep=name == 'unsure', every=True)
            for index, gradient in enumerate(found):
                left = self.left.get(index)
                self.left[index] = gradient if left is None else left + gradient
            sizes = [self.left[index].abs().sum() for index in range(len(found))]
            sums.append(largest(torch.stack(sizes), self.tensors))
        # Which tensors are stepped is decided here and waits for the device, once an image.
        for index in torch.cat(sums).tolist():
            if index not in self.chosen:
                self.chosen.append(index)

    def _step(self, optim_wrapper: OptimWrapper) -> None:
        optimizer = optim_wrapper.optimizer
        optimizer.state = defaultdict(dict)
        initial = self._optim_state['param_groups']
        for group, first in zip(optimizer.param_groups, initial, strict=True):
            group['lr'] = first['lr'] * self.rate_decay ** (self._round - 1)
        for index in self.chosen:
            self._trained[index].grad = self.left[index]
        optimizer.step()
        optim_wrapper.zero_grad()
        if self.images >= self.search:
            self.left = {}


@MODELS.register_module()
class DATFileViews(CoTTAFileViews, DAT):
    """:class:`DAT`, its views given with the image.

    The views of ``ratios`` are among those given. For the arguments see :class:`DAT` and
    :class:`~sfda_bench.methods.cotta.file_views.CoTTAFileViews`.
    """
