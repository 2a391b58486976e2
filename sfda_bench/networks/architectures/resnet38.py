"""Wide ResNet-38, model A1, the network of CBST."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from sfda_bench.registry import MODELS

BN_EPS = 1.001e-5
# blocks, (channels of the block's convolutions), stride of the first block, dilation
_BASIC = (
    (3, (128, 128), 2, 1),
    (3, (256, 256), 2, 1),
    (6, (512, 512), 2, 1),
    (3, (512, 1024), 1, 2),
)
# (channels of the bottleneck), dilation of its 3x3, dropout
_BOTTLENECK = (((512, 1024, 2048), 4, 0.3), ((1024, 2048, 4096), 4, 0.5))


def _norm_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels, eps=BN_EPS), nn.ReLU(inplace=True))


def _conv3(c_in: int, c_out: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, stride, dilation, dilation, bias=False)


class PreActBlock(nn.Module):
    """Pre-activation residual block: BN, ReLU, convolution, two or three times.

    The projection, where the channels change, reads the first activation.

    Args:
        c_in: Input channels.
        body: The convolutions in order.
        dropout: Probability before every convolution but the first.
    """

    def __init__(self, c_in: int, body: Sequence[nn.Conv2d], dropout: float = 0.0) -> None:
        super().__init__()
        c_out, stride = body[-1].out_channels, body[0].stride[0]
        self.pre = _norm_relu(c_in)
        self.project = nn.Conv2d(c_in, c_out, 1, stride, bias=False) if c_in != c_out else None
        layers: list[nn.Module] = [body[0]]
        for conv in body[1:]:
            layers.append(_norm_relu(conv.in_channels))
            if dropout:
                layers.append(nn.Dropout(dropout))
            layers.append(conv)
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Residual sum; (B, c_in, h, w) to (B, c_out, h', w')."""
        active = self.pre(x)
        shortcut = x if self.project is None else self.project(active)
        return shortcut + self.body(active)


@MODELS.register_module()
class ResNet38A1(BaseModule):
    """Wide pre-activation ResNet-38, output stride 8, 4096 channels.

    3x3 stem of 64 channels at full resolution; stages 2 to 5 of two 3x3 convolutions a block;
    stages 6 and 7 one bottleneck each. Stride 2 at the entry of stages 2, 3, 4; dilation 2 in
    stage 5 except its first convolution, 4 in the 3x3 of stages 6 and 7. BN affine parameters are
    trained, the stored statistics are always used.

    Source: Wu et al., arXiv 1611.10080, model A1; CBST ``resnet_v2.py::fcrna_model_a1``. Where
    dropout sits inside a bottleneck is not stated there: here before its second and third
    convolution.

    Args:
        norm_eval: Keep BN in eval mode during training.

    Input (B, 3, H, W), output a tuple of one map (B, 4096, ceil(H / 8), ceil(W / 8)).
    """

    def __init__(self, norm_eval: bool = True, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.norm_eval = norm_eval
        self.stem = _conv3(3, 64)
        c_in = 64
        for number, (count, (c_mid, c_out), stride, dilation) in enumerate(_BASIC, start=2):
            blocks = []
            for i in range(count):
                first = i == 0
                head = _conv3(c_in, c_mid, stride if first else 1, 1 if first else dilation)
                blocks.append(PreActBlock(c_in, [head, _conv3(c_mid, c_out, 1, dilation)]))
                c_in = c_out
            self.add_module(f'stage{number}', nn.Sequential(*blocks))
        for number, ((c_1, c_2, c_out), dilation, dropout) in enumerate(_BOTTLENECK, start=6):
            body = [
                nn.Conv2d(c_in, c_1, 1, bias=False),
                _conv3(c_1, c_2, 1, dilation),
                nn.Conv2d(c_2, c_out, 1, bias=False),
            ]
            self.add_module(f'stage{number}', PreActBlock(c_in, body, dropout))
            c_in = c_out
        self.final = _norm_relu(c_in)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """The activated map behind stage 7."""
        x = self.stem(x)
        for number in range(2, 8):
            x = getattr(self, f'stage{number}')(x)
        return (self.final(x),)

    def train(self, mode: bool = True) -> ResNet38A1:
        """Set the mode, leaving BN in eval mode if ``norm_eval``."""
        super().train(mode)
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self


@MODELS.register_module()
class A1Head(BaseDecodeHead):
    """Classifier of model A1: 3x3 convolution (dilation 12), ReLU, 3x3 convolution (dilation 12).

    Both with bias and without norm. Input (B, in_channels, h, w), output (B, num_classes, h, w).
    """

    def __init__(
        self,
        in_channels: int,
        *,
        channels: int = 512,
        dilation: int = 12,
        dropout_ratio: float = 0.0,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault('init_cfg', {'type': 'Normal', 'layer': 'Conv2d', 'std': 0.01})
        super().__init__(in_channels, channels, dropout_ratio=dropout_ratio, **kwargs)
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=dilation, dilation=dilation)
        self.conv_seg = nn.Conv2d(
            channels, self.out_channels, 3, padding=dilation, dilation=dilation
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Raw logits of the selected map."""
        return self.cls_seg(self.conv(self._transform_inputs(inputs)).relu())
