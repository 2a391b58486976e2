"""The four losses of IAPC: each alone from logits and labels, or from one pass over the logits.

Source: IAPC (arXiv 2306.01598), code ``trainer.py``, June 2023 with the two repairs of December
2024. All means are over all pixels, ignored ones included.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from sfda_bench.adapt.fused import confidences_and_labels, entropies
from sfda_bench.adapt.losses import AdaptationLoss, needed
from sfda_bench.errors import require_known
from sfda_bench.labels import IGNORE
from sfda_bench.methods.iapc.importance import ImportanceInput, importance
from sfda_bench.registry import MODELS

# --- maps that the losses are means of ----------------------------------------------------------


def pixel_terms(
    student: Tensor, labels: Tensor, class_weights: Tensor, nearest: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Maps (N, H, W) of all four losses from one pass over the student's logits.

    Args:
        student: Logits (N, K, H, W).
        labels: Pseudo-labels (N, H, W), 255 ignored.
        class_weights: (K,).
        nearest: Prototype labels (N, H, W).

    Returns:
        ``weighted``, cross-entropies to the labels times class weights, 0 where ignored;
        ``of_nearest``, those to the prototype labels; and entropies.
    """
    kept = labels != IGNORE
    index = torch.where(kept, labels, 0)
    losses, entropy = entropies(student, torch.stack([index, nearest], dim=1))
    of_label, of_nearest = losses.unbind(1)
    return of_label * (class_weights[index] * kept), of_nearest, entropy


def weighted_pixels(student: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
    """``weighted`` of :func:`pixel_terms` alone; without class weights they are 1."""
    loss = cross_entropy(student, labels, ignore_index=IGNORE, reduction='none')
    if class_weights is None:
        return loss
    return loss * class_weights[torch.where(labels != IGNORE, labels, 0)]


def feature_half(student: Tensor, similarity: Tensor) -> Tensor:
    """Cross-entropy of the similarities (N, K, H, W) to the arg-max of the student's logits."""
    return cross_entropy(similarity, confidences_and_labels(student.detach())[1])


def iapc_losses(
    student: Tensor,
    weights: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    nearest: Tensor,
    similarity: Tensor,
) -> dict[str, Tensor]:
    """The plain terms, before they are weighted.

    Args:
        student: Logits (N, K, H, W) at label size.
        weights: Importance (N, H, W).
        labels: Pseudo-labels (N, H, W), 255 ignored.
        class_weights: (K,).
        nearest: Prototype labels (N, H, W).
        similarity: Similarities (N, K, H, W) at label size.

    Returns:
        ``importance`` (L_IA), ``enhanced`` (L_PE), the two halves ``prediction`` and ``feature`` of
        L_PS, ``entropy`` (L_IM).
    """
    weighted, of_nearest, entropy = pixel_terms(student, labels, class_weights, nearest)
    return {
        'importance': (weights * weighted).mean(),
        'enhanced': ((nearest == labels) * weighted).mean(),
        'prediction': of_nearest.mean(),
        'feature': feature_half(student, similarity),
        'entropy': entropy.mean(),
    }


# --- the losses, in the order of the paper ------------------------------------------------------


@MODELS.register_module()
class ImportanceLoss(AdaptationLoss):
    """L_IA: cross-entropy to pseudo-labels, each pixel by its importance.

    Takes by keyword ``source``, the source model's logits (N, K, H, W) that give the importance
    (without them the pixels count as ``weight`` says), ``class_weights`` (K,), and the map
    ``weighted`` of :func:`pixel_terms`.

    Args:
        importance_input: See :func:`~sfda_bench.methods.iapc.importance.importance`.
        **kwargs: See :class:`~sfda_bench.adapt.losses.AdaptationLoss`.
    """

    default_name = 'loss_importance'

    def __init__(self, importance_input: ImportanceInput = 'logits', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.importance_input = require_known(
            'input of the importance', importance_input, ('logits', 'prob')
        )

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None,
        weight: Tensor | None = None,
        source: Tensor | None = None,
        class_weights: Tensor | None = None,
        weighted: Tensor | None = None,
    ) -> Tensor:
        """Mean over all pixels."""
        if weighted is None:
            weighted = weighted_pixels(logits, needed(self, labels=labels), class_weights)
        if source is not None:
            with torch.no_grad():
                ours = importance(source, self.importance_input)
            weight = ours if weight is None else ours * weight
        return (weighted if weight is None else weight * weighted).mean()


@MODELS.register_module()
class PrototypeEnhancedLoss(AdaptationLoss):
    """L_PE: cross-entropy to pseudo-labels where the prototypes say the same.

    Takes by keyword ``nearest``, the prototype labels (N, H, W); ``class_weights`` (K,), and the
    map ``weighted`` of :func:`pixel_terms`.
    """

    default_name = 'loss_enhanced'

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None,
        weight: Tensor | None = None,
        nearest: Tensor | None = None,
        class_weights: Tensor | None = None,
        weighted: Tensor | None = None,
    ) -> Tensor:
        """Mean over all pixels, also those where the labels differ."""
        labels, nearest = needed(self, labels=labels), needed(self, nearest=nearest)
        if weighted is None:
            weighted = weighted_pixels(logits, labels, class_weights)
        agreed = (nearest == labels) * weighted
        return (agreed if weight is None else weight * agreed).mean()


@MODELS.register_module()
class PrototypeSymmetricLoss(AdaptationLoss):
    """L_PS: the prediction learns the prototype labels, the features what is predicted.

    Takes by keyword ``nearest``, the prototype labels (N, H, W), ``similarity`` to the prototypes
    (N, K, H, W), and the map ``of_nearest`` of :func:`pixel_terms`. Reads no labels; ``weight``
    belongs to the first half.
    """

    default_name = 'loss_symmetric'

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None = None,
        weight: Tensor | None = None,
        nearest: Tensor | None = None,
        similarity: Tensor | None = None,
        of_nearest: Tensor | None = None,
    ) -> Tensor:
        """Sum of both halves, each a mean over all pixels."""
        if of_nearest is None:
            target = needed(self, nearest=nearest)
            of_nearest = cross_entropy(logits, target, reduction='none')
        prediction = (of_nearest if weight is None else weight * of_nearest).mean()
        return prediction + feature_half(logits, needed(self, similarity=similarity))
