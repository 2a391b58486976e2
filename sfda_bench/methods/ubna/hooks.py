"""UBNA's momentum of the running statistics: it fades over the batches and with the depth.

Source: UBNA (arXiv 2011.08502), code ifnspaml/UBNA; formula and constants from its spec sheet.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from mmengine.hooks import Hook

from sfda_bench.adapt.hooks import unwrapped
from sfda_bench.adapt.norm import statistics_layers
from sfda_bench.errors import BenchError, require_known
from sfda_bench.registry import HOOKS

Scope = Literal['all', 'backbone']


def fading_momentum(
    batch: int,
    layer: int,
    momentum: float = 0.1,
    batch_decay: float = 0.08,
    layer_decay: float = 0.0,
) -> float:
    """Share of a batch in a layer's running statistics.

    ``momentum * exp(-batch_decay * batch) * exp(-layer_decay * layer)``.

    Args:
        batch: Batches seen before this one: 0, 1, ...
        layer: Place of the layer in the network: 1, 2, ..., so that the first is damped already.
        momentum: Before it fades.
        batch_decay: Each batch's share of the one before is ``exp(-batch_decay)``.
        layer_decay: Likewise each layer's; 0 moves all layers alike.
    """
    return momentum * math.exp(-batch_decay * batch) * math.exp(-layer_decay * layer)


@HOOKS.register_module()
class FadingMomentumHook(Hook):
    """Set the momentum of the batch-norm layers with running statistics before every iteration.

    Layers are counted in the order of ``modules()``: depth first, backbone before head. The index
    of a batch is the runner's, so a resumed run goes on as it would have. Works on any model; of an
    adapter it is the student.

    Args:
        momentum: See :func:`fading_momentum`.
        batch_decay: Likewise.
        layer_decay: Likewise; 0 in UBNA, above 0 in UBNA+.
        scope: ``'all'`` layers, on into the head; or those of the ``'backbone'``, while the
            others keep the statistics that they have.
    """

    priority = 'NORMAL'

    def __init__(
        self,
        momentum: float = 0.1,
        batch_decay: float = 0.08,
        layer_decay: float = 0.0,
        scope: Scope = 'all',
    ) -> None:
        if not 0.0 <= momentum <= 1.0:
            raise BenchError(f'momentum {momentum}', '0 to 1')
        if min(batch_decay, layer_decay) < 0.0:
            raise BenchError(
                f'batch_decay {batch_decay}, layer_decay {layer_decay}', 'numbers not below 0'
            )
        self.momentum, self.batch_decay, self.layer_decay = momentum, batch_decay, layer_decay
        self.scope: Scope = require_known('scope', scope, ('all', 'backbone'))

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Set all momenta for the batch that follows."""
        model = unwrapped(runner)
        network = getattr(model, 'student', model)
        layers = statistics_layers(network)
        if self.scope == 'backbone':
            for layer in layers:
                layer.momentum = 0.0
            layers = statistics_layers(network.backbone)
        for place, layer in enumerate(layers, 1):
            layer.momentum = fading_momentum(
                runner.iter, place, self.momentum, self.batch_decay, self.layer_decay
            )
