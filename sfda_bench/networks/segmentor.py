"""What we use of a mmseg segmentor, for type checkers: mmseg states no types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor, nn


class DecodeHead(Protocol):
    """A mmseg decode head."""

    num_classes: int
    align_corners: bool
    #: Channels of the map, or of each map, that it reads.
    in_channels: int | list[int]
    #: Which of the backbone's maps these are.
    in_index: int | list[int]

    def __call__(self, inputs: Any) -> Tensor:
        """Logits (N, C, h, w) from the backbone's maps."""
        ...

    def predict_by_feat(self, seg_logits: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits (N, C, H, W) at the size of the network's input."""
        ...


class Segmentor(Protocol):
    """A mmseg segmentor, such as ``EncoderDecoder``; every one is a ``nn.Module`` besides."""

    backbone: nn.Module
    decode_head: DecodeHead

    @property
    def align_corners(self) -> bool:
        """How its head resizes logits."""
        ...

    def extract_feat(self, inputs: Tensor) -> Any:
        """The backbone's maps of images (N, 3, H, W), through the neck if there is one."""
        ...

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits (N, C, H, W) at the size of ``inputs``."""
        ...

    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """Data samples with ``pred_sem_seg`` at the size of the original images."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """As of ``nn.Module``."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """As of ``nn.Module``."""
        ...
