"""A hostile method tries to read what it must not: every way is refused and named."""

from __future__ import annotations

import hashlib
import textwrap
from pathlib import Path

import pytest

from sfda_bench.board.boards import make_boards
from sfda_bench.board.loading import load_items
from sfda_bench.board.notes import row_notes
from sfda_bench.errors import BenchError
from sfda_bench.run.seal.guard import Guard, landlock_available

HOSTILE = """
import mmap, os, subprocess, sys
import cv2, numpy, torch
from PIL import Image
from sfda_bench.adapt.adapter import Adapter
from sfda_bench.registry import MODELS

class Reader(torch.utils.data.Dataset):
    def __init__(self, path): self.path = path
    def __len__(self): return 1
    def __getitem__(self, index): return len(open(self.path, 'rb').read())

def link(path):
    os.symlink(path, os.path.join(os.environ['TMPDIR'], 'link'))
    return open(os.path.join(os.environ['TMPDIR'], 'link'), 'rb').read()

def cwd(path):
    relative = os.path.relpath(path, os.getcwd())
    return open(f'/proc/self/cwd/{relative}', 'rb').read()

def child(path):
    return subprocess.run(['cat', path], check=True, capture_output=True).stdout

def worker(path):
    return list(torch.utils.data.DataLoader(Reader(path), num_workers=1))

def mapped(path):
    with open(path, 'rb') as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)[:4]

def opencv(path):
    image = cv2.imread(path)
    if image is None:
        raise PermissionError(path)

WAYS = {
    'open': lambda p: open(p, 'rb').read(),
    'os_open': lambda p: os.open(p, os.O_RDONLY),
    'numpy': lambda p: numpy.fromfile(p),
    'pil': lambda p: Image.open(p).load(),
    'cv2': opencv,
    'symlink': link,
    'cwd': cwd,
    'subprocess': child,
    'worker': worker,
    'mmap': mapped,
    'runs': lambda p: os.listdir(p.replace('|', '/')),
}

@MODELS.register_module()
class Hostile(Adapter):
    def __init__(self, way, victim, swallow=False, **kwargs):
        super().__init__(**kwargs)
        self.way, self.victim, self.swallow = way, victim, swallow

    def losses(self, views):
        try:
            WAYS[self.way](self.victim)
        except Exception as error:
            if not self.swallow:
                raise
        return {'loss': self.logits(views['image']).square().mean()}
"""
CONFIG = """
card = dict(name='hostile', title='Hostile', track='source-free', fidelity='paper')
code_files = ['hostile_code.py']
stages = [
    dict(
        name='adapt', adapter=dict(type='Hostile', way='open', victim='', swallow=False), iters=1,
        batch_size=1,
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.0)),
    ),
]
"""
WAYS = (
    'open', 'os_open', 'numpy', 'pil', 'cv2', 'symlink', 'cwd', 'subprocess', 'worker', 'mmap'
)  # fmt: skip
needs_landlock = pytest.mark.skipif(not landlock_available(), reason='no Landlock in this kernel')


@pytest.fixture
def hostile(bench) -> str:
    (bench.folder / 'hostile_code.py').write_text(HOSTILE)
    (bench.folder / 'hostile.py').write_text(CONFIG)
    return str(bench.folder / 'hostile.py')


def attempt(bench, hostile: str, way: str, victim: Path, swallow: bool = False):
    params = f'way={way},victim={str(victim)!r},swallow={swallow}'
    plan = bench.plan('source_only')
    bench.run(plan)
    plan = bench.plan(f'{hostile}[{params}]')
    bench.run(plan)
    return bench.store.status(plan.entries[0].stages[1])


def label(bench) -> Path:
    return next((bench.data_root / 'cityscapes/gtFine/train').rglob('*_labelIds.png'))


