"""Rescaling a network's probabilities by how rare the source's classes are.

Source: ``encoder_decoder_projector.py:simple_test`` of ATP's code, from SePiCo and DANNet, where it
is applied to ACDC. There the product of probability and weight is upsampled; here ln(weight) is
added to the classifier's bias, so that the result is a plain checkpoint. Both give the same label
wherever logits are not interpolated.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sfda_bench.errors import BenchError

#: Share of each train id in the source (Cityscapes), as the code prints it.
FREQUENCIES = (
    0.36869696, 0.06084986, 0.22824049, 0.00655399, 0.00877272, 0.01227341, 0.00207795, 0.0055127,
    0.15928651, 0.01157818, 0.04018982, 0.01218957, 0.00135122, 0.06994545, 0.00267456, 0.00235192,
    0.00232904, 0.00098658, 0.00413907,
)  # fmt: skip


def prior_weights(frequencies: Sequence[float] = FREQUENCIES, strength: float = 0.16) -> Tensor:
    """``1 + strength * (mean(l) - l) / std(l)`` with ``l = ln frequency``, std unbiased; (K,)."""
    logs = torch.tensor(frequencies, dtype=torch.float64).log()
    return 1.0 + strength * (logs.mean() - logs) / logs.std()


def classifier_bias(head: nn.Module) -> Tensor:
    """The bias of a decode head's last layer.

    Raises:
        BenchError: It has none.
    """
    branches = getattr(head, 'conv2d_list', None)
    layer = branches[0] if branches is not None else getattr(head, 'conv_seg', None)
    bias = getattr(layer, 'bias', None)
    if bias is None:
        raise BenchError(
            f'the classifier of {type(head).__name__} has no bias',
            'one to put the class prior into',
            'set class_prior_rescale=False for this network',
        )
    return bias


@torch.no_grad()
def with_class_prior(segmentor: Any, weights: Tensor) -> nn.Module:
    """A copy of ``segmentor`` whose probabilities are multiplied by ``weights`` (K,)."""
    changed = copy.deepcopy(segmentor)
    bias = classifier_bias(changed.decode_head)
    if len(bias) != len(weights):
        raise BenchError(f'{len(bias)} classes', f'{len(weights)}, one weight a class')
    bias += weights.log().to(bias)
    return changed
