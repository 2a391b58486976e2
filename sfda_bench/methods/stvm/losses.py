"""STvM's loss of the metric network; labels are learned by the shared ``WeightedCrossEntropyLoss``.

The formulas are the reconstruction of STvM's spec sheet, see
:mod:`~sfda_bench.methods.stvm.metric`.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sfda_bench.adapt.features import pixels
from sfda_bench.adapt.losses import AdaptationLoss, needed
from sfda_bench.errors import BenchError, require_known
from sfda_bench.labels import IGNORE
from sfda_bench.methods.stvm.metric import ProxyForm, proxy_loss
from sfda_bench.registry import MODELS


@MODELS.register_module()
class ProxyLoss(AdaptationLoss):
    """:func:`~sfda_bench.methods.stvm.metric.proxy_loss` of embeddings, mean over pixels.

    Instead of logits it takes embeddings of unit length: (n, D) with labels (n,), or maps
    (N, D, h, w) with labels (N, h, w), of which 255 is ignored; and by keyword ``proxies`` (K, D)
    of unit length, and ``kept`` (n,), the pixels that count, by default all labelled ones.

    Args:
        proxy_form: See :func:`~sfda_bench.methods.stvm.metric.proxy_loss`.
        scale: Of the squared distances, here and in the reliability of labels.
        **kwargs: See :class:`~sfda_bench.adapt.losses.AdaptationLoss`.
    """

    default_name = 'loss_metric'

    def __init__(
        self, proxy_form: ProxyForm = 'softmax', scale: float = 10.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.proxy_form = require_known(
            'proxy loss', proxy_form, ('softmax', 'strict_nca', 'proxy_anchor')
        )
        self.scale = scale

    def value(
        self,
        logits: Tensor,
        labels: Tensor | None,
        weight: Tensor | None = None,
        proxies: Tensor | None = None,
        kept: Tensor | None = None,
    ) -> Tensor:
        """Mean over the pixels.

        Raises:
            BenchError: Pixels are weighted.
        """
        labels, proxies = needed(self, labels=labels), needed(self, proxies=proxies)
        if weight is not None:
            raise BenchError('ProxyLoss with weights of pixels', 'a choice of pixels')
        if logits.dim() == 4:
            logits, labels = pixels(logits), labels.flatten()
        kept = labels != IGNORE if kept is None else kept
        return proxy_loss(logits, proxies, labels, self.scale, self.proxy_form, kept=kept)
