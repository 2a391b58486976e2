"""Crop streams: case D of the IAPC sheet, what the branches share, and the colour policy."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from sfda_bench.adapt import crops
from sfda_bench.adapt.colour_policy import POLICY, colour_autoaugment, strength
from sfda_bench.adapt.crops import CropStreams, PackSizes, mapped_corner
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


@pytest.mark.parametrize('flip', [0.0, 1.0])
def test_what_each_branch_shows(monkeypatch, flip):
    """iapc.md section 6.1: source plain, student recoloured, memory at scale 1, one mirror."""
    policy(monkeypatch, ((1.0, 'invert', 4), NEVER))
    settings = {**SETTINGS, 'scale': (1.5, 1.5), 'flip': flip}
    for seed in range(4):
        np.random.seed(seed)
        found = CropStreams(**settings).transform(item())
        maps = {name: np.asarray(found[name]['inputs']).astype(int) for name in found}
        if flip:
            maps = {name: image[:, :, ::-1] for name, image in maps.items()}
        source, student, memory = (maps[name] for name in ('source', 'student', 'memory'))
        assert np.array_equal(student, 255 - source)
        row, column = memory[0, 0, 0] // 5, memory[1, 0, 0] // 2
        image = item()['img'].transpose(2, 0, 1)
        assert np.array_equal(memory, image[:, row : row + 16, column : column + 32])
        # In the scaled image a pixel is 5 / 1.5 and 2 / 1.5 grey levels from the next.
        assert np.diff(source[1].mean(axis=0)).mean() == pytest.approx(2 / 1.5, abs=0.1)
        corner = tuple(round(source[i].min() / step * 1.5) for i, step in ((0, 5), (1, 2)))
        place = mapped_corner(corner, (72, 144), (48, 96), (16, 32))
        assert np.abs(np.subtract(place, (row, column))).max() <= 1


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


@pytest.mark.parametrize(('classes', 'draws'), [(10, 4), (11, 1)])
def test_a_crop_must_hold_more_classes_than_the_least(classes, draws, monkeypatch):
    """Ten are too few, as in the code (`> 10`), and the last crop is taken whatever it holds."""
    crops = CropStreams(**SETTINGS, min_classes=10, tries=4)
    label = np.resize(np.arange(classes, dtype=np.uint8), (48, 96))
    corners = []

    def corner(image):
        corners.append((0, 0))
        return corners[-1]

    monkeypatch.setattr(crops, '_random_corner', corner)
    crops._corner(label)
    assert len(corners) == draws


def test_a_crop_larger_than_the_image_is_refused():
    with pytest.raises(BenchError, match='a crop of 512x256'):
        CropStreams(base_size=None, clean_size=None).transform(item())


def test_whole_images_at_several_sizes():
    found = PackSizes([(64, 32), 1.0, 1.25]).transform(item())
    shapes = [tuple(branch['inputs'].shape[1:]) for branch in found.values()]
    assert shapes == [(32, 64), (48, 96), (60, 120)]
    assert found['size2']['data_samples'].ori_shape == (48, 96)


# --- the colour policy ------------------------------------------------------------------------

#: iapc.md section 6.1: (probability operation level) pairs and how often each stands in the list.
TABLE = [
    (2, '.6 solarize 5, .6 autocontrast'),
    (2, '.8 equalize, .6 equalize'),
    (1, '.6 posterize 7, .6 posterize 6'),
    (2, '.4 equalize, .2 solarize 4'),
    (1, '.6 solarize 3, .6 equalize'),
    (1, '.8 posterize 5, 1 equalize'),
    (1, '.6 equalize, .4 posterize 6'),
    (1, '0 equalize, .8 equalize'),
    (2, '.6 invert, 1 equalize'),
    (2, '.6 color 4, 1 contrast 8'),
    (1, '.8 color 8, .8 solarize 7'),
    (1, '.4 sharpness 7, .6 invert'),
    (1, '.4 color 0, .6 equalize'),
]
WITHOUT_LEVEL = ('autocontrast', 'equalize', 'invert')


def written(pair) -> str:
    """A pair of the policy as the sheet writes it."""
    words = []
    for probability, name, level in pair:
        number = f'{probability:g}'.removeprefix('0') or '0'
        words.append(f'{number} {name}' if name in WITHOUT_LEVEL else f'{number} {name} {level}')
    return ', '.join(words)


def test_the_policy_of_the_sheet():
    expected = sorted(pair for number, pair in TABLE for _ in range(number))
    assert len(expected) == 18
    assert sorted(written(pair) for pair in POLICY) == expected


def test_levels_of_the_sheet():
    """Section 6.1: grids of ten points."""
    for name in ('color', 'contrast', 'sharpness'):
        assert [strength(name, i) for i in range(10)] == pytest.approx(np.linspace(0, 0.9, 10))
    bits = [strength('posterize', level) for level in range(10)]
    assert bits == [8, 8, 7, 7, 6, 6, 5, 5, 4, 4]
    thresholds = [strength('solarize', level) for level in range(10)]
    assert thresholds == pytest.approx(np.linspace(256, 0, 10))


def policy(monkeypatch, *pairs):
    monkeypatch.setattr('sfda_bench.adapt.colour_policy.POLICY', pairs)


def with_pillow(image, change) -> np.ndarray:
    """What Pillow, which works on RGB, makes of a BGR image."""
    return np.asarray(change(Image.fromarray(image[:, :, ::-1].copy())))[:, :, ::-1]


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(30, 220, (48, 96, 3), dtype=np.uint8)


NEVER = (0.0, 'invert', 0)


@pytest.mark.parametrize(
    ('name', 'level', 'changes'),
    [
        ('posterize', 5, [lambda image: ImageOps.posterize(image, 6)]),
        ('solarize', 5, [lambda image: ImageOps.solarize(image, 114)]),
        ('autocontrast', 5, [ImageOps.autocontrast]),
        ('equalize', 8, [ImageOps.equalize]),
        ('invert', 4, [ImageOps.invert]),
        ('color', 8, [lambda image, f=f: ImageEnhance.Color(image).enhance(f) for f in (0.2, 1.8)]),
        ('contrast', 8, [lambda i, f=f: ImageEnhance.Contrast(i).enhance(f) for f in (0.2, 1.8)]),
        ('sharpness', 7, [lambda i, f=f: ImageEnhance.Sharpness(i).enhance(f) for f in (0.3, 1.7)]),
    ],
)
def test_each_operation_is_pillows_on_rgb(monkeypatch, name, level, changes):
    """Channels and positions stay; a factor is 1 plus or minus its strength, either sign."""
    policy(monkeypatch, ((1.0, name, level), NEVER))
    np.random.seed(3)
    image = noise()
    expected = [with_pillow(image, change) for change in changes]
    for other in (image, image[:, :, ::-1], image[:, ::-1], image[::-1]):
        assert not any(np.array_equal(wanted, other) for wanted in expected)
    seen = set()
    for _ in range(12):
        found = colour_autoaugment(image)
        assert found.dtype == np.uint8
        equal = [np.abs(found.astype(int) - wanted).max() <= 1 for wanted in expected]
        assert sum(equal) == 1
        seen.add(equal.index(True))
    assert seen == set(range(len(changes)))


def test_two_operations_follow_each_other(monkeypatch):
    policy(monkeypatch, ((1.0, 'invert', 4), (1.0, 'solarize', 5)))
    image = noise()
    expected = with_pillow(image, lambda rgb: ImageOps.solarize(ImageOps.invert(rgb), 114))
    assert np.array_equal(colour_autoaugment(image), expected)
    turned = with_pillow(image, lambda rgb: ImageOps.invert(ImageOps.solarize(rgb, 114)))
    assert not np.array_equal(turned, expected)


def test_pairs_are_drawn_uniformly_and_operations_apart(monkeypatch):
    """One of two pairs; the first's operations have probabilities 0.6 and 0.2."""
    policy(monkeypatch, ((0.6, 'invert', 4), (0.2, 'posterize', 9)), (NEVER, NEVER))
    image = np.full((1, 1, 3), 203, np.uint8)
    names = {203: 'none', 52: 'invert', 192: 'posterize', 48: 'both'}
    np.random.seed(4)
    drawn = [names[int(colour_autoaugment(image)[0, 0, 0])] for _ in range(4000)]
    expected = {'none': 0.5 + 0.5 * 0.32, 'invert': 0.24, 'posterize': 0.04, 'both': 0.06}
    for name, share in expected.items():
        assert drawn.count(name) / 4000 == pytest.approx(share, abs=0.025), name


def test_an_image_of_the_right_size_is_not_resampled():
    image = item()['img']
    assert crops.resized(image, (96, 48), 'bicubic') is image
