"""LDBE: what LD's network has learned is learned again on images of mixed parts.

Released code of You et al., Domain Adaptive Semantic Segmentation without Source Data, ACM MM
2021, arXiv 2110.06484 (fumyou13/LDBE, ``dis_iter``); announced for an extension of that paper.

Faithful: the teacher sees the clean crops, by the batch's statistics; labels of the stage before
count as certain; half of an image's classes over its neighbour; the loss and its denominator.
Deviates: the teacher starts anew in the second round, whose labels are a stage of their own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sfda_bench.adapt.features import size_of
from sfda_bench.adapt.fused import confidences_and_labels
from sfda_bench.adapt.mean_teacher import MeanTeacherAdapter, TeacherMode
from sfda_bench.adapt.mixing import paste
from sfda_bench.adapt.norm import free_projections
from sfda_bench.labels import IGNORE
from sfda_bench.methods.ldbe.mixing import half_of_own_classes
from sfda_bench.registry import MODELS


@MODELS.register_module()
class LDBE(MeanTeacherAdapter):
    """Self-training on mixed images.

    An iteration:

    1. The hook ``teacher`` (:class:`~sfda_bench.methods.ldbe.hooks.LateTeacherHook`) averages the
       parameters after the last step into the teacher.
    2. The teacher labels what the stage before has left out of the clean images.
    3. Of each image half of its classes are pasted over the next one, with labels and confidence.
    4. The loss ``mixed`` of the student on the mixture; the step.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.mean_teacher.MeanTeacherAdapter`.
        projection_affine: See :class:`~sfda_bench.methods.ld.adapter.LD`.
        teacher_mode: See :class:`~sfda_bench.adapt.mean_teacher.MeanTeacherAdapter`.
        dropout: Of the network's own.
        **kwargs: See :class:`~sfda_bench.adapt.mean_teacher.MeanTeacherAdapter`.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        projection_affine: bool = True,
        teacher_mode: TeacherMode = 'train',
        dropout: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, teacher_mode=teacher_mode, dropout=dropout, **kwargs)
        if projection_affine:
            free_projections(self.student.backbone)

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """The loss on the mixture of ``image`` with its labels."""
        images, labels = views['image'], views['image_label']
        size = size_of(images)
        share = (labels != IGNORE).float().mean()
        labels, confidence = self.completed(images, labels)
        mask = half_of_own_classes(labels, self.num_classes)
        images, labels, confidence = (
            paste(mask, maps, maps.roll(-1, dims=0)) for maps in (images, labels, confidence)
        )
        logits = self.logits(images, size)
        return {**self.term('mixed', logits, labels, confidence=confidence), 'labelled': share}

    @torch.no_grad()
    def completed(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (N, H, W) without ignored pixels, and their confidence: 1 of those given."""
        found = self.teacher_logits(images, size_of(images)).softmax(dim=1)
        confidence, predicted = confidences_and_labels(found)
        known = labels != IGNORE
        return torch.where(known, labels, predicted), torch.where(known, 1.0, confidence)
