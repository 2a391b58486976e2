"""Prototypes of the classes within one image, the cosine of every position to them, and labels.

Source: IAPC (arXiv 2306.01598), code ``trainer.py:update_centroids_label``, June 2023 with the two
repairs of December 2024.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.linalg import vector_norm
from torch.nn.functional import interpolate, normalize, one_hot

Size = tuple[int, int]


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


def similarity_map(similarity: Tensor, size: Size, legacy_view: bool = False) -> Tensor:
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
        legacy_view: See :func:`similarity_map`.
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
