"""DT-ST's two views of an image: the whole one for the teacher, a strong window for the student.

Source: DT-ST (CVPR 2023), code ``core/datasets``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.datasets.transforms import PackSegInputs
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from sfda_bench.data.images import open_image
from sfda_bench.errors import BenchError, require_known
from sfda_bench.labels import IGNORE
from sfda_bench.registry import TRANSFORMS

Size = tuple[int, int]
Image8 = NDArray[np.uint8]
META_KEYS = ('img_path', 'sample_id', 'condition', 'ori_shape', 'img_shape')
_MODES = {'bicubic': Image.Resampling.BICUBIC, 'bilinear': Image.Resampling.BILINEAR}


def resized(image: Image8, size: Size, mode: str) -> Image8:
    """Pillow's resize of an image (H, W, 3) to (width, height)."""
    if (image.shape[1], image.shape[0]) == tuple(size):
        return image
    return np.array(Image.fromarray(image).resize(size, _MODES[mode]))


def jittered(image: Image8, strength: float, hue: float) -> Image8:
    """A BGR image under random brightness, contrast, saturation (1 +- strength) and hue, any order.

    Draws from ``np.random``.
    """
    changed = Image.fromarray(np.ascontiguousarray(image[:, :, ::-1]))
    kinds = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for index in np.random.permutation(4):
        if index < 3:
            factor = 1.0 + np.random.uniform(-strength, strength)
            changed = kinds[index](changed).enhance(factor)
            continue
        shift = round(255 * np.random.uniform(-hue, hue)) % 256
        planes = list(changed.convert('HSV').split())
        planes[0] = planes[0].point([(level + shift) % 256 for level in range(256)])
        changed = Image.merge('HSV', planes).convert('RGB')
    return np.ascontiguousarray(np.asarray(changed)[:, :, ::-1])


@TRANSFORMS.register_module()
class TeacherStudentViews(BaseTransform):
    """Branches ``teacher`` and ``student``; the latter with its window and a label map of 255.

    The student's view: blur, then colour jitter or grey, scale, crop, mirror, cut-out.

    Args:
        images: ``balanced.json`` of ``CandidateWriter``: the image is drawn from that list
            instead of the one that was loaded. ``None``: the loaded one.
        base_size: (width, height) of the whole image; None: that of the file.
        crop_size: (height, width) of the student's view.
        scale: Least and greatest scale of it.
        flip: Probability of mirroring.
        blur: Probability of a Gaussian blur of 5 pixels, sigma 0.1 to 2.
        colour: Probability of jitter; else the image is grey.
        jitter: Strength of brightness, contrast and saturation.
        hue: Of the hue.
        cutout: Probability of cut-out.
        cell: Side of its square cells.
        cell_share: Probability of each cell.
        fill: BGR value of the cells.
        mode: How the base image is resized; the student's scale is bicubic.
    """

    def __init__(
        self,
        images: str | None = None,
        base_size: Size | None = (1536, 768),
        crop_size: Size = (512, 1024),
        scale: tuple[float, float] = (0.75, 1.25),
        flip: float = 0.5,
        blur: float = 0.5,
        colour: float = 0.9,
        jitter: float = 0.5,
        hue: float = 0.2,
        cutout: float = 0.25,
        cell: int = 32,
        cell_share: float = 0.25,
        fill: Sequence[float] = (103.53, 116.28, 123.675),
        mode: Literal['bicubic', 'bilinear'] = 'bilinear',
    ) -> None:
        self.images, self._listed = images, None
        self.base_size, self.scale = base_size, scale
        self.crop: Size = (int(crop_size[0]), int(crop_size[1]))
        self.flip, self.blur, self.colour, self.jitter, self.hue = flip, blur, colour, jitter, hue
        self.cutout, self.cell, self.cell_share = cutout, int(cell), cell_share
        self.fill = np.round(fill).astype(np.uint8)
        self.mode = require_known('interpolation', mode, _MODES)
        self.pack = PackSegInputs(meta_keys=META_KEYS)
        self.pack_student = PackSegInputs(meta_keys=(*META_KEYS, 'scaled', 'corner', 'mirror'))

    def transform(self, results: dict) -> dict[str, dict]:
        """One packed item a branch.

        Raises:
            BenchError: The crop is larger than the scaled image.
        """
        if self.images is not None:
            results = {**results, **self._drawn()}
        base = self.base(results['img'])
        common = {key: results[key] for key in META_KEYS if key in results}
        return {
            'teacher': self.pack.transform({**common, 'img': base, 'img_shape': base.shape[:2]}),
            'student': self.pack_student.transform({**common, **self.student(base)}),
        }

    def base(self, image: Image8) -> Image8:
        """The whole image at its size."""
        size = self.base_size or (image.shape[1], image.shape[0])
        return np.ascontiguousarray(resized(image, size, self.mode))

    def teacher_view(self, path: str) -> Image8:
        """The teacher's view of a file: nothing in it is random."""
        return self.base(open_image(path))

    def _drawn(self) -> dict[str, Any]:
        """Another image, uniformly from the list."""
        if self._listed is None:
            self._listed = json.loads(Path(self.images or '').read_text(encoding='utf-8'))
        listed: Any = self._listed
        place = listed['order'][np.random.randint(len(listed['order']))]
        image = open_image(listed['paths'][place])
        size = image.shape[:2]
        return {
            'img': image,
            'img_path': listed['paths'][place],
            'sample_id': listed['ids'][place],
            'ori_shape': size,
        }

    def student(self, base: Image8) -> dict[str, Any]:
        """Image, label map and window of the student's view."""
        view = base
        if np.random.random() < self.blur:
            sigma = np.random.uniform(0.1, 2.0)
            view = np.asarray(cv2.GaussianBlur(view, (5, 5), sigma), np.uint8)
        if np.random.random() < self.colour:
            view = jittered(view, self.jitter, self.hue)
        else:
            grey = np.asarray(cv2.cvtColor(view, cv2.COLOR_BGR2GRAY), np.uint8)
            view = np.repeat(grey[:, :, None], 3, axis=2)
        factor = np.random.uniform(*self.scale)
        scaled = (round(base.shape[0] * factor), round(base.shape[1] * factor))
        if scaled[0] < self.crop[0] or scaled[1] < self.crop[1]:
            raise BenchError(
                f'a crop of {self.crop[1]}x{self.crop[0]} from an image scaled to '
                f'{scaled[1]}x{scaled[0]}',
                'a smaller crop or a larger scale',
            )
        view = resized(view, (scaled[1], scaled[0]), 'bicubic')
        corner = tuple(
            int(np.random.randint(s - c + 1)) for s, c in zip(scaled, self.crop, strict=True)
        )
        view = view[corner[0] : corner[0] + self.crop[0], corner[1] : corner[1] + self.crop[1]]
        mirror = bool(np.random.random() < self.flip)
        view = np.array(view[:, ::-1] if mirror else view)
        if np.random.random() < self.cutout:
            view[self._cells()] = self.fill
        return {
            'img': view,
            'img_shape': self.crop,
            'gt_seg_map': np.full(self.crop, IGNORE, np.uint8),
            'scaled': scaled,
            'corner': corner,
            'mirror': mirror,
        }

    def _cells(self) -> NDArray[np.bool_]:
        rows, columns = (-(-side // self.cell) for side in self.crop)
        chosen = np.random.random((rows, columns)) < self.cell_share
        large = chosen.repeat(self.cell, axis=0).repeat(self.cell, axis=1)
        return large[: self.crop[0], : self.crop[1]]
