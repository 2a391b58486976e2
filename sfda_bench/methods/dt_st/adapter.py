"""DT-ST: online self-training with a teacher that is updated when the student has become better.

Zhao, Wang, Zang, Quan, Ye, Jiao: Towards Better Stability and Adaptability: Improve Online
Self-Training for Model Adaptation in Semantic Segmentation, CVPR 2023; code of February 2024.

Faithful to the code: labels, both losses, teacher update, candidate labels, copy-paste. Deviates:
images come from the first class-balanced list throughout; batch norm keeps its epsilon.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from sfda_bench.adapt.branches import views_of
from sfda_bench.adapt.features import size_of
from sfda_bench.adapt.mean_teacher import MeanTeacherAdapter
from sfda_bench.adapt.norm import NormMode, norm_layers
from sfda_bench.errors import BenchError
from sfda_bench.labels import IGNORE
from sfda_bench.methods.dt_st.labels import Window, discounted_labels, updated_shares, warped
from sfda_bench.registry import MODELS


@MODELS.register_module()
class DTST(MeanTeacherAdapter):
    """The teacher labels whole images, the student learns from a strong view of a window of them.

    An iteration:

    1. ``CandidatePasteHook`` pastes objects of rare classes into the student's images, with their
       candidate labels; ``DynamicTeacherHook`` scores the student on the whole images.
    2. The teacher's logits are warped into the student's windows and thresholded class by class;
       pasted labels overwrite them.
    3. The losses ``seg`` (:class:`~sfda_bench.adapt.losses.WeightedCrossEntropyLoss`) and
       ``negative`` (:class:`~sfda_bench.methods.dt_st.losses.NegativeLabelLoss`); the step.
    4. ``DynamicTeacherHook`` updates the teacher if the student's scores rose;
       ``CandidatePasteHook`` renews the candidate labels when they are due.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        confidence_floor: See :func:`~sfda_bench.methods.dt_st.labels.discounted_labels`.
        confidence_share: Likewise.
        discount: Likewise.
        share_start: See :func:`~sfda_bench.methods.dt_st.labels.updated_shares`.
        share_momentum: Likewise.
        exclude_pasted: Leave pasted pixels out of the negative loss; the code keeps them.
        freeze_norm: Freeze scale and shift of the batch-norm layers.
        teacher_mode: See :class:`~sfda_bench.adapt.mean_teacher.MeanTeacherAdapter`.
        predict_on: Likewise.
        norm_mode: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        dropout: Likewise.
        **kwargs: See :class:`~sfda_bench.adapt.mean_teacher.MeanTeacherAdapter`.
    """

    #: The teacher is forwarded, and the student once more for its score.
    passes = (1, 2)
    shares: Tensor

    def __init__(
        self,
        segmentor: dict[str, Any],
        confidence_floor: float = 0.2,
        confidence_share: float = 0.8,
        discount: float = 0.001,
        share_start: float = 0.001,
        share_momentum: float = 0.9,
        exclude_pasted: bool = False,
        freeze_norm: bool = True,
        teacher_mode: Literal['eval', 'train', 'batch'] = 'eval',
        predict_on: Literal['student', 'teacher'] = 'teacher',
        norm_mode: NormMode = 'eval',
        dropout: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            segmentor,
            teacher_mode=teacher_mode,
            predict_on=predict_on,
            norm_mode=norm_mode,
            dropout=dropout,
            **kwargs,
        )
        if not 0.0 <= share_momentum <= 1.0:
            raise BenchError(f'share_momentum {share_momentum}', '0 to 1')
        if discount <= 0.0:
            raise BenchError(f'discount {discount}', 'a number above 0')
        self.confidence_floor, self.confidence_share = confidence_floor, confidence_share
        self.discount, self.exclude_pasted = discount, exclude_pasted
        self.share_start, self.share_momentum = share_start, share_momentum
        if freeze_norm:
            for layer in norm_layers(self.student):
                layer.requires_grad_(False)
        self.register_buffer('shares', torch.full((self.num_classes,), float(share_start)))
        self.windows: list[Window] = []

    def loss(self, inputs: Any, data_samples: Any = None) -> dict[str, Tensor]:
        """Losses of one batch of ``TeacherStudentViews``, or of a plain one."""
        samples = data_samples.get('student') if isinstance(data_samples, dict) else None
        self.windows = [Window.of(sample) for sample in samples or [] if 'scaled' in sample]
        return self.losses(views_of(inputs, data_samples))

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Both losses.

        Args:
            views: ``teacher``, whole images; ``student``, strong views of windows of them; with
                ``student_label``, 255 but where something is pasted. A plain ``image`` is both.
        """
        images = views['student'] if 'student' in views else views['image']
        pasted = views.get('student_label')
        probabilities, labels = self.labelled(views.get('teacher', images), size_of(images))
        weight = None
        if pasted is not None:
            free = pasted == IGNORE
            labels = torch.where(free, labels, pasted)
            weight = free.to(probabilities) if self.exclude_pasted else None
        logits = self.logits(images, size_of(images))
        return {
            **self.term('seg', logits, labels),
            **self.term('negative', logits, weight=weight, probabilities=probabilities),
        }

    @torch.no_grad()
    def labelled(self, images: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The teacher's probabilities (N, K, h, w) and labels (N, h, w) in the student's windows.

        Args:
            images: Whole images (N, 3, H, W).
            size: (h, w).
        """
        logits = self.teacher_logits(images, size_of(images))
        if self.training:
            found = logits.softmax(dim=1).mean(dim=(0, 2, 3))
            new = updated_shares(self.shares, found, self.share_start, self.share_momentum)
            self.shares.copy_(new)
        if self.windows:
            pairs = zip(logits, self.windows, strict=True)
            logits = torch.stack([warped(maps, window, size) for maps, window in pairs])
        probabilities = logits.softmax(dim=1)
        labels = discounted_labels(
            probabilities,
            self.shares,
            self.confidence_floor,
            self.confidence_share,
            self.discount,
        )
        return probabilities, labels
