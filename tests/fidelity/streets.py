"""Images and labels of the AdvEnt, IntraDA and Tent recordings: smooth fields, drawn from seeds."""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np
import torch
from mmseg.models.backbones.resnet import Bottleneck
from numpy.random import RandomState
from torch import Tensor
from torch.nn.functional import interpolate

from sfda_bench.networks.architectures.caffe_resnet import CaffeResNet
from sfda_bench.networks.declare import for_task
from sfda_bench.plan import catalog
from sfda_bench.registry import MODELS
from tests.fidelity.rules import Rule, fill, normal_weight

MEAN = np.array([104.00698793, 116.66876762, 122.67891434])[:, None, None]
Size = tuple[int, int]


def smooth(draws: RandomState, shape: tuple[int, ...], size: Size) -> Tensor:
    """Normal draws of a coarse ``shape`` (..., h, w), enlarged to (1, ..., H, W)."""
    coarse = torch.from_numpy(draws.standard_normal(shape))[None]
    return interpolate(coarse, size=size, mode='bilinear', align_corners=True)


def pixels(seed: int, size: Size) -> np.ndarray:
    """A BGR image (3, H, W) of whole numbers in 0..255."""
    draws = RandomState(seed)
    field = smooth(draws, (3, 6, 10), size)[0].numpy()
    return np.rint(110 + 55 * field + 12 * draws.standard_normal((3, *size))).clip(0, 255)


def image(seed: int, size: Size) -> Tensor:
    """The image (1, 3, H, W) as the networks get it: minus the mean of the Caffe models."""
    return torch.from_numpy(pixels(seed, size) - MEAN)[None]


def labels(seed: int, size: Size, classes: int, ignore: int = 255) -> Tensor:
    """Labels (1, H, W): regions of the classes, and ignored ones."""
    draws = RandomState(seed)
    found = smooth(draws, (classes, 5, 9), size)[0].argmax(dim=0)
    found[smooth(draws, (1, 5, 9), size)[0, 0] > 1.0] = ignore
    return found[None]


@MODELS.register_module(force=True)
class OneBlockResNet(CaffeResNet):
    """The Caffe ResNet with one bottleneck a stage, as the recordings have it."""

    arch_settings: ClassVar[dict] = {14: (Bottleneck, (1, 1, 1, 1))}


def network(name: str, task: str = 'gta5_to_cityscapes') -> dict:
    """A network of the package on a task, with one block a stage."""
    model = for_task(catalog.load('networks', name), task)['model']
    model['backbone'].update(type='OneBlockResNet', depth=14)
    return model


def advent_name(key: str) -> str:
    """The authors' name of a parameter: heads ``layer6`` and ``layer5``, stages bare."""
    key = key.replace('auxiliary_head.', 'layer5.').replace('decode_head.', 'layer6.')
    return key.removeprefix('backbone.')


def network_weight(name: str, noise: np.ndarray) -> np.ndarray:
    """The networks' rule: heads 0.01 n; the last scale of a block times 0.3."""
    if 'conv2d_list' in name and noise.ndim > 1:
        return 0.01 * noise
    return normal_weight(name, noise) * (0.3 if re.search(r'bn3\.weight$', name) else 1.0)


def weights(module: torch.nn.Module, rule: Rule = network_weight) -> dict[str, Tensor]:
    """A state of a segmentor by a rule, under its own names."""
    names = {key: advent_name(key) for key in module.state_dict()}
    shapes = {names[key]: tuple(value.shape) for key, value in module.state_dict().items()}
    state = fill(shapes, rule)
    return {key: state[name] for key, name in names.items()}
