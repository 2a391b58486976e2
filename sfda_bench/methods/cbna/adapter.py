"""CBNA: in one forward pass the statistics of an image are mixed into those of the source.

Klingner, Ayache, Fingscheidt: Continual BatchNorm Adaptation (CBNA) for Semantic Segmentation,
IEEE T-ITS 23(11), 2022, arXiv 2203.01074; code ifnspaml/CBNA.

Faithful: the mixture (variance of the image unbiased) and its share; each layer mixes what comes
through the mixed layers below it; the source's statistics for every image anew.
Deviates: network and layers, see the card.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from sfda_bench.adapt.norm import running_statistics, statistics_layers
from sfda_bench.adapt.online import OnlineAdapter
from sfda_bench.errors import BenchError, require_known
from sfda_bench.registry import MODELS


@MODELS.register_module()
class CBNA(OnlineAdapter):
    """Mix an image's statistics into the running ones, then normalise with the mixture; no losses.

    With ``reset_on='image'`` the running ones are the source's before every image; otherwise they
    follow the stream.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        momentum: Share of the image.
        scope: ``'all'`` layers with running statistics, or those of the ``'backbone'``.
        **kwargs: See :class:`~sfda_bench.adapt.online.OnlineAdapter`.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        momentum: float = 0.2,
        scope: Literal['all', 'backbone'] = 'all',
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, **{'trainable': 'none', 'norm_mode': 'eval', **kwargs})
        if not 0.0 <= momentum <= 1.0:
            raise BenchError(f'momentum {momentum}', '0 to 1')
        self.momentum = momentum
        require_known('scope', scope, ('all', 'backbone'))
        for layer in statistics_layers(self.student if scope == 'all' else self.student.backbone):
            layer.register_forward_pre_hook(self._take_in)

    @torch.no_grad()
    def _take_in(self, layer: nn.Module, inputs: tuple) -> None:
        maps = inputs[0]
        if maps.numel() == maps.shape[1]:
            return  # the variance of one value is not defined: the source's statistics stay
        variance, mean = torch.var_mean(maps, dim=(0, 2, 3), unbiased=True)
        running_mean, running_variance = running_statistics(layer)
        running_mean.lerp_(mean, self.momentum)
        running_variance.lerp_(variance, self.momentum)