@needs_landlock
def test_ten_ways_ten_refusals(bench, hostile):
    victim = label(bench)
    bench.run(bench.plan('source_only'))
    plans = [bench.plan(f'{hostile}[way={way},victim={str(victim)!r}]') for way in WAYS]
    outcome = {}
    for way, plan in zip(WAYS, plans, strict=True):
        bench.run(plan)
        status = bench.store.status(plan.entries[0].stages[1])
        outcome[way] = (status.state, victim.name in status.reason)
    assert outcome == {way: ('failed', True) for way in WAYS}


@needs_landlock
def test_a_swallowed_refusal_still_fails_the_stage_and_names_the_path(bench, hostile):
    status = attempt(bench, hostile, 'open', label(bench), swallow=True)
    assert status.state == 'failed' and label(bench).name in status.reason


@needs_landlock
def test_source_images_are_out_of_reach_and_target_images_are_not(bench, hostile):
    source = next((bench.data_root / 'gta5/images').glob('*.png'))
    assert attempt(bench, hostile, 'pil', source).state == 'failed'
    target = next((bench.data_root / 'cityscapes/leftImg8bit/train').rglob('*.png'))
    assert attempt(bench, hostile, 'pil', target).state == 'done'
    validation = next((bench.data_root / 'cityscapes/leftImg8bit/val').rglob('*.png'))
    assert attempt(bench, hostile, 'pil', validation).state == 'failed'


@needs_landlock
def test_other_runs_are_out_of_reach(bench, hostile):
    disguised = Path(str(bench.store.root).replace('/', '|'))  # a path that is named is granted
    status = attempt(bench, hostile, 'runs', disguised, swallow=True)
    assert status.state == 'failed' and f'reach {bench.store.root}' in status.reason


def test_a_file_that_a_user_gives_is_told_with_its_content(bench, hostile, tmp_path):
    """Labels outside of the data root are read if a parameter names them: the board says so."""
    given = tmp_path / 'elsewhere.png'
    given.write_bytes(label(bench).read_bytes())
    status = attempt(bench, hostile, 'open', given)
    told = [f'elsewhere.png ({hashlib.sha256(given.read_bytes()).hexdigest()[:12]})']
    assert status.state == 'done' and status.result['guard']['given'] == told
    items = load_items(bench.records)
    given = {item.record.entry.method: item.record.guard.given for item in items}
    assert given == {'hostile': told, 'source_only': []}
    (board,) = make_boards(items, samples=50)
    notes = {row.method: row_notes(row) for row in board.rows}
    assert [note for note in notes['hostile'] if 'given files' in note and told[0] in note]
    assert not [note for note in notes['source_only'] if 'given' in note]


def test_an_unguarded_run_says_so(bench, hostile):
    plan = bench.plan(f'{hostile}[victim={str(label(bench))!r}]')
    bench.run(plan, guard=False)
    status = bench.store.status(plan.entries[0].stages[1])
    assert status.state == 'done'
    assert status.result['guard']['verdict'] == 'unguarded'


def test_data_inside_the_software_are_refused(tmp_path):
    import sys

    guard = Guard([], [tmp_path], [Path(sys.prefix) / 'data'])
    with pytest.raises(BenchError, match='lies inside'):
        guard.seal()


def test_without_landlock_the_audit_hook_refuses(tmp_path):
    """In a process of its own: an audit hook cannot be taken back."""
    import subprocess
    import sys

    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels/a.png').write_text('secret')
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images/a.png').write_text('fine')
    program = f"""
        from pathlib import Path
        from sfda_bench.run.seal import guard as module
        module.landlock_available = lambda: False
        root = Path({str(tmp_path)!r})
        guard = module.Guard([root / 'images'], [root / 'run'], [root])
        assert guard.seal()['verdict'] == 'audited'
        assert (root / 'images/a.png').read_text() == 'fine'
        try:
            (root / 'labels/a.png').read_text()
        except PermissionError:
            print('refused')
        try:
            guard.check()
        except module.GuardViolationError as error:
            print('named' if 'labels/a.png' in str(error) else error)
    """
    done = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(program)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ['refused', 'named']
