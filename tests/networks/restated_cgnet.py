"""CGNet (M3N21) restated in plain torch from its description, with the authors' key names.

Independent of mmseg: used as the reference the converted network must equal.
"""

import torch
import torch.nn.functional as F
from torch import nn


class Unit(nn.Module):
    """Holds a convolution under the name ``conv``; optionally BN and PReLU beside it."""

    def __init__(self, c_in, c_out, k, stride=1, dilation=1, groups=1, act=False):
        super().__init__()
        pad = (k - 1) // 2 * dilation
        self.conv = nn.Conv2d(c_in, c_out, k, stride, pad, dilation, groups, bias=False)
        if act:
            self.bn = nn.BatchNorm2d(c_out, eps=1e-3)
            self.act = nn.PReLU(c_out)

    def forward(self, x):
        x = self.conv(x)
        return self.act(self.bn(x)) if hasattr(self, 'bn') else x


class NormAct(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, eps=1e-3)
        self.act = nn.PReLU(channels)

    def forward(self, x):
        return self.act(self.bn(x))


class Gate(nn.Module):
    """Channel gate from the global average."""

    def __init__(self, channels, reduction):
        super().__init__()
        hidden = channels // reduction
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, x):
        return x * self.fc(x.mean(dim=(2, 3)))[:, :, None, None]


class Down(nn.Module):
    """First block of a level: stride 2, local and surrounding context, 1x1 reduction."""

    def __init__(self, c_in, c_out, dilation, reduction):
        super().__init__()
        self.conv1x1 = Unit(c_in, c_out, 3, stride=2, act=True)
        self.F_loc = Unit(c_out, c_out, 3, groups=c_out)
        self.F_sur = Unit(c_out, c_out, 3, dilation=dilation, groups=c_out)
        self.bn = nn.BatchNorm2d(2 * c_out, eps=1e-3)
        self.act = nn.PReLU(2 * c_out)
        self.reduce = Unit(2 * c_out, c_out, 1)
        self.F_glo = Gate(c_out, reduction)

    def forward(self, x):
        x = self.conv1x1(x)
        x = self.act(self.bn(torch.cat([self.F_loc(x), self.F_sur(x)], 1)))
        return self.F_glo(self.reduce(x))


class Block(nn.Module):
    """Residual context-guided block at half the channels."""

    def __init__(self, channels, dilation, reduction):
        super().__init__()
        half = channels // 2
        self.conv1x1 = Unit(channels, half, 1, act=True)
        self.F_loc = Unit(half, half, 3, groups=half)
        self.F_sur = Unit(half, half, 3, dilation=dilation, groups=half)
        self.bn_prelu = NormAct(channels)
        self.F_glo = Gate(channels, reduction)

    def forward(self, x):
        y = self.conv1x1(x)
        y = self.bn_prelu(torch.cat([self.F_loc(y), self.F_sur(y)], 1))
        return x + self.F_glo(y)


class RestatedCGNet(nn.Module):
    def __init__(self, classes=19, m=3, n=21):
        super().__init__()
        self.level1_0 = Unit(3, 32, 3, stride=2, act=True)
        self.level1_1 = Unit(32, 32, 3, act=True)
        self.level1_2 = Unit(32, 32, 3, act=True)
        self.b1 = NormAct(35)
        self.level2_0 = Down(35, 64, 2, 8)
        self.level2 = nn.ModuleList(Block(64, 2, 8) for _ in range(m - 1))
        self.bn_prelu_2 = NormAct(131)
        self.level3_0 = Down(131, 128, 4, 16)
        self.level3 = nn.ModuleList(Block(128, 4, 16) for _ in range(n - 1))
        self.bn_prelu_3 = NormAct(256)
        self.classifier = nn.Sequential(Unit(256, classes, 1))

    def forward(self, x):
        half = F.avg_pool2d(x, 3, stride=2, padding=1)
        quarter = F.avg_pool2d(half, 3, stride=2, padding=1)
        y = self.level1_2(self.level1_1(self.level1_0(x)))
        first = y = self.level2_0(self.b1(torch.cat([y, half], 1)))
        for block in self.level2:
            y = block(y)
        first = y = self.level3_0(self.bn_prelu_2(torch.cat([y, first, quarter], 1)))
        for block in self.level3:
            y = block(y)
        return self.classifier(self.bn_prelu_3(torch.cat([first, y], 1)))
