"""Class tables and label encodings: one place for every number that turns a file into a train id.

Sources: Cityscapes ``cityscapesscripts/helpers/labels.py``; SYNTHIA-RAND-CITYSCAPES readme and the
table all UDA code shares (AdaptSegNet ``synthia_dataset.py``); CamVid in its SegNet version.
No torch here: planning and the doctor need these tables quickly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sfda_bench.errors import require_known

IGNORE = 255
"""Train id of pixels that are not scored."""

INVALID = 254
"""What a lookup returns for a raw value its encoding does not have."""

CITYSCAPES_CLASSES = (
    'road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign',
    'vegetation', 'terrain', 'sky', 'person', 'rider', 'car', 'truck', 'bus', 'train',
    'motorcycle', 'bicycle',
)  # fmt: skip
CITYSCAPES_PALETTE = (
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153),
    (153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152),
    (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100),
    (0, 80, 100), (0, 0, 230), (119, 11, 32),
)  # fmt: skip

CITYSCAPES_TRAIN_TO_ID = (
    7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33,
)  # fmt: skip
"""Label id of each train id (what the Cityscapes server expects)."""

CITYSCAPES_NUM_IDS = 35
"""Label ids run from 0 to 33; GTA5 uses 34 for licence plates."""

SYNTHIA_RAW_TO_TRAIN = {
    3: 0, 4: 1, 2: 2, 21: 3, 5: 4, 7: 5, 15: 6, 9: 7, 6: 8, 16: 9, 1: 10, 10: 11, 17: 12, 8: 13,
    18: 14, 19: 15, 20: 16, 12: 17, 11: 18,
}  # fmt: skip
SYNTHIA_NUM_IDS = 23
SYNTHIA_LANE_MARKING = 22
SYNTHIA16 = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18)
"""Train ids that SYNTHIA has: no terrain, truck, train."""
SYNTHIA13 = (0, 1, 2, 6, 7, 8, 10, 11, 12, 13, 15, 17, 18)
"""The 13-class list of the literature: SYNTHIA16 without wall, fence, pole."""

CLASS_SETS = {'synthia16': SYNTHIA16}
"""Train id of each output of a network that has fewer outputs than 19, by the set's name."""

CAMVID_CLASSES = (
    'sky', 'building', 'pole', 'road', 'pavement', 'tree', 'signsymbol', 'fence', 'car',
    'pedestrian', 'bicyclist',
)  # fmt: skip
CAMVID_PALETTE = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (0, 0, 192), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)  # fmt: skip
CAMVID_TO_CITYSCAPES = (10, 2, 5, 0, 1, 8, 7, 4, 13, 11, 18)
"""One representative train id for each CamVid class, to train a 19-class network on CamVid.

A task's ``prediction_map`` maps it back.
"""

LabelTable = NDArray[np.uint8]


def _table(mapping: dict[int, int], known: int) -> LabelTable:
    """Return a 256-entry lookup: mapped values, IGNORE for other ids below ``known``, else INVALID.

    255 is always IGNORE: it is what -1 (licence plate) becomes in an 8-bit file.
    """
    table = np.full(256, INVALID, np.uint8)
    table[:known] = IGNORE
    table[IGNORE] = IGNORE
    for raw, train in mapping.items():
        table[raw] = train
    return table


def label_id_table() -> LabelTable:
    """Return Cityscapes label id -> train id (also GTA5), uint8 (256,)."""
    return _table({raw: i for i, raw in enumerate(CITYSCAPES_TRAIN_TO_ID)}, CITYSCAPES_NUM_IDS)


def train_id_table(num_classes: int = 19) -> LabelTable:
    """Return the identity on train ids: anything else but 255 is INVALID, uint8 (256,)."""
    return _table({i: i for i in range(num_classes)}, num_classes)


def synthia_table(lane_marking: str = 'ignore') -> LabelTable:
    """Return SYNTHIA raw id -> train id, uint8 (256,).

    Args:
        lane_marking: ``'ignore'`` as in the shared table of the literature (raw id 22 is not in
            it), or ``'road'``.
    """
    require_known('lane_marking reading', lane_marking, ('ignore', 'road'))
    mapping = dict(SYNTHIA_RAW_TO_TRAIN)
    if lane_marking == 'road':
        mapping[SYNTHIA_LANE_MARKING] = 0
    return _table(mapping, SYNTHIA_NUM_IDS)


def camvid_table(label_space: str = 'camvid11') -> LabelTable:
    """Return CamVid id -> CamVid class, or its representative Cityscapes train id, uint8 (256,).

    11 is the void of the original SegNet release and is ignored like 255.
    """
    require_known('CamVid label space', label_space, ('camvid11', 'cityscapes19'))
    if label_space == 'cityscapes19':
        return _table(dict(enumerate(CAMVID_TO_CITYSCAPES)), 12)
    return _table({i: i for i in range(len(CAMVID_CLASSES))}, 12)


ENCODINGS = {
    'labelIds': label_id_table,
    'gta5': label_id_table,
    'labelTrainIds': train_id_table,
    'synthia': synthia_table,
    'synthia_lane_road': lambda: synthia_table('road'),
    'camvid': camvid_table,
    'camvid_as_cityscapes': lambda: camvid_table('cityscapes19'),
}
"""The lookup of each label encoding that files come in."""


def encoding_table(encoding: str) -> LabelTable:
    """Return the lookup raw value -> train id of a named encoding, uint8 (256,)."""
    require_known('label encoding', encoding, ENCODINGS)
    return ENCODINGS[encoding]()


def palette_image(labels: NDArray[np.uint8], palette: tuple = CITYSCAPES_PALETTE) -> NDArray:
    """Paint a train-id map: (H, W) uint8 -> (H, W, 3) uint8 RGB, ignored pixels black."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    return colours[labels]
