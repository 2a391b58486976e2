"""Teachers that label for positive and negative self-training, with class-balanced crops.

Source: ATP (arXiv 2106.11653), code ``uda/atp_tta.py`` and ``uda/atp_semi.py``.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from sfda_bench.adapt.arg_max import confidences_and_labels
from sfda_bench.adapt.curriculum import IGNORE, NegativeForm, complementary_losses
from sfda_bench.adapt.mean_teacher import MeanTeacherAdapter
from sfda_bench.adapt.mixing import balanced_crop, cropped
from sfda_bench.errors import require_known

Labelled = tuple[Tensor, Tensor, Tensor]


class CroppingTeacher(MeanTeacherAdapter):
    """Teacher labels on weak views, of whole images or of their richest crops.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        cbc_size: Class-balanced cropping ("CBC"): the teacher labels the whole image, the richest
            of ten crops of this (height, width) is labelled again and used; ``None``: no crop.
        **kwargs: See :class:`~sfda_bench.adapt.mean_teacher.MeanTeacherAdapter`; the defaults are
            ATP's: ramped momentum of parameters only, batch statistics in the teacher.
    """

    def __init__(
        self, segmentor: dict[str, Any], cbc_size: tuple[int, int] | None = None, **kwargs: Any
    ) -> None:
        kwargs = {'warmup': 'dacs', 'buffers': 'skip', 'teacher_mode': 'train', **kwargs}
        super().__init__(segmentor, **kwargs)
        self.cbc_size = tuple(cbc_size) if cbc_size else None

    def chosen_crops(self, images: Tensor) -> Tensor:
        """The images, or their richest crops by the teacher's labels."""
        if self.cbc_size is None:
            return images
        size = (int(self.cbc_size[0]), int(self.cbc_size[1]))
        whole = self.teacher_logits(images, size_of(images)).argmax(dim=1)
        corners = [balanced_crop(label, size, self.num_classes) for label in whole]
        return cropped(images, corners, size)

    @torch.no_grad()
    def labelled(self, images: Tensor) -> Labelled:
        """Images (cropped if CBC is on), teacher labels and confidences (N, H, W)."""
        images = self.chosen_crops(images)
        found = self.teacher_logits(images, size_of(images)).softmax(dim=1)
        confidence, labels = confidences_and_labels(found)
        return images, labels, confidence


class ComplementaryStage(CroppingTeacher):
    """Positive and negative labels (ATP, stages T and P).

    Args:
        negative_threshold: Probability under which a class is a negative label.
        negative_form: See :func:`~sfda_bench.adapt.curriculum.negative_loss`.
        positive_threshold: Confidence a positive label needs; ``None`` keeps all (the code).
        negatives_on: ``'all'`` pixels (the code) or only the ``'uncertain'`` ones, whose positive
            label was dropped (the paper's figure).
        weight_positive: Weight of the cross-entropy.
        weight_negative: Weight of the negative loss.
        **kwargs: See :class:`CroppingTeacher`.
    """

    def __init__(
        self,
        negative_threshold: float = 0.04,
        negative_form: NegativeForm = 'joint',
        positive_threshold: float | None = None,
        negatives_on: Literal['all', 'uncertain'] = 'all',
        weight_positive: float = 1.0,
        weight_negative: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.negative_threshold = negative_threshold
        self.negative_form: NegativeForm = negative_form
        self.positive_threshold = positive_threshold
        self.negatives_on = require_known('negatives_on', negatives_on, ('all', 'uncertain'))
        self.weight_positive, self.weight_negative = weight_positive, weight_negative

    def complementary(
        self, logits: Tensor, labels: Tensor, weight: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Both losses; the weight map touches the positive one only, as in the code."""
        where = labels == IGNORE if self.negatives_on == 'uncertain' else None
        positive, negative = complementary_losses(
            logits, labels, self.negative_threshold, self.negative_form, where, weight
        )
        return {
            'loss_positive': self.weight_positive * positive,
            'loss_negative': self.weight_negative * negative,
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


def size_of(maps: Tensor) -> tuple[int, int]:
    """(H, W) of maps whose last two axes these are."""
    return int(maps.shape[-2]), int(maps.shape[-1])
