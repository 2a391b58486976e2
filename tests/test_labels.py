"""Label tables against the official ones."""

import numpy as np
import pytest

from sfda_bench import labels
from sfda_bench.data.tasks import load_task
from sfda_bench.errors import UnknownNameError


def test_cityscapes_tables_agree_with_cityscapesscripts():
    official = pytest.importorskip('cityscapesscripts.helpers.labels')
    table = labels.label_id_table()
    for label in official.labels:
        if label.id >= 0:
            assert table[label.id] == (255 if label.trainId in (-1, 255) else label.trainId)
        if 0 <= label.trainId < 19:
            assert labels.CITYSCAPES_CLASSES[label.trainId] == label.name
            assert labels.CITYSCAPES_PALETTE[label.trainId] == label.color
            assert labels.CITYSCAPES_TRAIN_TO_ID[label.trainId] == label.id


def test_unknown_ids_are_marked_and_255_is_ignored():
    table = labels.label_id_table()
    assert table[255] == labels.IGNORE
    assert (table[35:255] == labels.INVALID).all()
    assert labels.train_id_table()[19] == labels.INVALID


def test_synthia_has_its_sixteen_classes_and_two_readings_of_lane_marking():
    ignored, road = labels.synthia_table(), labels.synthia_table('road')
    assert ignored[22] == 255 and road[22] == 0
    assert (ignored[:22] == road[:22]).all()
    assert ignored[3] == 0 and ignored[11] == 18 and ignored[0] == 255
    absent = set(range(19)) - set(labels.SYNTHIA16)
    assert [labels.CITYSCAPES_CLASSES[i] for i in sorted(absent)] == ['terrain', 'truck', 'train']
    dropped = set(labels.SYNTHIA16) - set(labels.SYNTHIA13)
    assert [labels.CITYSCAPES_CLASSES[i] for i in sorted(dropped)] == ['wall', 'fence', 'pole']


def test_synthia_reading_gets_a_hint():
    with pytest.raises(UnknownNameError, match='did you mean ignore'):
        labels.synthia_table('ignored')


def test_camvid_representatives_map_back():
    back = load_task('cityscapes_to_camvid')['prediction_map']
    for camvid, train in enumerate(labels.CAMVID_TO_CITYSCAPES):
        assert back[train] == camvid
    assert labels.camvid_table()[11] == 255


def test_train_ids_to_label_ids_and_back():
    back = labels.label_id_table()[list(labels.CITYSCAPES_TRAIN_TO_ID)]
    assert back.tolist() == list(range(19))


def test_palette_image():
    picture = labels.palette_image(np.array([[0, 255]], np.uint8))
    assert picture.tolist() == [[[128, 64, 128], [0, 0, 0]]]


@pytest.mark.parametrize('encoding', labels.ENCODINGS)
def test_every_encoding_maps_into_train_ids(encoding):
    values = set(np.unique(labels.encoding_table(encoding)).tolist())
    assert values <= {*range(19), labels.IGNORE, labels.INVALID}
