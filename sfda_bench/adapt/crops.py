"""Several crops of one image, each for another network, and several sizes of one image.

Both transforms end a pipeline (``pack`` of a stage): their result has one packed item a branch.
Source of the crops: IAPC, code ``dataset/cityscapes_pseudo_dataset.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.datasets.transforms import PackSegInputs
from numpy.typing import NDArray
from PIL import Image

from sfda_bench.adapt.colour_policy import colour_autoaugment
from sfda_bench.errors import BenchError, require_known
from sfda_bench.registry import TRANSFORMS

Size = tuple[int, int]
_MODES = {'bicubic': Image.Resampling.BICUBIC, 'bilinear': Image.Resampling.BILINEAR}
META_KEYS = ('img_path', 'sample_id', 'condition', 'ori_shape', 'img_shape')


def mapped_corner(corner: Size, scaled: Size, base: Size, crop: Size) -> Size:
    """The corner of a crop of the base image that shows about the same place.

    Args:
        corner: (row, column) of the crop in the scaled image.
        scaled: (height, width) of the scaled image.
        base: (height, width) of the base image.
        crop: (height, width) of both crops.
    """
    return _mapped(corner[0], scaled[0] - crop[0], base[0] - crop[0]), _mapped(
        corner[1], scaled[1] - crop[1], base[1] - crop[1]
    )


def _mapped(start: int, room: int, base_room: int) -> int:
    return start * base_room // room if room > 0 else 0


def resized(image: NDArray, size: Size, mode: str) -> NDArray:
    """Pillow's resize of an image, or a label map (2-D, nearest), to (width, height)."""
    if (image.shape[1], image.shape[0]) == tuple(size):
        return image
    filter_ = Image.Resampling.NEAREST if image.ndim == 2 else _MODES[mode]
    return np.array(Image.fromarray(image).resize(size, filter_))


class _Branches(BaseTransform):
    """Packs branches as mmseg packs single items."""

    pack = PackSegInputs(meta_keys=META_KEYS)

    def _packed(self, results: Mapping[str, Any], image: NDArray, label: NDArray | None) -> dict:
        item = {key: results[key] for key in META_KEYS if key in results}
        item.update(img=np.ascontiguousarray(image), img_shape=image.shape[:2])
        if label is not None:
            item['gt_seg_map'] = np.ascontiguousarray(label)
        return self.pack.transform(item)


@TRANSFORMS.register_module()
class CropStreams(_Branches):
    """Branches ``source``, ``student`` (labelled), ``memory`` and, on request, ``clean``.

    ``source`` and ``student`` are one crop of the image at a random scale, the latter after colour
    AutoAugment; ``memory`` is a crop of the unscaled base at about the same place; ``clean`` is a
    random crop at ``clean_size``. All but ``clean`` are mirrored together.

    Args:
        base_size: (width, height) at scale 1; None: that of the file.
        crop_size: (height, width).
        scale: Least and greatest scale.
        min_classes: A crop must hold more distinct labels than this, else it is drawn again.
        tries: Greatest number of draws; the last one is kept.
        flip: Probability of mirroring.
        colour: Whether the student's view is augmented.
        clean_size: (width, height) for ``clean``; None leaves the branch out.
        mode: ``'bicubic'`` or ``'bilinear'``.
    """

    def __init__(
        self,
        base_size: Size | None = (1280, 640),
        crop_size: Size = (256, 512),
        scale: tuple[float, float] = (0.8, 1.2),
        min_classes: int = 10,
        tries: int = 10,
        flip: float = 0.5,
        colour: bool = True,
        clean_size: Size | None = (1024, 512),
        mode: str = 'bicubic',
    ) -> None:
        if tries < 1:
            raise BenchError(f'{tries} tries for a crop', '1 or more')
        self.base_size, self.clean_size = base_size, clean_size
        self.crop: Size = (int(crop_size[0]), int(crop_size[1]))
        self.scale, self.min_classes, self.tries = scale, min_classes, tries
        self.flip, self.colour = flip, colour
        self.mode = require_known('interpolation', mode, _MODES)

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
        base = resized(image, (width, height), self.mode)
        self._check(scaled, base)
        corner = self._corner(scaled_label)
        place = mapped_corner(corner, scaled.shape[:2], (height, width), self.crop)
        vivid = colour_autoaugment(scaled) if self.colour else scaled
        mirror = np.random.random() < self.flip
        target = self._cut(scaled_label, corner, mirror)
        branches = {
            'source': self._packed(results, self._cut(scaled, corner, mirror), None),
            'student': self._packed(results, self._cut(vivid, corner, mirror), target),
            'memory': self._packed(results, self._cut(base, place, mirror), None),
        }
        if self.clean_size is not None:
            branches['clean'] = self._packed(results, self._clean(image), None)
        return branches

    def _check(self, *images: NDArray) -> None:
        for image in images:
            if image.shape[0] < self.crop[0] or image.shape[1] < self.crop[1]:
                raise BenchError(
                    f'a crop of {self.crop[1]}x{self.crop[0]} from an image of '
                    f'{image.shape[1]}x{image.shape[0]}',
                    'a smaller crop or a larger base size',
                )

    def _random_corner(self, image: NDArray) -> Size:
        rows, columns = image.shape[0] - self.crop[0], image.shape[1] - self.crop[1]
        return int(np.random.randint(rows + 1)), int(np.random.randint(columns + 1))

    def _corner(self, label: NDArray) -> Size:
        for _ in range(self.tries):
            corner = self._random_corner(label)
            counts = np.bincount(self._cut(label, corner, False).ravel())
            if np.count_nonzero(counts) > self.min_classes:
                break
        return corner

    def _clean(self, image: NDArray) -> NDArray:
        clean = resized(image, self.clean_size or (0, 0), self.mode)
        self._check(clean)
        return self._cut(clean, self._random_corner(clean), False)

    def _cut(self, image: NDArray, corner: Size, mirror: bool) -> NDArray:
        top, left = corner
        part = image[top : top + self.crop[0], left : left + self.crop[1]]
        return part[:, ::-1] if mirror else part


@TRANSFORMS.register_module()
class PackSizes(_Branches):
    """Branches ``size0``, ``size1``, ...: the whole image at several sizes, for labelling.

    Args:
        sizes: (width, height) each; numbers alone are factors on the size of the file.
        mode: ``'bicubic'`` or ``'bilinear'``.
    """

    def __init__(self, sizes: Sequence[Size | float], mode: str = 'bicubic') -> None:
        if not sizes:
            raise BenchError('no sizes to label at', 'one or more')
        self.sizes = list(sizes)
        self.mode = require_known('interpolation', mode, _MODES)

    def transform(self, results: dict) -> dict[str, dict]:
        """One packed item a size."""
        image = results['img']
        branches = {}
        for number, size in enumerate(self.sizes):
            if isinstance(size, (int, float)):
                size = (round(image.shape[1] * size), round(image.shape[0] * size))
            view = resized(image, (int(size[0]), int(size[1])), self.mode)
            branches[f'size{number}'] = self._packed(results, view, None)
        return branches
