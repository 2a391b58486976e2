"""ATP's ranking into easy and hard images (see :mod:`sfda_bench.methods.atp`)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sfda_bench.adapt.predictor import ProbabilityPredictor
from sfda_bench.registry import MODELS


@MODELS.register_module()
class ATPRank(ProbabilityPredictor):
    """Probabilities for the split into easy and hard images.

    Args:
        replicate_train_mode: Rank with batch statistics and dropout, as the code does by omission.
        **kwargs: See :class:`~sfda_bench.adapt.predictor.ProbabilityPredictor`.
    """

    def __init__(self, replicate_train_mode: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.replicate_train_mode = replicate_train_mode

    @torch.no_grad()
    def probabilities(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Probabilities (N, C, H, W) at ``size``."""
        self.student.train(self.replicate_train_mode)
        return super().probabilities(images, size)
