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
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.nn.functional import interpolate

from sfda_bench.adapt.class_weights import RareClassWeights
from sfda_bench.adapt.contrast import encoder_map
from sfda_bench.adapt.importance import (
    ImportanceInput,
    iapc_losses,
    importance,
    prototype_terms,
)
from sfda_bench.adapt.mean_teacher import MeanTeacherAdapter
from sfda_bench.errors import BenchError, require_known
from sfda_bench.registry import MODELS


def tapped(network: nn.Module, images: Tensor, layer: str) -> tuple[Tensor, Tensor]:
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
        maps = network.extract_feat(images)  # type: ignore[operator]
        return network.decode_head(maps), encoder_map(network.decode_head, maps)  # type: ignore[operator,arg-type]
    caught: list[Tensor] = []
    try:
        module = network.backbone.get_submodule(layer)  # type: ignore[union-attr]
    except AttributeError as error:
        names = ', '.join(name for name, _ in network.backbone.named_children())  # type: ignore[union-attr]
        raise BenchError(
            f'the backbone has no layer {layer!r}', f'one of: {names}', 'set feature_layer'
        ) from error
    handle = module.register_forward_hook(lambda _, __, output: caught.append(output))
    try:
        logits = network.decode_head(network.extract_feat(images))  # type: ignore[operator]
    finally:
        handle.remove()
    return logits, caught[-1]


@MODELS.register_module()
class IAPC(MeanTeacherAdapter):
    """Student, memory network (the mean teacher) and frozen source model on three crops.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        weight_importance: Factor of L_IA.
        weight_enhanced: Factor of L_PE.
        weight_symmetric: Factor of L_PS.
        weight_entropy: Factor of L_IM.
        importance_input: See :func:`~sfda_bench.adapt.importance.importance`.
        feature_layer: Layer of the backbone whose output makes the prototypes, see :func:`tapped`.
        legacy_view: Scramble the similarities as the code of June 2023 does.
        bn_extra_clean_forward: After each step, forward the ``clean`` branch in training mode, so
            that half of the updates of the running statistics come from clean images.
        max_value: See :class:`~sfda_bench.adapt.class_weights.RareClassWeights`.
        small_pixels: Likewise.
        momentum: Of the memory network, whose buffers are copied from the student.
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
        weight_importance: float = 0.2,
        weight_enhanced: float = 0.5,
        weight_symmetric: float = 0.04,
        weight_entropy: float = 2.0,
        importance_input: ImportanceInput = 'logits',
        feature_layer: str = 'layer3',
        legacy_view: bool = False,
        bn_extra_clean_forward: bool = True,
        max_value: float = 7.0,
        small_pixels: int = 4096,
        momentum: float = 0.9999,
        teacher_mode: Literal['eval', 'train', 'batch'] = 'train',
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, momentum=momentum, teacher_mode=teacher_mode, **kwargs)
        self.factors = {
            'importance': weight_importance,
            'enhanced': weight_enhanced,
            'prediction': weight_symmetric,
            'feature': weight_symmetric,
            'entropy': weight_entropy,
        }
        self.importance_input: ImportanceInput = require_known(  # type: ignore[assignment]
            'input of the importance', importance_input, ('logits', 'prob')
        )
        self.feature_layer, self.legacy_view = feature_layer, legacy_view
        self.bn_extra_clean_forward = bn_extra_clean_forward
        self.source = copy.deepcopy(self.student).requires_grad_(False)
        self.class_weights = RareClassWeights(self.num_classes, max_value, small_pixels)
        self._clean: Tensor | None = None

    def losses(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """The four losses, weighted.

        Args:
            views: Branches of :class:`~sfda_bench.adapt.streams.CropStreams`.
        """
        labels = views['student_label']
        size = (labels.shape[1], labels.shape[2])
        with torch.no_grad():
            source = self.logits_of(self.source, views['source'], size)
            weights = importance(source, self.importance_input)
            memory, memory_features = tapped(self.teacher, views['memory'], self.feature_layer)
        logits, features = tapped(self.student, views['student'], self.feature_layer)
        self.note_prediction(logits)
        nearest, similarity = prototype_terms(
            features, memory_features, memory, size, self.legacy_view, self.align_corners
        )
        terms = iapc_losses(
            self.resized(logits, size),
            weights,
            labels,
            self.class_weights(labels),
            nearest,
            self._up(similarity, size),
        )
        self._clean = views.get('clean')
        return {f'loss_{name}': self.factors[name] * value for name, value in terms.items()}

    def _up(self, similarity: Tensor, size: tuple[int, int]) -> Tensor:
        """Similarities at label size: always with aligned corners, as the code does."""
        # Contiguous: from a transposed view it would be enlarged, and its soft-max taken, slowly.
        maps = similarity.contiguous()
        return interpolate(maps, size=size, mode='bilinear', align_corners=True)

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """One iteration, then the forward of the clean images that moves the statistics only."""
        log = super().train_step(data, optim_wrapper)
        if self.bn_extra_clean_forward and self._clean is not None:
            with torch.no_grad(), optim_wrapper.optim_context(self):
                self.student.decode_head(self.student.extract_feat(self._clean))
        self._clean = None
        return log
