"""The DAFormer decoder: linear embeddings of every level, fused by a separable ASPP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.decode_heads.sep_aspp_head import DepthwiseSeparableASPPModule
from mmseg.models.utils import resize
from torch import Tensor, nn

from sfda_bench.registry import MODELS


class LevelEmbedding(nn.Module):
    """A linear map at every position: (B, c_in, h, w) to (B, c_out, h, w)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(c_in, c_out)

    def forward(self, feature: Tensor) -> Tensor:
        """Embed each pixel of the map."""
        return self.proj(feature.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ContextFusion(nn.Module):
    """Parallel dilated convolutions without image pooling, then a 3x3 bottleneck."""

    def __init__(
        self, c_in: int, channels: int, dilations: Sequence[int], norm_cfg: dict, act_cfg: dict
    ) -> None:
        super().__init__()
        self.aspp_modules = DepthwiseSeparableASPPModule(
            dilations=tuple(dilations),
            in_channels=c_in,
            channels=channels,
            conv_cfg=None,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.bottleneck = ConvModule(
            len(dilations) * channels, channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg
        )

    def forward(self, feature: Tensor) -> Tensor:
        """Fuse (B, c_in, h, w) to (B, channels, h, w)."""
        return self.bottleneck(torch.cat(self.aspp_modules(feature), dim=1))


@MODELS.register_module()
class DAFormerHead(BaseDecodeHead):
    """Context-aware fusion of a four-level encoder at the first level's resolution.

    Source: Hoyer et al., DAFormer, CVPR 2022, section 3.2; key names as in its checkpoints
    (``embed_layers.{i}.proj``, ``fuse_layer.aspp_modules``, ``fuse_layer.bottleneck``,
    ``conv_seg``).

    Args:
        in_channels: Channels of the selected levels.
        embed_dims: Channels of each level's embedding.
        dilations: Dilations of the fusion; dilation 1 is a 1x1 convolution, the others are
            depthwise-separable.
        kwargs: As for mmseg's ``BaseDecodeHead`` (``in_index``, ``channels``, ``num_classes``).

    Input maps (B, C_i, h_i, w_i), output logits (B, num_classes, h_0, w_0).
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        embed_dims: int = 256,
        dilations: Sequence[int] = (1, 6, 12, 18),
        **kwargs: Any,
    ) -> None:
        super().__init__(in_channels, input_transform='multiple_select', **kwargs)
        self.embed_layers = nn.ModuleDict(
            {
                str(i): LevelEmbedding(c, embed_dims)
                for i, c in zip(self.in_index, in_channels, strict=True)
            }
        )
        self.fuse_layer = ContextFusion(
            embed_dims * len(in_channels), self.channels, dilations, self.norm_cfg, self.act_cfg
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits at the resolution of the first selected level."""
        levels = self._transform_inputs(inputs)
        size = levels[0].shape[2:]
        embedded = [
            resize(layer(x), size=size, mode='bilinear', align_corners=self.align_corners)
            for layer, x in zip(self.embed_layers.values(), levels, strict=True)
        ]
        return self.cls_seg(self.fuse_layer(torch.cat(embedded, dim=1)))
