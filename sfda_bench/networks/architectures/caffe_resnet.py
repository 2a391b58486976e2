"""The Caffe-style ResNet of the AdaptSegNet / ADVENT line."""

from __future__ import annotations

from typing import Any, ClassVar

from mmseg.models.backbones.resnet import BasicBlock, ResNet
from torch import nn

from sfda_bench.registry import MODELS


@MODELS.register_module()
class CaffeResNet(ResNet):
    """mmseg's ``ResNet`` with the defaults of the Caffe DeepLabV2: output stride 8.

    What differs from ``ResNet``: the stride of a stage sits in its first 1x1 convolution, layer3
    and layer4 are dilated by 2 and 4 from their first block on, and the max-pool rounds up
    (512x1024 gives 65x129, not 64x128). ``norm_cfg=dict(type='BN', requires_grad=False)`` freezes
    the affine parameters; with ``norm_eval=False`` the running statistics still move in train mode.

    Depth 10 (one basic block a stage) exists for networks trained on a CPU.

    Source: ``ResNetMulti`` of AdaptSegNet and ADVENT; keys and features equal theirs.

    Args:
        depth: 10, 18, 34, 50, 101 or 152.
        ceil_mode: Rounding of the max-pool's output size.
        stem_pool: ``False`` leaves the max-pool out (output stride 4 with default strides).
        stem_affine: ``False`` freezes the scale and shift of the stem's batch norm, whatever
            ``norm_cfg`` says of the others (source training of LTTM/UDAclustering).
        kwargs: As for mmseg's ``ResNet``.

    Input (B, 3, H, W), output the stages' maps named by ``out_indices``.
    """

    arch_settings: ClassVar[dict] = {**ResNet.arch_settings, 10: (BasicBlock, (1, 1, 1, 1))}

    def __init__(
        self,
        depth: int = 101,
        ceil_mode: bool = True,
        stem_pool: bool = True,
        stem_affine: bool = True,
        **kwargs: Any,
    ) -> None:
        defaults = {
            'strides': (1, 2, 1, 1),
            'dilations': (1, 1, 2, 4),
            'style': 'caffe',
            'contract_dilation': False,
            'norm_cfg': {'type': 'BN', 'requires_grad': False},
            'norm_eval': False,
        }
        super().__init__(depth, **{**defaults, **kwargs})
        pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1, ceil_mode=ceil_mode)
        self.maxpool: nn.Module = pool if stem_pool else nn.Identity()
        if not stem_affine:
            self.norm1.requires_grad_(False)
