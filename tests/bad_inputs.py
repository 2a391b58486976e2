"""The table of bad inputs: what each command reads and writes, and how files go wrong.

Run as a program, it answers the cells that need a process of their own as JSON: ``unreadable``
(without the right to read everything, which root has) and ``full`` (on a small disk).
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import traceback
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sfda_bench.cli.scripts import (
    benchmark,
    capsule,
    check_regression,
    convert_checkpoint,
    export_submission,
    make_leaderboard,
    prepare_data,
    run_suite,
    score,
    train,
)
from sfda_bench.networks.checkpoints import convert  # noqa: F401  (heavy imports, once)

ROOT = Path(__file__).parents[1]
SLUG = 'gta5_to_cityscapes__deeplabv2_pocket__tent__s0'
RECORD = f'records/pocket/{SLUG}.json'
OWN_RECORD = f'own/tiny/{SLUG}.json'
COUNTS = f'records/pocket/{SLUG}.npz'
FRAME = 'GOPR0475_frame_000247.png'
HTML = b'<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n'
LFS = b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n'
PLAN = ['--suite', 'tiny.py', '--data-root', '{data}', '--task', 'gta5_to_cityscapes',
        '--method', 'tent', '--runs', 'runs']  # fmt: skip


# --- how a file goes wrong ------------------------------------------------------------------------


def _link(path: Path) -> None:
    path.symlink_to(path.parent / 'nowhere')


def _latin(path: Path, good: bytes) -> None:
    path.write_bytes(good[:40] + b'"caf\xe9"' + good[40:])


#: Each gets the path, where nothing is any more, and the good bytes that were there.
FILES: dict[str, Callable[[Path, bytes], object]] = {
    'absent': lambda path, good: None,
    'empty': lambda path, good: path.write_bytes(b''),
    'cut': lambda path, good: path.write_bytes(good[: len(good) // 2]),
    'web page': lambda path, good: path.write_bytes(HTML),
    'git-lfs pointer': lambda path, good: path.write_bytes(LFS),
    'noise': lambda path, good: path.write_bytes(bytes(range(256)) * 9),
    'not UTF-8': _latin,
    'UTF-16': lambda path, good: path.write_bytes('\ufeff{"a": 1}'.encode('utf-16')),
    'folder': lambda path, good: path.mkdir(),
    'dangling link': lambda path, good: _link(path),
    'link to itself': lambda path, good: path.symlink_to(path),
    'pipe': lambda path, good: os.mkfifo(path),
}
FOLDERS: dict[str, Callable[[Path], object]] = {
    'absent': lambda path: None,
    'empty': lambda path: path.mkdir(),
    'file': lambda path: path.write_bytes(b'x'),
    'dangling link': _link,
}
#: Where output goes, instead of a place that can be written.
PLACES: dict[str, Callable[[Path], object]] = {
    'below a file': lambda path: path.parent.write_bytes(b'x'),
    'wrong kind': lambda path: None,
}


def spoil(path: Path, kind: str, is_folder: bool) -> None:
    """Put something of a kind in place of a good file or folder."""
    if is_folder:
        shutil.rmtree(path)
        FOLDERS[kind](path)
        return
    good = path.read_bytes()
    path.unlink()
    FILES[kind](path, good)


# --- the good world -------------------------------------------------------------------------------


def _png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, 'PNG')
    return buffer.getvalue()


def make_world(folder: Path, data: Path) -> None:
    """Good input of every kind, in ``folder``; ``data`` is a data root of tiny images."""
    from mmengine.config import Config

    from sfda_bench.board import capsule
    from sfda_bench.networks.build import build_segmentor
    from sfda_bench.networks.checkpoints.write import write_checkpoint
    from tests.board.factory import make_record
    from tests.harness import SUITE

    folder.mkdir(exist_ok=True)
    path = make_record(folder / 'records', 'tent', quality=0.6)
    make_record(folder / 'records', 'iapc', quality=0.7)
    capsule.make(path, folder / 'capsule.zip')
    (folder / 'own' / 'tiny').mkdir(parents=True)
    for suffix in ('.json', '.npz'):
        shutil.copy(path.with_suffix(suffix), folder / 'own' / 'tiny')
    (folder / 'tiny.py').write_text(SUITE)
    shutil.copytree(data / 'cityscapes', folder / 'data' / 'cityscapes')
    (folder / 'data' / 'gta5').symlink_to(data / 'gta5')
    shutil.copy(data / 'pocket.json', folder / 'data')
    model = Config.fromfile(ROOT / 'mm_configs' / 'networks' / 'cgnet.py').model
    write_checkpoint(folder / 'whole.pth', build_segmentor(model).state_dict())
    state = {'decode_head.conv_seg.weight': torch.zeros(19, 8, 1, 1)}
    write_checkpoint(folder / 'model.pth', state)
    (folder / 'stage.py').write_text(
        "stage = dict(kind='adapt', id='abc')\nwork_dir = 'x'\ntrain_dataloader = dict()\n"
    )
    (folder / 'scores.py').write_text("stage = dict(kind='score', id='abc')\ntest_cfg = dict()\n")
    (folder / 'predictions').mkdir()
    (folder / 'predictions' / FRAME).write_bytes(
        _png(np.tile(np.arange(19, dtype=np.uint8), (8, 1)))
    )
    with zipfile.ZipFile(folder / 'submission.zip', 'w') as archive:
        archive.writestr(f'labelTrainIds/{FRAME}', (folder / 'predictions' / FRAME).read_bytes())
    (folder / 'scored').mkdir()
    for number in range(2):
        labels, sure = np.zeros((4, 4), np.uint8), np.full((4, 4), 0.5 + number / 4, np.float32)
        np.savez(folder / 'scored' / f'{number}.npz', label=labels, confidence=sure)
    options = [
        '--from-records',
        '--records',
        str(folder / 'records'),
        '--against',
        str(folder / 'baseline.yaml'),
        '--data-root',
        '/nonexistent',
        '--update',
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        assert check_regression(options) == 0
    old = ROOT / 'mm_configs' / 'methods' / 'tent.py'
    (folder / 'mine.py').write_text(
        f"_base_ = {str(old)!r}\ncard = dict(name='mine', title='Mine')\n"
    )


# --- what commands read and write -----------------------------------------------------------------


@dataclass(frozen=True)
class Slot:
    """One file or folder that a command reads or writes.

    Attributes:
        name: For people.
        tool: The command's main function.
        argv: Its arguments; ``{data}`` is the data root. They run in a copy of the good world.
        bad: The path that is spoiled, relative to that copy.
        skip: Kinds that are no fault here.
        good: Exit code with good input; ``None`` if a good run would take too long here.
    """

    name: str
    tool: Callable[[Sequence[str]], int]
    argv: list[str]
    bad: str
    skip: tuple[str, ...] = ()
    good: int | None = 0
    is_folder: bool = False
    named: str = field(default='')

    def __str__(self) -> str:
        return self.name


BOARD = ['--records', 'records', '--out', 'out']
CHECK = ['--from-records', '--data-root', '/nonexistent', '--against', 'baseline.yaml']
#: Synthetic records agree with none: what is wrong with a file is said all the same.
NONE = ['--records', 'none']
OTHER = RECORD.replace('tent', 'iapc')
SERVER = ['--server', 'acdc']
ENTRY = ['--record', RECORD, '--runs', 'runs', '--out', 'exported']
PLAIN = ['--checkpoint', 'model.pth', '--network', 'cgnet', '--inference', 'camvid@1']
#: A suite that is read, and nothing planned.
READS = [
    Slot('board: record', make_leaderboard, BOARD, RECORD, skip=('absent',)),
    Slot('board: counts', make_leaderboard, BOARD, COUNTS),
    Slot('board: method', make_leaderboard, [*BOARD, '--method', 'mine.py'], 'mine.py'),
    Slot(
        'explain: record', make_leaderboard, [*BOARD, '--explain', 'tent'], RECORD, skip=('absent',)
    ),
    Slot('compare: first', make_leaderboard, ['--compare', RECORD, OTHER], RECORD),
    Slot('compare: second', make_leaderboard, ['--compare', OTHER, RECORD], RECORD),
    Slot('compare: counts', make_leaderboard, ['--compare', OTHER, RECORD], COUNTS),
    Slot('validate: record', make_leaderboard, ['--validate', RECORD, *NONE], RECORD, good=1),
    Slot('validate: counts', make_leaderboard, ['--validate', RECORD, *NONE], COUNTS, good=1),
    Slot('capsule: record', capsule, ['make', RECORD, '--out', 'new.zip'], RECORD),
    Slot('capsule: counts', capsule, ['make', RECORD, '--out', 'new.zip'], COUNTS),
    Slot('capsule: verify', capsule, ['verify', 'capsule.zip'], 'capsule.zip'),
    Slot(
        'submission: PNG',
        export_submission,
        [*SERVER, '--predictions', 'predictions', '--out', 'new.zip'],
        f'predictions/{FRAME}',
        good=1,
        skip=('absent',),
    ),
    Slot(
        'submission: check',
        export_submission,
        [*SERVER, '--check', '--out', 'submission.zip'],
        'submission.zip',
        good=1,
    ),
    Slot(
        'regression: record',
        check_regression,
        [*CHECK, '--records', 'records'],
        RECORD,
        skip=('absent',),
    ),
    Slot('regression: counts', check_regression, [*CHECK, '--records', 'records'], COUNTS),
    Slot(
        'regression: baseline', check_regression, [*CHECK, '--records', 'records'], 'baseline.yaml'
    ),
    Slot(
        'regression: baseline counts',
        check_regression,
        [*CHECK, '--records', 'records'],
        'baseline.npz',
    ),
    Slot(
        'regression: suite', check_regression, ['--suite', 'tiny.py', *CHECK], 'tiny.py', good=None
    ),
    Slot('inspect', convert_checkpoint, ['inspect', 'model.pth'], 'model.pth'),
    Slot(
        'convert',
        convert_checkpoint,
        ['convert', 'model.pth', '--out', 'new.pth'],
        'model.pth',
        good=1,
    ),
    Slot('export: record', convert_checkpoint, ['export', *ENTRY], RECORD, good=1),
    Slot(
        'export: checkpoint',
        convert_checkpoint,
        ['export', *PLAIN, '--out', 'new'],
        'model.pth',
        good=1,
    ),
    Slot('train: config', train, ['stage.py', '--work-dir', 'work'], 'stage.py', good=None),
    Slot(
        'train: weights',
        train,
        ['stage.py', 'model.pth', '--work-dir', 'work'],
        'model.pth',
        good=None,
    ),
    Slot('score: config', score, ['stage.py', '--work-dir', 'work'], 'stage.py', good=1),
    Slot(
        'score: weights',
        score,
        ['scores.py', 'model.pth', '--work-dir', 'work'],
        'model.pth',
        good=None,
    ),
    Slot('plan: suite', run_suite, ['plan', *PLAN], 'tiny.py'),
    Slot('plan: method', run_suite, ['plan', *PLAN, '--method', 'mine.py'], 'mine.py'),
    Slot(
        'status: record',
        run_suite,
        ['status', *PLAN, '--records', 'own'],
        OWN_RECORD,
        skip=('absent',),
    ),
    Slot(
        'explain entry: record',
        run_suite,
        ['explain', SLUG, *PLAN, '--records', 'own'],
        OWN_RECORD,
        skip=('absent',),
    ),
    Slot(
        'only missing: record',
        run_suite,
        ['plan', '--only-missing', *PLAN, '--records', 'own'],
        OWN_RECORD,
        skip=('absent',),
    ),
    Slot(
        'clean: record',
        run_suite,
        ['clean', *PLAN, '--records', 'own'],
        OWN_RECORD,
        skip=('absent',),
    ),
    Slot(
        'cbst-list: file',
        prepare_data,
        ['cbst-list', '--predictions', 'scored', '--images', '1', '--out', 'list.txt'],
        'scored/1.npz',
        skip=('absent',),
    ),
]
IMAGE = 'data/cityscapes/leftImg8bit/val'
LABEL = 'data/cityscapes/gtFine/val'
OWN = ['--data-root', 'data', '--dataset', 'cityscapes']
READ_FOLDERS = [
    Slot('board: records', make_leaderboard, BOARD, 'records', is_folder=True),
    Slot(
        'validate: records',
        make_leaderboard,
        ['--validate', 'records', *NONE],
        'records',
        good=1,
        is_folder=True,
    ),
    Slot(
        'explain: records',
        make_leaderboard,
        [*BOARD, '--explain', 'tent'],
        'records',
        is_folder=True,
    ),
    Slot(
        'gallery: records',
        make_leaderboard,
        [*BOARD, '--gallery', 'pocket'],
        'records',
        good=1,
        is_folder=True,
    ),
    Slot(
        'submission: folder',
        export_submission,
        [*SERVER, '--predictions', 'predictions', '--out', 'new.zip'],
        'predictions',
        good=1,
        is_folder=True,
    ),
    Slot(
        'regression: records',
        check_regression,
        [*CHECK, '--records', 'records'],
        'records',
        is_folder=True,
    ),
    Slot(
        'cbst-list: folder',
        prepare_data,
        ['cbst-list', '--predictions', 'scored', '--images', '1', '--out', 'list.txt'],
        'scored',
        is_folder=True,
    ),
    Slot(
        'doctor',
        prepare_data,
        ['doctor', *OWN, '--workers', '1'],
        'data',
        skip=('empty',),
        good=None,
        is_folder=True,
    ),
    Slot(
        'list',
        prepare_data,
        ['list', '--data-root', 'data'],
        'data',
        skip=('empty',),
        is_folder=True,
    ),
    Slot(
        'subset',
        prepare_data,
        ['subset', *OWN, '--images', '1', '--size', '96x48', '--out', 'cut', '--workers', '1'],
        'data',
        is_folder=True,
    ),
    Slot('fingerprint', prepare_data, ['fingerprint', *OWN], 'data', is_folder=True),
    Slot(
        'cbst-prior',
        prepare_data,
        [
            'cbst-prior',
            '--task',
            'gta5_to_cityscapes',
            '--data-root',
            'data',
            '--size',
            '96x48',
            '--out',
            'p.npy',
        ],
        'data',
        is_folder=True,
    ),
    Slot(
        'benchmark', benchmark, ['data', '--data-root', 'data'], 'data', good=None, is_folder=True
    ),
    Slot('plan: data', run_suite, ['plan', *PLAN, '--data-root', 'data'], 'data', is_folder=True),
]

#: (name, command, arguments); ``{out}`` is what it writes.
WRITES: list[tuple[str, Callable, list[str], str]] = [
    ('board', make_leaderboard, ['--records', 'records', '--out', '{out}'], 'folder'),
    (
        'submission',
        export_submission,
        [*SERVER, '--predictions', 'predictions', '--out', '{out}'],
        'file',
    ),
    ('capsule', capsule, ['make', RECORD, '--out', '{out}'], 'file'),
    (
        'regression: update',
        check_regression,
        [*CHECK[:-1], '{out}', '--update', '--records', 'records'],
        'file',
    ),
    (
        'regression: JUnit',
        check_regression,
        [*CHECK, '--records', 'records', '--junit', '{out}'],
        'file',
    ),
    (
        'regression: summary',
        check_regression,
        [*CHECK, '--records', 'records', '--summary', '{out}'],
        'file',
    ),
    ('convert', convert_checkpoint, ['convert', 'whole.pth', '--out', '{out}'], 'file'),
    (
        'export',
        convert_checkpoint,
        [
            'export',
            '--checkpoint',
            'whole.pth',
            '--network',
            'cgnet',
            '--inference',
            'camvid@1',
            '--out',
            '{out}',
        ],
        'stem',
    ),
    (
        'cbst-list',
        prepare_data,
        ['cbst-list', '--predictions', 'scored', '--images', '1', '--out', '{out}'],
        'file',
    ),
    (
        'cbst-prior',
        prepare_data,
        [
            'cbst-prior',
            '--task',
            'gta5_to_cityscapes',
            '--data-root',
            'data',
            '--size',
            '96x48',
            '--out',
            '{out}',
        ],
        'file',
    ),
    (
        'pocket',
        prepare_data,
        ['pocket', '--size', '48x96', '--scale', '0.001', '--workers', '1', '--out', '{out}'],
        'folder',
    ),
    (
        'sheet',
        prepare_data,
        [
            'pocket',
            '--size',
            '48x96',
            '--scale',
            '0.001',
            '--workers',
            '1',
            '--out',
            'pocket',
            '--sheet',
            '{out}',
        ],
        'file',
    ),
    (
        'subset',
        prepare_data,
        ['subset', *OWN, '--images', '1', '--size', '96x48', '--workers', '1', '--out', '{out}'],
        'folder',
    ),
    (
        'new-method',
        run_suite,
        ['new-method', 'brand_new', '--like', 'tent', '--outside', '{out}'],
        'folder',
    ),
    ('train', train, ['stage.py', '--work-dir', '{out}'], 'folder'),
]


# --- one cell -------------------------------------------------------------------------------------


def answer(tool: Callable, argv: Sequence[str], where: Path, data: str = '') -> tuple[int, str]:
    """Exit code and standard error of a command; an exception counts as its traceback."""
    before, error = Path.cwd(), io.StringIO()
    filled = [text.replace('{data}', data) for text in argv]
    os.chdir(where)
    try:
        with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
            try:
                code = tool(filled)
            except SystemExit as end:
                code = int(end.code or 0) if isinstance(end.code, int | None) else 1
            except BaseException:
                code = -1
                error.write(traceback.format_exc())
    finally:
        os.chdir(before)
    return code, error.getvalue()


def faults(code: int, said: str, name: str) -> list[str]:
    """What is wrong with an answer to bad input."""
    found = [f'exit code {code}'] if code in (0, -1) else []
    found += ['traceback'] if 'Traceback' in said else []
    found += [f'{what!r} is not said' for what in (name, 'expected:', 'fix:') if what not in said]
    return found


def copy_world(world: Path, where: Path) -> None:
    """A copy that may be spoiled."""
    shutil.copytree(world, where, symlinks=True)


def out_of(shape: str, kind: str, where: Path) -> str:
    """A place for output that cannot be written, relative to ``where``."""
    if kind == 'below a file':
        (where / 'taken').write_bytes(b'x')
        return 'taken/new'
    taken = where / ('taken.pth' if shape == 'stem' else 'taken')
    if shape == 'folder':
        taken.write_bytes(b'x')
    else:
        taken.mkdir()
    return 'taken'


def alone(kind: str, world: Path, where: Path, data: str) -> dict[str, list]:
    """Answers of the cells that need a process of their own, by the name of the cell."""
    found: dict[str, list] = {}
    if kind == 'unreadable':
        for slot in [*READS, *READ_FOLDERS]:
            with fresh(world, where):
                (where / slot.bad).chmod(0)
                found[slot.name] = [*answer(slot.tool, slot.argv, where, data), Path(slot.bad).name]
        return found
    for name, tool, argv, _ in WRITES:
        with fresh(world, where):
            place = where / 'place'
            place.mkdir()
            if kind == 'read-only':
                place.chmod(0o500)
            else:
                os.system(f'mount -t tmpfs -o size=4k tmpfs {place}')
                (place / 'fill').write_bytes(bytes(4096))
            filled = [text.replace('{out}', 'place/new') for text in argv]
            found[name] = [*answer(tool, filled, where, data), 'place']
            if kind == 'full':
                os.system(f'umount {place}')
    return found


@contextlib.contextmanager
def fresh(world: Path, where: Path):
    """A copy of the good world at ``where``, which is removed again."""
    copy_world(world, where)
    try:
        yield
    finally:
        for path in where.rglob('*'):
            if not path.is_symlink() and not os.access(path, os.R_OK):
                path.chmod(0o700)
        shutil.rmtree(where, ignore_errors=True)


if __name__ == '__main__':
    kind, world, where, data, out = sys.argv[1:]
    Path(out).write_text(json.dumps(alone(kind, Path(world), Path(where), data)))
