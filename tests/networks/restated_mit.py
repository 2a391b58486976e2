"""Mix Transformer with SegFormer and DAFormer decoders, restated in plain torch.

Attribute names give the authors' state-dict keys (``patch_embed1``, ``block1``, ``norm1``, ...), so
the models double as synthesised checkpoints. Attention is written out. Independent of mmseg.
"""

import torch
import torch.nn.functional as F
from torch import nn


class OverlapPatch(nn.Module):
    def __init__(self, c_in, c_out, kernel, stride):
        super().__init__()
        self.proj = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2)
        self.norm = nn.LayerNorm(c_out)

    def forward(self, x):
        x = self.proj(x)
        size = x.shape[2:]
        return self.norm(x.flatten(2).transpose(1, 2)), size


class Attention(nn.Module):
    def __init__(self, dim, heads, reduction):
        super().__init__()
        self.heads, self.reduction = heads, reduction
        self.q, self.kv, self.proj = (
            nn.Linear(dim, dim),
            nn.Linear(dim, 2 * dim),
            nn.Linear(dim, dim),
        )
        if reduction > 1:
            self.sr = nn.Conv2d(dim, dim, reduction, reduction)
            self.norm = nn.LayerNorm(dim)

    def forward(self, x, size):
        b, n, c = x.shape
        d = c // self.heads
        source = x
        if self.reduction > 1:
            source = self.sr(x.transpose(1, 2).reshape(b, c, *size))
            source = self.norm(source.flatten(2).transpose(1, 2))
        q = self.q(x).view(b, n, self.heads, d).transpose(1, 2)
        k, v = self.kv(source).view(b, -1, 2, self.heads, d).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(q @ k.transpose(2, 3) / d**0.5, dim=3)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, c))


class Depthwise(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)


class Mlp(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1, self.dwconv, self.fc2 = (
            nn.Linear(dim, hidden),
            Depthwise(hidden),
            nn.Linear(hidden, dim),
        )

    def forward(self, x, size):
        y = self.fc1(x)
        grid = y.transpose(1, 2).unflatten(2, size)
        y = self.dwconv.dwconv(grid).flatten(2).transpose(1, 2)
        return self.fc2(F.gelu(y))


class Block(nn.Module):
    def __init__(self, dim, heads, reduction):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads, reduction)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x, size):
        x = x + self.attn(self.norm1(x), size)
        return x + self.mlp(self.norm2(x), size)


class RestatedMiT(nn.Module):
    """The encoder; returns four maps at strides 4, 8, 16, 32."""

    def __init__(self, dims=(32, 64, 160, 256), depths=(2, 2, 2, 2)):
        super().__init__()
        c_in = 3
        for s in range(4):
            kernel, stride = (7, 4) if s == 0 else (3, 2)
            heads, reduction = (1, 2, 5, 8)[s], (8, 4, 2, 1)[s]
            blocks = [Block(dims[s], heads, reduction) for _ in range(depths[s])]
            setattr(self, f'patch_embed{s + 1}', OverlapPatch(c_in, dims[s], kernel, stride))
            setattr(self, f'block{s + 1}', nn.ModuleList(blocks))
            setattr(self, f'norm{s + 1}', nn.LayerNorm(dims[s], eps=1e-6))
            c_in = dims[s]

    def forward(self, x):
        maps = []
        for s in range(1, 5):
            x, size = getattr(self, f'patch_embed{s}')(x)
            for block in getattr(self, f'block{s}'):
                x = block(x, size)
            x = getattr(self, f'norm{s}')(x)
            x = x.transpose(1, 2).reshape(x.shape[0], -1, *size)
            maps.append(x)
        return maps


class ConvBN(nn.Module):
    """Convolution ``conv``, batch norm ``bn``, ReLU."""

    def __init__(self, c_in, c_out, kernel=1, dilation=1, groups=1):
        super().__init__()
        pad = kernel // 2 * dilation
        self.conv = nn.Conv2d(
            c_in, c_out, kernel, padding=pad, dilation=dilation, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(c_out)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


class Separable(nn.Module):
    def __init__(self, c_in, c_out, dilation):
        super().__init__()
        self.depthwise_conv = ConvBN(c_in, c_in, 3, dilation, groups=c_in)
        self.pointwise_conv = ConvBN(c_in, c_out)

    def forward(self, x):
        return self.pointwise_conv(self.depthwise_conv(x))


def up(x, size):
    return F.interpolate(x, size=size, mode='bilinear', align_corners=False)


class RestatedSegformerHead(nn.Module):
    """mmseg's decoder: 1x1 convolution with BN and ReLU a level, fused by another."""

    def __init__(self, dims, classes=19, channels=256):
        super().__init__()
        self.convs = nn.ModuleList(ConvBN(c, channels) for c in dims)
        self.fusion_conv = ConvBN(4 * channels, channels)
        self.conv_seg = nn.Conv2d(channels, classes, 1)

    def forward(self, maps):
        size = maps[0].shape[2:]
        levels = [up(conv(x), size) for conv, x in zip(self.convs, maps, strict=True)]
        return self.conv_seg(self.fusion_conv(torch.cat(levels, 1)))


class Embed(nn.Module):
    def __init__(self, c_in, c_out):
        super().__init__()
        self.proj = nn.Linear(c_in, c_out)


class Fuse(nn.Module):
    def __init__(self, c_in, channels):
        super().__init__()
        parallel = [ConvBN(c_in, channels)]
        parallel += [Separable(c_in, channels, d) for d in (6, 12, 18)]
        self.aspp_modules = nn.ModuleList(parallel)
        self.bottleneck = ConvBN(4 * channels, channels, 3)

    def forward(self, x):
        return self.bottleneck(torch.cat([branch(x) for branch in self.aspp_modules], 1))


class RestatedDAFormerHead(nn.Module):
    def __init__(self, dims, classes=19, channels=256):
        super().__init__()
        self.conv_seg = nn.Conv2d(channels, classes, 1)
        self.embed_layers = nn.ModuleDict({str(i): Embed(c, channels) for i, c in enumerate(dims)})
        self.fuse_layer = Fuse(4 * channels, channels)

    def forward(self, maps):
        size, levels = maps[0].shape[2:], []
        for i, x in enumerate(maps):
            tokens = self.embed_layers[str(i)].proj(x.flatten(2).transpose(1, 2))
            levels.append(up(tokens.transpose(1, 2).unflatten(2, x.shape[2:]), size))
        return self.conv_seg(self.fuse_layer(torch.cat(levels, 1)))


class RestatedMiTSegmentor(nn.Module):
    """Encoder and decoder under the prefixes ``backbone.`` and ``decode_head.``."""

    def __init__(self, head, dims, depths, classes=19):
        super().__init__()
        self.backbone = RestatedMiT(dims, depths)
        self.decode_head = head(dims, classes)

    def forward(self, x):
        return self.decode_head(self.backbone(x))


B0 = {'dims': (32, 64, 160, 256), 'depths': (2, 2, 2, 2)}
B5 = {'dims': (64, 128, 320, 512), 'depths': (3, 6, 40, 3)}
