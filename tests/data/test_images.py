"""Images are read as they are stored, the same whatever the library."""

import io

import numpy as np
import pytest
from PIL import Image

from sfda_bench.data.images import ORIENTATION, open_image, orientation
from sfda_bench.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 255, (24, 40, 3), dtype=np.uint8)


def tagged(value):
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return exif


@pytest.mark.parametrize('suffix', ['png', 'jpg'])
@pytest.mark.parametrize('value', range(2, 9))
def test_an_orientation_tag_turns_nothing(tmp_path, suffix, value):
    path = tmp_path / f'a.{suffix}'
    smooth = Image.fromarray(PIXELS).resize((160, 96), Image.Resampling.BICUBIC)
    smooth.save(path, exif=tagged(value), quality=100, subsampling=0)
    ours, theirs = open_image(path, 'cv2'), open_image(path, 'pillow')
    assert ours.shape == theirs.shape == (96, 160, 3)
    assert np.abs(ours.astype(int) - theirs).max() <= (0 if suffix == 'png' else 8)
    assert orientation(path) == value


def save(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize('mode', ['RGB', 'L', 'P', 'RGBA', 'LA', '1'])
def test_every_kind_of_png_gives_the_same_pixels(tmp_path, mode):
    image = Image.fromarray(PIXELS)
    image = image.convert('RGB').convert(mode) if mode != 'LA' else image.convert('L').convert('LA')
    path = save(tmp_path / 'a.png', image)
    assert (open_image(path, 'cv2') == open_image(path, 'pillow')).all()
    assert orientation(path) == 1


def test_what_libraries_read_differently_is_refused(tmp_path):
    deep = save(tmp_path / 'deep.png', Image.fromarray(np.full((4, 4), 40000, np.uint16)))
    inks = save(tmp_path / 'inks.jpg', Image.fromarray(PIXELS).convert('CMYK'))
    for path, word in ((deep, '16 bits'), (inks, 'CMYK')):
        for lib in ('cv2', 'pillow'):
            with pytest.raises(DataError, match=word) as error:
                open_image(path, lib)
            assert path.name in error.value.found and error.value.fix


def encoded(kind):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    'data',
    [b'', b'<html>', encoded('PNG')[:-20], encoded('JPEG')[: len(encoded('JPEG')) // 2],
     encoded('GIF'), encoded('PNG')[:60] + bytes(40) + encoded('PNG')[100:]],
    ids=['empty', 'html', 'cut png', 'cut jpeg', 'gif', 'damaged png'],
)  # fmt: skip
@pytest.mark.parametrize('lib', ['cv2', 'pillow'])
def test_what_cannot_be_read_is_named(tmp_path, data, lib):
    path = tmp_path / 'a.png'
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        open_image(path, lib)
    assert 'a.png' in error.value.found
    with pytest.raises(DataError, match='cannot read'):
        open_image(tmp_path / 'absent.png', lib)
