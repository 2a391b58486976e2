"""VGG16 as DeepLabV2 uses it: no fourth and fifth pooling, dilated last layers."""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor, nn

from sfda_bench.registry import MODELS

# channels of the convolutions between max-pools; the last two groups are not followed by a pool
_GROUPS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


@MODELS.register_module()
class DeepLabVGG16(BaseModule):
    """VGG16 without batch norm, output stride 8, 1024 channels.

    Thirteen 3x3 convolutions with ReLU; 2x2 max-pools behind the first three groups only; the
    fifth group is dilated by 2; fc6 and fc7 are 3x3 convolutions of 1024 channels dilated by 4.
    One flat ``features`` sequence, whose indices are the keys of AdaptSegNet's VGG checkpoints
    (fc6 at 29, fc7 at 31).

    Source: Chen et al., DeepLab, TPAMI 2018; ``deeplab_vgg.py`` of AdaptSegNet.

    Input (B, 3, H, W), output a tuple of one map (B, 1024, H // 8, W // 8).
    """

    def __init__(self, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        layers: list[nn.Module] = []
        c_in = 3
        for group, channels in enumerate(_GROUPS):
            dilation = 2 if group == 4 else 1
            for c_out in channels:
                layers += _conv_relu(c_in, c_out, dilation)
                c_in = c_out
            if group < 3:
                layers.append(nn.MaxPool2d(2, stride=2))
        for _ in ('fc6', 'fc7'):
            layers += _conv_relu(c_in, 1024, 4)
            c_in = 1024
        self.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """The fc7 map."""
        return (self.features(x),)


def _conv_relu(c_in: int, c_out: int, dilation: int) -> list[nn.Module]:
    return [
        nn.Conv2d(c_in, c_out, 3, padding=dilation, dilation=dilation),
        nn.ReLU(inplace=True),
    ]
