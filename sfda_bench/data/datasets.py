"""The five data sets as mmseg data sets on their native layouts, and the unlabelled target view.

Labels are decoded when they are loaded (:class:`~sfda_bench.data.transforms.LoadTrainIds`): nothing
has to be converted beforehand, and each item says in ``label_encoding`` how its file is to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset
from mmseg.datasets import BaseSegDataset

from sfda_bench.data.draws import PositionedDraws
from sfda_bench.data.layout import Sample, list_split
from sfda_bench.data.lists import read_list, require_listed
from sfda_bench.data.transforms import reads_labels
from sfda_bench.errors import BenchError, require_known
from sfda_bench.labels import CAMVID_CLASSES, CAMVID_PALETTE, CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from sfda_bench.registry import DATASETS

_CITYSCAPES_META = {
    'classes': CITYSCAPES_CLASSES,
    'palette': [list(c) for c in CITYSCAPES_PALETTE],
}
_CAMVID_META = {'classes': CAMVID_CLASSES, 'palette': [list(c) for c in CAMVID_PALETTE]}


def _only(samples: list[Sample], sample_list: str | Path) -> list[Sample]:
    """Return the samples named in a list file, in the usual order."""
    wanted = set(read_list(sample_list))
    require_listed(wanted, (s.sample_id for s in samples), sample_list)
    return [s for s in samples if s.sample_id in wanted]


class NativeDataset(PositionedDraws, BaseSegDataset):
    """A data set read as its makers publish it.

    Args:
        data_root: Folder of the data set itself.
        split: See :mod:`sfda_bench.data.catalogue`.
        conditions: ACDC only: the conditions to read, None for all.
        labelled: False lists images only; no label folder is touched.
        label_encoding: ``'auto'`` or one of the encodings the data set comes in.
        sample_list: Text file with the sample ids to keep, e.g. the 24 941 of GTA5.
        pipeline, indices, test_mode, lazy_init, **kwargs: As in mmseg's ``BaseSegDataset``.

    Items carry ``img_path``, ``sample_id``, ``condition`` ('' if there is none) and, when labelled,
    ``seg_map_path``, ``label_encoding`` and ``size_mismatch``.
    """

    name = ''
    size_mismatch = 'error'

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        conditions: Sequence[str] | None = None,
        labelled: bool = True,
        label_encoding: str = 'auto',
        sample_list: str | None = None,
        metainfo: dict | None = None,
        **kwargs: Any,
    ) -> None:
        if metainfo and 'classes' in metainfo:
            raise BenchError(
                'metainfo.classes would silently ignore ground truth of the classes left out',
                'the full class list',
                'score a class subset with a scoring protocol (e.g. synthia16_masked)',
            )
        self.split, self.conditions, self.labelled = split, conditions, labelled
        self.label_encoding, self.sample_list = label_encoding, sample_list
        super().__init__(data_root=data_root, metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return one dict an image, sorted by path within a condition."""
        samples = list_split(
            self.name,
            self.data_root,
            self.split,
            self.conditions,
            self.labelled,
            self._listed_encoding(),
        )
        if self.sample_list:
            samples = _only(samples, self.sample_list)
        return [self._info(sample) for sample in samples]

    def _listed_encoding(self) -> str:
        """Return the encoding as :func:`list_split` knows it (it decides the file suffix)."""
        return self.label_encoding

    def _encoding_of(self, label: Path) -> str:
        """Return the encoding of one label file, a name in ``sfda_bench.labels.ENCODINGS``."""
        raise NotImplementedError

    def _info(self, sample: Sample) -> dict:
        info: dict[str, Any] = {
            'img_path': str(sample.image),
            'sample_id': sample.sample_id,
            'condition': sample.condition,
            'seg_fields': [],
            'label_map': None,
            'reduce_zero_label': False,
        }
        if sample.label is not None:
            info['seg_map_path'] = str(sample.label)
            info['label_encoding'] = self._encoding_of(sample.label)
            info['size_mismatch'] = self.size_mismatch
        return info


