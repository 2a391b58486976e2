"""Lists of images as people have them."""

import pytest

from sfda_bench.data.lists import read_list, require_listed
from sfda_bench.errors import DataError

NAMES = ['0001TP_006690', 'aachen_000000_000019', 'Seq05VD_f00000']
TEXT = ''.join(f'{name}\n' for name in NAMES)


@pytest.mark.parametrize(
    'data',
    [
        TEXT.encode(),
        TEXT.encode('utf-8-sig'),
        TEXT.encode('utf-16'),
        b'\xff\xfe' + TEXT.encode('utf-16-le'),
        b'\xfe\xff' + TEXT.encode('utf-16-be'),
        TEXT.encode('utf-32'),
        TEXT.replace('\n', '\r\n').encode(),
        TEXT.replace('\n', '\r').encode(),
        ('# a comment\n\n' + TEXT.replace('\n', '  \n\n')).encode(),
        TEXT.rstrip('\n').encode(),
        ''.join(f'/SegNet/train/{n}.png /SegNet/trainannot/{n}.png\n' for n in NAMES).encode(),
        ''.join(f'leftImg8bit\\train\\{n}.PNG\n' for n in NAMES).encode(),
        ''.join(f'{n}.jpg\n' for n in NAMES).encode(),
    ],
    ids=['plain', 'bom', 'utf-16', 'utf-16-le', 'utf-16-be', 'utf-32', 'crlf', 'cr', 'comments',
         'no end', 'pairs', 'windows', 'files'],
)  # fmt: skip
def test_every_way_to_write_a_list_is_read(tmp_path, data):
    path = tmp_path / 'l.txt'
    path.write_bytes(data)
    assert read_list(path) == NAMES


@pytest.mark.parametrize(
    ('data', 'word'),
    [
        (b'', 'names no sample'),
        (b'\n \n# only comments\n', 'names no sample'),
        (TEXT.encode() + b'0001TP_006690\n', 'twice: 0001TP_006690'),
        (TEXT.encode() + b'images/0001TP_006690.png\n', 'twice'),
        (b'caf\xe9\n', 'is not text'),
        (TEXT.encode('utf-16-le'), 'is not text'),
        (b'\x89PNG\r\n\x1a\n\x00\x00', 'is not text'),
    ],
)
def test_what_is_no_list_is_refused_by_name(tmp_path, data, word):
    path = tmp_path / 'l.txt'
    path.write_bytes(data)
    with pytest.raises(DataError, match=word) as error:
        read_list(path)
    assert str(path) in error.value.found


def test_a_list_that_is_not_there_or_a_folder(tmp_path):
    for path in (tmp_path / 'absent.txt', tmp_path):
        with pytest.raises(DataError, match='no list'):
            read_list(path)


def test_a_name_that_is_not_in_the_split_gets_the_nearest(tmp_path):
    require_listed(NAMES[:1], NAMES, 'l.txt')
    with pytest.raises(DataError, match=r'1 ids of l\.txt') as error:
        require_listed(['0001TP_06690'], NAMES, 'l.txt')
    assert '0001TP_006690' in error.value.expected
