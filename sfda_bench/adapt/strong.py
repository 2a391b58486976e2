"""Strong views on the device: colour jitter and blur of normalised batches; geometry stays.

Weak and strong view share flips and crops because the strong one is made from the weak tensor.
Whether to jitter and to blur is drawn once a batch, the jitter's factors once an image. All draws
come from torch's CPU generator, whose state checkpoints carry, so a resumed run draws the same.

Source: ``dacs_transforms.py`` of the DACS line, with kornia's additive brightness (the operation
that the kornia of that time called ColorJitter and the present one ColorJiggle).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from sfda_bench.errors import BenchError


def input_convention(preprocessor: Any) -> tuple[Tensor, Tensor, bool]:
    """Mean and std (3, 1, 1) in 0..255 units, and whether the channels are in RGB order.

    Args:
        preprocessor: A mmseg data preprocessor, or ours around one.

    Raises:
        BenchError: It does not normalise.
    """
    inner = getattr(preprocessor, 'inner', preprocessor)
    if not hasattr(inner, 'mean') or not hasattr(inner, 'std'):
        raise BenchError(
            'strong views need to know how the network normalises its input',
            'a data preprocessor with mean and std',
            'set them in the `data_preprocessor` of the network config',
        )
    return inner.mean, inner.std, bool(getattr(inner, '_channel_conversion', False))


def blur_kernel(side: int, share: float = 0.1) -> int:
    """The odd kernel size of about ``share`` of an image's side that the DACS line uses."""
    tenth = math.ceil(share * side)
    return max(1, math.floor(tenth - 0.5 + tenth % 2))


class StrongView(nn.Module):
    """Random colour jitter and Gaussian blur.

    Args:
        jitter: Greatest change of brightness, contrast, saturation and hue.
        jitter_probability: How often a batch is jittered.
        blur_probability: How often a batch is blurred.
        blur_sigma: Range of the blur's standard deviation in pixels.
        kernel_share: Kernel size as a share of each side.
    """

    def __init__(
        self,
        jitter: float = 0.2,
        jitter_probability: float = 0.8,
        blur_probability: float = 0.5,
        blur_sigma: tuple[float, float] = (0.15, 1.15),
        kernel_share: float = 0.1,
    ) -> None:
        super().__init__()
        self.jitter, self.jitter_probability = jitter, jitter_probability
        self.blur_probability, self.blur_sigma = blur_probability, tuple(blur_sigma)
        self.kernel_share = kernel_share

    @torch.no_grad()
    def forward(
        self,
        images: Tensor,
        mean: Tensor,
        std: Tensor,
        rgb: bool,
        switches: tuple[bool, bool] | None = None,
    ) -> Tensor:
        """A strong view of ``images``, which stay as they are.

        Args:
            images: (N, 3, H, W), normalised.
            mean: (3, 1, 1) in 0..255 units.
            std: (3, 1, 1), likewise.
            rgb: Whether the channels are red, green, blue (else the reverse).
            switches: Whether to jitter and to blur, from :meth:`draw`; drawn here if ``None``.
        """
        jitters, blurs = switches or self.draw()
        if not (jitters or blurs):
            return images.clone()
        pixels = ((images * std + mean) / 255.0).clamp(0.0, 1.0)
        if jitters:
            pixels = self._jittered(pixels if rgb else pixels.flip(1))
            pixels = pixels if rgb else pixels.flip(1)
        if blurs:
            pixels = self._blurred(pixels)
        return (pixels * 255.0 - mean) / std

    def draw(self) -> tuple[bool, bool]:
        """Draw whether to jitter and to blur, for several views that share it."""
        jitter, blur = torch.rand(2).tolist()
        return jitter < self.jitter_probability, blur < self.blur_probability

    def _jittered(self, pixels: Tensor) -> Tensor:
        from kornia.enhance import (
            adjust_brightness,
            adjust_contrast,
            adjust_hue,
            adjust_saturation,
        )

        number, reach = len(pixels), self.jitter
        change = (torch.rand(4, number) * 2.0 - 1.0) * reach
        order = torch.randperm(4).tolist()
        shift, contrast, saturation, hue = change.to(pixels.device, pixels.dtype)
        steps = [
            lambda x: adjust_brightness(x, shift),
            lambda x: adjust_contrast(x, 1.0 + contrast),
            lambda x: adjust_saturation(x, 1.0 + saturation),
            lambda x: adjust_hue(x, hue * 2.0 * math.pi),
        ]
        for index in order:
            pixels = steps[index](pixels)
        return pixels.clamp(0.0, 1.0)

    def _blurred(self, pixels: Tensor) -> Tensor:
        from kornia.filters import gaussian_blur2d

        low, high = self.blur_sigma
        sigma = low + (high - low) * float(torch.rand(()))
        height, width = pixels.shape[-2:]
        kernel = blur_kernel(height, self.kernel_share), blur_kernel(width, self.kernel_share)
        return gaussian_blur2d(pixels, kernel, (sigma, sigma))
