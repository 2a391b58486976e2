"""Importance weights, prototype labels and entropies: the losses of IAPC as functions.

Source: IAPC (arXiv 2306.01598), code ``trainer.py``, June 2023 with the two repairs of December
2024.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy, interpolate

from sfda_bench.adapt.arg_max import confidences_and_labels, largest_two
from sfda_bench.adapt.prototypes import cosine_similarity, image_prototypes, similarity_map

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
