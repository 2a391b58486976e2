"""BN-adapt: recompute the batch-norm statistics on the target.

Li, Wang, Shi, Liu, Hou: Revisiting Batch Normalization for Practical Domain Adaptation (AdaBN),
arXiv 1603.04779; Schneider et al., NeurIPS 2020, arXiv 2006.16971, for the name in this setting.

Faithful: only means and variances change; no gradient is taken.
Deviates: statistics are a plain average over mini-batches (torch's cumulative average), which
weighs the variance within batches, not between their means.
"""

from __future__ import annotations

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor

from sfda_bench.adapt.adapter import Adapter
from sfda_bench.adapt.entropy import pixel_entropy
from sfda_bench.adapt.norm import average_evenly, reset_statistics
from sfda_bench.registry import MODELS


@MODELS.register_module()
class BNAdapt(Adapter):
    """Forward the target images once or more in training mode; nothing is optimised.

    Args:
        **kwargs: See :class:`~sfda_bench.adapt.adapter.Adapter`.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(trainable='none', norm_mode='train', dropout=False, **kwargs)
        average_evenly(self.student)
        self.register_buffer('started', torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """One forward pass; the statistics of the source are forgotten before the first.

        Returns:
            ``{'entropy': mean pixel entropy}`` for the log.
        """
        if not self.started:
            reset_statistics(self.student)
            self.started.fill_(True)
        images = self.data_preprocessor(data, True)['inputs']
        logits = self.logits(images)
        return {'entropy': pixel_entropy(logits).mean()}
