"""A network of two norms, for values computed by hand (network B2 of the compact sheet)."""

from __future__ import annotations

import torch
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from sfda_bench.adapt.norm import running_statistics, statistics_layers
from sfda_bench.registry import MODELS

#: Mean, variance, weight and bias of either norm.
SOURCE = ((1.0, 4.0, 1.5, 0.2), (0.0, 1.0, 1.0, 0.0))
X0 = torch.tensor([0.0, 2.0, 4.0, 6.0], dtype=torch.float64).view(2, 1, 1, 2)
X1 = torch.tensor([1.0, 1.0, 3.0, -1.0], dtype=torch.float64).view(2, 1, 1, 2)


class TwoNorms(nn.Module):
    """Norm, 1x1 convolution of weight 2, norm; one channel."""

    def __init__(self, **_: object) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 1, 1, bias=False))
        self.decode_head = nn.BatchNorm2d(1)
        with torch.no_grad():
            self.backbone[1].weight.fill_(2.0)
            for layer, values in zip(statistics_layers(self), SOURCE, strict=True):
                own = (layer.running_mean, layer.running_var, layer.weight, layer.bias)
                for tensor, value in zip(own, values, strict=True):
                    tensor.fill_(value)

    def extract_feat(self, images: Tensor) -> Tensor:
        return self.backbone(images)

    def forward(self, images: Tensor) -> Tensor:
        return self.decode_head(self.backbone(images))


def two_norms(kind: str, **kwargs):
    """An adapter around the two norms, in double precision."""
    init_default_scope('sfda_bench')
    return MODELS.build({'type': kind, 'segmentor': {'type': TwoNorms}, **kwargs}).double()


def statistics(network: nn.Module) -> list[tuple[float, float]]:
    """Running mean and variance of each norm."""
    pairs = (running_statistics(layer) for layer in statistics_layers(network))
    return [(float(mean), float(variance)) for mean, variance in pairs]
