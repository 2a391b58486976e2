"""Loading and resizing: exact pixels, and clear errors for what published numbers tripped over."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFilter

from sfda_bench.data.decode import decode_label
from sfda_bench.data.png import encode_png
from sfda_bench.data.transforms import (
    KeepClasses,
    LoadImage,
    LoadTrainIds,
    RandomBlur,
    ResizeTo,
    nearest,
    reads_labels,
)
from sfda_bench.errors import DataError


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.RandomState(0).randint(0, 256, (20, 30, 3), np.uint8)
    path = tmp_path / 'image.png'
    path.write_bytes(encode_png(pixels))
    return path, pixels


@pytest.mark.parametrize('lib', ['cv2', 'pillow'])
def test_images_are_bgr_whatever_the_library(picture, lib):
    path, pixels = picture
    out = LoadImage(lib).transform({'img_path': str(path)})
    assert (out['img'] == pixels[:, :, ::-1]).all()
    assert out['ori_shape'] == out['img_shape'] == (20, 30)


@pytest.mark.parametrize('lib', ['cv2', 'pillow'])
@pytest.mark.parametrize('suffix', ['png', 'jpg'])
def test_truncated_images_are_named(tmp_path, lib, suffix):
    path = tmp_path / f'cut.{suffix}'
    Image.fromarray(np.random.RandomState(0).randint(0, 256, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=f'cut.{suffix} is truncated'):
        LoadImage(lib).transform({'img_path': str(path)})


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r'cannot read .*none.png'):
        LoadImage().transform({'img_path': str(tmp_path / 'none.png')})
    (tmp_path / 'text.png').write_text('no image')
    with pytest.raises(DataError, match='neither PNG nor JPEG'):
        LoadImage().transform({'img_path': str(tmp_path / 'text.png')})


def label_file(tmp_path, pixels, palette=None):
    path = tmp_path / 'label.png'
    path.write_bytes(encode_png(pixels, palette))
    return path


def test_gta5_palette_gives_indices_not_colours(tmp_path):
    ids = np.array([[7, 8], [33, 34]], np.uint8)
    path = label_file(tmp_path, ids, [(i, 255 - i, 7) for i in range(256)])
    assert decode_label(path, 'gta5').tolist() == [[0, 1], [18, 255]]


def test_colour_labels_are_refused(tmp_path):
    path = label_file(tmp_path, np.zeros((2, 2, 3), np.uint8))
    for encoding in ('gta5', 'labelIds'):
        with pytest.raises(DataError, match='holds colours'):
            decode_label(path, encoding)


def test_label_ids_read_as_train_ids_are_refused(tmp_path):
    path = label_file(tmp_path, np.array([[7, 26]], np.uint8))
    with pytest.raises(DataError, match=r'\[26\].*\n.*\n.*label ids'):
        decode_label(path, 'labelTrainIds')


def test_synthia_class_is_the_last_channel(tmp_path):
    raw = np.zeros((1, 3, 3), np.uint16)
    raw[0, :, 0], raw[0, :, 1] = (3, 11, 22), (500, 501, 502)
    path = label_file(tmp_path, raw)
    assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[0, :, -1].tolist() == [3, 11, 22]
    assert decode_label(path, 'synthia').tolist() == [[0, 18, 255]]
    swapped = label_file(tmp_path, raw[:, :, ::-1].copy()[:, :, [1, 0, 2]])
    with pytest.raises(DataError, match='last channel'):
        decode_label(swapped, 'synthia')


def test_synthia_8_bit_is_refused(tmp_path):
    path = label_file(tmp_path, np.zeros((2, 2), np.uint8))
    with pytest.raises(DataError, match='uint8'):
        decode_label(path, 'synthia')


def test_size_mismatch_raises_unless_the_data_set_is_known_for_it(tmp_path):
    path = label_file(tmp_path, np.full((4, 4), 7, np.uint8))
    item = {'seg_map_path': str(path), 'label_encoding': 'labelIds', 'ori_shape': (8, 6)}
    with pytest.raises(DataError, match=r'is 4x4'):
        LoadTrainIds().transform(dict(item))
    out = LoadTrainIds().transform({**item, 'size_mismatch': 'resize'})
    assert out['gt_seg_map'].shape == (8, 6) and out['seg_fields'] == ['gt_seg_map']


def test_resize_matches_the_libraries_pixel_for_pixel(picture):
    image = picture[1]
    for lib, mode, expected in (
        ('pillow', 'bicubic', np.asarray(Image.fromarray(image).resize((15, 10), Image.BICUBIC))),
        ('pillow', 'bilinear', np.asarray(Image.fromarray(image).resize((15, 10), Image.BILINEAR))),
        ('cv2', 'bilinear', cv2.resize(image, (15, 10), interpolation=cv2.INTER_LINEAR)),
        ('cv2', 'bicubic', cv2.resize(image, (15, 10), interpolation=cv2.INTER_CUBIC)),
    ):
        out = ResizeTo((15, 10), lib, mode).transform({'img': image.copy(), 'ori_shape': (20, 30)})
        assert (out['img'] == expected).all(), (lib, mode)
        assert out['ori_shape'] == (20, 30) and out['scale_factor'] == (0.5, 0.5)


def test_antialiasing_is_what_tells_pillow_from_cv2(picture):
    image = picture[1]
    spread = {
        lib: ResizeTo((6, 4), lib, 'bilinear').transform({'img': image})['img'].std()
        for lib in ('pillow', 'cv2')
    }
    assert spread['pillow'] < 0.75 * spread['cv2']


def test_resize_takes_loaded_labels_along(picture):
    label = np.arange(16, dtype=np.uint8).reshape(4, 4)
    item = {'img': np.zeros((4, 4, 3), np.uint8), 'gt_seg_map': label, 'seg_fields': ['gt_seg_map']}
    for lib, expected in (('cv2', [[0, 2], [8, 10]]), ('pillow', [[5, 7], [13, 15]])):
        out = ResizeTo((2, 2), lib=lib).transform(dict(item))
        assert out['gt_seg_map'].tolist() == expected
    assert ResizeTo(None).transform({'img': picture[1]})['scale_factor'] == (1.0, 1.0)


@pytest.mark.parametrize('size', [(96, 48), (131, 77), (40, 90)])
def test_labels_are_resized_as_the_library_does_it(size):
    """Half a pixel between them: about one label in a hundred at a training size."""
    label = np.random.default_rng(0).integers(0, 19, (96, 192), dtype=np.uint8)
    pillow = np.asarray(Image.fromarray(label).resize(size, Image.Resampling.NEAREST))
    opencv = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)
    assert (nearest(label, size, 'pillow') == pillow).all()
    assert (nearest(label, size, 'cv2') == opencv).all()
    assert (pillow != opencv).any(), 'the comparison would be empty'


def test_label_loaders_are_found_in_nested_pipelines():
    nested = [dict(type='MultiView', views=dict(weak=[dict(type='LoadAnnotations')]))]
    assert reads_labels(nested) == 'LoadAnnotations'
    assert reads_labels([LoadImage(), LoadTrainIds()]) == 'LoadTrainIds'
    assert reads_labels([dict(type='LoadImage'), dict(type='ResizeTo', size=(2, 2))]) is None


def test_classes_a_network_lacks_are_ignored():
    label = np.array([[0, 9, 10], [18, 255, 16]], np.uint8)
    out = KeepClasses('synthia16').transform({'gt_seg_map': label})
    assert out['gt_seg_map'].tolist() == [[0, 255, 9], [15, 255, 255]]
    assert label[0, 1] == 9, 'the given labels are left alone'


def test_blur_smooths_about_every_second_image():
    image = np.random.RandomState(0).randint(0, 256, (16, 16, 3), np.uint8)
    np.random.seed(0)
    blur = RandomBlur(prob=0.5, radius=(1.0, 1.0))
    outs = [blur.transform({'img': image})['img'] for _ in range(200)]
    changed = [out for out in outs if not np.array_equal(out, image)]
    assert 70 < len(changed) < 130
    assert changed[0].std() < 0.6 * image.std() and changed[0].dtype == np.uint8
    expected = Image.fromarray(image).filter(ImageFilter.GaussianBlur(1.0))
    assert np.array_equal(changed[0], np.array(expected))
