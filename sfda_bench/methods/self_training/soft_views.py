"""Views of target images that know where they look, so that soft labels can follow them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import BaseDataElement
from mmseg.datasets.transforms import PackSegInputs
from numpy.typing import NDArray

from sfda_bench.data.pseudo import PseudoLabelledTarget
from sfda_bench.data.transforms import ResizeTo
from sfda_bench.errors import BenchError, DataError
from sfda_bench.labels import IGNORE
from sfda_bench.methods.self_training.mining import RandomScale
from sfda_bench.methods.self_training.soft_labels import ARRAY
from sfda_bench.registry import DATASETS, TRANSFORMS

#: Transforms that stretch the whole image; others keep pixels as they are, if perhaps elsewhere.
STRETCHES = (RandomScale, ResizeTo)
PLACE = 'gt_place'


@DATASETS.register_module()
class SoftLabelledTarget(PseudoLabelledTarget):
    """Target images with hard and soft labels that an earlier stage predicted.

    Args:
        soft_dir: Folder with ``<sample_id>.npz``.
        **kwargs: See :class:`~sfda_bench.data.pseudo.PseudoLabelledTarget`.

    Raises:
        DataError: An image has no soft labels.
    """

    def __init__(self, soft_dir: str, **kwargs: Any) -> None:
        self.soft_dir = Path(soft_dir)
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        """The target's items with the paths of their labels."""
        infos = super().load_data_list()
        for info in infos:
            info['soft_path'] = str(self.soft_dir / f'{info["sample_id"]}.npz')
        missing = [info['soft_path'] for info in infos if not Path(info['soft_path']).is_file()]
        if missing:
            raise DataError(
                f'{len(missing)} of {len(infos)} images have no soft labels: {missing[0]} ...',
                'one .npz an image',
                'run the labelling stage again with --force',
            )
        return infos


@TRANSFORMS.register_module()
class WithSoftLabels(BaseTransform):
    """Run transforms, and note which place of the file each row and column of the view looks at.

    Adds ``soft``: ``log_probabilities`` as stored, ``rows`` (H,) and ``columns`` (W,) of the file
    (float32), and ``labels`` (H, W): the hard label of a neighbour where bilinear resizing of the
    labels meets a kept pixel, else 255, also in padding.

    Args:
        transforms: Configs; what stretches is one of :data:`STRETCHES`, the rest crops, mirrors,
            pads below or to the right, or leaves the place of pixels alone.
    """

    reads_labels = True

    def __init__(self, transforms: Sequence[dict]) -> None:
        self.transforms = [TRANSFORMS.build(dict(config)) for config in transforms]

    def transform(self, results: dict) -> dict:
        """Transform the image and its labels as usual; add ``soft``."""
        labels = results['gt_seg_map']
        rows, columns = (np.arange(n, dtype=np.float64) for n in results['img'].shape[:2])
        for step in self.transforms:
            results, rows, columns = _followed(step, results, rows, columns)
        results['soft'] = {
            ARRAY: read_soft(results['soft_path']),
            'rows': np.nan_to_num(rows).astype(np.float32),
            'columns': np.nan_to_num(columns).astype(np.float32),
            'labels': _neighbours(_neighbours(labels, rows, 0), columns, 1),
        }
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.transforms})'


def _followed(
    step: Any, results: dict, rows: NDArray, columns: NDArray
) -> tuple[dict, NDArray, NDArray]:
    """Results of a transform, and the places of the file that its rows and columns look at."""
    height, width = results['img'].shape[:2]
    stretches = isinstance(step, STRETCHES)
    if not stretches:
        results[PLACE] = np.arange(height * width, dtype=np.int32).reshape(height, width)
        results['seg_fields'].append(PLACE)
    results = step(results)
    shape = results['img'].shape[:2]
    if stretches:
        return results, _stretched(rows, shape[0]), _stretched(columns, shape[1])
    results['seg_fields'].remove(PLACE)
    place = results.pop(PLACE)
    (top, left), down, right = divmod(int(place[0, 0]), width), 1, 1
    if min(place.shape) > 1:
        down, right = (int(place[1, 0]) - place[0, 0]) // width, int(place[0, 1]) - place[0, 0]
    if place.shape != shape or abs(down) != 1 or abs(right) != 1:
        raise BenchError(
            f'{type(step).__name__} moves pixels in a way that soft labels cannot follow',
            f'crops, mirrorings, {" and ".join(kind.__name__ for kind in STRETCHES)}',
            "labels='view', or a view without it",
        )
    return results, _taken(rows, top, down, shape[0]), _taken(columns, left, right, shape[1])


def _stretched(places: NDArray, size: int) -> NDArray:
    """Places after bilinear resizing: pixels are areas, and their middles are compared."""
    old = len(places)
    middles = (np.arange(size) + 0.5) * old / size - 0.5
    return np.interp(middles.clip(0, old - 1), np.arange(old), places)


def _taken(places: NDArray, start: int, step: int, size: int) -> NDArray:
    """``size`` places from ``start`` on; NaN in padding."""
    index = start + step * np.arange(size)
    inside = (index >= 0) & (index < len(places))
    return np.where(inside, places[index.clip(0, len(places) - 1)], np.nan)


def _neighbours(labels: NDArray, places: NDArray, axis: int) -> NDArray:
    """The smaller label of the two pixels around each place, so that 255 yields to any other."""
    known = np.nan_to_num(places)
    around = [np.take(labels, edge(known).astype(np.intp), axis) for edge in (np.floor, np.ceil)]
    out = np.minimum(*around)
    out[(np.isnan(places), slice(None)) if axis == 0 else (slice(None), np.isnan(places))] = IGNORE
    return out


def read_soft(path: str | Path) -> NDArray[np.float16]:
    """Logarithms of probabilities (C, h, w) of a file.

    Raises:
        DataError: It is missing, damaged or not such a file.
    """
    fix = 'run the labelling stage again with --force'
    try:
        with np.load(path) as arrays:
            logs = arrays[ARRAY]
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        AttributeError,
        BadZipFile,
        zlib.error,
    ) as cause:
        raise DataError(f'{path} cannot be read: {cause}', 'soft labels (.npz)', fix) from None
    if logs.ndim != 3 or logs.dtype != np.float16 or not np.isfinite(logs).all():
        found = f'{path}: {logs.dtype} of shape {logs.shape}'
        raise DataError(found, 'finite float16 (C, h, w)', fix)
    return logs


@TRANSFORMS.register_module()
class PackSoftLabels(PackSegInputs):
    """mmseg's packing, with ``soft`` of :class:`WithSoftLabels` in the sample, as tensors."""

    def transform(self, results: dict) -> dict:
        """Pack image, labels and soft labels."""
        packed = super().transform(results)
        soft = {name: torch.from_numpy(array) for name, array in results['soft'].items()}
        packed['data_samples'].set_data({'soft': BaseDataElement(**soft)})
        return packed
