"""Crop streams: case D of the IAPC sheet, what the branches share, and the colour policy."""

import numpy as np
import pytest

from sfda_bench.adapt import streams
from sfda_bench.adapt.colour_policy import POLICY, colour_autoaugment, strength
from sfda_bench.adapt.streams import CropStreams, PackSizes, mapped_corner
from sfda_bench.errors import BenchError

CASES = [
    ((512, 1024), (0, 0), (0, 0)),
    ((512, 1024), (128, 170), (192, 255)),
    ((512, 1024), (256, 512), (384, 768)),
    ((640, 1280), (192, 256), (192, 256)),
    ((768, 1536), (256, 341), (192, 255)),
    ((768, 1536), (512, 1024), (384, 768)),
]


@pytest.mark.parametrize(('scaled', 'corner', 'expected'), CASES)
def test_case_d(scaled, corner, expected):
    assert mapped_corner(corner, scaled, (640, 1280), (256, 512)) == expected


def test_a_crop_of_the_whole_image_maps_to_its_corner():
    assert mapped_corner((0, 0), (256, 512), (256, 512), (256, 512)) == (0, 0)


def item() -> dict:
    rows, columns = np.mgrid[0:48, 0:96]
    image = np.stack([rows * 5, columns * 2, rows + columns], axis=2).astype(np.uint8)
    label = (rows // 12 * 4 + columns // 24).astype(np.uint8)
    return {'img': image, 'gt_seg_map': label, 'ori_shape': (48, 96), 'sample_id': 'a'}


SETTINGS = {'base_size': (96, 48), 'crop_size': (16, 32), 'clean_size': (64, 32)}


def test_branches_sizes_and_labels():
    np.random.seed(0)
    found = CropStreams(**SETTINGS).transform(item())
    assert list(found) == ['source', 'student', 'memory', 'clean']
    assert {tuple(branch['inputs'].shape) for branch in found.values()} == {(3, 16, 32)}
    assert [name for name in found if 'gt_sem_seg' in found[name]['data_samples']] == ['student']
    assert found['student']['data_samples'].sample_id == 'a'


def test_at_scale_one_without_colour_all_streams_are_the_same_crop():
    np.random.seed(1)
    streams_ = CropStreams(**{**SETTINGS, 'clean_size': None}, scale=(1.0, 1.0), colour=False)
    found = streams_.transform(item())
    assert list(found) == ['source', 'student', 'memory']
    for name in ('student', 'memory'):
        assert found[name]['inputs'].equal(found['source']['inputs'])


def test_labels_and_pixels_are_mirrored_together():
    for seed in range(6):
        np.random.seed(seed)
        found = CropStreams(**SETTINGS, scale=(1.0, 1.0), colour=False).transform(item())
        rows, columns = found['student']['inputs'][0] // 5, found['student']['inputs'][1] // 2
        label = found['student']['data_samples'].gt_sem_seg.data[0]
        assert (label == rows // 12 * 4 + columns // 24).all()


def test_crops_are_drawn_again_until_they_hold_enough_classes():
    np.random.seed(2)
    few = CropStreams(**{**SETTINGS, 'crop_size': (20, 40)}, min_classes=5, tries=50)
    for _ in range(5):
        label = few.transform(item())['student']['data_samples'].gt_sem_seg.data
        assert len(label.unique()) > 5


def test_a_crop_larger_than_the_image_is_refused():
    with pytest.raises(BenchError, match='a crop of 512x256'):
        CropStreams(base_size=None, clean_size=None).transform(item())


def test_whole_images_at_several_sizes():
    found = PackSizes([(64, 32), 1.0, 1.25]).transform(item())
    shapes = [tuple(branch['inputs'].shape[1:]) for branch in found.values()]
    assert shapes == [(32, 64), (48, 96), (60, 120)]
    assert found['size2']['data_samples'].ori_shape == (48, 96)


def test_policy_has_no_geometry_and_18_entries():
    names = {operation for pair in POLICY for _, operation, _ in pair}
    assert len(POLICY) == 18
    assert not {name for name in names if 'shear' in name or 'rotate' in name}
    assert [strength('posterize', level) for level in range(10)] == [8, 8, 7, 7, 6, 6, 5, 5, 4, 4]
    assert strength('solarize', 0) == 256.0 and strength('solarize', 9) == 0.0
    assert strength('contrast', 8) == pytest.approx(0.8)


def test_colours_change_and_positions_do_not():
    np.random.seed(3)
    image = item()['img']
    seen = [colour_autoaugment(image) for _ in range(20)]
    assert all(found.shape == image.shape and found.dtype == np.uint8 for found in seen)
    assert any(not np.array_equal(found, image) for found in seen)
    # Inverting twice the channels' order would show here: blue stays where blue was.
    assert streams.resized(image, (96, 48), 'bicubic') is image