@DATASETS.register_module()
class GTA5Dataset(NativeDataset):
    """GTA5: palette PNG whose index is the Cityscapes label id.

    The official release has a few pairs of differing sizes; their labels are resized to the image
    (nearest), as resizing both to one training size does everywhere else.
    """

    METAINFO = _CITYSCAPES_META
    name = 'gta5'
    size_mismatch = 'resize'

    def _encoding_of(self, label: Path) -> str:
        return 'gta5'


@DATASETS.register_module()
class SynthiaDataset(NativeDataset):
    """SYNTHIA-RAND-CITYSCAPES: 16-bit PNG, 16 of the 19 classes.

    Args:
        lane_marking: ``'ignore'`` (raw id 22 is not scored or trained, the literature's table) or
            ``'road'``.
    """

    METAINFO = _CITYSCAPES_META
    name = 'synthia'

    def __init__(self, *args: Any, lane_marking: str = 'ignore', **kwargs: Any) -> None:
        require_known('lane_marking reading', lane_marking, ('ignore', 'road'))
        self.lane_marking = lane_marking
        super().__init__(*args, **kwargs)

    def _encoding_of(self, label: Path) -> str:
        return 'synthia_lane_road' if self.lane_marking == 'road' else 'synthia'


class _IdDataset(NativeDataset):
    """Labels as Cityscapes label ids or train ids, told apart by the file name."""

    METAINFO = _CITYSCAPES_META

    def _encoding_of(self, label: Path) -> str:
        return 'labelTrainIds' if label.name.endswith('_labelTrainIds.png') else 'labelIds'


@DATASETS.register_module()
class CityscapesDataset(_IdDataset):
    """Cityscapes fine annotations: labelIds, or labelTrainIds where only those exist."""

    name = 'cityscapes'


@DATASETS.register_module()
class ACDCDataset(_IdDataset):
    """ACDC: the four conditions in the order fog, night, rain, snow, or those in ``conditions``."""

    name = 'acdc'


@DATASETS.register_module()
class CamVidDataset(NativeDataset):
    """CamVid, 11 classes; ``condition`` is day or dusk.

    Args:
        label_space: ``'camvid11'`` for scoring, or ``'cityscapes19'``: each class as one
            representative train id, to train a 19-class network on it.
    """

    METAINFO = _CAMVID_META
    name = 'camvid'

    def __init__(self, *args: Any, label_space: str = 'camvid11', **kwargs: Any) -> None:
        require_known('CamVid label space', label_space, ('camvid11', 'cityscapes19'))
        self.label_space = label_space
        super().__init__(*args, **kwargs)
        if label_space == 'cityscapes19':
            self._metainfo.update(_CITYSCAPES_META)

    def _encoding_of(self, label: Path) -> str:
        return 'camvid' if self.label_space == 'camvid11' else 'camvid_as_cityscapes'


@DATASETS.register_module()
class UnlabelledTarget(PositionedDraws, BaseDataset):
    """A data set without labels: no label path in any item, no label folder ever touched.

    Args:
        dataset: Config of the data set to look at, e.g. ``dict(type='CityscapesDataset', ...)``.
        pipeline: Transforms; one that loads labels is refused.
        **kwargs: As in mmengine's ``BaseDataset``.
    """

    METAINFO = _CITYSCAPES_META

    def __init__(
        self, dataset: dict, pipeline: Sequence[dict | Callable] = (), **kwargs: Any
    ) -> None:
        loader = reads_labels(pipeline)
        if loader:
            raise BenchError(
                f'{loader} in the pipeline of an unlabelled target view',
                'transforms that need the image only',
                'remove it: source-free adaptation reads no target labels',
            )
        self.dataset_cfg = {**dataset, 'labelled': False, 'pipeline': []}
        super().__init__(pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return the items of the wrapped data set."""
        inner = DATASETS.build(self.dataset_cfg)
        infos = [inner.get_data_info(i) for i in range(len(inner))]
        if any('seg_map_path' in info for info in infos):
            raise BenchError(
                f'{type(inner).__name__} lists labels although labelled=False',
                'items without seg_map_path',
            )
        return infos
