"""ResNets with dilated stages and the summed DeepLabV2 head, restated in plain torch.

Attribute names give the AdaptSegNet / ADVENT state-dict keys. Independent of mmseg.
"""

import torch
from torch import nn


class Bottleneck(nn.Module):
    def __init__(self, c_in, planes, stride, dilation, project, stride_in_3x3):
        super().__init__()
        s1, s3 = (1, stride) if stride_in_3x3 else (stride, 1)
        self.conv1 = nn.Conv2d(c_in, planes, 1, stride=s1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(
            planes, planes, 3, stride=s3, padding=dilation, dilation=dilation, bias=False
        )
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.downsample = None
        if project:
            self.downsample = nn.Sequential(
                nn.Conv2d(c_in, 4 * planes, 1, stride=stride, bias=False),
                nn.BatchNorm2d(4 * planes),
            )

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class Sum(nn.Module):
    """Sum of the first ``used`` dilated 3x3 convolutions."""

    def __init__(self, c_in, classes, used=4, dilations=(6, 12, 18, 24)):
        super().__init__()
        self.used = used
        self.conv2d_list = nn.ModuleList(
            nn.Conv2d(c_in, classes, 3, padding=d, dilation=d) for d in dilations
        )

    def forward(self, x):
        return sum(conv(x) for conv in list(self.conv2d_list)[: self.used])


class RestatedResNet101(nn.Module):
    """Stem and four stages; returns the outputs of layer3 and layer4.

    ``first_dilations``: dilation of the first block of each stage (torchvision's dilated networks
    and the V1c ones halve it); ``deep_stem``: three 3x3 convolutions instead of one 7x7.
    """

    def __init__(
        self,
        stride_in_3x3=False,
        ceil_mode=True,
        first_dilations=(1, 1, 2, 4),
        deep_stem=False,
        blocks=(3, 4, 23, 3),
    ):
        super().__init__()
        if deep_stem:
            layers = []
            for c_in, c_out, stride in ((3, 32, 2), (32, 32, 1), (32, 64, 1)):
                conv = nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=False)
                layers += [conv, nn.BatchNorm2d(c_out), nn.ReLU()]
            self.stem = nn.Sequential(*layers)
        else:
            self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=ceil_mode)
        c_in = 64
        for s, count in enumerate(blocks):
            stride, dilation = (1, 2, 1, 1)[s], (1, 1, 2, 4)[s]
            planes, stage = 64 * 2**s, []
            for i in range(count):
                d = first_dilations[s] if i == 0 else dilation
                first = i == 0
                stage.append(
                    Bottleneck(c_in, planes, stride if first else 1, d, first, stride_in_3x3)
                )
                c_in = 4 * planes
            setattr(self, f'layer{s + 1}', nn.Sequential(*stage))

    def features(self, x):
        x = self.stem(x) if hasattr(self, 'stem') else torch.relu(self.bn1(self.conv1(x)))
        x = self.layer2(self.layer1(self.pool(x)))
        third = self.layer3(x)
        return third, self.layer4(third)


class RestatedDeepLab(RestatedResNet101):
    """Single-level (head ``layer5``) or multi-level (``layer5`` auxiliary, ``layer6`` main)."""

    def __init__(self, classes=19, multi=False, used=4, main='layer5', **kwargs):
        super().__init__(**kwargs)
        self.multi, self.main = multi, 'layer6' if multi else main
        if multi:
            self.layer5 = Sum(1024, classes, used)
        setattr(self, self.main, Sum(2048, classes, used))

    def forward(self, x):
        """Main logits, and the auxiliary ones (``None`` if single-level)."""
        third, fourth = self.features(x)
        aux = self.layer5(third) if self.multi else None
        return getattr(self, self.main)(fourth), aux
