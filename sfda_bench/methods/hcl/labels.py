"""HCL's labels of the source model: several sizes, both mirrorings, both heads.

Source: HCL (arXiv 2110.03374), code ``generate_plabel_cityscapes_advent.py``.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sfda_bench.adapt.multi_scale import MultiScalePredictor
from sfda_bench.methods.hcl.adapter import auxiliary_head
from sfda_bench.registry import MODELS


@MODELS.register_module()
class FusedPredictor(MultiScalePredictor):
    """:class:`MultiScalePredictor` of main plus ``auxiliary_weight`` times auxiliary logits.

    Args:
        segmentor: Config of the network; without an auxiliary head the main one counts alone.
        auxiliary_weight: 0.5 in the code.
        **kwargs: See :class:`~sfda_bench.adapt.multi_scale.MultiScalePredictor`.
    """

    def __init__(
        self, segmentor: dict[str, Any], auxiliary_weight: float = 0.5, **kwargs: Any
    ) -> None:
        super().__init__(segmentor, **kwargs)
        self.auxiliary_weight = auxiliary_weight

    def logits(self, images: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Fused logits (N, K, h, w) at feature resolution, or at ``size`` = (H, W)."""
        maps = self.student.extract_feat(images)
        found = self.student.decode_head(maps)
        head = auxiliary_head(self.student)
        if head is not None:
            found = found + self.auxiliary_weight * head(maps)
        return found if size is None else self.resized(found, size)
