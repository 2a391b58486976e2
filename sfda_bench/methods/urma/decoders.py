"""Decoders behind dropout: whole channels of the features are dropped before another head."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from sfda_bench.registry import MODELS


class DropoutDecoder(nn.Module):
    """A head of its own, from random weights, on features of which channels are dropped.

    Source: ``network/decoders.py`` of the released code.

    Args:
        head: Config of the network's decode head.
        ratio: Probability of dropping a channel of an image; the others are scaled up.
    """

    def __init__(self, head: dict[str, Any], ratio: float = 0.5) -> None:
        super().__init__()
        self.dropout = nn.Dropout2d(ratio)
        self.head: Any = MODELS.build(copy.deepcopy(head))
        self.head.init_weights()

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Logits (N, C, h, w) of the backbone's maps."""
        index = self.head.in_index
        maps = list(features)
        for place in index if isinstance(index, (list, tuple)) else (index,):
            maps[place] = self.dropout(maps[place])
        return self.head(maps)
