"""Class weights that favour rare classes and remember which ones are often missing.

Source: IAPC, code ``trainer.py:update_class_criterion``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sfda_bench.errors import BenchError


class RareClassWeights(nn.Module):
    """``c_k = small_k * O_k`` with ``O <- memory * O + (1 - memory) * often``.

    ``small_k`` is ``max_value`` where class k has fewer than ``small_pixels`` pixels an image,
    ``often_k`` where it has none; both are 1 elsewhere. O starts at 1 and is a buffer.

    Args:
        num_classes: K.
        max_value: Weight of a small or absent class.
        small_pixels: Pixels an image, averaged over the batch, below which a class is small.
        memory: Share of the old O.
    """

    often: Tensor

    def __init__(
        self,
        num_classes: int,
        max_value: float = 7.0,
        small_pixels: int = 4096,
        memory: float = 0.9,
    ) -> None:
        super().__init__()
        if not 0.0 <= memory <= 1.0:
            raise BenchError(f'memory of the class weights {memory}', '0 to 1')
        self.max_value, self.small_pixels, self.memory = max_value, small_pixels, memory
        self.register_buffer('often', torch.ones(num_classes))

    @torch.no_grad()
    def forward(self, labels: Tensor) -> Tensor:
        """Update the memory with a batch (N, H, W) of labels and return the weights (K,)."""
        classes = len(self.often)
        index = labels.flatten().clamp(max=classes)
        # no bincount: on a GPU it waits for the host
        counts = torch.zeros(classes + 1, dtype=torch.int64, device=labels.device)
        counts = counts.index_add_(0, index, torch.ones_like(index))[:classes]
        one = torch.ones_like(self.often)
        absent = torch.where(counts == 0, self.max_value * one, one)
        small = torch.where(counts < self.small_pixels * len(labels), self.max_value * one, one)
        self.often.mul_(self.memory).add_(absent, alpha=1.0 - self.memory)
        return small * self.often
