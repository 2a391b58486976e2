"""Damaged files inside a data set, and disks that cannot be written: told by stages and doctor."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sfda_bench.cli.scripts import prepare_data
from sfda_bench.run.execute import prepare
from sfda_bench.run.worker import execute
from tests import bad_inputs as table
from tests.harness import SUITE, Bench
from tests.test_bad_inputs import USER, _works

ROOT = Path(__file__).parents[1]
#: What a user sees of a stage or of the doctor.
PARTS = ('expected:', 'fix:')


def _smaller(path: Path, good: bytes) -> None:
    image = Image.open(io.BytesIO(good))
    image.crop((0, 0, image.width, image.height - 4)).save(path)


def _sixteen_bits(path: Path, good: bytes) -> None:
    pixels = np.asarray(Image.open(io.BytesIO(good)))
    assert cv2.imwrite(str(path), pixels.astype(np.uint16))


def _colours(path: Path, good: bytes) -> None:
    Image.open(io.BytesIO(good)).convert('RGB').save(path)


def _palette(path: Path, good: bytes) -> None:
    """The same pixels, as a palette and its indices."""
    image = Image.open(io.BytesIO(good))
    if image.mode == 'L':
        indices = Image.fromarray(np.asarray(image), 'P')
        indices.putpalette(list(range(256)) * 3)
        indices.save(path)
    else:
        image.quantize(8).save(path)


FILES = ('cut', 'empty', 'web page', 'git-lfs pointer', 'noise', 'folder', 'dangling link')
DAMAGES: dict[str, Callable[[Path, bytes], object]] = {
    **{kind: table.FILES[kind] for kind in FILES},
    'wrong size': _smaller,
    '16 bits': _sixteen_bits,
}
IMAGE, LABEL = 'images', 'labels'
CELLS = [
    *((kind, folder) for kind in DAMAGES for folder in (IMAGE, LABEL)),
    ('colours', LABEL),
    ('beyond the classes', LABEL),
]


def _beyond(path: Path, good: bytes) -> None:
    """Values that no class has."""
    Image.fromarray(np.full_like(np.asarray(Image.open(io.BytesIO(good))), 77)).save(path)


DAMAGES |= {'colours': _colours, 'beyond the classes': _beyond}


def _spoil(root: Path, kind: str, folder: str, pattern: str = '*.png') -> Path:
    """Damage the first file of a folder; returns it."""
    path = sorted((root / folder).rglob(pattern))[0]
    good = path.read_bytes()
    path.unlink()
    ({'palette': _palette} | DAMAGES)[kind](path, good)
    return path


def _doctor(root: Path, *options: str) -> tuple[int, str]:
    said = io.StringIO()
    argv = ['doctor', '--data-root', str(root), '--dataset', 'gta5', '--workers', '1', *options]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = prepare_data(argv)
    return code, said.getvalue()


def _wrong(code: int, said: str, *names: str) -> list[str]:
    found = [] if code == 1 else [f'exit code {code}']
    found += ['traceback'] if 'Traceback' in said else []
    return found + [f'{part!r} is not said' for part in (*names, *PARTS) if part not in said]


@pytest.fixture
def own(pocket_root, tmp_path) -> Path:
    """A data root whose source data may be damaged."""
    root = tmp_path / 'data'
    root.mkdir()
    shutil.copytree(pocket_root / 'gta5', root / 'gta5')
    (root / 'cityscapes').symlink_to(pocket_root / 'cityscapes')
    shutil.copy(pocket_root / 'pocket.json', root)
    return root


@pytest.mark.parametrize('kind, folder', CELLS, ids=[' of '.join(cell) for cell in CELLS])
def test_the_doctor_names_the_file(kind, folder, own):
    assert _doctor(own)[0] == 0
    path = _spoil(own, kind, f'gta5/{folder}')
    for options in ([], ['--sample', '0']):
        code, said = _doctor(own, *options)
        if options and kind in ('16 bits', 'colours', 'beyond the classes', 'noise'):
            continue  # seen only in pixels, which were not asked for
        assert not _wrong(code, said, path.name), said


@pytest.fixture(scope='module')
def source():
    """Runs a training stage, which reads images and labels, on a damaged data root."""

    def attempt(
        root: Path, folder: Path, method: str = 'source_only', workers: int = 0
    ) -> tuple[int, str]:
        bench = Bench(root, folder)
        plan = bench.plan(method)
        stages = [plan.stages[name] for name in plan.entries[0].stages]
        stage = [stage for stage in stages if stage.kind == 'train'][-1]
        stage.config['train_dataloader']['num_workers'] = workers
        prepare(stage, bench.store)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = execute(bench.store, stage.id)
        status = bench.store.status(stage.id)
        assert (status.state == 'done') == (code == 0)
        return code, status.reason

    return attempt


#: Known images of GTA5 differ from their labels in size; these are resized.
READ = [cell for cell in CELLS if cell[0] != 'wrong size']


@pytest.mark.parametrize('kind, folder', READ, ids=[' of '.join(cell) for cell in READ])
def test_a_stage_fails_and_names_the_file(kind, folder, own, source, tmp_path):
    path = _spoil(own, kind, f'gta5/{folder}')
    code, reason = source(own, tmp_path)
    assert not _wrong(code, reason, path.name), reason


def test_a_palette_is_read_by_its_indices(own, source, tmp_path):
    """Both are legal PNG files of the same pixels: neither doctor nor stage minds."""
    for folder in (IMAGE, LABEL):
        _spoil(own, 'palette', f'gta5/{folder}')
    assert _doctor(own)[0] == 0
    assert source(own, tmp_path) == (0, '')


@pytest.fixture
def target(pocket_root, tmp_path) -> Path:
    """A data root whose target data may be damaged."""
    root = tmp_path / 'data'
    root.mkdir()
    shutil.copytree(pocket_root / 'cityscapes', root / 'cityscapes')
    (root / 'gta5').symlink_to(pocket_root / 'gta5')
    shutil.copy(pocket_root / 'pocket.json', root)
    return root


def test_a_sealed_stage_names_a_damaged_target_image(target, tmp_path):
    """What happened inside the seal comes out with all its parts."""
    bench = Bench(target, tmp_path)
    plan = bench.plan('tent[iters=6,batch_size=2]')
    path = _spoil(target, 'web page', 'cityscapes/leftImg8bit/train')
    summary = bench.run(plan)
    reasons = {state: reason for _, state, reason in summary.failures}
    assert not _wrong(1, reasons['failed'], path.name)


@pytest.mark.parametrize(
    'folder, pattern', [('leftImg8bit/train', '*.png'), ('gtFine/train', '*_labelIds.png')]
)
def test_a_size_that_differs_is_named(folder, pattern, target, source, tmp_path):
    path = _spoil(target, 'wrong size', f'cityscapes/{folder}', pattern)
    code, reason = source(target, tmp_path, 'oracle')
    sample = '_'.join(path.name.split('_')[:3])
    assert not _wrong(code, reason, sample), reason


def test_a_loader_worker_tells_as_much_as_its_stage(own, source, tmp_path):
    path = _spoil(own, 'git-lfs pointer', 'gta5/labels')
    code, reason = source(own, tmp_path, workers=1)
    assert not _wrong(code, reason, path.name), reason


def test_an_unreadable_file_is_named(own):
    """As a user: root reads everything."""
    if USER and not _works(*USER):
        pytest.skip('root reads everything, and setpriv cannot take that from it')
    for folder in (IMAGE, LABEL):
        path = sorted((own / 'gta5' / folder).glob('*.png'))[1]
        path.chmod(0)
        command = [*USER, sys.executable, str(ROOT / 'tools/prepare_data.py'), 'doctor']
        options = ['--data-root', str(own), '--dataset', 'gta5', '--workers', '1']
        done = subprocess.run([*command, *options], capture_output=True, text=True)
        assert not _wrong(done.returncode, done.stdout + done.stderr, path.name)
        path.chmod(0o644)


@pytest.mark.parametrize('what', ['--runs', '--records'])
@pytest.mark.parametrize('kind', ['below a file', 'wrong kind', 'read-only'])
@pytest.mark.parametrize('command', ['run', 'collect'])
def test_a_place_that_cannot_be_written_is_told_before_anything_runs(
    command, kind, what, pocket_root, tmp_path
):
    (tmp_path / 'tiny.py').write_text(SUITE)
    if kind == 'read-only':
        if USER and not _works(*USER):
            pytest.skip('root writes everywhere, and setpriv cannot take that from it')
        (tmp_path / 'taken').mkdir(mode=0o500)
        place = 'taken'
    else:
        place = table.out_of('folder', kind, tmp_path)
    places = {'--runs': 'runs', '--records': 'records'} | {what: place}
    argv = [text.replace('{data}', str(pocket_root)) for text in table.PLAN]
    argv[argv.index('--runs') + 1] = places['--runs']
    start = USER if kind == 'read-only' else ()
    program = [*start, sys.executable, str(ROOT / 'tools/run_suite.py'), command, *argv]
    done = subprocess.run(
        [*program, '--records', places['--records']], cwd=tmp_path, capture_output=True, text=True
    )
    if (command, what, kind) == ('collect', '--runs', 'read-only'):
        assert done.returncode == 0, 'it only reads there'
    else:
        assert not _wrong(done.returncode, done.stderr, 'taken')
    assert not list(tmp_path.glob('runs/*/log.txt'))


def test_a_disk_that_fills_while_a_checkpoint_is_written(tmp_path):
    """torch says only that a position is wrong; the stage's reason says what lies behind."""
    if not _works('unshare', '-Urm'):
        pytest.skip('no user namespaces: a small disk cannot be mounted')
    program = f"""
        import subprocess, torch
        from pathlib import Path
        from sfda_bench.run.worker import judge
        from sfda_bench.engine.checkpoint import save_torch
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', {str(tmp_path)!r}])
        try:
            save_torch({{'a': torch.zeros(100_000)}}, Path({str(tmp_path / 'final.pth')!r}))
        except Exception as error:
            print(type(error).__name__, *judge(error))
        print(list(Path({str(tmp_path)!r}).iterdir()))
    """
    command = ['unshare', '-Urm', sys.executable, '-c', textwrap.dedent(program)]
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert not _wrong(1, done.stdout, 'No space left on device'), done.stdout + done.stderr
    assert 'failed' in done.stdout and done.stdout.endswith('[]\n')
