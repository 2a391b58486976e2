"""What passes from a device to the host: once an image and packed, for each copy waits."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def bytes_of(labels: Tensor) -> NDArray[np.uint8]:
    """Labels below 256 on the host, an eighth of what int64 copies."""
    return labels.to(torch.uint8).cpu().numpy()


def fetched(*tensors: Tensor) -> list[NDArray]:
    """Tensors of one device on the host, of their own types and shapes, in one copy."""
    if all(tensor.device.type == 'cpu' for tensor in tensors):
        return [tensor.detach().numpy() for tensor in tensors]
    pieces = [tensor.detach().contiguous().view(-1).view(torch.uint8) for tensor in tensors]
    whole = torch.cat(pieces).cpu()
    parts = whole.split([len(piece) for piece in pieces])
    # a copy of its own starts where its type may start
    return [
        part.clone().view(tensor.dtype).view(tensor.shape).numpy()
        for part, tensor in zip(parts, tensors, strict=True)
    ]


def class_counts(labels: Tensor, classes: int) -> Tensor:
    """How often each of the labels 0 to ``classes - 1`` occurs, int64 (classes,).

    No ``bincount`` on a device, which waits for the host.
    """
    labels = labels.flatten()
    if labels.device.type == 'cpu':
        return torch.bincount(labels, minlength=classes)
    counts = torch.zeros(classes, dtype=torch.int64, device=labels.device)
    return counts.index_add_(0, labels.long(), torch.ones_like(labels, dtype=torch.int64))
