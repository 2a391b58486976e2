"""Archives for the test servers: names, ids, sizes, and a checker that sees what is wrong."""

import dataclasses
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from sfda_bench.board import submission as S
from sfda_bench.cli.scripts import export_submission
from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.labels import CITYSCAPES_TRAIN_TO_ID

IDS = {
    'cityscapes': ['berlin_000000_000019', 'berlin_000001_000019'],
    'acdc': ['GOPR0475_frame_000247', 'GP010376_frame_000056'],
}


def predictions(folder, server, size=None, values=range(19)):
    """One PNG an image, with every train id and some void."""
    folder.mkdir(exist_ok=True)
    width, height = size or S.SERVERS[server].size
    row = np.resize(np.array([*values, 255], np.uint8), width)
    for name in IDS[server]:
        Image.fromarray(np.tile(row, (height, 1))).save(folder / f'{name}.png')
    return folder


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {n: np.asarray(Image.open(io.BytesIO(archive.read(n)))) for n in archive.namelist()}


def test_cityscapes_gets_label_ids(tmp_path):
    source, out = predictions(tmp_path / 'p', 'cityscapes'), tmp_path / 'out.zip'
    assert S.export('cityscapes', source, out, expected=IDS['cityscapes']) == []
    found = members(out)
    assert sorted(found) == [f'{name}_pred_labelIds.png' for name in IDS['cityscapes']]
    first = found['berlin_000000_000019_pred_labelIds.png']
    assert first.shape == (1024, 2048) and first.ndim == 2
    assert first[0, :20].tolist() == [*CITYSCAPES_TRAIN_TO_ID, 0]


def test_acdc_gets_train_ids(tmp_path):
    source, out = predictions(tmp_path / 'p', 'acdc'), tmp_path / 'out.zip'
    assert S.export('acdc', source, out, expected=IDS['acdc']) == []
    found = members(out)
    assert sorted(found) == [f'labelTrainIds/{name}_rgb_anon.png' for name in IDS['acdc']]
    assert found[sorted(found)[0]][0, :20].tolist() == [*range(19), 255]


def test_the_official_evaluator_finds_our_files(tmp_path):
    """cityscapesscripts looks a prediction up by ``<city>_<sequence>_<frame>*``."""
    csh = pytest.importorskip('cityscapesscripts.helpers.csHelpers')
    name = S.SERVERS['cityscapes'].member(IDS['cityscapes'][0])
    parts = csh.getCsFileInfo(name)
    assert (parts.city, parts.sequenceNb, parts.frameNb) == ('berlin', '000000', '000019')


def test_the_same_predictions_give_the_same_archive(tmp_path):
    source = predictions(tmp_path / 'p', 'acdc')
    archives = [tmp_path / 'a.zip', tmp_path / 'b.zip']
    for out in archives:
        S.export('acdc', source, out)
    assert archives[0].read_bytes() == archives[1].read_bytes()


def test_the_number_of_images_is_checked(tmp_path):
    source = predictions(tmp_path / 'p', 'acdc')
    assert S.export('acdc', source, tmp_path / 'o.zip') == ['2 predictions, 2000 expected for test']
    found = S.export(
        'acdc', source, tmp_path / 'o.zip', expected=[IDS['acdc'][0], 'X_frame_000001']
    )
    assert len(found) == 2 and 'without a prediction' in found[0] and 'of no image' in found[1]


def archive(path, **images):
    with zipfile.ZipFile(path, 'w') as bundle:
        for name, image in images.items():
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, 'PNG')
            bundle.writestr(name.replace('__', '/') + '.png', buffer.getvalue())
    return path


@pytest.mark.parametrize(
    'name, image, message',
    [
        ('labelTrainIds__A_frame_000001_rgb', np.zeros((8, 8), np.uint8), 'pixels'),
        ('labelTrainIds__A_frame_000001', np.full((1080, 1920), 33, np.uint8), 'values [33]'),
        ('labelTrainIds__A_frame_000001', np.zeros((1080, 1920, 3), np.uint8), 'mode RGB'),
        ('A_frame_000001', np.zeros((1080, 1920), np.uint8), 'not named labelTrainIds/'),
    ],
)
def test_the_checker_sees(tmp_path, name, image, message):
    path = archive(tmp_path / 'x.zip', **{name: image})
    assert message in '\n'.join(S.check('acdc', path, expected=['A_frame_000001']))


