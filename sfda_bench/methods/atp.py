"""ATP: align, teach and propagate, three stages of curriculum-style self-training.

Wang, Liang, Zhang: A Curriculum-style Self-training Approach for Source-Free Semantic Segmentation,
TPAMI 2024, arXiv 2106.11653; code yxiwang/ATP @ f84a4ae. The paper's body was not at hand.

Faithful: every loss and constant of the code, whose functions' values the tests repeat. Options
follow what abstract and figure say beyond the code: threshold on positive labels, negative labels
below it only, frozen classifier, detached curriculum. Known bugs are switches, off by default.
Deviates: no source image is loaded (in the code they only supply normalisation constants); kornia's
present colour jitter; one draw of the classes to paste from torch's generator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from sfda_bench.adapt.branches import views_of
from sfda_bench.adapt.class_prior import prior_weights, with_class_prior
from sfda_bench.adapt.complementary import (
    ComplementaryStage,
    CroppingTeacher,
    reliability_map,
    renamed,
    size_of,
)
from sfda_bench.adapt.contrast import (
    CumulativePrototypes,
    ProjectionHead,
    downscaled_labels,
    encoder_channels,
    encoder_map,
    pixels,
    semantic_contrast,
)
from sfda_bench.adapt.curriculum import (
    IGNORE,
    alignment,
    thresholded,
)
from sfda_bench.adapt.mean_teacher import update_average
from sfda_bench.adapt.mixing import class_masks, paste
from sfda_bench.adapt.predictor import ProbabilityPredictor
from sfda_bench.adapt.strong import input_convention
from sfda_bench.errors import BenchError
from sfda_bench.registry import MODELS


@MODELS.register_module()
class ATPAlign(CroppingTeacher):
    """Stage A: ``w_e mean (1 - H)^gamma H - w_d L_div`` on strong views.

    Args:
        weight_entropy: w_e.
        weight_diversity: w_d.
        gamma: See :func:`~sfda_bench.adapt.curriculum.curriculum_entropy`.
        alpha: See :func:`~sfda_bench.adapt.curriculum.weighted_diversity`.
        curriculum_detach: Take the curriculum factor as a constant (the code does not).
        freeze_classifier: Train the encoder only (the paper's figure; the code trains all).
        **kwargs: See :class:`CroppingTeacher`.
    """

    passes = (1, 0)

    def __init__(
        self,
        weight_entropy: float = 1e-3,
        weight_diversity: float = 1e-4,
        gamma: float = 5.0,
        alpha: float = 3.0,
        curriculum_detach: bool = False,
        freeze_classifier: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.weight_entropy, self.weight_diversity = weight_entropy, weight_diversity
        self.gamma, self.alpha, self.curriculum_detach = gamma, alpha, curriculum_detach
        if freeze_classifier:
            self.student.decode_head.requires_grad_(False)

    def update_teacher(self) -> None:
        """Only the choice of crops needs a teacher here."""
        if self.cbc_size is not None:
            super().update_teacher()

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Curriculum entropy and diversity."""
        images = self.chosen_crops(views['image'])
        logits = self.logits(self.strong(images), size_of(images))
        entropy, diversity = alignment(logits, self.gamma, self.alpha, self.curriculum_detach)
        return {
            'loss_entropy': self.weight_entropy * entropy,
            'loss_diversity': -self.weight_diversity * diversity,
        }


@MODELS.register_module()
class ATPTeach(ComplementaryStage):
    """Stage T: the teacher labels the weak view, the student learns on the strong one."""

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Positive and negative self-training."""
        images, labels, confidence = self.labelled(views['image'])
        labels = thresholded(confidence, labels, self.positive_threshold)
        return self.complementary(self.logits(self.strong(images), size_of(labels)), labels)


@MODELS.register_module()
class ATPRank(ProbabilityPredictor):
    """Probabilities for the split into easy and hard images.

    Args:
        replicate_train_mode: Rank with batch statistics and dropout, as the code does by omission.
        **kwargs: See :class:`~sfda_bench.adapt.predictor.ProbabilityPredictor`.
    """

    def __init__(self, replicate_train_mode: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.replicate_train_mode = replicate_train_mode

    @torch.no_grad()
    def probabilities(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Probabilities (N, C, H, W) at ``size``."""
        self.student.train(self.replicate_train_mode)
        return super().probabilities(images, size)


@MODELS.register_module()
class ATPPropagate(ComplementaryStage):
    """Stage P: from easy images (``views['easy']``) to hard ones (``views['hard']``).

    Three losses, backpropagated one after the other and stepped together: on easy images; semantic
    contrast of hard features with prototypes of easy ones; on hard images with easy classes pasted.

    Args:
        confident: Confidence that counts for the weight of the hard images' labels.
        ignore_top: Rows at the top of hard images whose labels get no weight.
        ignore_bottom: Likewise at the bottom.
        contrast_start: First iteration with the contrast.
        weight_contrast: Weight of the contrast (with its regulariser).
        weight_regulariser: Weight of the regulariser inside it.
        temperature: Divides the contrast's logits.
        min_share: See :func:`~sfda_bench.adapt.contrast.downscaled_labels`.
        projection: Channels of the embedding.
        hidden: Channels inside the projector; 0: 256 for an encoder of several levels, else as many
            as the encoder has.
        augment_twice: Mix images that are already augmented and augment again, as the code does.
        replicate_inplace_bug: When jittered, take prototypes from images de-normalised by accident.
        class_prior_rescale: Export with :mod:`~sfda_bench.adapt.class_prior` (ACDC in the code).
        **kwargs: See :class:`ComplementaryStage`.
    """

    passes = (3, 3)

    def __init__(
        self,
        confident: float = 0.968,
        ignore_top: int = 15,
        ignore_bottom: int = 120,
        contrast_start: int = 1500,
        weight_contrast: float = 1.0,
        weight_regulariser: float = 1.0,
        temperature: float = 100.0,
        min_share: float = 0.75,
        projection: int = 512,
        hidden: int = 0,
        augment_twice: bool = False,
        replicate_inplace_bug: bool = False,
        class_prior_rescale: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.confident, self.rows = confident, (ignore_top, ignore_bottom)
        self.contrast_start, self.temperature = contrast_start, temperature
        self.weight_contrast, self.weight_regulariser = weight_contrast, weight_regulariser
        self.min_share = min_share
        self.augment_twice, self.replicate_inplace_bug = augment_twice, replicate_inplace_bug
        self.class_prior_rescale = class_prior_rescale
        head = self.student.decode_head
        channels = encoder_channels(head)
        several = isinstance(head.in_index, (list, tuple))
        hidden = hidden or (256 if several else channels)
        # `head` in the names: the optimiser's tenfold rate is for the projector too.
        self.projection_head = ProjectionHead(channels, hidden, projection)
        self.teacher_projection_head = ProjectionHead(channels, hidden, projection)
        update_average(self.teacher_projection_head, self.projection_head, 0.0)
        self.teacher_projection_head.requires_grad_(False)
        self.prototypes = CumulativePrototypes(self.num_classes, projection)

    def averaged(self) -> list[tuple[nn.Module, nn.Module]]:
        """The projector is averaged too."""
        return [*super().averaged(), (self.teacher_projection_head, self.projection_head)]

    # --- one iteration --------------------------------------------------------------------------

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """Backpropagate each part by itself, so that one graph is held at a time; step once."""
        data = self.data_preprocessor(data, True)
        self.update_teacher()
        with optim_wrapper.optim_context(self):
            parts = self.parts(views_of(data['inputs'], data['data_samples']))
        total, logged = torch.zeros(()), {}
        for part in parts:
            with optim_wrapper.optim_context(self):
                loss, values = self.parse_losses(part())
            optim_wrapper.backward(loss)
            total = total.to(loss.device) + loss.detach()
            logged.update({k: v for k, v in values.items() if k != 'loss'})
        optim_wrapper.step()
        optim_wrapper.zero_grad()
        return {**logged, 'loss': total}

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """All losses at once: the sum that :meth:`train_step` takes part by part."""
        return {name: value for part in self.parts(views) for name, value in part().items()}

    def parts(self, views: dict[str, Tensor]) -> list[Callable[[], dict[str, Tensor]]]:
        """Label both images, update the prototypes, and return the losses still to be computed."""
        easy, easy_labels, confidence = self.labelled(views['easy'])
        easy_labels = thresholded(confidence, easy_labels, self.positive_threshold)
        hard, hard_labels, confidence = self.labelled(views['hard'])
        weight = reliability_map(confidence, self.confident, *self.rows)
        switches = self.strong_view.draw()
        easy_strong = self.strong(easy, switches)
        hard_strong = self.strong(hard, switches)
        self._collect(easy, easy_labels, switches[0])
        clean = (easy_strong, hard_strong) if self.augment_twice else (easy, hard)
        parts = [
            lambda: renamed(self._supervised(easy_strong, easy_labels), 'easy'),
            lambda: renamed(
                self._mixed(*clean, easy_labels, hard_labels, weight, switches), 'mixed'
            ),
        ]
        if int(self.step) > self.contrast_start:
            kept = torch.where(weight > 0, hard_labels, IGNORE)
            parts.insert(1, lambda: self._contrast(hard_strong, kept))
        return parts

    @torch.no_grad()
    def _collect(self, images: Tensor, labels: Tensor, jittered: bool) -> None:
        """Take the teacher's features of easy images into the prototypes."""
        if self.replicate_inplace_bug and jittered:
            mean, std, _ = input_convention(self.data_preprocessor)
            images = (images * std + mean) / 255.0
        features = self._embedded(self.teacher, self.teacher_projection_head, images)
        small = downscaled_labels(labels, size_of(features), self.num_classes, self.min_share)
        self.prototypes.update(pixels(features), small.flatten())

    @staticmethod
    def _embedded(network: Any, projector: nn.Module, images: Tensor) -> Tensor:
        return projector(encoder_map(network.decode_head, network.extract_feat(images)))

    def _supervised(
        self, images: Tensor, labels: Tensor, weight: Tensor | None = None
    ) -> dict[str, Tensor]:
        return self.complementary(self.logits(images, size_of(labels)), labels, weight)

    def _contrast(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        features = self._embedded(self.student, self.projection_head, images)
        small = downscaled_labels(labels, size_of(features), self.num_classes, self.min_share)
        contrast, regulariser = semantic_contrast(
            pixels(features), small.flatten(), self.prototypes.mean, self.temperature
        )
        weight = self.weight_contrast
        return {
            'loss_contrast': weight * contrast,
            'loss_regulariser': weight * self.weight_regulariser * regulariser,
        }

    def _mixed(
        self,
        easy: Tensor,
        hard: Tensor,
        easy_labels: Tensor,
        hard_labels: Tensor,
        weight: Tensor,
        switches: tuple[bool, bool],
    ) -> dict[str, Tensor]:
        """Half of the easy image's classes over the hard image, weight 1 where they are."""
        if easy.shape != hard.shape:
            raise BenchError(
                f'cannot mix easy images {tuple(easy.shape)} with hard {tuple(hard.shape)}',
                'one size',
                'set crop_size to the size of cbc_size',
            )
        mask = class_masks(easy_labels, self.num_classes)
        images = self.strong(paste(mask, easy, hard), switches)
        labels = paste(mask, easy_labels, hard_labels)
        return self._supervised(images, labels, paste(mask, torch.ones_like(weight), weight))

    def export_module(self) -> nn.Module:
        """The student, on request with the class prior."""
        network = super().export_module()
        return with_class_prior(network, prior_weights()) if self.class_prior_rescale else network
