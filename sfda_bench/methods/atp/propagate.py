"""ATP's stage P: propagate from easy to hard images (see :mod:`sfda_bench.methods.atp`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from sfda_bench.adapt.branches import views_of
from sfda_bench.adapt.features import encoder_channels, encoder_map, pixels, size_of
from sfda_bench.adapt.mean_teacher import update_average
from sfda_bench.adapt.mixing import class_masks, paste
from sfda_bench.adapt.strong import input_convention
from sfda_bench.errors import BenchError
from sfda_bench.labels import IGNORE
from sfda_bench.methods.atp.class_prior import prior_weights, with_class_prior
from sfda_bench.methods.atp.complementary import ComplementaryStage, reliability_map, renamed
from sfda_bench.methods.atp.contrast import (
    CumulativePrototypes,
    ProjectionHead,
    downscaled_labels,
)
from sfda_bench.methods.atp.curriculum import thresholded
from sfda_bench.registry import MODELS


@dataclass(frozen=True)
class LabelledPair:
    """Easy and hard images of an iteration with the teacher's labels.

    Attributes:
        easy: Weak views (N, 3, H, W).
        hard: Likewise.
        easy_strong: Strong views of them.
        hard_strong: Likewise.
        easy_labels: (N, H, W), 255 ignored.
        hard_labels: (N, H, W).
        weight: Of the hard images' labels (N, H, W).
        switches: Whether strong views are jittered and blurred.
    """

    easy: Tensor
    hard: Tensor
    easy_strong: Tensor
    hard_strong: Tensor
    easy_labels: Tensor
    hard_labels: Tensor
    weight: Tensor
    switches: tuple[bool, bool]


@MODELS.register_module()
class ATPPropagate(ComplementaryStage):
    """Stage P: from easy images (``views['easy']``) to hard ones (``views['hard']``).

    An iteration:

    1. ``MeanTeacherHook`` averages teacher and projector;
       :class:`~sfda_bench.methods.atp.hooks.ContrastStartHook` says whether ``contrasts``.
    2. :meth:`labelled_pair`: the teacher labels both images; its features of the easy ones go into
       the prototypes.
    3. Three parts, backpropagated one after the other and stepped together:
       :meth:`on_easy` and, last, :meth:`on_mixed`, hard images with easy classes pasted: the losses
       ``positive`` and ``negative`` of :class:`ComplementaryStage`; between them :meth:`contrast`:
       ``contrast`` (:class:`~sfda_bench.methods.atp.losses.SemanticContrastLoss`) and
       ``regulariser`` (:class:`~sfda_bench.methods.atp.losses.ContrastRegulariserLoss`) of hard
       features with prototypes of easy ones.

    Args:
        confident: Confidence that counts for the weight of the hard images' labels.
        ignore_top: Rows at the top of hard images whose labels get no weight.
        ignore_bottom: Likewise at the bottom.
        min_share: See :func:`~sfda_bench.methods.atp.contrast.downscaled_labels`.
        projection: Channels of the embedding.
        hidden: Channels inside the projector; 0: 256 for an encoder of several levels, else as many
            as the encoder has.
        augment_twice: Mix images that are already augmented and augment again, as the code does.
        replicate_inplace_bug: When jittered, take prototypes from images de-normalised by accident.
        class_prior_rescale: Export with :mod:`~sfda_bench.methods.atp.class_prior` (ACDC in the
            code).
        **kwargs: See :class:`ComplementaryStage`.
    """

    passes = (3, 3)

    def __init__(
        self,
        confident: float = 0.968,
        ignore_top: int = 15,
        ignore_bottom: int = 120,
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
        self.min_share = min_share
        self.augment_twice, self.replicate_inplace_bug = augment_twice, replicate_inplace_bug
        self.class_prior_rescale = class_prior_rescale
        #: Whether the contrast is on; a hook may start it late.
        self.contrasts = True
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
        with optim_wrapper.optim_context(self):
            pair = self.labelled_pair(views_of(data['inputs'], data['data_samples']))
        total, logged = torch.zeros(()), {}
        for part in (self.on_easy, self.contrast, self.on_mixed):
            with optim_wrapper.optim_context(self):
                losses = part(pair)
                if not losses:
                    continue
                loss, values = self.parse_losses(losses)
            optim_wrapper.backward(loss)
            total = total.to(loss.device) + loss.detach()
            logged.update({k: v for k, v in values.items() if k != 'loss'})
        optim_wrapper.step()
        optim_wrapper.zero_grad()
        return {**logged, 'loss': total}

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """All losses at once: the sum that :meth:`train_step` takes part by part."""
        pair = self.labelled_pair(views)
        return {**self.on_easy(pair), **self.contrast(pair), **self.on_mixed(pair)}

    # --- labels and prototypes ------------------------------------------------------------------

    def labelled_pair(self, views: dict[str, Tensor]) -> LabelledPair:
        """Label both images and update the prototypes."""
        easy, easy_labels, confidence = self.labelled(views['easy'])
        easy_labels = thresholded(confidence, easy_labels, self.positive_threshold)
        hard, hard_labels, confidence = self.labelled(views['hard'])
        weight = reliability_map(confidence, self.confident, *self.rows)
        switches = self.strong_view.draw()
        easy_strong = self.strong(easy, switches)
        hard_strong = self.strong(hard, switches)
        self._collect(easy, easy_labels, switches[0])
        return LabelledPair(
            easy, hard, easy_strong, hard_strong, easy_labels, hard_labels, weight, switches
        )

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

    # --- the three parts, in the order of their backward passes ----------------------------------

    def on_easy(self, pair: LabelledPair) -> dict[str, Tensor]:
        """Positive and negative self-training on strong easy images."""
        logits = self.logits(pair.easy_strong, size_of(pair.easy_labels))
        return renamed(self.complementary(logits, pair.easy_labels), 'easy')

    def contrast(self, pair: LabelledPair) -> dict[str, Tensor]:
        """Contrast of strong hard features, where labels have weight; none before its start."""
        if not self.contrasts:
            return {}
        kept = torch.where(pair.weight > 0, pair.hard_labels, IGNORE)
        maps = self._embedded(self.student, self.projection_head, pair.hard_strong)
        small = downscaled_labels(kept, size_of(maps), self.num_classes, self.min_share)
        features, labels, means = pixels(maps), small.flatten(), self.prototypes.mean
        semantic: Any = self.terms['contrast']
        heat = semantic.temperature
        return {
            **self.term('contrast', features, labels, prototypes=means),
            **self.term('regulariser', features, labels, prototypes=means, temperature=heat),
        }

    def on_mixed(self, pair: LabelledPair) -> dict[str, Tensor]:
        """Half of the easy image's classes over the hard image, weight 1 where they are.

        Raises:
            BenchError: The images differ in size.
        """
        easy, hard, weight = pair.easy, pair.hard, pair.weight
        if self.augment_twice:
            easy, hard = pair.easy_strong, pair.hard_strong
        if easy.shape != hard.shape:
            raise BenchError(
                f'cannot mix easy images {tuple(easy.shape)} with hard {tuple(hard.shape)}',
                'one size',
                'set crop_size to the size of cbc_size',
            )
        mask = class_masks(pair.easy_labels, self.num_classes)
        images = self.strong(paste(mask, easy, hard), pair.switches)
        labels = paste(mask, pair.easy_labels, pair.hard_labels)
        weight = paste(mask, torch.ones_like(weight), weight)
        logits = self.logits(images, size_of(labels))
        return renamed(self.complementary(logits, labels, weight), 'mixed')

    def export_module(self) -> nn.Module:
        """The student, on request with the class prior."""
        network = super().export_module()
        return with_class_prior(network, prior_weights()) if self.class_prior_rescale else network