def test_two_predictions_of_one_image(tmp_path):
    image = np.zeros((1080, 1920), np.uint8)
    names = {f'labelTrainIds__A_frame_000001{tail}': image for tail in ('', '_rgb')}
    found = S.check('acdc', archive(tmp_path / 'x.zip', **names), expected=['A_frame_000001'])
    assert found == ['A_frame_000001: more than one prediction']


def test_what_cannot_be_packed_is_refused(tmp_path):
    with pytest.raises(BenchError, match='no PNG files'):
        S.export('acdc', tmp_path, tmp_path / 'o.zip')
    with pytest.raises(UnknownNameError, match='did you mean cityscapes'):
        S.export('cityscape', tmp_path, tmp_path / 'o.zip')
    source = predictions(tmp_path / 'ids', 'acdc', values=[26])
    with pytest.raises(BenchError, match=r'holds \[26\]'):
        S.export('acdc', source, tmp_path / 'o.zip')
    Image.new('RGB', (4, 4)).save(tmp_path / 'c.png')
    with pytest.raises(BenchError, match='mode RGB'):
        S.export('acdc', tmp_path, tmp_path / 'o.zip')


def test_the_command(tmp_path, capsys):
    source, out = predictions(tmp_path / 'p', 'cityscapes'), tmp_path / 'out.zip'
    options = ['--server', 'cityscapes', '--out', str(out)]
    assert export_submission([*options, '--predictions', str(source)]) == 1
    assert 'do not submit it' in capsys.readouterr().err
    assert export_submission([*options, '--check', '--split', 'val']) == 1
    assert '2 predictions, 500 expected' in capsys.readouterr().err


@pytest.fixture
def ready(tmp_path, monkeypatch):
    """A folder of predictions for a server that wants these two, and their archive."""
    server = dataclasses.replace(S.SERVERS['acdc'], images={'test': 2, 'val': 2}, size=(40, 20))
    monkeypatch.setitem(S.SERVERS, 'acdc', server)
    source, out = predictions(tmp_path / 'p', 'acdc'), tmp_path / 'out.zip'
    assert S.export('acdc', source, out) == []
    return source, out


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, 'PNG')
    return buffer.getvalue()


SMALL = np.zeros((20, 40), np.uint8)


@pytest.mark.parametrize(
    'content, message',
    [
        (png(SMALL)[:50], 'cannot be decoded'),
        (b'', 'is empty'),
        (b'version https://git-lfs.github.com/spec/v1\n', 'pointer of git-lfs'),
        (b'<html></html>', 'web page'),
        (png(SMALL)[:50] + b'x' + png(SMALL)[51:], 'cannot be decoded'),
        (png(SMALL + 33), 'holds [33]'),
        (png(np.zeros((20, 40, 3), np.uint8)), 'mode RGB'),
        (png(SMALL[:10]), '(40, 10) pixels, (40, 20) expected'),
    ],
)
def test_an_archive_stands_until_the_new_one_is_good(ready, capsys, content, message):
    source, out = ready
    before = out.read_bytes()
    name = f'{IDS["acdc"][1]}.png'
    (source / name).write_bytes(content)
    options = ['--server', 'acdc', '--predictions', str(source), '--out', str(out)]
    assert export_submission(options) == 1
    error = capsys.readouterr().err
    assert message in error and IDS['acdc'][1] in error
    assert 'expected:' in error and 'fix:' in error
    assert out.read_bytes() == before and not list(out.parent.glob('.*'))
    (source / name).unlink()  # too few are no reason, either
    assert export_submission(options) == 1
    assert f'{out} was left as it is' in capsys.readouterr().err
    assert out.read_bytes() == before


def test_what_zip_adds_is_passed_over(ready):
    """``zip -r`` writes an entry for the folder itself; a stray file is named."""
    _, out = ready
    with zipfile.ZipFile(out, 'a') as archive:
        archive.writestr('labelTrainIds/', '')
    assert S.check('acdc', out) == []
    with zipfile.ZipFile(out, 'a') as archive:
        archive.writestr('labelTrainIds/.DS_Store', 'x')
    (found,) = S.check('acdc', out)
    assert '.DS_Store: not named' in found


def test_a_damaged_member_is_named(ready):
    _, out = ready
    data = bytearray(out.read_bytes())
    data[120] ^= 1  # its checksum does not fit any more
    out.write_bytes(data)
    (found,) = S.check('acdc', out)
    assert 'cannot be decoded' in found and 'CRC' in found
