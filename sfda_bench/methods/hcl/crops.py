"""HCL's crops: an augmented one for the student, a plain one of about the same place for the past.

Source: HCL (arXiv 2110.03374), code ``dataset/cityscapes_pseudo_dataset.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

from sfda_bench.adapt.colour_policy import colour_autoaugment
from sfda_bench.adapt.crops import CropStreams, mapped_corner, resized
from sfda_bench.errors import require_known
from sfda_bench.registry import TRANSFORMS


@TRANSFORMS.register_module()
class HistoricalCrops(CropStreams):
    """Branches ``student`` and ``plain``, both labelled, and, on request, ``clean``.

    ``student`` is a crop of the image at a random scale after colour AutoAugment, ``plain`` one of
    the unscaled base; both are mirrored together. ``clean`` is a random crop at ``clean_size``.

    Args:
        **kwargs: See :class:`~sfda_bench.adapt.crops.CropStreams`.
    """

    def transform(self, results: dict) -> dict[str, dict]:
        """One packed item a branch.

        Raises:
            BenchError: The crop is larger than a resized image.
        """
        image, label = results['img'], results['gt_seg_map']
        width, height = self.base_size or (image.shape[1], image.shape[0])
        factor = np.random.uniform(*self.scale)
        size = (round(width * factor), round(height * factor))
        scaled, scaled_label = resized(image, size, self.mode), resized(label, size, self.mode)
        base, base_label = (resized(each, (width, height), self.mode) for each in (image, label))
        self._check(scaled, base)
        corner = self._corner(scaled_label)
        place = mapped_corner(corner, scaled.shape[:2], (height, width), self.crop)
        vivid = colour_autoaugment(scaled) if self.colour else scaled
        mirror = np.random.random() < self.flip
        target = self._cut(scaled_label, corner, mirror)
        plain = self._cut(base_label, place, mirror)
        branches = {
            'student': self._packed(results, self._cut(vivid, corner, mirror), target),
            'plain': self._packed(results, self._cut(base, place, mirror), plain),
        }
        if self.clean_size is not None:
            branches['clean'] = self._packed(results, self._clean(image), None)
        return branches


def alias_channels(image: NDArray, kind: int) -> NDArray:
    """An image of centred channels (H, W, 3) as HCL's channel "shuffle" leaves it.

    Three views are swapped in one statement, so that what is read has been overwritten: (1, 2, 3)
    becomes (1, 2, 3), (3, 3, 3) or (2, 3, 2) for kind 0, 1 and 2: no permutation.

    Source: HCL, code ``hcl/``, the training of its source model.
    """
    return image[..., [(0, 1, 2), (2, 2, 2), (1, 2, 1)][kind]]


@TRANSFORMS.register_module()
class ChannelAlias(BaseTransform):
    """For a network's source recipe (``augment``): one of three kinds, each with 1/3.

    Args:
        kind: ``'legacy_alias'``: :func:`alias_channels`; ``'permute'``: what was meant, a random
            order of the channels; ``'none'``.
        mean: BGR mean of the network, around which channels are exchanged.
    """

    def __init__(
        self,
        kind: Literal['legacy_alias', 'permute', 'none'] = 'legacy_alias',
        mean: Sequence[float] = (104.00698793, 116.66876762, 122.67891434),
    ) -> None:
        self.kind = require_known('kind', kind, ('legacy_alias', 'permute', 'none'))
        self.mean = np.asarray(mean, np.float32)

    def transform(self, results: dict) -> dict:
        """Change ``img``, which becomes float32."""
        if self.kind == 'none':
            return results
        centred = results['img'].astype(np.float32) - self.mean
        if self.kind == 'permute':
            centred = centred[..., np.random.permutation(3)]
        else:
            centred = alias_channels(centred, np.random.randint(3))
        results['img'] = centred + self.mean
        return results
