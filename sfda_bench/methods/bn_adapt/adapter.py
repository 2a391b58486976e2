"""BN-adapt: recompute the batch-norm statistics on the target.

Li, Wang, Shi, Liu, Hou: Revisiting Batch Normalization for Practical Domain Adaptation (AdaBN),
arXiv 1603.04779; Schneider et al.: Improving robustness against common corruptions by covariate
shift adaptation, NeurIPS 2020, arXiv 2006.16971, for the mixture with the source's statistics.

Faithful: only means and variances change; no gradient is taken.
Deviates: statistics are a plain average over mini-batches (torch's cumulative average), which
counts the variance within batches, not between their means.
"""

from __future__ import annotations

import copy

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from sfda_bench.adapt.adapter import Adapter
from sfda_bench.adapt.entropy import pixel_entropy
from sfda_bench.adapt.norm import (
    reset_statistics,
    running_statistics,
    statistics_layers,
)
from sfda_bench.registry import MODELS


@MODELS.register_module()
class BNAdapt(Adapter):
    """Forward the target images in training mode; nothing is optimised.

    An iteration is the forward pass itself: the batch-norm layers average in it what they see. So
    there are no losses, and no hook: what precedes the first iteration (the source's statistics are
    put aside, the running ones forgotten) is state of the checkpoint, and what follows the last is
    the export.

    Args:
        source_weight: Share of the source's statistics in the result, N / (N + n) of Schneider et
            al.; 0 keeps the target's alone (AdaBN).
        **kwargs: See :class:`~sfda_bench.adapt.adapter.Adapter`.
    """

    passes = (0, 1)

    def __init__(self, source_weight: float = 0.0, **kwargs) -> None:
        super().__init__(trainable='none', norm_mode='train', dropout=False, **kwargs)
        self.source_weight = source_weight
        self._seen: int | None = None
        self.register_buffer('started', torch.zeros((), dtype=torch.bool))
        for index, layer in enumerate(statistics_layers(self.student)):
            mean, variance = running_statistics(layer)
            self.register_buffer(f'source_mean_{index}', torch.zeros_like(mean))
            self.register_buffer(f'source_var_{index}', torch.ones_like(variance))

    @torch.no_grad()
    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """One forward pass; the statistics of the source are put aside before the first.

        Returns:
            ``{'entropy': mean pixel entropy}`` for the log.
        """
        if self._seen is None:
            self._seen = self._begin()
        for layer in statistics_layers(self.student):
            # the plain average; torch's own (no momentum) asks the device for each layer's count
            layer.momentum = 1.0 / (self._seen + 1)
        self._seen += 1
        images = self.data_preprocessor(data, True)['inputs']
        return {'entropy': pixel_entropy(self.logits(images)).mean()}

    def _begin(self) -> int:
        """Put the source's statistics aside, unless a resumed run did; batches averaged so far."""
        layers = statistics_layers(self.student)
        if not self.started:
            for index, layer in enumerate(layers):
                mean, variance = running_statistics(layer)
                self.get_buffer(f'source_mean_{index}').copy_(mean)
                self.get_buffer(f'source_var_{index}').copy_(variance)
            reset_statistics(self.student)
            self.started.fill_(True)
        tracked = layers[0].num_batches_tracked
        return 0 if tracked is None else int(tracked)

    @torch.no_grad()
    def export_module(self) -> nn.Module:
        """The student with the mixed statistics."""
        if self.source_weight == 0.0:
            return self.student
        mixed = copy.deepcopy(self.student)
        for index, layer in enumerate(statistics_layers(mixed)):
            mean, variance = running_statistics(layer)
            mean.lerp_(self.get_buffer(f'source_mean_{index}'), self.source_weight)
            variance.lerp_(self.get_buffer(f'source_var_{index}'), self.source_weight)
        return mixed
