"""Building segmentors from configs, outside a runner too."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.registry import DefaultScope
from torch import Tensor

from sfda_bench.networks.segmentor import Segmentor
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
    """Names and shapes a checkpoint of this segmentor must have, as tensors without memory."""
    plain = model_cfg.to_dict() if hasattr(model_cfg, 'to_dict') else dict(model_cfg)
    return dict(_expected_state(json.dumps(plain, sort_keys=True)))


@functools.lru_cache(maxsize=64)
def _expected_state(model_json: str) -> dict[str, Tensor]:
    state = build_segmentor(_tuples(json.loads(model_json))).state_dict()
    return {key: torch.empty_like(value, device='meta') for key, value in state.items()}


def _tuples(value: Any) -> Any:
    """JSON has no tuples; some of mmseg's constructors insist on them."""
    if isinstance(value, dict):
        return {k: _tuples(v) for k, v in value.items()}
    return tuple(value) if isinstance(value, list) and _numbers(value) else value


def _numbers(values: list[Any]) -> bool:
    return all(isinstance(v, int | float) for v in values)


def logits_of(model: Segmentor, inputs: Tensor) -> Tensor:
    """Raw logits of the main head before any upsampling.

    Args:
        model: An ``EncoderDecoder``.
        inputs: Normalised images (B, 3, H, W).

    Returns:
        (B, K, h, w) at the head's own resolution.
    """
    return model.decode_head(model.extract_feat(inputs))
