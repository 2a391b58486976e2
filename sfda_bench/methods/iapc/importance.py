"""Importance of every pixel: how far the source model prefers its first class to its second.

Source: IAPC (arXiv 2306.01598), code ``trainer.py``, June 2023 with the two repairs of December
2024.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from sfda_bench.adapt.fused import largest_two

ImportanceInput = Literal['logits', 'prob']


def importance(source: Tensor, kind: ImportanceInput = 'logits') -> Tensor:
    """``w = 1 - b / a`` of the largest two entries a, b of every pixel.

    Args:
        source: Logits (N, K, H, W) of the source model at label size.
        kind: ``'logits'`` divides the logits, as the code does: unbounded, and negative where both
            are; ``'prob'`` divides the probabilities, as the abstract reads.

    Returns:
        (N, H, W).
    """
    first, second = largest_two(source)
    # The soft-max's normaliser cancels in the ratio.
    return 1.0 - (second / first if kind == 'logits' else (second - first).exp())
