"""Loading and resizing: the steps whose details published numbers depend on.

Images are BGR uint8 after loading whatever the library, as everywhere in mmseg. Labels are decoded
to train ids at once. ``ori_shape`` stays the size of the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image, ImageFilter

from sfda_bench.data.decode import decode_label
from sfda_bench.data.images import open_image
from sfda_bench.errors import DataError, require_known
from sfda_bench.labels import CLASS_SETS, IGNORE
from sfda_bench.registry import TRANSFORMS

LABEL_LOADERS = ('LoadTrainIds', 'LoadAnnotations', 'LoadAnnotation', 'LoadLabels')
"""Transforms known to read labels; others say so with an attribute ``reads_labels``."""

_PIL_MODES = {'bicubic': Image.Resampling.BICUBIC, 'bilinear': Image.Resampling.BILINEAR}
_CV2_MODES = {'bicubic': cv2.INTER_CUBIC, 'bilinear': cv2.INTER_LINEAR}


def reads_labels(pipeline: Iterable[Any]) -> str | None:
    """Return the name of the first transform that loads labels, looking into nested ones."""
    for step in pipeline:
        if isinstance(step, dict):
            name = step.get('type', '')
            name = name if isinstance(name, str) else getattr(name, '__name__', str(name))
            short = name.split('.')[-1]
            loads = short in LABEL_LOADERS or 'LoadAnn' in short or _class_reads_labels(name)
            found = name if loads else reads_labels(_nested(step.values()))
        elif isinstance(step, (list, tuple)):
            found = reads_labels(step)
        else:
            name = type(step).__name__
            loads = name in LABEL_LOADERS or getattr(step, 'reads_labels', False)
            found = name if loads else reads_labels(getattr(step, 'transforms', None) or ())
        if found:
            return found
    return None


def _nested(values: Iterable[Any]) -> list[Any]:
    return [v for v in values if isinstance(v, (dict, list, tuple))]


def _class_reads_labels(name: str) -> bool:
    return bool(name) and bool(getattr(TRANSFORMS.get(name), 'reads_labels', False))


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Load ``img_path`` as BGR uint8 (H, W, 3).

    Args:
        lib: ``'cv2'`` or ``'pillow'`` (they differ in JPEG decoding only).

    Raises:
        DataError: The file is missing, truncated or not an image; its path is named.
    """

    def __init__(self, lib: str = 'cv2') -> None:
        require_known('image library', lib, ('cv2', 'pillow'))
        self.lib = lib

    def transform(self, results: dict) -> dict:
        """Add ``img``, ``img_shape``, ``ori_shape``."""
        image = open_image(results['img_path'], self.lib)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        results.setdefault('seg_fields', [])
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(lib={self.lib!r})'


@TRANSFORMS.register_module()
class LoadTrainIds(BaseTransform):
    """Load ``seg_map_path`` as train ids: ``gt_seg_map`` uint8 (H, W), 255 ignored.

    How the file is read is in the item's ``label_encoding``; the size must be that of the image
    file (``ori_shape``), so it may run before or after the image is resized.

    Raises:
        DataError: Colours instead of indices, values outside the encoding, a size that differs
            from the image (unless the item says ``size_mismatch='resize'``).
    """

    reads_labels = True

    def transform(self, results: dict) -> dict:
        """Add ``gt_seg_map`` and its name in ``seg_fields``."""
        path = results['seg_map_path']
        label = decode_label(path, results['label_encoding'])
        shape = results.get('ori_shape', label.shape)[:2]
        if label.shape != shape:
            if results.get('size_mismatch') != 'resize':
                raise DataError(
                    f'label {path} is {label.shape[1]}x{label.shape[0]}',
                    f'{shape[1]}x{shape[0]} as its image',
                    '`python tools/prepare_data.py doctor` lists all such pairs',
                )
            label = nearest(label, (shape[1], shape[0]), 'cv2')
        results['gt_seg_map'] = label
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


