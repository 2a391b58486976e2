"""Temporary folders with short names; loader workers in folders with long ones."""

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sfda_bench.errors import BenchError
from sfda_bench.plan.expand import Selection, make_plan
from sfda_bench.plan.selectors import parse_method
from sfda_bench.run import temporary
from sfda_bench.store.runs import Store

LONG = 'a_name_that_is_longer_than_those_that_anybody_would_give_to_a_folder' * 2


def test_a_short_folder_lies_in_the_usual_place_and_goes(tmp_path, monkeypatch):
    monkeypatch.setattr('tempfile.tempdir', '/tmp')
    with temporary.short_folder() as folder:
        assert folder.is_dir() and folder.parent == Path('/tmp').resolve()
        assert folder.stat().st_mode & 0o077 == 0
        (folder / 'some').write_text('thing')
    assert not folder.exists()


def test_a_long_temporary_folder_is_not_used(tmp_path, monkeypatch):
    (tmp_path / LONG).mkdir()
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path / LONG))
    with temporary.short_folder() as folder:
        socket = folder / 'pymp-12345678' / 'listener-12345678'
        assert len(os.fsencode(socket)) <= 107


def test_nowhere_to_write_is_an_error_that_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path / LONG))
    monkeypatch.setattr(temporary.os, 'access', lambda *_: False)
    with pytest.raises(BenchError, match='TMPDIR'), temporary.short_folder():
        pass


@pytest.mark.parametrize('name', ['runs', LONG])
def test_loader_workers_work_under_the_seal(bench, name):
    """As a stage has them, in a store with any name: they hand on tensors over a socket."""
    bench.store = Store(bench.folder / name)
    selection = Selection(['gta5_to_cityscapes'], None, [parse_method('bn_adapt[iters=3]')], None)
    plan = make_plan(bench.suite, selection, bench.data_root, bench.store, workers=2)
    assert plan.stages[plan.entries[0].stages[1]].config['train_dataloader']['num_workers'] == 2
    summary = bench.run(plan)
    assert summary.failures == [] and len(summary.written) == 1
    record = json.loads(summary.written[0].read_text(encoding='utf-8'))
    assert record['guard']['verdict'] in ('sealed', 'files only')


def test_a_run_starts_with_a_long_temporary_folder(bench, tmp_path):
    """The fork server is reached by a socket, too."""
    folder = tmp_path / LONG
    folder.mkdir()
    command = [
        sys.executable, 'tools/run_suite.py', 'run', '--suite', bench.suite, '--data-root',
        str(bench.data_root), '--runs', str(bench.store.root), '--records', str(bench.records),
        '--task', 'gta5_to_cityscapes', '--method', 'bn_adapt[iters=2]',
    ]  # fmt: skip
    done = subprocess.run(
        command,
        env={**os.environ, 'TMPDIR': str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(bench.records.rglob('*.json'))) == 1


class _Unsendable(torch.utils.data.Dataset):
    """Its items cannot be pickled, which shows only when a worker hands them on."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int):
        return lambda: index


def _read_unsendable(say) -> None:
    temporary.end_with_lost_batches()
    # mmengine, too, forks the workers
    loader = torch.utils.data.DataLoader(
        _Unsendable(), num_workers=1, batch_size=None, multiprocessing_context='fork'
    )
    try:
        list(loader)
    except RuntimeError as error:
        say.send(str(error))


def test_a_batch_that_cannot_be_handed_on_ends_the_run():
    context = multiprocessing.get_context('spawn')
    hear, say = context.Pipe(duplex=False)
    process = context.Process(target=_read_unsendable, args=(say,))
    process.start()
    try:
        assert hear.poll(90), 'the loader waits for a batch that was lost'
        assert 'exited unexpectedly' in hear.recv()
    finally:
        process.kill()
        process.join()
