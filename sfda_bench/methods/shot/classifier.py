"""What SHOT calls hypothesis and feature extractor, in a mmseg network."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from sfda_bench.adapt.features import encoder_map, size_of
from sfda_bench.networks.segmentor import DecodeHead, Segmentor


def classifier_of(head: DecodeHead) -> nn.Module:
    """The hypothesis: the head's last 1x1 convolution, or the whole head where it has none."""
    layer: Any = getattr(head, 'conv_seg', None)
    found: Any = head if layer is None else layer
    return found


def features_and_logits(network: Segmentor, images: Tensor) -> tuple[Tensor, Tensor]:
    """What the hypothesis reads (N, D, h, w), and its logits (N, C, h, w), in one forward pass.

    The input of the last convolution; where the whole head is the hypothesis, the encoder's output.
    """
    head = network.decode_head
    classifier = classifier_of(head)
    maps = network.extract_feat(images)
    if classifier is head:
        features, logits = encoder_map(head, maps), head(maps)
    else:
        caught: list[Tensor] = []
        handle = classifier.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
        try:
            logits = head(maps)
        finally:
            handle.remove()
        features = caught[-1]
    if size_of(features) != size_of(logits):
        logits = nn.functional.interpolate(
            logits, size_of(features), mode='bilinear', align_corners=head.align_corners
        )
    return features, logits
