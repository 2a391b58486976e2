"""Class probabilities of whole images for labelling stages: one scale, mean of the two flips."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sfda_bench.adapt.adapter import Adapter
from sfda_bench.errors import require_known
from sfda_bench.registry import MODELS


@MODELS.register_module()
class ProbabilityPredictor(Adapter):
    """Predict probabilities for a labelling stage's writer; never trained.

    The image is resized by ``scale`` (bilinear), the logits to the size of the file (bilinear,
    with the head's ``align_corners``), and with ``flip`` the two *probability* maps are averaged,
    as ``crst_seg.py::val`` does.

    Args:
        segmentor: Config of the network.
        scale: Factor on the image's size.
        flip: Whether to average with the mirrored image.
        at: Size of the maps: that of the image's ``'file'``, or of the network's ``'input'``
            before it is scaled.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        scale: float = 1.0,
        flip: bool = False,
        at: Literal['file', 'input'] = 'file',
    ) -> None:
        super().__init__(segmentor, trainable='none', norm_mode='eval', dropout=False)
        self.scale, self.flip = scale, flip
        self.at = require_known('size of the maps', at, ('file', 'input'))

    @torch.no_grad()
    def probabilities(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Probabilities (N, C, H, W) at ``size`` = (H, W) of normalised images (N, 3, h, w)."""
        if self.scale != 1.0:
            shape = [round(side * self.scale) for side in images.shape[-2:]]
            images = interpolate(images, size=shape, mode='bilinear', align_corners=False)
        found = self.logits(images, size).softmax(dim=1)
        if self.flip:
            mirrored = self.logits(images.flip(dims=(3,)), size).softmax(dim=1)
            found = (found + mirrored.flip(dims=(3,))) / 2
        return found

    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """The samples with ``probabilities`` (C, H, W), see ``at``."""
        samples = data_samples or []
        shape = (inputs.shape[-2], inputs.shape[-1])
        sizes = [shape if self.at == 'input' else tuple(s.ori_shape) for s in samples]
        for size in set(sizes):
            which = [index for index, found in enumerate(sizes) if found == size]
            # no list as an index, which on a GPU is a copy to it
            images = inputs if len(which) == len(sizes) else torch.stack([inputs[i] for i in which])
            for index, maps in zip(which, self.probabilities(images, size), strict=True):
                samples[index].set_data({'probabilities': maps})
        return samples
