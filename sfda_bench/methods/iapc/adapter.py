"""IAPC: importance-aware and prototype-contrast learning.

Cao, Zhang, Lu, Xiao, Yang, Wang: Towards Source-free Domain Adaptive Semantic Segmentation via
Importance-aware and Prototype-contrast Learning, IEEE T-IV 2024, arXiv 2306.01598; code
``trainer.py``, June 2023 with the two repairs of December 2024.

Faithful: all four losses and their gradients, class weights, memory network, order of an iteration
(values computed with the authors' functions stand in the tests).
Deviates: the clean images of the additional forward are those of the batch, not others.
"""

from __future__ import annotations

import copy
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sfda_bench.adapt.class_weights import RareClassWeights
from sfda_bench.adapt.features import encoder_map
from sfda_bench.adapt.mean_teacher import MeanTeacherAdapter
from sfda_bench.errors import BenchError
from sfda_bench.methods.iapc.losses import pixel_terms
from sfda_bench.methods.iapc.prototypes import prototype_terms
from sfda_bench.networks.segmentor import Segmentor
from sfda_bench.registry import MODELS


def tapped(network: Segmentor, images: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """Logits of a mmseg network and the output of one layer of its backbone, in one forward.

    Args:
        network: A mmseg segmentor.
        images: (N, 3, H, W).
        layer: Name of a sub-module of the backbone, or ``'head_input'`` for the map that the
            decode head reads.

    Raises:
        BenchError: The backbone has no such layer.
    """
    if layer == 'head_input':
        maps = network.extract_feat(images)
        return network.decode_head(maps), encoder_map(network.decode_head, maps)
    caught: list[Tensor] = []
    try:
        module = network.backbone.get_submodule(layer)
    except AttributeError as error:
        names = ', '.join(name for name, _ in network.backbone.named_children())
        raise BenchError(
            f'the backbone has no layer {layer!r}', f'one of: {names}', 'set feature_layer'
        ) from error
    handle = module.register_forward_hook(lambda _, __, output: caught.append(output))
    try:
        logits = network.decode_head(network.extract_feat(images))
    finally:
        handle.remove()
    return logits, caught[-1]


@MODELS.register_module()
class IAPC(MeanTeacherAdapter):
    """Student, memory network (the mean teacher) and frozen source model on three crops.

    An iteration:

    1. ``MeanTeacherHook`` averages the memory network, whose buffers are copied.
    2. Its prototypes label the student's features (:func:`prototype_terms`).
    3. The losses ``importance`` (L_IA: the source model weighs the pseudo-labels), ``enhanced``
       (L_PE), ``symmetric`` (L_PS) and ``entropy`` (L_IM) of
       :mod:`~sfda_bench.methods.iapc.losses`, from one pass over the student's logits; the step.
    4. :class:`~sfda_bench.adapt.clean_forward.CleanForwardHook` forwards the branch ``clean``.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        feature_layer: Layer of the backbone whose output makes the prototypes, see :func:`tapped`.
        legacy_view: Scramble the similarities as the code of June 2023 does.
        max_value: See :class:`~sfda_bench.adapt.class_weights.RareClassWeights`.
        small_pixels: Likewise.
        teacher_mode: Batch-norm of the memory network; the code leaves it in training mode.
        **kwargs: See :class:`~sfda_bench.adapt.mean_teacher.MeanTeacherAdapter`.
    """

    student_like = ('student', 'teacher', 'source')
    frozen = ('source',)
    #: The memory network and the source model are forwarded.
    passes = (1, 2)

    def __init__(
        self,
        segmentor: dict[str, Any],
        feature_layer: str = 'layer3',
        legacy_view: bool = False,
        max_value: float = 7.0,
        small_pixels: int = 4096,
        teacher_mode: Literal['eval', 'train', 'batch'] = 'train',
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, teacher_mode=teacher_mode, **kwargs)
        self.feature_layer, self.legacy_view = feature_layer, legacy_view
        self.source = copy.deepcopy(self.student).requires_grad_(False)
        self.class_weights = RareClassWeights(self.num_classes, max_value, small_pixels)

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """The four losses, weighted.

        Args:
            views: Branches of :class:`~sfda_bench.adapt.crops.CropStreams`.
        """
        labels = views['student_label']
        size = (labels.shape[1], labels.shape[2])
        with torch.no_grad():
            source = self.logits_of(self.source, views['source'], size)
            memory, memory_features = tapped(self.teacher, views['memory'], self.feature_layer)
        logits, features = tapped(self.student, views['student'], self.feature_layer)
        self.note_prediction(logits)
        nearest, similarity = prototype_terms(
            features, memory_features, memory, size, self.legacy_view, self.align_corners
        )
        scores = self.resized(logits, size)
        maps = pixel_terms(scores, labels, self.class_weights(labels), nearest)
        weighted, of_nearest, entropy = maps
        # Contiguous: from a transposed view it would be enlarged, and its soft-max taken, slowly.
        # With aligned corners always, as the code does.
        large = interpolate(similarity.contiguous(), size=size, mode='bilinear', align_corners=True)
        return {
            **self.term('importance', scores, labels, source=source, weighted=weighted),
            **self.term('enhanced', scores, labels, nearest=nearest, weighted=weighted),
            **self.term('symmetric', scores, similarity=large, of_nearest=of_nearest),
            **self.term('entropy', scores, entropy=entropy),
        }
