"""Proxy-based metric learning on pixel features, and how reliable a label looks in that metric.

The formulas are the reconstruction of STvM's spec sheet (section 3); the paper's own (arXiv
2212.04227) were not at hand. Proxy-NCA: Movshovitz-Attias et al., ICCV 2017; Proxy-Anchor: Kim et
al., CVPR 2020.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, softplus

from sfda_bench.errors import require_known

ProxyForm = Literal['softmax', 'strict_nca', 'proxy_anchor']
Measure = Literal['posterior', 'nearest_ratio']


def squared_distances(embeddings: Tensor, proxies: Tensor) -> Tensor:
    """Squared Euclidean distances (n, K) of unit vectors (n, D) to unit vectors (K, D)."""
    return (2.0 - 2.0 * embeddings @ proxies.t()).clamp(min=0.0)


def proxy_loss(
    embeddings: Tensor,
    proxies: Tensor,
    labels: Tensor,
    scale: float = 10.0,
    form: ProxyForm = 'softmax',
    margin: float = 0.1,
    alpha: float = 32.0,
    kept: Tensor | None = None,
) -> Tensor:
    """Pull each pixel to its class's proxy.

    Args:
        embeddings: (n, D) of unit length.
        proxies: (K, D) of unit length.
        labels: (n,).
        scale: Of the distances, for the first two forms.
        form: ``'softmax'``: over all proxies; ``'strict_nca'``: the own proxy is left out of the
            denominator; ``'proxy_anchor'``: over pairs, by cosine.
        margin: Of Proxy-Anchor.
        alpha: Scale of Proxy-Anchor.
        kept: (n,) bool, the pixels that count; ``None``: all.
    """
    require_known('proxy loss', form, ('softmax', 'strict_nca', 'proxy_anchor'))
    if not len(labels):
        return embeddings.sum() * 0.0
    if kept is None:
        kept = torch.ones_like(labels, dtype=torch.bool)
    labels = torch.where(kept, labels, 0)
    if form == 'proxy_anchor':
        pull, push = proxy_anchor(embeddings, proxies, labels, margin, alpha, kept)
        return pull + push
    logits = -scale * squared_distances(embeddings, proxies)
    own = logits.gather(1, labels.unsqueeze(1)).squeeze(1)
    if form == 'strict_nca':
        logits = logits.scatter(1, labels.unsqueeze(1), float('-inf'))
    return ((logits.logsumexp(dim=1) - own) * kept).sum() / kept.sum().clamp(min=1)


def proxy_anchor(
    embeddings: Tensor,
    proxies: Tensor,
    labels: Tensor,
    margin: float = 0.1,
    alpha: float = 32.0,
    kept: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Proxy-Anchor's positive part (mean over proxies with pixels) and negative part (over all)."""
    cosine = embeddings @ proxies.t()
    own = torch.zeros_like(cosine, dtype=torch.bool).scatter(1, labels.unsqueeze(1), True)
    counted = torch.ones_like(own) if kept is None else kept.unsqueeze(1).expand_as(own)
    nothing = float('-inf')
    # ln(1 + sum exp(x)) = softplus(logsumexp(x))
    pulls, pushes = own & counted, ~own & counted
    pull = torch.where(pulls, -alpha * (cosine - margin), nothing).logsumexp(dim=0)
    push = torch.where(pushes, alpha * (cosine + margin), nothing).logsumexp(dim=0)
    some = pulls.any(dim=0).sum().clamp(min=1)
    return softplus(pull).sum() / some, softplus(push).sum() / len(proxies)


def metric_reliability(
    distances: Tensor, labels: Tensor, scale: float = 10.0, measure: Measure = 'posterior'
) -> Tensor:
    """How well labels agree with the metric, in [0, 1].

    Args:
        distances: Squared distances (n, K).
        labels: (n,).
        scale: Of the posterior.
        measure: ``'posterior'``: soft-max of the scaled distances at the label;
            ``'nearest_ratio'``: ``1 - d(own) / d(nearest other)`` of the distances, at least 0.
    """
    require_known('reliability measure', measure, ('posterior', 'nearest_ratio'))
    index = labels.unsqueeze(1)
    if measure == 'posterior':
        return (-scale * distances).softmax(dim=1).gather(1, index).squeeze(1)
    own = distances.gather(1, index).squeeze(1).sqrt()
    other = distances.scatter(1, index, float('inf')).amin(dim=1).sqrt()
    return (1.0 - own / other.clamp(min=1e-12)).clamp(min=0.0)


def balanced_subset(labels: Tensor, num_classes: int, per_class: int) -> Tensor:
    """At most ``per_class`` random pixels of each class of each image, as a mask.

    The random numbers are drawn on the CPU, one a pixel; nothing waits for the device.

    Args:
        labels: (N, n) labels of N images; those of ``num_classes`` and above are left out.
        num_classes: K.
        per_class: Most pixels a class and image.

    Returns:
        (N n,) bool, in the order of ``labels.flatten()``.
    """
    images, device = len(labels), labels.device
    rows = torch.arange(images, device=device).unsqueeze(1) * (num_classes + 1)
    group = (rows + labels.clamp(max=num_classes)).flatten()
    order = torch.rand(group.shape).to(device, non_blocking=True).argsort()
    order = order[group[order].argsort(stable=True)]
    sizes = torch.zeros(images * (num_classes + 1), dtype=torch.int64, device=device)
    sizes.index_add_(0, group, torch.ones_like(group))
    first = sizes.cumsum(0) - sizes
    place = torch.arange(len(order), device=device) - first[group[order]]
    few = torch.empty_like(place).scatter_(0, order, place) < per_class
    return few & (labels.flatten() < num_classes)


class MetricNetwork(nn.Module):
    """Two 1x1 convolutions and one learned proxy a class.

    Args:
        channels: Of the encoder's features.
        num_classes: K.
        hidden: Channels inside.
        embedding: Channels of the embedding.
    """

    def __init__(
        self, channels: int, num_classes: int, hidden: int = 256, embedding: int = 128
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, embedding, 1)
        )
        self.proxies = nn.Parameter(torch.randn(num_classes, embedding))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (N, D, h, w) and proxies (K, D), all of unit length."""
        return normalize(self.layers(features), dim=1), normalize(self.proxies, dim=1)
