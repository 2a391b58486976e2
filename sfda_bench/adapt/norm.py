"""Batch-norm policies: published numbers depend on them, so they have names."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sfda_bench.errors import BenchError, require_known

NormMode = Literal['train', 'eval', 'batch']


def norm_layers(module: nn.Module) -> list[_BatchNorm]:
    """All batch-norm layers of ``module``."""
    return [m for m in module.modules() if isinstance(m, _BatchNorm)]


def set_norm_mode(module: nn.Module, mode: NormMode) -> None:
    """Set what the batch-norm layers of a module in training mode do.

    Args:
        module: The network.
        mode: ``'train'``: normalise with the batch and update the running statistics;
            ``'eval'``: normalise with the running statistics, which stay as they are;
            ``'batch'``: normalise with the batch, leave the running statistics.

    Raises:
        UnknownNameError: ``mode`` is none of these.
    """
    require_known('norm mode', mode, ('train', 'eval', 'batch'))
    for layer in norm_layers(module):
        layer.train(mode != 'eval')
        if mode == 'batch':
            # momentum 0 keeps the running statistics while the batch is used.
            layer.momentum = 0.0


def statistics_layers(module: nn.Module) -> list[_BatchNorm]:
    """Batch-norm layers with running statistics.

    Raises:
        BenchError: There are none.
    """
    layers = [m for m in norm_layers(module) if m.track_running_stats]
    if not layers:
        raise BenchError(
            'the network has no batch-norm layers with running statistics',
            'a network with batch normalisation',
            'choose another network for this method',
        )
    return layers


def running_statistics(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Running mean and variance of a layer that has them."""
    mean, variance = getattr(layer, 'running_mean', None), getattr(layer, 'running_var', None)
    if mean is None or variance is None:
        raise BenchError('a batch-norm layer without running statistics', 'one with them')
    return mean, variance


def free_projections(backbone: nn.Module) -> None:
    """Let the batch norm of a ResNet's projections be trained, where the network freezes it."""
    for name, parameter in backbone.named_parameters():
        if '.downsample.' in name:
            parameter.requires_grad_(True)


def reset_statistics(module: nn.Module) -> None:
    """Forget the running statistics."""
    for layer in statistics_layers(module):
        layer.reset_running_stats()


#: Layers that are random in training mode, by class name (mmcv has its own drop path).
RANDOM_LAYERS = ('DropPath', 'StochasticDepth')


def quiet(module: nn.Module) -> None:
    """Switch off dropout and drop-path layers, whatever mode the rest is in."""
    for layer in module.modules():
        random = isinstance(layer, nn.modules.dropout._DropoutNd)
        if random or type(layer).__name__ in RANDOM_LAYERS:
            layer.eval()