@TRANSFORMS.register_module()
class ResizeTo(BaseTransform):
    """Resize the image, and labels already loaded (:func:`nearest`), to one size.

    Args:
        size: (width, height); None leaves everything as it is.
        lib: ``'pillow'`` (antialiases when shrinking) or ``'cv2'`` (does not), for both.
        mode: ``'bicubic'`` or ``'bilinear'``.
    """

    def __init__(
        self, size: tuple[int, int] | None = None, lib: str = 'pillow', mode: str = 'bicubic'
    ) -> None:
        require_known('image library', lib, ('cv2', 'pillow'))
        require_known('interpolation', mode, _PIL_MODES)
        self.size = None if size is None else (int(size[0]), int(size[1]))
        self.lib, self.mode = lib, mode

    def transform(self, results: dict) -> dict:
        """Change ``img``, ``img_shape`` and loaded labels; add ``scale_factor``."""
        height, width = results['img'].shape[:2]
        if self.size is None or self.size == (width, height):
            results['scale_factor'] = (1.0, 1.0)
            return results
        results['img'] = _resize(results['img'], self.size, self.lib, self.mode)
        for key in results.get('seg_fields', []):
            results[key] = nearest(results[key], self.size, self.lib)
        results['img_shape'] = results['img'].shape[:2]
        results['scale_factor'] = (self.size[0] / width, self.size[1] / height)
        results['keep_ratio'] = False
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size}, lib={self.lib!r}, mode={self.mode!r})'


@TRANSFORMS.register_module()
class KeepClasses(BaseTransform):
    """Turn train ids into the outputs of a network with fewer classes; others become ignored.

    Args:
        classes: A name in :data:`sfda_bench.labels.CLASS_SETS`.
    """

    reads_labels = True

    def __init__(self, classes: str) -> None:
        ids = CLASS_SETS[require_known('class set', classes, CLASS_SETS)]
        self.classes = classes
        self._table = np.full(256, IGNORE, np.uint8)
        self._table[list(ids)] = np.arange(len(ids), dtype=np.uint8)

    def transform(self, results: dict) -> dict:
        """Change ``gt_seg_map``."""
        results['gt_seg_map'] = self._table[results['gt_seg_map']]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(classes={self.classes!r})'


@TRANSFORMS.register_module()
class ScoreAt(BaseTransform):
    """Bring labels to the size they are scored at, by Pillow's nearest neighbour.

    Predictions are enlarged to the same size: ``ori_shape`` becomes (height, width) of it.

    Args:
        size: (width, height).
    """

    reads_labels = True

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = (int(size[0]), int(size[1]))

    def transform(self, results: dict) -> dict:
        """Change ``gt_seg_map`` and ``ori_shape``."""
        results['gt_seg_map'] = nearest(results['gt_seg_map'], self.size, 'pillow')
        results['ori_shape'] = self.size[::-1]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size})'


@TRANSFORMS.register_module()
class RandomBlur(BaseTransform):
    """Blur the image with a Gaussian of random radius (Pillow's), as the MaxSquare line does.

    Args:
        prob: Share of images that are blurred.
        radius: Bounds of the uniform draw of the standard deviation, in pixels.
    """

    def __init__(self, prob: float = 0.5, radius: tuple[float, float] = (0.0, 1.0)) -> None:
        self.prob, self.radius = prob, (float(radius[0]), float(radius[1]))

    def transform(self, results: dict) -> dict:
        """Change ``img``."""
        if np.random.random() < self.prob:
            blur = ImageFilter.GaussianBlur(np.random.uniform(*self.radius))
            results['img'] = np.array(Image.fromarray(results['img']).filter(blur))
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob}, radius={self.radius})'


def nearest(label: np.ndarray, size: tuple[int, int], lib: str) -> np.ndarray:
    """A label map (H, W) at another size by the nearest neighbour, as a library takes it.

    Pillow looks at the middle of each new pixel, OpenCV at its corner: half a pixel apart, so the
    library is part of a recipe.

    Args:
        label: Class ids.
        size: (width, height).
        lib: ``'pillow'`` or ``'cv2'``.
    """
    if lib == 'cv2':
        return np.asarray(cv2.resize(label, size, interpolation=cv2.INTER_NEAREST), label.dtype)
    return np.array(Image.fromarray(label).resize(size, Image.Resampling.NEAREST))


def _resize(image: np.ndarray, size: tuple[int, int], lib: str, mode: str) -> np.ndarray:
    if lib == 'cv2':
        return cv2.resize(image, size, interpolation=_CV2_MODES[mode])
    return np.array(Image.fromarray(image).resize(size, _PIL_MODES[mode]))


def load_image(path: str | Path, lib: str = 'cv2') -> np.ndarray:
    """Return one image as BGR uint8 (H, W, 3); raises :class:`DataError` as :class:`LoadImage`."""
    return LoadImage(lib).transform({'img_path': str(path)})['img']
