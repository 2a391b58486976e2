"""The DeepLabV2 classifier: parallel dilated convolutions, summed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from sfda_bench.errors import BenchError
from sfda_bench.registry import MODELS


@MODELS.register_module()
class DLV2Head(BaseDecodeHead):
    """Sum of 3x3 convolutions with dilations 6, 12, 18, 24; no norm, ReLU or dropout.

    The state dict always holds one convolution a dilation (``conv2d_list.{0..3}``), as the
    checkpoints of the AdaptSegNet line do, whatever ``num_branches`` says: AdaptSegNet's loop
    returns after its second pass, so its checkpoints carry two branches that never saw a gradient.

    Source: Chen et al., DeepLab, TPAMI 2018; ``Classifier_Module`` of AdaptSegNet (2 branches)
    and of ADVENT (4 branches).

    Args:
        in_channels: Channels of the feature map.
        num_classes: Channels of the logits.
        num_branches: How many of the convolutions are summed, counted from the first.
        dilations: Dilation (= padding) of each convolution.
        kwargs: As for mmseg's ``BaseDecodeHead``.

    Input (B, in_channels, h, w), output raw logits (B, num_classes, h, w).
    """

    def __init__(
        self,
        in_channels: int,
        *,
        num_classes: int,
        num_branches: int = 4,
        dilations: Sequence[int] = (6, 12, 18, 24),
        dropout_ratio: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if not 1 <= num_branches <= len(dilations):
            raise BenchError(
                f'DLV2Head: num_branches={num_branches}', f'1 to {len(dilations)} (dilations)'
            )
        # conv_seg of the base class is not part of this head: build it small, then drop it
        kwargs.setdefault('channels', num_classes)
        kwargs.setdefault('init_cfg', None)
        super().__init__(
            in_channels, num_classes=num_classes, dropout_ratio=dropout_ratio, **kwargs
        )
        self.conv_seg = None
        self.num_branches = num_branches
        convs = [nn.Conv2d(in_channels, num_classes, 3, padding=d, dilation=d) for d in dilations]
        # here and not in init_cfg, whose Normal would also zero the biases
        for conv in convs:
            nn.init.normal_(conv.weight, mean=0.0, std=0.01)
        self.conv2d_list = nn.ModuleList(convs)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits (B, num_classes, h, w) of the selected feature map."""
        feature = self._transform_inputs(inputs)
        if self.dropout is not None:
            feature = self.dropout(feature)
        logits = self.conv2d_list[0](feature)
        for conv in self.conv2d_list[1 : self.num_branches]:
            logits = logits + conv(feature)
        return logits
