"""Teachers that label for positive and negative self-training, with class-balanced crops.

Source: ATP (arXiv 2106.11653), code ``uda/atp_tta.py`` and ``uda/atp_semi.py``.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from sfda_bench.adapt.features import size_of
from sfda_bench.adapt.fused import CrossEntropyAndMass, confidences_and_labels
from sfda_bench.adapt.mean_teacher import MeanTeacherAdapter, TeacherMode
from sfda_bench.adapt.mixing import balanced_crops, cropped
from sfda_bench.errors import require_known
from sfda_bench.labels import IGNORE

Labelled = tuple[Tensor, Tensor, Tensor]


class CroppingTeacher(MeanTeacherAdapter):
    """Teacher labels on weak views, of whole images or of their richest crops.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        cbc_size: Class-balanced cropping ("CBC"): the teacher labels the whole image, the richest
            of ten crops of this (height, width) is labelled again and used; ``None``: no crop.
        teacher_mode: Batch-norm of the teacher; the code leaves it in training mode.
        **kwargs: See :class:`~sfda_bench.adapt.mean_teacher.MeanTeacherAdapter`.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        cbc_size: tuple[int, int] | None = None,
        teacher_mode: TeacherMode = 'train',
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, teacher_mode=teacher_mode, **kwargs)
        self.cbc_size = tuple(cbc_size) if cbc_size else None

    def chosen_crops(self, images: Tensor) -> Tensor:
        """The images, or their richest crops by the teacher's labels."""
        if self.cbc_size is None:
            return images
        size = (int(self.cbc_size[0]), int(self.cbc_size[1]))
        whole = self.teacher_logits(images, size_of(images)).argmax(dim=1)
        return cropped(images, balanced_crops(whole, size, self.num_classes), size)

    @torch.no_grad()
    def labelled(self, images: Tensor) -> Labelled:
        """Images (cropped if CBC is on), teacher labels and confidences (N, H, W)."""
        images = self.chosen_crops(images)
        found = self.teacher_logits(images, size_of(images)).softmax(dim=1)
        confidence, labels = confidences_and_labels(found)
        return images, labels, confidence


class ComplementaryStage(CroppingTeacher):
    """Positive and negative labels (ATP, stages T and P).

    The losses ``positive`` (:class:`~sfda_bench.adapt.losses.WeightedCrossEntropyLoss`) and
    ``negative`` (:class:`~sfda_bench.methods.atp.losses.NegativeLoss`), from one pass over the
    student's logits where the form of the negative loss allows it.

    Args:
        positive_threshold: Confidence a positive label needs; ``None`` keeps all (the code).
        negatives_on: ``'all'`` pixels (the code) or only the ``'uncertain'`` ones, whose positive
            label was dropped (the paper's figure).
        **kwargs: See :class:`CroppingTeacher`.
    """

    def __init__(
        self,
        positive_threshold: float | None = None,
        negatives_on: Literal['all', 'uncertain'] = 'all',
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.positive_threshold = positive_threshold
        self.negatives_on = require_known('negatives_on', negatives_on, ('all', 'uncertain'))

    def complementary(
        self, logits: Tensor, labels: Tensor, weight: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Both losses; the weight map touches the positive one only, as in the code."""
        where = labels == IGNORE if self.negatives_on == 'uncertain' else None
        negative: Any = self.terms['negative']
        pixel_loss, mass = None, None
        if negative.form == 'joint':
            pixel_loss, mass = CrossEntropyAndMass.apply(logits, labels, negative.threshold)
        return {
            **self.term('positive', logits, labels, weight, pixel_loss=pixel_loss),
            **self.term('negative', logits, weight=where, mass=mass),
        }


def reliability_map(confidence: Tensor, threshold: float, top: int, bottom: int) -> Tensor:
    """Share of the batch's pixels at or above ``threshold`` everywhere, 0 in the outer rows.

    Args:
        confidence: (N, H, W).
        threshold: Inclusive.
        top: Rows at the top that get 0.
        bottom: Rows at the bottom that get 0.
    """
    weight = torch.ones_like(confidence) * (confidence >= threshold).float().mean()
    weight[:, :top] = 0.0
    if bottom:
        weight[:, -bottom:] = 0.0
    return weight


def renamed(losses: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    """The losses with the part's name in theirs: ``loss_easy_positive``."""
    return {name.replace('loss_', f'loss_{part}_', 1): value for name, value in losses.items()}
