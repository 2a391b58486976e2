from __future__ import annotations

from pathlib import Path

import pytest

from sfda_bench.atomic import write_text, write_with
from sfda_bench.store.runs import StageStatus, Store, sha256_file


def status(state='done', **more) -> StageStatus:
    return StageStatus(id='a1', name='adapt', kind='adapt', title='t', state=state, **more)


def test_done_needs_the_state_and_the_outputs(tmp_path: Path):
    store = Store(tmp_path)
    assert not store.is_done('a1')
    store.write(status('running'))
    assert not store.is_done('a1')
    write_text(store.path('a1') / 'final.pth', 'weights')
    checksum = sha256_file(store.path('a1') / 'final.pth')
    store.write(status(outputs={'final.pth': checksum}))
    assert store.is_done('a1') and store.verify('a1') == []
    (store.path('a1') / 'final.pth').write_text('other')
    assert store.verify('a1') == ['final.pth']
    (store.path('a1') / 'final.pth').unlink()
    assert not store.is_done('a1')


def test_a_truncated_status_is_no_status(tmp_path: Path):
    store = Store(tmp_path)
    store.write(status())
    path = store.path('a1') / 'stage.json'
    path.write_text(path.read_text()[:20])
    assert store.status('a1') is None and not store.is_done('a1')


def test_states_are_a_closed_list():
    with pytest.raises(ValueError, match='finished'):
        status('finished')


def test_only_one_takes_a_lock(tmp_path: Path):
    store = Store(tmp_path)
    lock = store.try_lock('a1')
    assert lock is not None
    assert Store(tmp_path).try_lock('a1') is None
    lock.release()
    assert Store(tmp_path).try_lock('a1') is not None


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path):
    path = tmp_path / 'x.json'
    write_text(path, 'old')

    def broken(temporary: Path) -> None:
        temporary.write_text('half')
        raise OSError('disk full')

    with pytest.raises(OSError, match='disk full'):
        write_with(path, broken)
    assert path.read_text() == 'old'
    assert [p.name for p in tmp_path.iterdir()] == ['x.json']
