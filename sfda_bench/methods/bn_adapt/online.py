"""BN-adapt on a stream: batch-norm statistics that follow the images, no gradient.

Schneider et al.: Improving robustness against common corruptions by covariate shift adaptation,
NeurIPS 2020, arXiv 2006.16971. Reset before each image this is their mixture of the source's
statistics with those of one image, at a momentum of 1 / (N + 1) for a prior of N images.

Faithful: only means and variances change; each layer mixes what arrives at it, in one forward pass.
Deviates: without a reset the mixture becomes an exponential average over the stream.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sfda_bench.adapt.norm import running_statistics, statistics_layers
from sfda_bench.adapt.online import OnlineAdapter
from sfda_bench.errors import BenchError
from sfda_bench.registry import MODELS


@MODELS.register_module()
class BNAdaptOnline(OnlineAdapter):
    """Move the running statistics towards those of each batch, then normalise with them.

    Args:
        momentum: Share of the new batch; 1 uses the batch alone.
        **kwargs: See :class:`~sfda_bench.adapt.online.OnlineAdapter`.
    """

    def __init__(self, momentum: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**{'trainable': 'none', 'norm_mode': 'eval', **kwargs})
        if not 0.0 <= momentum <= 1.0:
            raise BenchError(f'momentum {momentum}', '0 to 1')
        self.momentum = momentum
        for layer in statistics_layers(self.student):
            layer.register_forward_pre_hook(self._take_in)

    @torch.no_grad()
    def _take_in(self, layer: nn.Module, inputs: tuple) -> None:
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), unbiased=False)
        running_mean, running_variance = running_statistics(layer)
        running_mean.lerp_(mean, self.momentum)
        running_variance.lerp_(variance, self.momentum)
