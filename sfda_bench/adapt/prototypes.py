"""Prototypes of the classes within one image, and the cosine of every position to them.

Source: IAPC (arXiv 2306.01598), code ``trainer.py:update_centroids_label``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import vector_norm
from torch.nn.functional import normalize, one_hot


def image_prototypes(features: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Mean feature of each class, image by image.

    Args:
        features: (N, D, h, w).
        labels: (N, h, w) integers; those of ``num_classes`` and above count nowhere.
        num_classes: K.

    Returns:
        (N, K, D); zeros where a class is absent.
    """
    index = labels.flatten(1).clamp(max=num_classes).long()
    members = one_hot(index, num_classes + 1)[..., :num_classes].to(features.dtype)
    sums = torch.bmm(members.transpose(1, 2), features.flatten(2).transpose(1, 2))
    return sums / members.sum(dim=1).clamp(min=1.0).unsqueeze(2)


def cosine_similarity(features: Tensor, prototypes: Tensor) -> Tensor:
    """Cosine of every position to every prototype; a zero vector has cosine 0 to all.

    Args:
        features: (N, D, h, w).
        prototypes: (N, K, D), or (K, D) for all images alike.

    Returns:
        (N, h * w, K), positions in row-major order.
    """
    flat = features.flatten(2)
    products = flat.transpose(1, 2) @ normalize(prototypes, dim=-1).transpose(-1, -2)
    # Dividing K products a position, not D channels: fewer passes over the features.
    return products / vector_norm(flat, dim=1).clamp(min=1e-12).unsqueeze(2)


def similarity_map(similarity: Tensor, size: tuple[int, int], legacy_view: bool = False) -> Tensor:
    """Similarities (N, h * w, K) as a map (N, K, h, w).

    Args:
        similarity: From :func:`cosine_similarity`.
        size: (h, w).
        legacy_view: Reinterpret the memory instead of transposing, as the code of June 2023 does:
            classes and positions are scrambled.
    """
    count, _, classes = similarity.shape
    ordered = similarity.contiguous() if legacy_view else similarity.transpose(1, 2)
    return ordered.reshape(count, classes, size[0], size[1])
