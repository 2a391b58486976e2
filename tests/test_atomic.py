"""Files that belong together are replaced together; devices and pipes are written, not replaced."""

import os
import stat
import threading

import pytest

from sfda_bench import atomic


def test_all_or_nothing(tmp_path):
    a, b = tmp_path / 'a', tmp_path / 'b'
    a.write_text('old')
    b.mkdir()
    with pytest.raises(IsADirectoryError, match=str(b)):
        atomic.write_all({a: b'new', b: b'new'})
    assert a.read_text() == 'old' and sorted(p.name for p in tmp_path.iterdir()) == ['a', 'b']
    b.rmdir()
    atomic.write_all({a: b'new', b: b'other'})
    assert (a.read_text(), b.read_text()) == ('new', 'other')


@pytest.mark.parametrize('write', [atomic.write_bytes, lambda p, d: atomic.write_all({p: d})])
def test_a_pipe_stays_a_pipe(tmp_path, write):
    pipe, got = tmp_path / 'pipe', []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write(pipe, b'text')
    reader.join(10)
    assert got == [b'text'] and stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_folder_is_swapped_when_it_is_complete(tmp_path):
    folder = tmp_path / 'gallery'
    folder.mkdir()
    (folder / 'old').write_text('x')
    with pytest.raises(FileExistsError, match=str(folder)):
        atomic.write_folder(folder, {'a': b'1', 'a/b': b'2'})
    assert [p.name for p in tmp_path.rglob('*')] == ['gallery', 'old']
    atomic.write_folder(folder, {'a/b': b'2'})
    assert (folder / 'a' / 'b').read_bytes() == b'2' and not (folder / 'old').exists()
    assert len(list(tmp_path.iterdir())) == 1
