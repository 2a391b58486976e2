"""SAR, dense form: entropy of certain pixels, minimised at the sharpest point nearby.

Niu et al.: Towards Stable Test-Time Adaptation in Dynamic Wild World, ICLR 2023, arXiv 2302.12400;
code mr-eggplant/SAR.

Faithful: both forward passes with their filters, the step of the gradient's length between them,
the average of the loss and the return to the source, with (``form='official'``) or without the
slips of the released code.
Deviates: the paper classifies images, here a sample is a pixel at the head's resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor

from sfda_bench.adapt.certain import certain, mean_over
from sfda_bench.adapt.entropy import pixel_entropy
from sfda_bench.adapt.online import OnlineAdapter
from sfda_bench.errors import BenchError, require_known
from sfda_bench.registry import MODELS


def ascent(gradients: Sequence[Tensor], radius: float) -> list[Tensor]:
    """Steps uphill of one common length: ``radius * g / (|g| + 1e-12)``."""
    length = torch.stack([gradient.norm() for gradient in gradients]).norm()
    return [gradient * (radius / (length + 1e-12)) for gradient in gradients]


@MODELS.register_module()
class SAR(OnlineAdapter):
    """Minimise the entropy of certain pixels where it is greatest close by.

    An image:

    1. The forward pass predicts it; the pixels whose entropy is below a margin are certain. The
       gradient of their mean entropy leads uphill, to a point at distance ``radius``.
    2. The loss ``entropy`` (:class:`~sfda_bench.adapt.certain.CertainEntropyLoss`, which has
       the margin) there, over those of them that are still certain. Its gradient moves the weights
       that step 1 began with.
    3. Where the running average of that loss falls below ``reset_below``, everything returns to
       the source model.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        radius: Of the neighbourhood, in the norm over all trained parameters.
        reset_below: In nats.
        momentum: Of the average of the loss.
        form: ``'official'`` does as the released code: a return to the source keeps the average
            (so that it repeats itself until the average has risen) and the optimiser's state, and
            without certain pixels the optimiser steps on its momentum. ``'fixed'``: a return
            forgets both, and without certain pixels there is no step.
        exclude: Layers whose name contains one of these are not trained: the last stage.
        **kwargs: See :class:`~sfda_bench.adapt.online.OnlineAdapter`.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        radius: float = 0.05,
        reset_below: float = 0.2,
        momentum: float = 0.9,
        form: Literal['official', 'fixed'] = 'fixed',
        exclude: Sequence[str] = ('backbone.layer4', 'backbone.layers.3'),
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, **{'trainable': 'norm_affine', **kwargs})
        self.radius, self.reset_below, self.momentum = radius, reset_below, momentum
        self.form = require_known('form', form, ('official', 'fixed'))
        for name, parameter in self.student.named_parameters():
            if any(part in name for part in exclude):
                parameter.requires_grad_(False)
        if not any(p.requires_grad for p in self.student.parameters()):
            raise BenchError(
                f'SAR that excludes {", ".join(exclude)}', 'layers that are left to train'
            )
        self.average: Tensor | None = None
        self._average = 0.0  # its value, on the host

    def reset(self) -> None:
        """As the base, and forget the average of the loss."""
        super().reset()
        self.average = None

    def adapt(self, images: Tensor, optim_wrapper: OptimWrapper | None) -> Tensor:
        """Take one step and return the student's logits from before it."""
        if optim_wrapper is None:
            return super().adapt(images, None)
        with optim_wrapper.optim_context(self):
            logits = self.logits(images)
            entropy = pixel_entropy(logits)
        loss: Any = self.terms['entropy']
        kept = certain(entropy.detach(), logits.shape[1], loss.margin)
        here = [parameter.detach().clone() for parameter in self._trained]
        self._go_uphill(mean_over(entropy, kept))
        with optim_wrapper.optim_context(self):
            there = self.logits_of(self.student, images)
            entropy = pixel_entropy(there)
            kept &= certain(entropy.detach(), there.shape[1], loss.margin)
            total, _ = self.parse_losses(self.term('entropy', there, entropy=entropy, chosen=kept))
        optim_wrapper.backward(total)
        torch._foreach_copy_([parameter.detach() for parameter in self._trained], here)
        self._step(total.detach(), mean_over(entropy.detach(), kept), kept, optim_wrapper)
        return logits.detach()

    def _go_uphill(self, loss: Tensor) -> None:
        found = torch.autograd.grad(loss, self._trained, allow_unused=True)
        pairs = zip(found, self._trained, strict=True)
        gradients = [torch.zeros_like(p) if g is None else g for g, p in pairs]
        with torch.no_grad():
            torch._foreach_add_(self._trained, ascent(gradients, self.radius))

    def _step(
        self, loss: Tensor, entropy: Tensor, kept: Tensor, optim_wrapper: OptimWrapper
    ) -> None:
        """Step by the gradients at hand; return to the source if it is time."""
        old = entropy if self.average is None else self.average
        new = self.momentum * old + (1.0 - self.momentum) * entropy
        # Once an image this waits for the device, as the prediction that is written does.
        any_, value = torch.stack([kept.any().double(), new.double()]).tolist()
        found = bool(any_)
        if found or self.form == 'official':
            optim_wrapper.step()
            self.loss_value = loss
            self._after_step()
        optim_wrapper.zero_grad()
        if found:
            self.average, self._average = new, value
        if self.average is not None and self._average < self.reset_below:
            self._return()

    @torch.no_grad()
    def _return(self) -> None:
        if self.form == 'fixed':
            self.reset()
            return
        for value, initial in zip(self._state(), self._initial, strict=True):
            value.copy_(initial)
