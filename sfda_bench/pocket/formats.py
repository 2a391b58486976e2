"""Writes a rendered scene in the native layout and label encoding of each data set."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sfda_bench.atomic import naming
from sfda_bench.data.markers import POCKET_SEQUENCES
from sfda_bench.data.png import encode_png
from sfda_bench.labels import (
    CITYSCAPES_PALETTE,
    CITYSCAPES_TRAIN_TO_ID,
    SYNTHIA_LANE_MARKING,
    SYNTHIA_RAW_TO_TRAIN,
    label_id_table,
)

_PARKING_ID, _PARKING_RAW = 9, 13
_CITIES = {'train': ('ashford', 'birchley', 'cedarburg'), 'val': ('elmstadt', 'firholm')}

Labels = NDArray[np.uint8]


def file_names(dataset: str, split: str, condition: str, index: int) -> tuple[str, list[str]]:
    """Return (image, labels) of one sample, relative to the folder of the data set."""
    if dataset == 'gta5':
        return f'images/{index + 1:05d}.png', [f'labels/{index + 1:05d}.png']
    if dataset == 'synthia':
        return f'RGB/{index:07d}.png', [f'GT/LABELS/{index:07d}.png']
    if dataset == 'cityscapes':
        cities = _CITIES[split]
        city = cities[index % len(cities)]
        stem = f'{split}/{city}/{city}_{index:06d}_000019'
        return f'leftImg8bit/{stem}_leftImg8bit.png', [f'gtFine/{stem}_gtFine_labelIds.png']
    sequence = f'{POCKET_SEQUENCES[condition]}{"0" if split == "train" else "1"}{index // 20:03d}'
    stem = f'{condition}/{split}/{sequence}/{sequence}_frame_{index:06d}'
    labels = [f'gt/{stem}_gt_labelIds.png', f'gt/{stem}_gt_labelTrainIds.png']
    return f'rgb_anon/{stem}_rgb_anon.png', labels


def encode_labels(dataset: str, ids: Labels, lane: NDArray[np.bool_]) -> list[bytes]:
    """Return the label files of a sample, in the order of :func:`file_names`.

    Args:
        dataset: Name of the data set.
        ids: Cityscapes label ids, uint8 (H, W).
        lane: Lane markings, bool (H, W).
    """
    if dataset == 'gta5':
        return [encode_png(ids, _gta5_palette())]
    if dataset == 'synthia':
        raw = np.zeros((*ids.shape, 3), np.uint16)
        raw[..., 0] = _to_synthia()[ids]
        raw[..., 0][lane] = SYNTHIA_LANE_MARKING
        raw[..., 1] = ids.astype(np.uint16) * 40  # stands in for instance numbers
        return [encode_png(raw)]
    if dataset == 'cityscapes':
        return [encode_png(ids)]
    return [encode_png(ids), encode_png(label_id_table()[ids])]


@lru_cache(maxsize=1)
def _gta5_palette() -> tuple[tuple[int, ...], ...]:
    """Return 256 colours: those of Cityscapes at the scored ids, greys elsewhere."""
    palette: list[tuple[int, ...]] = [(i, i, i) for i in range(256)]
    for train, label in enumerate(CITYSCAPES_TRAIN_TO_ID):
        palette[label] = CITYSCAPES_PALETTE[train]
    return tuple(palette)


@lru_cache(maxsize=1)
def _to_synthia() -> NDArray[np.uint16]:
    """Return Cityscapes label id -> SYNTHIA raw id, 0 (void) where there is none."""
    table = np.zeros(256, np.uint16)
    for raw, train in SYNTHIA_RAW_TO_TRAIN.items():
        table[CITYSCAPES_TRAIN_TO_ID[train]] = raw
    table[_PARKING_ID] = _PARKING_RAW
    return table


def write_sample(
    root: Path,
    dataset: str,
    split: str,
    condition: str,
    index: int,
    picture: NDArray[np.uint8],
    ids: Labels,
    lane: NDArray[np.bool_],
) -> None:
    """Write image and label files; labels first, each file appearing whole or not at all."""
    image, labels = file_names(dataset, split, condition, index)
    for name, data in zip(labels, encode_labels(dataset, ids, lane), strict=True):
        _write(root / name, data)
    _write(root / image, encode_png(picture))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.{os.getpid()}')
    with naming(path):
        partial.write_bytes(data)
        partial.replace(path)
