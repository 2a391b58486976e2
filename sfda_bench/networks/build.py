"""Building segmentors from configs, outside a runner too."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from mmengine.registry import DefaultScope
from torch import Tensor

from sfda_bench.registry import MODELS


def build_segmentor(model_cfg: Mapping[str, Any]) -> Any:
    """Build a segmentor from a plain mmseg config; our own modules are found too.

    Args:
        model_cfg: E.g. ``dict(type='EncoderDecoder', backbone=..., decode_head=...)``.

    Returns:
        The segmentor in train mode, weights as constructed (``init_weights`` not called).
    """
    cfg = copy.deepcopy(dict(model_cfg))
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        return MODELS.build(cfg)


def expected_state(model_cfg: Mapping[str, Any]) -> dict[str, Tensor]:
    """The network's own state dict: the names and shapes a checkpoint must have."""
    return build_segmentor(model_cfg).state_dict()


def logits_of(model: Any, inputs: Tensor) -> Tensor:
    """Raw logits of the main head before any upsampling.

    Args:
        model: An ``EncoderDecoder``.
        inputs: Normalised images (B, 3, H, W).

    Returns:
        (B, K, h, w) at the head's own resolution.
    """
    return model.decode_head(model.extract_feat(inputs))
