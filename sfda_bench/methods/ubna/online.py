"""UBNA on a stream: every image moves the batch-norm statistics, the first ones most.

Klingner, Termoehlen, Ritterbach, Fingscheidt: Unsupervised BatchNorm Adaptation (UBNA), arXiv
2011.08502. The abstract names an online form; how it goes is not known to us.

Faithful: the running update and how its momentum fades over batches and layers.
Ours: a batch is one image; each is predicted with the statistics that it leaves, or finds.
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor

from sfda_bench.adapt.norm import statistics_layers
from sfda_bench.adapt.online import OnlineAdapter
from sfda_bench.errors import BenchError, require_known
from sfda_bench.methods.ubna.hooks import Scope, fading_momentum
from sfda_bench.registry import MODELS


@MODELS.register_module()
class UBNAOnline(OnlineAdapter):
    """Move the running statistics by a fading share of each image; no losses.

    An image: a forward pass in which each layer of the scope normalises with the image and moves
    its statistics by :func:`~sfda_bench.methods.ubna.hooks.fading_momentum`; and one in which the
    statistics that this leaves (``predict='after'``), or those before it (``'before'``), predict.

    Args:
        segmentor: See :class:`~sfda_bench.adapt.adapter.Adapter`.
        momentum: See :func:`~sfda_bench.methods.ubna.hooks.fading_momentum`.
        batch_decay: Likewise; the index of an image counts from the last reset.
        layer_decay: Likewise.
        scope: See :class:`~sfda_bench.methods.ubna.hooks.FadingMomentumHook`.
        **kwargs: See :class:`~sfda_bench.adapt.online.OnlineAdapter`.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        momentum: float = 0.1,
        batch_decay: float = 0.08,
        layer_decay: float = 0.0,
        scope: Scope = 'all',
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, **{'trainable': 'none', 'norm_mode': 'eval', **kwargs})
        if not 0.0 <= momentum <= 1.0:
            raise BenchError(f'momentum {momentum}', '0 to 1')
        if min(batch_decay, layer_decay) < 0.0:
            raise BenchError(
                f'batch_decay {batch_decay}, layer_decay {layer_decay}', 'numbers not below 0'
            )
        self.momentum, self.batch_decay, self.layer_decay = momentum, batch_decay, layer_decay
        require_known('scope', scope, ('all', 'backbone'))
        self.moving = statistics_layers(self.student if scope == 'all' else self.student.backbone)
        self.seen = 0

    def reset(self) -> None:
        """As the base, and count the images anew."""
        super().reset()
        self.seen = 0

    @torch.no_grad()
    def adapt(self, images: Tensor, optim_wrapper: OptimWrapper | None) -> Tensor:
        """Move the statistics; returns the logits from before that."""
        before = self.predict_when == 'before'
        found = self.predicted(images) if before else None
        for place, layer in enumerate(self.moving, 1):
            layer.momentum = fading_momentum(
                self.seen, place, self.momentum, self.batch_decay, self.layer_decay
            )
            layer.train()
        moving = self.logits(images)
        for layer in self.moving:
            layer.eval()
        self.seen += 1
        return moving if found is None else found
