"""Ten deliberate faults in copies of the repository: the tests or the regression check see each.

``python -m pytest -m slow tests/board/test_mutations.py -s`` prints which saw which.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sfda_bench.pocket.world import WorldSpec, ensure_pocket
from tests.board.faults import FAULTS, GTA5, SYNTHIA, Fault

REPOSITORY = Path(__file__).parents[2]
PARTS = ('sfda_bench', 'mm_configs', 'tests', 'tools')
SPLITS = ('gta5/train', 'synthia/train', 'cityscapes/train', 'cityscapes/val')
WORLD = WorldSpec(size=(48, 96), seed=7, counts={split: 24 for split in SPLITS})
#: Source images are shrunk, so that how labels are resized matters.
SUITE = f"""
suite = dict(
    name='mutations', title='Mutations', tasks=['{GTA5}', '{SYNTHIA}'],
    networks=['deeplabv2_pocket'], seeds=[0], profile='pocket', inference='pocket',
    source=dict(iters=300, batch_size=4), input_size=dict(gta5=(80, 40)),
)
"""


@dataclass
class Lab:
    """A suite with its data, stages and baseline."""

    folder: Path
    anchored: set[tuple[str, str]] = field(default_factory=set)

    def copy(self, name: str) -> Path:
        """A fresh copy of the repository's code."""
        root = self.folder / name
        for part in PARTS:
            ignore = shutil.ignore_patterns('__pycache__')
            shutil.copytree(REPOSITORY / part, root / part, ignore=ignore)
        shutil.copy(REPOSITORY / 'pyproject.toml', root)
        return root

    def run(self, root: Path, *command: str) -> subprocess.CompletedProcess:
        """Run Python in a copy, with its package and no other."""
        environment = {**os.environ, 'PYTHONPATH': str(root), 'PYTHONDONTWRITEBYTECODE': '1'}
        environment['OMP_NUM_THREADS'] = '1'
        return subprocess.run(
            [sys.executable, *command], cwd=root, env=environment, capture_output=True, text=True
        )

    def check(self, root: Path, *extra: str) -> subprocess.CompletedProcess:
        """Run the regression check of a copy."""
        return self.run(
            root, 'tools/check_regression.py', '--suite', str(self.folder / 'mutations.py'),
            '--data-root', str(self.folder / 'data'), '--runs', str(self.folder / 'runs'),
            '--against', str(self.folder / 'baseline.yaml'), *extra,
        )  # fmt: skip

    def tests(self, root: Path, *files: str) -> subprocess.CompletedProcess:
        """Run some tests of a copy."""
        return self.run(root, '-m', 'pytest', '-q', '-x', '-p', 'no:cacheprovider', *files)

    def anchor(self, task: str, method: str) -> None:
        """Baseline of an entry of the unchanged code: of two seeds, so that it has a spread."""
        if (task, method) in self.anchored:
            return
        selected = ['--task', task, '--method', method, '--seed', '0-1', '--update']
        done = self.check(self.folder / 'unchanged', *selected)
        assert done.returncode == 0, done.stdout + done.stderr
        self.anchored.add((task, method))


@pytest.fixture(scope='module')
def lab(tmp_path_factory) -> Lab:
    found = Lab(tmp_path_factory.mktemp('mutations'))
    ensure_pocket(found.folder / 'data', WORLD, workers=2)
    (found.folder / 'mutations.py').write_text(SUITE)
    found.copy('unchanged')
    return found


@pytest.fixture(scope='module')
def caught():
    """Which instrument saw which fault; printed at the end."""
    found: dict[str, tuple[str, str]] = {}
    yield found
    width = max(map(len, found), default=0)
    print(f'\n{"fault":<{width}}  {"tests":<40}  regression check')
    for name, (by_tests, by_check) in found.items():
        print(f'{name:<{width}}  {by_tests:<40}  {by_check}')


@pytest.mark.slow
def test_the_unchanged_copy_passes(lab):
    root = lab.folder / 'unchanged'
    files = sorted({file for fault in FAULTS for file in fault.tests})
    done = lab.tests(root, *files)
    assert done.returncode == 0, done.stdout
    methods = sorted({fault.method for fault in FAULTS})
    for method in methods:
        lab.anchor(GTA5, method)
    done = lab.check(root, '--task', GTA5, '--method', *methods)
    assert done.returncode == 0 and 'no alarm' in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize('fault', FAULTS, ids=lambda fault: fault.name.replace(' ', '-'))
def test_a_fault_is_caught(lab, caught, fault: Fault):
    lab.anchor(fault.task, fault.method)
    root = lab.copy(fault.name.replace(' ', '_'))
    fault.put_into(root)
    tests = lab.tests(root, *fault.tests)
    # 1 = tests failed; anything else (no such file, an import error) is no detection
    assert tests.returncode in (0, 1), tests.stdout + tests.stderr
    selected = ['--task', fault.task, '--method', fault.method]
    check = lab.check(root, *selected)
    assert check.returncode in (0, 2), check.stdout + check.stderr
    caught[fault.name] = _failed(tests.stdout) or '-', _alarm(check.stdout) or '-'
    assert tests.returncode == 1 or check.returncode == 2, check.stdout
    if check.returncode == 2:
        assert f'first difference: {fault.names}' in check.stdout, check.stdout
    shutil.rmtree(root)


def _failed(text: str) -> str:
    """Name of the first test that failed."""
    lines = [line for line in text.splitlines() if line.startswith(('FAILED', 'ERROR'))]
    return lines[0].split('::')[-1].split(' - ')[0] if lines else ''


def _alarm(text: str) -> str:
    """What the check found."""
    lines = [line for line in text.splitlines() if line.startswith(('alarm ', 'failed '))]
    return lines[0].split(': ', 1)[-1] if lines else ''


def test_every_fault_can_still_be_made(tmp_path):
    """Quick: a changed line must not silently take a fault out of the slow test."""
    assert len(FAULTS) == 10
    for fault in FAULTS:
        target = tmp_path / fault.file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / fault.file, target)
        fault.put_into(tmp_path)
        assert all((REPOSITORY / file).is_file() for file in fault.tests)
