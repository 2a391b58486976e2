"""ATP's losses, in the order of its stages.

Source: ATP (arXiv 2106.11653), code ``losses/cross_entropy_loss.py`` and ``contrastive_loss.py``;
formulas in :mod:`~sfda_bench.methods.atp.curriculum`, :mod:`~sfda_bench.methods.atp.contrast` and
:mod:`~sfda_bench.methods.atp.black_box`. The positive loss is
:class:`~sfda_bench.adapt.losses.WeightedCrossEntropyLoss`.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sfda_bench.adapt.losses import AdaptationLoss, needed
from sfda_bench.errors import BenchError, require_known
from sfda_bench.methods.atp.black_box import distillation_loss
from sfda_bench.methods.atp.contrast import (
    contrast_regulariser,
    prototype_contrast,
)
from sfda_bench.methods.atp.curriculum import (
    FORMS,
    NegativeForm,
    curriculum_map,
    entropy_and_probability,
    entropy_of_mean,
    negative_map,
)
from sfda_bench.registry import MODELS

# --- the black box ------------------------------------------------------------------------------


@MODELS.register_module()
class DistillationLoss(AdaptationLoss):
    """:func:`~sfda_bench.methods.atp.black_box.distillation_loss`: a label and its probability.

    Takes by keyword ``confidence`` (N, H, W) in [0, 1]; without it every label is sure, which is
    the cross-entropy.
    """

    default_name = 'loss_distil'

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None,
        weight: Tensor | None = None,
        confidence: Tensor | None = None,
    ) -> Tensor:
        """Mean over labelled pixels."""
        labels = needed(self, labels=labels)
        if confidence is None:
            confidence = logits.new_ones(labels.shape)
        return distillation_loss(logits, labels, confidence, weight)


# --- align --------------------------------------------------------------------------------------


@MODELS.register_module()
class CurriculumEntropyLoss(AdaptationLoss):
    """``mean (1 - H)^gamma H``, see :func:`~sfda_bench.methods.atp.curriculum.curriculum_map`.

    Reads no labels. Takes by keyword ``entropy``, the map of
    :func:`~sfda_bench.methods.atp.curriculum.entropy_and_probability`.

    Args:
        gamma: Exponent.
        detach: Take the factor as a constant (the code does not).
        **kwargs: See :class:`~sfda_bench.adapt.losses.AdaptationLoss`.
    """

    default_name = 'loss_entropy'

    def __init__(self, gamma: float = 5.0, detach: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gamma, self.detach = gamma, detach

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None = None,
        weight: Tensor | None = None,
        entropy: Tensor | None = None,
    ) -> Tensor:
        """Mean over all pixels."""
        if entropy is None:
            entropy, _ = entropy_and_probability(logits)
        loss = curriculum_map(entropy, self.gamma, self.detach)
        return (loss if weight is None else loss * weight).mean()


@MODELS.register_module()
class DiversityLoss(AdaptationLoss):
    """Minus :func:`~sfda_bench.methods.atp.curriculum.weighted_diversity`, which is maximised.

    Reads no labels. Takes by keyword ``entropy`` and ``probability``, the maps of
    :func:`~sfda_bench.methods.atp.curriculum.entropy_and_probability`.

    Args:
        alpha: Steepness of the weights of pixels, ``exp(-alpha H)``.
        **kwargs: See :class:`~sfda_bench.adapt.losses.AdaptationLoss`.
    """

    default_name = 'loss_diversity'

    def __init__(self, alpha: float = 3.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None = None,
        weight: Tensor | None = None,
        entropy: Tensor | None = None,
        probability: Tensor | None = None,
    ) -> Tensor:
        """A value from -1 to 0."""
        if entropy is None or probability is None:
            entropy, probability = entropy_and_probability(logits)
        return -entropy_of_mean(entropy, probability, self.alpha, weight=weight)


# --- teach and propagate ------------------------------------------------------------------------


@MODELS.register_module()
class NegativeLoss(AdaptationLoss):
    """:func:`~sfda_bench.methods.atp.curriculum.negative_loss`: down with what is surely absent.

    Reads no labels. Takes by keyword ``mass``, the second map (N, H, W) of
    :class:`~sfda_bench.adapt.fused.CrossEntropyAndMass` at this threshold, for the form
    ``'joint'``.

    Args:
        threshold: Probability under which a class counts as absent.
        form: ``'joint'`` or ``'sum'``, see
            :func:`~sfda_bench.methods.atp.curriculum.negative_map`.
        **kwargs: See :class:`~sfda_bench.adapt.losses.AdaptationLoss`.
    """

    default_name = 'loss_negative'

    def __init__(
        self, threshold: float = 0.04, form: NegativeForm = 'joint', **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.threshold = threshold
        self.form = require_known('form of the negative loss', form, FORMS)

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None = None,
        weight: Tensor | None = None,
        mass: Tensor | None = None,
    ) -> Tensor:
        """Mean over all pixels."""
        loss = negative_map(logits, self.threshold, self.form, mass)
        return (loss if weight is None else loss * weight).mean()


class _PixelLoss(AdaptationLoss):
    """Of embedded pixels (n, D) with labels (n,) instead of logits and labels of maps."""

    def labels_of(self, labels: Tensor | None, weight: Tensor | None) -> Tensor:
        """The labels.

        Raises:
            BenchError: There are none, or pixels are weighted.
        """
        if weight is not None:
            raise BenchError(f'{type(self).__name__} with weights of pixels', 'labels of 255')
        return needed(self, labels=labels)


@MODELS.register_module()
class SemanticContrastLoss(_PixelLoss):
    """Cross-entropy of features over prototypes: the first term of ``semantic_contrast``.

    Instead of logits it takes features (n, D) with labels (n,), 255 ignored; by keyword
    ``prototypes`` (K, D).

    Args:
        temperature: Divides the similarities.
        **kwargs: See :class:`~sfda_bench.adapt.losses.AdaptationLoss`.
    """

    default_name = 'loss_contrast'

    def __init__(self, temperature: float = 100.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.temperature = temperature

    def value(
        self,
        features: Tensor,
        labels: Tensor | None,
        weight: Tensor | None = None,
        prototypes: Tensor | None = None,
    ) -> Tensor:
        """Mean over labelled pixels."""
        labels = self.labels_of(labels, weight)
        means = needed(self, prototypes=prototypes)
        return prototype_contrast(features, labels, means, self.temperature)


@MODELS.register_module()
class ContrastRegulariserLoss(_PixelLoss):
    """Pulls the mean feature to all prototypes alike: the second term of ``semantic_contrast``.

    Takes what :class:`SemanticContrastLoss` does, and by keyword the ``temperature`` of the
    contrast that it regularises.
    """

    default_name = 'loss_regulariser'

    def value(
        self,
        features: Tensor,
        labels: Tensor | None,
        weight: Tensor | None = None,
        prototypes: Tensor | None = None,
        temperature: float = 100.0,
    ) -> Tensor:
        """Of the mean of labelled pixels."""
        labels = self.labels_of(labels, weight)
        means = needed(self, prototypes=prototypes)
        return contrast_regulariser(features, labels, means, temperature)
