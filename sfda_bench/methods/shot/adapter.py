"""SHOT-IM and SHOT on pixels: the features move under a frozen classifier.

Liang, Hu, Feng: Do We Really Need to Access the Source Data? Source Hypothesis Transfer for
Unsupervised Domain Adaptation, ICML 2020, arXiv 2002.08546; code tim-learn/SHOT.

Faithful: the three losses with their constants, the frozen classifier, centroids in two rounds over
the whole target, their renewal once an epoch, the learning rate.
Deviates: the paper classifies images; a sample is a pixel here, and this reading is ours.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sfda_bench.adapt.adapter import Adapter
from sfda_bench.adapt.features import size_of
from sfda_bench.methods.shot.classifier import classifier_of, features_and_logits
from sfda_bench.registry import MODELS


@MODELS.register_module()
class SHOT(Adapter):
    """Information maximisation, and with labels cross-entropy.

    An iteration, no hooks:

    1. The loss ``entropy`` (every pixel is to be sure) and ``diversity`` (all pixels of the batch
       together are not), at the head's resolution.
    2. ``label``, if the config states it: cross-entropy to the labels that a stage before has
       written, taken by the nearest neighbour at the same resolution.
    3. The step; the classifier, the network's last convolution or its whole head, is frozen and in
       evaluation mode.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        **kwargs: Likewise.
    """

    def __init__(self, segmentor: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(segmentor, **kwargs)
        classifier_of(self.student.decode_head).requires_grad_(False)

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses; ``views`` hold ``image_label`` where the labels are learned."""
        logits = self.logits(views['image'])
        found = {**self.term('entropy', logits), **self.term('diversity', logits)}
        if 'label' in self.terms:
            labels = views.get('image_label')
            if labels is not None:
                labels = nearest(labels, size_of(logits))
            found |= self.term('label', logits, labels)
        return found

    def train(self, mode: bool = True) -> SHOT:
        """Set training mode; the classifier stays in evaluation mode."""
        super().train(mode)
        classifier_of(self.student.decode_head).eval()
        return self


def nearest(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Labels (N, H, W) at another size, from the middle of each new pixel.

    Back and forth between two sizes gives the smaller map again.
    """
    maps = interpolate(labels.unsqueeze(1).float(), size=size, mode='nearest-exact')
    return maps.squeeze(1).long()


@MODELS.register_module()
class FeaturePredictor(Adapter):
    """Features and probabilities of whole images for a labelling stage's writer; never trained.

    Args:
        segmentor: Config of the network.
    """

    def __init__(self, segmentor: dict[str, Any]) -> None:
        super().__init__(segmentor, trainable='none', norm_mode='eval', dropout=False)

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """The samples with ``features`` (D, h, w) and ``probabilities`` (C, h, w)."""
        samples = data_samples or []
        features, logits = features_and_logits(self.student, inputs)
        for sample, maps, scores in zip(samples, features, logits.softmax(dim=1), strict=True):
            sample.set_data({'features': maps, 'probabilities': scores})
        return samples
