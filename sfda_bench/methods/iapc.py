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
from collections.abc import Iterator
from typing import Any, Literal

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy, interpolate

from sfda_bench.adapt.arg_max import confidences_and_labels, largest_two
from sfda_bench.adapt.class_weights import RareClassWeights
from sfda_bench.adapt.contrast import encoder_map
from sfda_bench.adapt.mean_teacher import MeanTeacherAdapter
from sfda_bench.adapt.prototypes import cosine_similarity, image_prototypes, similarity_map
from sfda_bench.errors import BenchError, require_known
from sfda_bench.registry import MODELS

IGNORE = 255
TINY = 1e-5
_PIECE = 1 << 13  # pixels
ImportanceInput = Literal['logits', 'prob']
Size = tuple[int, int]


def importance(source: Tensor, kind: ImportanceInput = 'logits') -> Tensor:
    """``w = 1 - b / a`` of the largest two entries a, b of every pixel.

    Args:
        source: Logits (N, K, H, W) of the source model at label size.
        kind: ``'logits'`` divides the logits, as the code does: unbounded, and negative where both
            are; ``'prob'`` divides the probabilities, as the abstract reads.

    Returns:
        (N, H, W).
    """
    first, second = largest_two(source)
    # The soft-max's normaliser cancels in the ratio.
    return 1.0 - (second / first if kind == 'logits' else (second - first).exp())


def entropies(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """What the student's soft-max gives, in few passes.

    Args:
        logits: (N, K, H, W).
        labels: (N, L, H, W), L label maps without ignored pixels.

    Returns:
        Cross-entropies (N, L, H, W) and entropies ``sum_k -p_k ln(p_k + 1e-5)`` (N, H, W).
    """
    return _Entropies.apply(logits, labels)


class _Entropies(Function):
    """:func:`entropies`, piece by piece on a CPU, so that what lies between stays in the cache.

    With a and b the gradients by the two, that by the logits is ``p (sum a - b (g - p.g)) - a
    onehot``, where ``g = ln(p + e) + p / (p + e)``.
    """

    @staticmethod
    def pieces(logits: Tensor) -> Iterator[tuple[int, slice]]:
        """Image and pixels of each piece."""
        total = logits[0, 0].numel()
        step = _PIECE if logits.device.type == 'cpu' else total
        for image in range(len(logits)):
            for start in range(0, total, step):
                yield image, slice(start, start + step)

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(logits, labels)
        dtype = torch.promote_types(logits.dtype, torch.float32)
        losses = torch.empty(labels.shape, dtype=dtype, device=logits.device)
        entropy = torch.empty(len(logits), *labels.shape[2:], dtype=dtype, device=logits.device)
        flat, index, by_label = logits.flatten(2), labels.flatten(2), losses.flatten(2)
        for image, part in _Entropies.pieces(logits):
            log_p = flat[image, :, part].to(dtype).log_softmax(dim=0)
            by_label[image, :, part] = log_p.gather(0, index[image, :, part]).neg_()
            p = log_p.exp_()
            entropy.flatten(1)[image, part] = (p + TINY).log_().mul_(p).sum(dim=0).neg_()
        return losses, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_loss: Tensor, by_entropy: Tensor) -> tuple[Tensor, None]:
        logits, labels = ctx.saved_tensors
        gradient = torch.empty(logits.shape, dtype=by_loss.dtype, device=logits.device)
        flat, index = logits.flatten(2), labels.flatten(2)
        for image, part in _Entropies.pieces(logits):
            p = flat[image, :, part].to(by_loss.dtype).softmax(dim=0)
            a, b = by_loss.flatten(2)[image, :, part], by_entropy.flatten(1)[image, part]
            slope = p + TINY
            slope = (p / slope).add_(slope.log())
            constant = (p * slope).sum(dim=0).mul_(b).add_(a.sum(dim=0))
            slope.mul_(-b).add_(constant).mul_(p)
            slope.scatter_add_(0, index[image, :, part], -a)
            gradient.flatten(2)[image, :, part] = slope
        return gradient.to(logits.dtype), None


def sampled(maps: Tensor, size: Size, small: Size, align_corners: bool = False) -> Tensor:
    """Maps (N, K, h, w) enlarged to ``size``, then reduced to ``small`` by nearest pixels.

    One axis after the other, so that hardly more is computed than what is kept.
    """
    for axis in (0, 1):
        shape = [maps.shape[2], maps.shape[3]]
        if shape[axis] != size[axis]:
            shape[axis] = size[axis]
            maps = interpolate(maps, shape, mode='bilinear', align_corners=align_corners)
        shape[axis] = small[axis]
        maps = interpolate(maps, shape, mode='nearest')
    return maps


def prototype_terms(
    features: Tensor,
    memory_features: Tensor,
    memory_logits: Tensor,
    size: Size,
    legacy_view: bool = False,
    align_corners: bool = False,
) -> tuple[Tensor, Tensor]:
    """Labels and similarities that the memory network's prototypes give to the student's features.

    Args:
        features: Student's (N, D, h, w).
        memory_features: (N, D, h, w).
        memory_logits: (N, K, ., .) at any resolution.
        size: (H, W) of the labels.
        legacy_view: See :func:`~sfda_bench.adapt.prototypes.similarity_map`.
        align_corners: How the logits are enlarged to the size of the labels.

    Returns:
        Labels (N, H, W), detached, and similarities (N, K, h, w), whose gradient reaches
        ``features``.
    """
    small = (features.shape[2], features.shape[3])
    # Taking the nearest pixels before the arg-max gives the same labels, from fewer pixels.
    labels = sampled(memory_logits, size, small, align_corners).argmax(dim=1)
    prototypes = image_prototypes(memory_features, labels, memory_logits.shape[1]).detach()
    similarity = cosine_similarity(features, prototypes)
    nearest = similarity.detach().argmax(dim=2).view(len(features), 1, *small)
    large = interpolate(nearest.float(), size=size, mode='nearest')
    maps = similarity_map(similarity, small, legacy_view)
    return large.squeeze(1).long(), maps


def iapc_losses(
    student: Tensor,
    weights: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    nearest: Tensor,
    similarity: Tensor,
) -> dict[str, Tensor]:
    """The terms before they are weighted; all means are over all N pixels, ignored ones included.

    Args:
        student: Logits (N, K, H, W) at label size.
        weights: Importance (N, H, W).
        labels: Pseudo-labels (N, H, W), 255 ignored.
        class_weights: (K,).
        nearest: Prototype labels (N, H, W).
        similarity: Similarities (N, K, H, W) at label size.

    Returns:
        ``importance`` (L_IA), ``enhanced`` (L_PE), the two halves ``prediction`` and ``feature`` of
        L_PS, ``entropy`` (L_IM).
    """
    kept = labels != IGNORE
    index = torch.where(kept, labels, 0)
    losses, entropy = entropies(student, torch.stack([index, nearest], dim=1))
    of_label, of_nearest = losses.unbind(1)
    weighted = of_label * (class_weights[index] * kept)
    return {
        'importance': (weights * weighted).mean(),
        'enhanced': ((nearest == labels) * weighted).mean(),
        'prediction': of_nearest.mean(),
        'feature': cross_entropy(similarity, confidences_and_labels(student.detach())[1]),
        'entropy': entropy.mean(),
    }


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
        importance_input: See :func:`importance`.
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
