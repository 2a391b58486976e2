"""Training data that stages make for each other: pseudo-labels, subsets, pairs of domains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs
from PIL import Image
from torch.utils.data import Dataset

from sfda_bench.data.datasets import UnlabelledTarget
from sfda_bench.data.sampler import PositionedIndex
from sfda_bench.errors import BenchError, DataError
from sfda_bench.registry import DATASETS, TRANSFORMS

#: Steps between probabilities 0 and 1 in a confidence file.
LEVELS = 65535


@DATASETS.register_module()
class PseudoLabelledTarget(UnlabelledTarget):
    """Target images with labels that an earlier stage predicted; true labels stay out of reach.

    Args:
        dataset: Config of the target data set.
        label_dir: Folder with ``<sample_id>.png``, train ids as uint8, 255 = ignored.
        confidence_dir: Folder with the labels' probabilities, for :class:`LoadConfidence`.
        pipeline: Transforms; ``LoadTrainIds`` loads the pseudo-labels.
        **kwargs: As in mmengine's ``BaseDataset``.

    Raises:
        DataError: An image has no pseudo-label.
    """

    def __init__(
        self,
        dataset: dict,
        label_dir: str,
        confidence_dir: str | None = None,
        pipeline: Sequence[Any] = (),
        **kwargs: Any,
    ) -> None:
        self.label_dir, self.confidence_dir = Path(label_dir), confidence_dir
        self.dataset_cfg = {**dataset, 'labelled': False, 'pipeline': []}
        # Past the parent's check: the labels read here are the method's own.
        BaseDataset.__init__(self, pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> list[dict]:
        """The target's items with the path of their pseudo-label."""
        infos = super().load_data_list()
        missing = []
        for info in infos:
            path = self.label_dir / f'{info["sample_id"]}.png'
            if not path.is_file():
                missing.append(path.name)
            info.update(seg_map_path=str(path), label_encoding='labelTrainIds')
            info.update(size_mismatch='resize', pseudo_label=True)
            if self.confidence_dir is not None:
                info['confidence_path'] = str(Path(self.confidence_dir) / path.name)
        if missing:
            raise DataError(
                f'{len(missing)} of {len(infos)} images have no pseudo-label in {self.label_dir}: '
                f'{", ".join(missing[:3])} ...',
                'one PNG an image',
                'run the labelling stage again with --force',
            )
        return infos


@TRANSFORMS.register_module()
class LoadConfidence(BaseTransform):
    """Load ``confidence_path`` (uint16 PNG) as ``gt_confidence``, float32 (H, W) in [0, 1].

    It follows :class:`~sfda_bench.data.transforms.LoadTrainIds` and is cropped and mirrored as the
    labels are.
    """

    def transform(self, results: dict) -> dict:
        """Add ``gt_confidence`` and its name in ``seg_fields``."""
        path = Path(results['confidence_path'])
        if not path.is_file():
            raise DataError(f'no confidence map {path}', 'one PNG a label map')
        with Image.open(path) as image:
            levels = np.asarray(image)
        results['gt_confidence'] = levels.astype(np.float32) / np.float32(LEVELS)
        results['seg_fields'].append('gt_confidence')
        return results


@TRANSFORMS.register_module()
class PackWithConfidence(PackSegInputs):
    """mmseg's packing, with ``confidence`` (1, H, W) in the sample."""

    def transform(self, results: dict) -> dict:
        """Pack image, labels and confidence."""
        packed = super().transform(results)
        values = np.ascontiguousarray(results['gt_confidence'])[None]
        packed['data_samples'].set_data({'confidence': PixelData(data=torch.from_numpy(values))})
        return packed


@DATASETS.register_module()
class PairedDatasets(Dataset):
    """Items of several data sets side by side: ``{'source': item, 'target': item}``.

    The last data set gives the length and follows the sampler; the others are drawn from their own
    shuffled streams, seeded by the draw's seed and position.

    Args:
        datasets: Data-set configs by name, in order.
    """

    def __init__(self, datasets: Mapping[str, dict]) -> None:
        if len(datasets) < 2:
            raise BenchError(f'{len(datasets)} data sets to pair', 'two or more')
        self.datasets = {name: DATASETS.build(dict(config)) for name, config in datasets.items()}
        self.main = list(datasets)[-1]
        empty = [name for name, data in self.datasets.items() if len(data) == 0]
        if empty:
            raise DataError(f'no image in {", ".join(empty)}', 'at least one in each')

    @property
    def metainfo(self) -> dict:
        """Meta information of the main data set."""
        return self.datasets[self.main].metainfo

    def full_init(self) -> None:
        """Build the lists of all data sets."""
        for data in self.datasets.values():
            data.full_init()

    def __len__(self) -> int:
        return len(self.datasets[self.main])

    def __getitem__(self, index: int) -> dict[str, Any]:
        position = getattr(index, 'position', int(index))
        seed = getattr(index, 'seed', 0)
        items = {}
        for number, (name, data) in enumerate(self.datasets.items()):
            draw = PositionedIndex(int(index), position, seed)
            if name != self.main:
                draw = _own_draw(len(data), position, seed, number)
            items[name] = data[draw]
        return items


def _own_draw(size: int, position: int, seed: int, stream: int) -> PositionedIndex:
    """Draw ``position`` of a stream of shuffled epochs of its own."""
    # spawned: no arithmetic on seeds, which could give two branches the same draws
    own = int(np.random.SeedSequence(seed, spawn_key=(stream,)).generate_state(1, np.uint64)[0])
    epoch, place = divmod(position, size)
    # the key sets it apart from the views of a draw, seeded by (seed, position)
    entropy = np.random.SeedSequence(own, spawn_key=(epoch,))
    order = np.random.default_rng(entropy).permutation(size)
    return PositionedIndex(int(order[place]), position, own)
