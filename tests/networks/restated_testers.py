"""The authors' testers, restated in plain torch, numpy and Pillow: an image in, class ids out.

``net(x)`` is a list of logits at the head's resolution, main head first. Its ``mean`` and ``std``
are in the network's channel order; ``rgb`` says which that is.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate


def tensor(pixels, net):
    """(1, 3, h, w) of RGB uint8 pixels, normalised."""
    data = pixels.astype(np.float32)
    data = data if net.rgb else data[:, :, ::-1]
    data = (data - np.float32(net.mean)) / np.float32(net.std)
    return torch.from_numpy(np.ascontiguousarray(data.transpose(2, 0, 1)))[None]


def pillow(path, size):
    return np.asarray(Image.open(path).convert('RGB').resize(size, Image.Resampling.BICUBIC))


def opencv(path, size):
    image = cv2.resize(cv2.imread(str(path)), size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(image[:, :, ::-1])


def up(maps, size, aligned=True):
    return interpolate(maps, size=size, mode='bilinear', align_corners=aligned)


def advent(net, path, label, size=(1024, 512)):
    """ADVENT, AdaptSegNet, IAPC: one view, logits straight to the label's size."""
    (main, *_) = net(tensor(pillow(path, size), net))
    return up(main, label)[0].numpy().argmax(0)


def two_steps(net, path, label, size=(1024, 512)):
    """The same by way of the input's size, as mmseg does it."""
    (main, *_) = net(tensor(pillow(path, size), net))
    return up(up(main, size[::-1]), label)[0].numpy().argmax(0)


def hcl(net, path, label, size=(1024, 512), scales=(1.0, 1.2)):
    """Soft-max of 0.5 aux + main at the head's size; probabilities enlarged, four views added."""
    total = 0
    for scale in scales:
        shape = (round(size[0] * scale), round(size[1] * scale))
        data = tensor(pillow(path, shape), net)
        for x in (data, data.flip(3)):
            main, *aux = net(x)
            merged = 0.5 * aux[0] + main if aux else main
            maps = up(torch.softmax(merged, 1), label)
            total = total + (maps if x is data else maps.flip(3))
    return total[0].numpy().argmax(0)


def crst(net, path, label, scales=(0.9, 1.0, 1.2)):
    """The normalised tensor resized, sizes cut off; logits of both flips and all scales."""
    whole = tensor(np.asarray(Image.open(path).convert('RGB')), net)
    height, width = whole.shape[2:]
    total = 0
    for scale in scales:
        x = up(whole, (int(height * scale), int(width * scale)))
        flipped = up(net(x.flip(3))[0], label).flip(3)
        total = total + (up(net(x)[0], label) + flipped) / 2
    return (total / len(scales))[0].numpy().argmax(0)


def cbst_mxnet(net, path, label):
    """Probabilities of both flips averaged at stride 8, each map enlarged by Pillow's bicubic."""
    x = tensor(np.asarray(Image.open(path).convert('RGB')), net)
    one, two = (torch.softmax(net(v)[0], 1) for v in (x, x.flip(3)))
    mean = ((one + two.flip(3)) / 2)[0].numpy()
    large = [Image.fromarray(m).resize(label[::-1], Image.Resampling.BICUBIC) for m in mean]
    return np.stack([np.asarray(m) for m in large]).argmax(0)


def atp_prior(net, path, label, factors, size=(1280, 720)):
    """Probabilities at the input's size, times the class prior, then to the label's."""
    (main, *_) = net(tensor(opencv(path, size), net))
    found = torch.softmax(up(main, size[::-1], False), 1)
    found = found * torch.tensor(factors).view(1, -1, 1, 1)
    return up(found, label, False)[0].numpy().argmax(0)


def windows(net, path, label, crop, stride):
    """Logits averaged over a window that slides over the whole image."""
    x = tensor(np.asarray(Image.open(path).convert('RGB')), net)
    height, width = x.shape[2:]
    total, count = torch.zeros(1, 19, height, width), torch.zeros(1, 1, height, width)
    rows = max(height - crop[1] + stride[1] - 1, 0) // stride[1] + 1
    columns = max(width - crop[0] + stride[0] - 1, 0) // stride[0] + 1
    for i in range(rows):
        for j in range(columns):
            bottom = min(i * stride[1] + crop[1], height)
            right = min(j * stride[0] + crop[0], width)
            top, left = max(bottom - crop[1], 0), max(right - crop[0], 0)
            part = net(x[:, :, top:bottom, left:right])[0]
            total[:, :, top:bottom, left:right] += up(part, (bottom - top, right - left), False)
            count[:, :, top:bottom, left:right] += 1
    return up(total / count, label, False)[0].numpy().argmax(0)


def cotta(net, path, label, size, scales=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)):
    """Probabilities at the label's size, averaged over seven scales and both flips."""
    total = 0
    for scale in scales:
        shape = (int(size[0] * scale + 0.5), int(size[1] * scale + 0.5))
        x = tensor(opencv(path, shape), net)
        for v in (x, x.flip(3)):
            maps = torch.softmax(up(up(net(v)[0], shape[::-1], False), label, False), 1)
            total = total + (maps if v is x else maps.flip(3))
    return total[0].numpy().argmax(0)


def simt(net, path, label, sizes=((1024, 512), (1280, 640))):
    """Logits of two sizes added at the label's size."""
    maps = [up(net(tensor(pillow(path, size), net))[0], label) for size in sizes]
    return sum(maps)[0].numpy().argmax(0)


def metacorrection(net, path, label, size=(1024, 512)):
    """0.45 main + 0.55 auxiliary logits."""
    main, aux = net(tensor(pillow(path, size), net))
    return up(0.45 * main + 0.55 * aux, label)[0].numpy().argmax(0)
