"""Decoding throughput of each reader against plain decoding.

Plain decoding opens the same files with the same libraries and does nothing else; the readers
also check for truncation, map ids, check ranges and sizes.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from sfda_bench.data.catalogue import LAYOUTS, Sample
from sfda_bench.data.layout import find_root, list_split
from sfda_bench.pocket.world import DEFAULT_COUNTS, WorldSpec, ensure_pocket

#: What a reader should reach of plain decoding.
TARGET = 0.8
_READERS = {
    'gta5': 'GTA5Dataset',
    'synthia': 'SynthiaDataset',
    'cityscapes': 'CityscapesDataset',
    'acdc': 'ACDCDataset',
    'camvid': 'CamVidDataset',
}


@dataclass(frozen=True)
class Throughput:
    """Images (with labels) a processor second, of plain decoding and of a reader."""

    dataset: str
    size: str
    images: int
    plain: float
    reader: float

    @property
    def ratio(self) -> float:
        """Reader over plain decoding."""
        return self.reader / self.plain


def rendered(folder: str | Path, images: int) -> None:
    """Render a 512x1024 world with ``images`` images of every data set to measure on."""
    counts = {part: 0 for part in DEFAULT_COUNTS}
    for part in ('gta5/train', 'synthia/train', 'cityscapes/train'):
        counts[part] = images
    counts.update({f'acdc/train/{c}': 3 for c in LAYOUTS['acdc'].conditions})
    ensure_pocket(folder, WorldSpec((512, 1024), 0, counts))


def measure_all(data_root: str | Path, images: int, repeats: int) -> list[Throughput]:
    """Measure every data set found below ``data_root``."""
    results = []
    for dataset in LAYOUTS:
        root = find_root(data_root, dataset)
        if root is not None:
            samples = list_split(dataset, root, 'train')
            chosen = samples[:: max(len(samples) // images, 1)][:images]
            results.append(measure(dataset, root, chosen, repeats))
    return results


def measure(dataset: str, root: Path, samples: Sequence[Sample], repeats: int) -> Throughput:
    """Measure one reader, alternating with plain decoding so that both meet the same machine."""
    from mmengine.registry import DefaultScope

    from sfda_bench.data import datasets  # noqa: F401  (registers)
    from sfda_bench.registry import DATASETS

    cv2.setNumThreads(1)
    pipeline = [{'type': 'LoadImage'}, {'type': 'LoadTrainIds'}]
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        data = DATASETS.build(
            {'type': _READERS[dataset], 'data_root': str(root), 'pipeline': pipeline}
        )
    where = {data.get_data_info(i)['sample_id']: i for i in range(len(data))}
    indices = [where[s.sample_id] for s in samples]
    plain = _plain_synthia if dataset == 'synthia' else _plain_indices

    def decode_all() -> None:
        for sample in samples:
            cv2.imdecode(np.frombuffer(sample.image.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
            plain(Path(str(sample.label)).read_bytes())

    def read_all() -> None:
        for index in indices:
            data[index]

    decode_all()
    read_all()
    times = [(_seconds(decode_all), _seconds(read_all)) for _ in range(repeats)]
    with Image.open(samples[0].image) as image:
        size = f'{image.size[0]}x{image.size[1]}'
    count = len(samples)
    best = min(t[0] for t in times), min(t[1] for t in times)
    return Throughput(dataset, size, count, count / best[0], count / best[1])


def _plain_indices(data: bytes) -> None:
    with Image.open(io.BytesIO(data)) as image:
        np.asarray(image)


def _plain_synthia(data: bytes) -> None:
    cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def _seconds(work: Callable[[], None]) -> float:
    """Return processor seconds: what else runs on the machine does not count."""
    start = time.process_time()
    work()
    return time.process_time() - start
