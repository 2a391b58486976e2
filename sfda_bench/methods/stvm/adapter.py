"""STvM: a mean teacher whose every label counts as much as a learned metric trusts it.

Akkaya, Halici: Self-training via Metric Learning for Source-Free Domain Adaptation of Semantic
Segmentation, arXiv 2212.04227. Reconstructed: only the abstracts were at hand.

Established: a moving-average teacher labels all pixels; gradients are scaled by the reliability of
each label; reliability comes from a metric network with proxies on the teacher's encoder features,
trained online; the student's input is mixed by a ClassMix that follows reliability (MOCM).
Ours: every formula and number, each a parameter, listed in the card's `choices`.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from sfda_bench.adapt.features import encoder_channels, encoder_map, pixels, size_of
from sfda_bench.adapt.fused import confidences_and_labels
from sfda_bench.adapt.mean_teacher import MeanTeacherAdapter
from sfda_bench.adapt.mixing import class_masks, paste, weighted_class_masks
from sfda_bench.errors import require_known
from sfda_bench.methods.stvm.metric import (
    Measure,
    MetricNetwork,
    balanced_subset,
    metric_reliability,
    squared_distances,
)
from sfda_bench.registry import MODELS

Reliability = Literal['posterior', 'nearest_ratio', 'one', 'conf', 'threshold']
Mixing = Literal['none', 'uniform', 'metric']


@MODELS.register_module()
class STvM(MeanTeacherAdapter):
    """Self-training with metric reliability.

    An iteration:

    1. ``MeanTeacherHook`` averages the teacher, which labels the weak view.
    2. The loss ``metric`` (:class:`~sfda_bench.methods.stvm.losses.ProxyLoss`) trains the metric
       network on the teacher's features; its gradients reach nothing else. Then the metric says
       how reliable each label is.
    3. Images, labels and weights are mixed, and the student learns from the strong view of them by
       the loss ``seg``
       (:class:`~sfda_bench.adapt.losses.WeightedCrossEntropyLoss`).

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        reliability: Weight of a label: the metric's ``'posterior'`` or ``'nearest_ratio'``,
            ``'one'``, the teacher's confidence ``'conf'``, or whether that reaches
            ``'threshold'``.
        mixing: Choice of the classes to paste: ``'none'``, ``'uniform'``, or ``'metric'`` (by
            mean metric reliability: MOCM).
        threshold: Of the confidence.
        per_class: Pixels a class and image that train the metric.
        hidden: Channels inside the metric network.
        embedding: Channels of its embedding.
        **kwargs: See :class:`~sfda_bench.adapt.mean_teacher.MeanTeacherAdapter`.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        reliability: Reliability = 'posterior',
        mixing: Mixing = 'metric',
        threshold: float = 0.968,
        per_class: int = 256,
        hidden: int = 256,
        embedding: int = 128,
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, **kwargs)
        known = ('posterior', 'nearest_ratio', 'one', 'conf', 'threshold')
        self.reliability = require_known('reliability', reliability, known)
        self.mixing = require_known('mixing', mixing, ('none', 'uniform', 'metric'))
        self.threshold, self.per_class = threshold, per_class
        channels = encoder_channels(self.student.decode_head)
        self.metric_network = MetricNetwork(channels, self.num_classes, hidden, embedding)

    @property
    def uses_metric(self) -> bool:
        """Whether the metric network has any influence on the student."""
        return self.reliability in ('posterior', 'nearest_ratio') or self.mixing == 'metric'

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weighted self-training on the mixed strong view, and the metric's own loss."""
        images = views['image']
        with torch.no_grad():
            features = self.teacher.extract_feat(images)
            logits = self.teacher.decode_head(features)
            found = self.resized(logits, size_of(images)).softmax(dim=1)
            confidence, labels = confidences_and_labels(found)
        losses: dict[str, Tensor] = {}
        trust = torch.ones_like(confidence)
        if self.uses_metric:
            losses, trust = self.metric(encoder_map(self.teacher.decode_head, features), logits)
            trust = self.resized(trust.unsqueeze(1), size_of(images)).squeeze(1)
        weight = self.weights(trust, confidence)
        images, labels, weight = self.mixed(images, labels, weight, trust)
        predicted = self.logits(self.strong(images), size_of(labels))
        return {**self.term('seg', predicted, labels, weight), **losses}

    def metric(self, features: Tensor, logits: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Loss of the metric network, and the reliability (N, h, w) of the teacher's labels.

        Args:
            features: Teacher's encoder map (N, C, h, w), without gradient.
            logits: Teacher's logits at any resolution.
        """
        size = size_of(features)
        labels = self.resized(logits, size).argmax(dim=1)
        embedded, proxies = self.metric_network(features)
        embeddings = pixels(embedded)
        chosen = balanced_subset(labels.flatten(1), self.num_classes, self.per_class)
        loss: Any = self.terms['metric']
        losses = self.term('metric', embeddings, labels.flatten(), proxies=proxies, kept=chosen)
        with torch.no_grad():
            distances = squared_distances(embeddings, proxies)
            measure: Measure = (
                'nearest_ratio' if self.reliability == 'nearest_ratio' else 'posterior'
            )
            trust = metric_reliability(distances, labels.flatten(), loss.scale, measure)
        return losses, trust.view(len(features), *size)

    def weights(self, trust: Tensor, confidence: Tensor) -> Tensor:
        """Weight of every label (N, H, W).

        Args:
            trust: Metric reliability.
            confidence: The teacher's.
        """
        if self.reliability == 'one':
            return torch.ones_like(confidence)
        if self.reliability == 'conf':
            return confidence
        if self.reliability == 'threshold':
            return (confidence >= self.threshold).to(confidence)
        return trust

    def mixed(
        self, images: Tensor, labels: Tensor, weight: Tensor, trust: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Paste half of each image's classes over the next image, with labels and weights."""
        if self.mixing == 'none':
            return images, labels, weight
        if self.mixing == 'uniform':
            mask = class_masks(labels, self.num_classes, per_image=True)
        else:
            mask = weighted_class_masks(labels, trust, self.num_classes)
        images, labels, weight = (
            paste(mask, maps, maps.roll(-1, dims=0)) for maps in (images, labels, weight)
        )
        return images, labels, weight
