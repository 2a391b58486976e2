"""Losses as mmseg has them: a type, a weight and a name, in any config whose inputs fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, nll_loss

from sfda_bench.errors import BenchError
from sfda_bench.labels import IGNORE
from sfda_bench.registry import MODELS


class AdaptationLoss(nn.Module):
    """Base of all losses: a weighted scalar of logits; a subclass defines :meth:`value`.

    A decode head calls it as it calls mmseg's own: ``loss(logits, labels, weight=...,
    ignore_index=...)``. An adapter may give more by keyword, such as maps of a pass that several
    losses share (:mod:`~sfda_bench.adapt.fused`); without them a loss computes its own.

    Args:
        loss_weight: Factor.
        loss_name: Key of the value in a training step's log; must begin with ``loss_``, or mmengine
            does not minimise it. '' : the class's own.
    """

    #: ``loss_name`` where none is given.
    default_name = 'loss_adaptation'

    def __init__(self, loss_weight: float = 1.0, loss_name: str = '') -> None:
        super().__init__()
        self.loss_weight, self._name = loss_weight, loss_name or self.default_name
        if not self._name.startswith('loss_'):
            raise BenchError(f'loss_name {self._name!r}', 'a name that begins with loss_')

    @property
    def loss_name(self) -> str:
        """Key of the value in a training step's log."""
        return self._name

    def forward(
        self,
        pred: Tensor,
        target: Tensor | None = None,
        weight: Tensor | None = None,
        ignore_index: int = IGNORE,
        **shared: Any,
    ) -> Tensor:
        """``loss_weight`` times :meth:`value`.

        Args:
            pred: Logits (N, C, H, W), unless the class says otherwise.
            target: Labels (N, H, W), for losses that need them.
            weight: (N, H, W), for losses that weight pixels.
            ignore_index: Label that does not count.
            **shared: What the class takes besides.
        """
        if target is not None and ignore_index != IGNORE:
            target = torch.where(target == ignore_index, IGNORE, target)
        return self.loss_weight * self.value(pred, target, weight, **shared)

    def value(self, *args: Any, **shared: Any) -> Tensor:
        """``value(logits, labels, weight, **shared)``: the loss before it is weighted, a scalar.

        255 in ``labels`` is ignored; ``shared`` are keywords of the class's own, none required.
        """
        raise NotImplementedError(
            f'{type(self).__name__} must define value(logits, labels, weight)'
        )


def build_losses(losses: Mapping[str, Mapping[str, Any]]) -> nn.ModuleDict:
    """Losses from their configs by name; the name gives ``loss_<name>`` where none is stated."""
    return nn.ModuleDict(
        {
            name: MODELS.build({'loss_name': f'loss_{name}', **config})
            for name, config in losses.items()
        }
    )


def weighted_cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy, mean over *all* pixels: ignored ones count in the denominator.

    Args:
        logits: (N, C, H, W).
        labels: (N, H, W), 255 ignored.
        weight: (N, H, W) of each pixel.
    """
    loss = cross_entropy(logits, labels, ignore_index=IGNORE, reduction='none')
    return (loss if weight is None else loss * weight).mean()


@MODELS.register_module()
class WeightedCrossEntropyLoss(AdaptationLoss):
    """:func:`weighted_cross_entropy`, as ATP and STvM have it.

    Takes by keyword ``pixel_loss``: its map (N, H, W) before weights, 0 where ignored, of a pass
    that is shared.
    """

    default_name = 'loss_seg'

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None,
        weight: Tensor | None = None,
        pixel_loss: Tensor | None = None,
    ) -> Tensor:
        """Mean over all pixels."""
        if pixel_loss is not None:
            return (pixel_loss if weight is None else pixel_loss * weight).mean()
        return weighted_cross_entropy(logits, needed(self, labels=labels), weight)


def needed(loss: nn.Module, **given: Tensor | None) -> Tensor:
    """The one tensor that is given, or a message that says which loss lacks what."""
    [(name, value)] = given.items()
    if value is None:
        raise BenchError(f'{type(loss).__name__} without {name}', f'a call with {name}')
    return value


def label_loss(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy summed over labelled pixels of the batch, divided by their number.

    Args:
        logits: (N, C, H, W).
        labels: (N, H, W) int64, 255 ignored.
        weight: (N, H, W) of each pixel.

    Returns:
        Scalar, 0 (with a gradient of 0) where nothing is labelled.
    """
    log_p = log_softmax(logits, dim=1)
    if weight is None:
        total = nll_loss(log_p, labels, ignore_index=IGNORE, reduction='sum')
    else:
        total = (nll_loss(log_p, labels, ignore_index=IGNORE, reduction='none') * weight).sum()
    return total / (labels != IGNORE).sum().clamp(min=1)


@MODELS.register_module()
class PseudoLabelLoss(AdaptationLoss):
    """:func:`label_loss`: 0 instead of 0/0 where nothing is labelled; of CBST, ADVENT, IntraDA."""

    default_name = 'loss_label'

    def value(self, logits: Tensor, labels: Tensor | None, weight: Tensor | None = None) -> Tensor:
        """Mean over the labelled pixels."""
        return label_loss(logits, needed(self, labels=labels), weight)
