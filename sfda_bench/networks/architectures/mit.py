"""The Mix Transformer with the numerics of its authors' code."""

from __future__ import annotations

from typing import Any

from mmseg.models.backbones.mit import EfficientMultiheadAttention, MixVisionTransformer
from mmseg.models.utils.embed import PatchEmbed

from sfda_bench.registry import MODELS


@MODELS.register_module()
class MiT(MixVisionTransformer):
    """mmseg's ``MixVisionTransformer`` with the authors' layer-norm epsilons.

    The authors use 1e-6 in the blocks and behind each stage, but PyTorch's default 1e-5 behind
    the patch embeddings and in the reduced attention; mmseg uses 1e-6 everywhere. Keys are mmseg's.

    Source: Xie et al., SegFormer, NeurIPS 2021, ``mix_transformer.py``.

    Input (B, 3, H, W), output four maps at strides 4, 8, 16 and 32.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for module in self.modules():
            if isinstance(module, PatchEmbed) or (
                isinstance(module, EfficientMultiheadAttention) and module.sr_ratio > 1
            ):
                module.norm.eps = 1e-5
