"""DT-ST's labels: how much of each class there is, thresholds by it, and the student's window.

Zhao et al., Towards Better Stability and Adaptability, CVPR 2023; the threshold rule is SAC's
(Araslanov and Roth, CVPR 2021), as the code of DT-ST has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sfda_bench.adapt.fused import confidences_and_labels
from sfda_bench.labels import IGNORE


@dataclass(frozen=True)
class Window:
    """Where a student's view lies in its image, all in pixels.

    Attributes:
        scaled: (height, width) of the image after the student's random scale.
        corner: (row, column) of the crop in it.
        mirror: Whether the crop is mirrored left to right.
    """

    scaled: tuple[int, int]
    corner: tuple[int, int]
    mirror: bool

    @classmethod
    def of(cls, sample: Any) -> Window:
        """The window that ``TeacherStudentViews`` noted in a sample's meta information."""
        return cls(tuple(sample.scaled), tuple(sample.corner), bool(sample.mirror))


def warped(logits: Tensor, window: Window, size: tuple[int, int]) -> Tensor:
    """Logits (K, H, W) of a whole image in a student's view, (K, h, w) with ``size`` = (h, w)."""
    maps = interpolate(logits[None], size=window.scaled, mode='bilinear', align_corners=True)[0]
    top, left = window.corner
    maps = maps[:, top : top + size[0], left : left + size[1]]
    return maps.flip(2) if window.mirror else maps


def updated_shares(shares: Tensor, found: Tensor, start: float, momentum: float) -> Tensor:
    """Running mean probability of each class (ACS): replaced at first sight, then averaged.

    Args:
        shares: (K,) so far.
        found: (K,) mean soft-max of a batch of whole images.
        start: Value of a class not seen yet.
        momentum: Weight of the old value.
    """
    # the buffer is float32: compared with what `start` is there
    first = shares == torch.full_like(shares, start)
    return torch.where(first, found, momentum * shares + (1.0 - momentum) * found)


def discounted_labels(
    probabilities: Tensor, shares: Tensor, floor: float, share: float, discount: float
) -> Tensor:
    """Arg-max labels (N, H, W), 255 where the confidence does not exceed its class's threshold.

    The threshold of class k in an image is ``max(floor, share top_k (1 - exp(-shares_k /
    discount)))``, ``top_k`` the largest confidence of k there: rare classes need less.

    Args:
        probabilities: (N, K, H, W).
        shares: (K,) from :func:`updated_shares`.
        floor: Least threshold.
        share: Of the largest confidence.
        discount: Share of pixels at which a class stops being rare.
    """
    confidence, labels = confidences_and_labels(probabilities)
    flat, index = confidence.flatten(1), labels.flatten(1)
    top = torch.zeros(len(flat), len(shares), dtype=flat.dtype, device=flat.device)
    top.scatter_reduce_(1, index, flat, 'amax')
    threshold = (share * top * (1.0 - (-shares / discount).exp())).clamp(min=floor)
    kept = flat > threshold.gather(1, index)
    return torch.where(kept, index, IGNORE).view_as(labels)
