"""Predictions averaged over scales and mirrorings, where the model is not sure by itself.

Source: the augmentation-averaged pseudo-labels of CoTTA (Wang, Fink, Van Gool, Dai, CVPR 2022,
arXiv 2203.13591, section 3.2): averaged only where the source model's confidence is low.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sfda_bench.errors import BenchError, require_known
from sfda_bench.registry import MODELS

Network = Callable[[Tensor], Tensor]


def probabilities(
    network: Network, images: Tensor, scale: float, mirror: bool, align_corners: bool
) -> Tensor:
    """Probabilities (N, K, H, W) at the size of ``images`` from one view of them.

    Args:
        network: Logits (N, K, h, w) of images, at any size.
        images: (N, 3, H, W).
        scale: Factor on the images' size.
        mirror: Whether the view is mirrored (the result is mirrored back).
        align_corners: For resizing the probabilities.
    """
    size = (images.shape[-2], images.shape[-1])
    view = images
    if scale != 1.0:
        small = [round(side * scale) for side in size]
        view = interpolate(images, size=small, mode='bilinear', align_corners=False)
    found = network(view.flip(dims=(3,)) if mirror else view).softmax(dim=1)
    found = found.flip(dims=(3,)) if mirror else found
    return interpolate(found, size=size, mode='bilinear', align_corners=align_corners)


@MODELS.register_module()
class AugmentedAverage:
    """Mean of the probabilities over all scales and both mirrorings.

    Args:
        scales: Factors on the images' size.
        flip: Whether each scale is also predicted mirrored.
        threshold: Where the confidence reaches it, the plain prediction stays; ``None``: average
            everywhere.
        level: ``'pixel'`` compares each pixel's confidence, ``'image'`` each image's mean.
    """

    def __init__(
        self,
        scales: Sequence[float] = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0),
        flip: bool = True,
        threshold: float | None = None,
        level: Literal['pixel', 'image'] = 'pixel',
    ) -> None:
        if not scales:
            raise BenchError('no scale to average over', 'one or more')
        self.scales, self.flip, self.threshold = tuple(scales), flip, threshold
        self.level = require_known('level of confidence', level, ('pixel', 'image'))

    @torch.no_grad()
    def __call__(
        self,
        network: Network,
        images: Tensor,
        align_corners: bool = False,
        confidence: Tensor | None = None,
    ) -> Tensor:
        """Probabilities (N, K, H, W) at the size of ``images``.

        Args:
            network: Logits of images.
            images: (N, 3, H, W).
            align_corners: For resizing.
            confidence: (N, H, W) that is compared with the threshold; ``None``: that of the plain
                prediction.
        """
        if self.threshold is None:
            return self._mean(network, images, align_corners)
        plain = probabilities(network, images, 1.0, False, align_corners)
        confidence = plain.amax(dim=1) if confidence is None else confidence
        if self.level == 'image':
            confidence = confidence.mean(dim=(1, 2), keepdim=True)
        sure = (confidence >= self.threshold)[:, None]
        if bool(sure.all()):
            return plain
        return torch.where(sure, plain, self._mean(network, images, align_corners))

    def _mean(self, network: Network, images: Tensor, align_corners: bool) -> Tensor:
        views = [(s, m) for s in self.scales for m in ((False, True) if self.flip else (False,))]
        total = probabilities(network, images, *views[0], align_corners)
        for scale, mirror in views[1:]:
            total += probabilities(network, images, scale, mirror, align_corners)
        return total / len(views)
