"""Packing of images that are scored: the truth is for the host."""

from __future__ import annotations

from typing import Any

from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs

from sfda_bench.registry import TRANSFORMS


class HostPixelData(PixelData):
    """Pixels that stay on the host when their sample moves to a device."""

    def to(self, *args: Any, **kwargs: Any) -> HostPixelData:
        """Itself."""
        return self

    def cuda(self) -> HostPixelData:
        """Itself."""
        return self


@TRANSFORMS.register_module()
class PackForTest(PackSegInputs):
    """mmseg's packing, with labels that the model does not take along: confusions are counted here.

    Without labels it is mmseg's.
    """

    def transform(self, results: dict) -> dict:
        """Pack image and labels."""
        packed = super().transform(results)
        sample = packed['data_samples']
        if 'gt_sem_seg' in sample:
            sample.gt_sem_seg = HostPixelData(data=sample.gt_sem_seg.data)
        return packed
