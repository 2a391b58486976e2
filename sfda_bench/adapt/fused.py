"""Passes over class maps, compiled or fused: each with the plain formula that it computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import log_softmax

from sfda_bench.adapt.entropy import TINY
from sfda_bench.labels import IGNORE

_PIECE = 1 << 12  # pixels whose result stays in the cache while the classes go by
_LOSS_PIECE = 1 << 13


class Room:
    """Arrays that are used again for every image: fresh memory costs more than the work in it."""

    def __init__(self) -> None:
        self.confidence = np.empty(0, np.float32)
        self.labels = np.empty(0, np.uint8)

    def take(self, size: int) -> tuple[NDArray, NDArray]:
        """Float32 confidences and uint8 labels (size,), to be filled."""
        if len(self.labels) < size:
            self.confidence, self.labels = np.empty(size, np.float32), np.empty(size, np.uint8)
        return self.confidence[:size], self.labels[:size]


def confidences_and_labels(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`confidence_and_label` of a batch (N, C, H, W): two maps (N, H, W)."""
    if probabilities.device.type != 'cpu':
        confidence, labels = probabilities.max(dim=1)
        return confidence, labels
    pairs = [confidence_and_label(maps) for maps in probabilities]
    return torch.stack([pair[0] for pair in pairs]), torch.stack([pair[1] for pair in pairs])


def confidence_and_label(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Largest probability and its class, int64 (the first of equal ones), of maps (C, H, W)."""
    flat, shape = probabilities.flatten(1), probabilities.shape[1:]
    confidence, labels = largest(flat, [(0, flat.shape[1])])
    return confidence.view(shape), labels.long().view(shape)


def largest_two(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Largest and second largest entry (N, H, W) of every pixel of maps (N, C, H, W), C > 1."""
    if maps.device.type != 'cpu' or maps.dtype != torch.float32:
        first, second = maps.topk(2, dim=1).values.unbind(1)
        return first, second
    values = maps.detach().contiguous().flatten(2).numpy()
    first, second = (torch.empty(len(maps), *maps.shape[2:]) for _ in range(2))
    for part, top, next_ in zip(values, first.numpy(), second.numpy(), strict=True):
        _largest_two(part, top.reshape(-1), next_.reshape(-1))
    return first, second


def largest(
    flat: Tensor, ranges: Sequence[tuple[int, int]], room: Room | None = None
) -> tuple[Tensor, Tensor]:
    """Largest of (C, P) and its index, at some ranges of the pixels, one after another.

    On a CPU compiled, and the index is uint8. A value that is not a number is the largest, as in
    ``max``.
    """
    classes = len(flat)
    if flat.device.type != 'cpu' or flat.dtype != torch.float32 or classes > 255:
        confidence, labels = torch.cat([flat[:, a:b] for a, b in ranges], dim=1).max(dim=0)
        return confidence, labels
    values = flat.detach().contiguous().numpy()
    best, found = (room or Room()).take(sum(b - a for a, b in ranges))
    done = 0
    for begin, end in ranges:
        here = slice(done, done + end - begin)
        _largest(values, begin, best[here], found[here])
        done = here.stop
    return torch.from_numpy(best), torch.from_numpy(found)


@numba.njit(nogil=True)
def _largest(values: NDArray, begin: int, best: NDArray, found: NDArray) -> None:
    """Fill ``best`` and ``found`` (P,) from ``values`` (C, ...) at ``begin`` and after."""
    for start in range(0, len(best), _PIECE):
        stop = min(start + _PIECE, len(best))
        top, label = best[start:stop], found[start:stop]
        top[:] = values[0, begin + start : begin + stop]
        label[:] = 0
        for index in range(1, len(values)):
            part, code = values[index, begin + start : begin + stop], np.uint8(index)
            for i in range(stop - start):  # selects, no branches: becomes vector code
                value, old = part[i], top[i]
                better = (value > old) | (value != value)
                label[i] = code if better else label[i]
                top[i] = value if better else old


@numba.njit(nogil=True)
def _largest_two(values: NDArray, first: NDArray, second: NDArray) -> None:
    """Fill ``first`` and ``second`` (P,) from ``values`` (C, P)."""
    for start in range(0, len(first), _PIECE):
        stop = min(start + _PIECE, len(first))
        top, next_ = first[start:stop], second[start:stop]
        top[:] = values[0, start:stop]
        next_[:] = -np.inf
        for index in range(1, len(values)):
            part = values[index, start:stop]
            for i in range(stop - start):
                value, old, low = part[i], top[i], next_[i]
                better = (value > old) | (value != value)
                next_[i] = old if better else (value if value > low else low)
                top[i] = value if better else old


# --- losses whose terms share a pass -----------------------------------------------------------


class EntropyAndProbability(Function):
    """Entropy in nats (N, H, W) and probabilities (N, C, H, W) of logits, in few passes.

    ``dH/dz = -p (log p + H)``; composed of log-softmax, exponential and product, each with its own
    backward pass, it costs several times as much.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Entropy and probabilities."""
        log_p = log_softmax(logits, dim=1)
        p = log_p.exp()
        entropy = (p * log_p).sum(dim=1).neg_()
        ctx.save_for_backward(log_p, p, entropy)
        ctx.set_materialize_grads(False)
        return entropy, p

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_entropy: Tensor | None, by_p: Tensor | None) -> Tensor | None:
        """Gradient by the logits."""
        log_p, p, entropy = ctx.saved_tensors
        gradient: Tensor | None = None
        if by_entropy is not None:
            gradient = (log_p + entropy.unsqueeze(1)).mul_(by_entropy.neg().unsqueeze(1))
        if by_p is not None:
            centred = by_p - (by_p * p).sum(dim=1, keepdim=True)
            gradient = centred if gradient is None else gradient.add_(centred)
        return None if gradient is None else gradient.mul_(p)


class CrossEntropyAndMass(Function):
    """Cross-entropy (0 where ignored) and the mass m of the classes below a threshold, (N, H, W).

    With a and b the gradients by the two, that by the logits is ``p (a - b m) + b absent -
    a onehot``: half the passes over (N, C, H, W) that two soft-maxes take.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, threshold: float
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy and mass."""
        log_p = log_softmax(logits, dim=1)
        kept = labels != IGNORE
        index = torch.where(kept, labels, 0).unsqueeze(1)
        loss = log_p.gather(1, index).squeeze(1).neg_().masked_fill_(~kept, 0.0)
        p = log_p.exp_()
        absent = p.masked_fill(p >= threshold, 0.0)
        mass = absent.sum(dim=1)
        ctx.save_for_backward(p, absent, mass, index, kept)
        return loss, mass

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_loss: Tensor, by_mass: Tensor) -> tuple[Tensor, None, None]:
        """Gradient by the logits."""
        p, absent, mass, index, kept = ctx.saved_tensors
        by_loss = by_loss * kept
        gradient = p * torch.addcmul(by_loss, by_mass, mass, value=-1.0).unsqueeze(1)
        gradient.addcmul_(absent, by_mass.unsqueeze(1))
        gradient.scatter_add_(1, index, by_loss.neg().unsqueeze(1).to(gradient))
        return gradient, None, None


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
        step = _LOSS_PIECE if logits.device.type == 'cpu' else total
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
