"""A wheel is the package whole: code, configs, templates, what the boards need."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sfda_bench.plan import catalog
from tests.conftest import TINY

ROOT = Path(__file__).parents[1]
INSIDE = {
    'sfda_bench': 'sfda_bench',
    'mm_configs': 'sfda_bench/mm_configs',
    'results/reported': 'sfda_bench/results/reported',
    'results/site/assets': 'sfda_bench/results/site/assets',
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> Path:
    """Built of a copy: building leaves folders behind."""
    folder = tmp_path_factory.mktemp('wheel')
    for name in INSIDE:
        ignore = shutil.ignore_patterns('__pycache__')
        shutil.copytree(ROOT / name, folder / 'source' / name, ignore=ignore)
    for name in ('pyproject.toml', 'setup.py', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, folder / 'source')
    options = ('--no-deps', '--no-index', '--no-build-isolation', '-w', folder)
    run('-m', 'pip', 'wheel', *options, folder / 'source', at=folder)
    (found,) = folder.glob('*.whl')
    return found


@pytest.fixture(scope='module')
def unpacked(wheel) -> Path:
    zipfile.ZipFile(wheel).extractall(wheel.parent / 'site')
    return wheel.parent / 'site'


def run(*words: object, at: Path, path: Path | None = None) -> str:
    """Call Python in a folder; ``path`` comes before what is installed."""
    env = {**os.environ, 'PYTHONPATH': str(path or '')}
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=at, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_file_is_in_it(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f'{inside}/{path.relative_to(ROOT / name).as_posix()}'
        for name, inside in INSIDE.items()
        for path in (ROOT / name).rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }
    assert not expected - names
    assert {n.split('/')[0] for n in names} == {'sfda_bench', 'sfda_bench-0.1.0.dist-info'}


def test_it_lists_what_the_checkout_has(unpacked, tmp_path):
    told = run('-m', 'sfda_bench.cli.main', 'list', 'methods', at=tmp_path, path=unpacked)
    assert [line.split()[0] for line in told.splitlines()[2:]] == catalog.names('methods')
    where = (
        'from sfda_bench import paths; from sfda_bench.run.preflight import rendered_root; '
        'print(paths.PACKAGE, paths.RESULTS, rendered_root())'
    )
    assert run('-c', where, at=tmp_path, path=unpacked).split() == [
        str(unpacked / 'sfda_bench'),
        str(tmp_path / 'results'),
        # a sealed stage may read the software, so data in it would not be out of its reach
        str(tmp_path / 'data' / 'pocket'),
    ]


def test_a_method_of_ones_own_is_written_outside_of_it(unpacked, tmp_path):
    words = ('-m', 'sfda_bench.cli.main', 'new-method', 'mine', '--like', 'minent')
    with pytest.raises(AssertionError, match='--outside DIR'):
        run(*words, at=tmp_path, path=unpacked)
    run(*words, '--outside', tmp_path / 'own', at=tmp_path, path=unpacked)
    assert str(unpacked) in (tmp_path / 'own' / 'mine.py').read_text()


def test_it_plans_the_same_stages(unpacked, tmp_path):
    from sfda_bench.pocket.world import ensure_pocket

    ensure_pocket(tmp_path / 'data', TINY, workers=1)
    words = ('-m', 'sfda_bench.cli.main', 'plan', '--json', '--task', 'gta5_to_cityscapes')
    words += ('--method', 'tent', '--data-root', tmp_path / 'data', '--runs', tmp_path / 'runs')
    ours, theirs = (
        [stage['id'] for stage in json.loads(run(*words, at=tmp_path, path=path))['stages']]
        for path in (ROOT, unpacked)
    )
    assert len(ours) == 4 and ours == theirs
