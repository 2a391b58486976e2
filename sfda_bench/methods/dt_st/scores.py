"""How well a network's predictions fit together, without labels; higher is better.

SND: soft neighbourhood density, Saito et al., ICCV 2021, in the form of DT-ST's code: some
positions of a batch, unit vectors, temperature 1/20, the diagonal kept.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from sfda_bench.adapt.features import pixels


def neighbourhood_density(probabilities: Tensor, scale: float = 20.0) -> Tensor:
    """SND of probabilities (n, K) at n positions, a scalar in nats."""
    unit = normalize(probabilities, dim=1)
    near = (scale * unit @ unit.t()).softmax(dim=1)
    return -(near * (near + 1e-5).log()).sum(dim=1).mean()


def confidence_score(probabilities: Tensor) -> Tensor:
    """ENT: mean of ``1 + 2 p log2 p`` over the largest probabilities of (n, K), a scalar."""
    top = probabilities.amax(dim=1)
    return (1.0 + 2.0 * top * top.log2()).mean()


def score_of(logits: Tensor, positions: Tensor, kind: str) -> Tensor:
    """Score of logits (N, K, h, w): ``'snd'`` at ``positions`` (n,), or ``'ent'`` of all."""
    listed = pixels(logits.float())
    if kind == 'ent':
        return confidence_score(listed.softmax(dim=1))
    return neighbourhood_density(listed.index_select(0, positions).softmax(dim=1))


def draw_positions(number: int, points: int) -> Tensor:
    """``points`` different ones of ``number`` positions (all if there are fewer), on the CPU."""
    return torch.randperm(number)[:points]
