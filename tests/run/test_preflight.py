"""What planning refuses: places, space, labels, packages, data that are not the suite's."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from sfda_bench.cli.main import main
from sfda_bench.cli.scripts import check_regression
from sfda_bench.errors import BenchError
from sfda_bench.pocket.world import WorldSpec, read_marker
from sfda_bench.run import preflight
from sfda_bench.run.execute import todo
from sfda_bench.run.preflight import check_packages, check_writable, expected_mb
from tests.harness import linked_root

RENDERING = """
suite = dict(
    name='drawn', title='Drawn', tasks=['gta5_to_cityscapes'], networks=['deeplabv2_pocket'],
    seeds=[0], profile='pocket', inference='pocket', source=dict(iters=6, batch_size=2),
    renders=dict(
        size=(48, 96), counts={'gta5/train': 2, 'cityscapes/train': 2, 'cityscapes/val': 2}
    ),
)
"""


def options(bench, root: Path | None = None) -> list[str]:
    found = ['--suite', bench.suite, '--method', 'source_only', '--task', 'gta5_to_cityscapes']
    found += ['--data-root', str(root or bench.data_root)]
    return [*found, '--runs', str(bench.store.root), '--records', str(bench.records)]


@pytest.mark.parametrize('command', ['plan', 'run'])
@pytest.mark.parametrize(
    ('place', 'kind'),
    [
        *((place, kind) for place in ('records', 'runs') for kind in ('file', 'below', 'proc')),
        ('records', 'dangling link'),  # where a link of runs leads, a folder is made
    ],
)
def test_a_place_that_cannot_be_written_is_refused(bench, tmp_path, capsys, command, place, kind):
    wrong = tmp_path / 'wrong'
    if kind == 'dangling link':
        wrong.symlink_to(tmp_path / 'nowhere')
    elif kind != 'proc':
        wrong.write_text('', encoding='utf-8')
    chosen = {'below': wrong / 'below', 'proc': Path('/proc/sys')}.get(kind, wrong)
    assert main([command, *options(bench), f'--{place}', str(chosen)]) == 1
    error = capsys.readouterr().err
    assert 'cannot write into' in error and str(chosen) in error and f'--{place}' in error
    assert bench.store.ids() == []


def test_a_folder_that_is_not_there_yet_is_made(tmp_path):
    check_writable({'records': tmp_path / 'a' / 'b'})
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_refused(bench, monkeypatch, capsys):
    usage = shutil.disk_usage('/')
    monkeypatch.setattr(preflight.shutil, 'disk_usage', lambda _: usage._replace(free=2**20))
    assert main(['run', *options(bench)]) == 1
    error = capsys.readouterr().err
    assert '1 MB free' in error and 'for 2 stages' in error and '--runs' in error
    assert bench.store.ids() == []


def test_the_space_needed_grows_with_the_weights(bench):
    plan = bench.plan('source_only', 'tent')
    missing = todo(plan, bench.store, bench.records)
    small = expected_mb(bench.store, missing)
    source = bench.store.path(plan.entries[0].stages[0])
    source.mkdir(parents=True)
    with (source / 'final.pth').open('wb') as stream:
        stream.truncate(100 * 2**20)
    later = [stage for stage in missing if stage.id != source.name]
    # One checkpoint of 100 MB to keep, one to continue from.
    assert expected_mb(bench.store, later) > 500 > small


def copied(bench, tmp_path: Path, folder: str) -> Path:
    """A data root of links with one data set copied, so that it can be damaged."""
    root = linked_root(bench.data_root, tmp_path / 'damaged')
    (root / folder).unlink()
    shutil.copytree(bench.data_root / folder, root / folder)
    return root


@pytest.mark.parametrize(
    ('folder', 'pattern', 'named'),
    [
        ('cityscapes', 'gtFine/val/**/*_labelIds.png', 'of cityscapes val'),
        ('gta5', 'labels/*.png', 'of gta5 train'),
    ],
)
@pytest.mark.parametrize('empty', [False, True])
def test_missing_labels_are_named_before_anything_runs(
    bench, tmp_path, capsys, folder, pattern, named, empty
):
    root = copied(bench, tmp_path, folder)
    label = sorted((root / folder).glob(pattern))[-1]
    label.unlink()
    if empty:
        label.touch()
    assert main(['run', *options(bench, root)]) == 1
    error = capsys.readouterr().err
    assert named in error and label.name in error and '1 of ' in error
    assert bench.store.ids() == []


def test_labels_that_nothing_reads_may_be_missing(bench, tmp_path, capsys):
    root = copied(bench, tmp_path, 'cityscapes')
    for label in (root / 'cityscapes/gtFine/train').rglob('*_labelIds.png'):
        label.unlink()
    assert main(['plan', *options(bench, root)]) == 0, capsys.readouterr().err
    assert main(['plan', *options(bench, root), '--method', 'oracle']) == 1
    assert 'of cityscapes train' in capsys.readouterr().err


def test_packages_that_bring_the_same_modules_are_named(monkeypatch):
    check_packages()
    real = preflight.version
    monkeypatch.setattr(preflight, 'version', lambda n: '2.1.0' if n == 'mmcv' else real(n))
    with pytest.raises(BenchError, match='mmcv beside onedl-mmcv'):
        check_packages()


@pytest.mark.parametrize(
    ('name', 'found', 'words'),
    [('torch', '1.13.1', 'torch 1.13.1, required'), ('onedl-mmcv', None, 'onedl-mmcv is missing')],
)
def test_packages_that_are_old_or_missing_are_named(monkeypatch, name, found, words):
    real = preflight.version

    def version(asked: str) -> str:
        if asked != name:
            return real(asked)
        if found is None:
            raise PackageNotFoundError(asked)
        return found

    monkeypatch.setattr(preflight, 'version', version)
    with pytest.raises(BenchError, match=words):
        check_packages()


@pytest.fixture
def drawn(tmp_path: Path) -> list[str]:
    """Options of a suite that renders its data."""
    (tmp_path / 'drawn.py').write_text(RENDERING, encoding='utf-8')
    places = ['--runs', str(tmp_path / 'runs'), '--records', str(tmp_path / 'records')]
    return ['--suite', str(tmp_path / 'drawn.py'), '--method', 'source_only', *places]


def test_the_variable_does_not_touch_a_suite_that_renders(drawn, tmp_path, monkeypatch, capsys):
    """Neither when planning nor when regressions are checked: the folder is not even looked at."""
    real = tmp_path / 'real'
    (real / 'gta5' / 'images').mkdir(parents=True)
    monkeypatch.setenv('SFDA_DATA_ROOT', str(real))
    monkeypatch.setattr(preflight.paths, 'WORK', tmp_path / 'checkout')
    suite = {'name': 'drawn', 'renders': {'size': (48, 96), 'counts': {'gta5/train': 1}}}
    found = preflight.data_root(suite, None)
    assert found == tmp_path / 'checkout/data/pocket'
    assert read_marker(found)['counts'] == {'gta5/train': 1}
    assert 'SFDA_DATA_ROOT is not used' in capsys.readouterr().err
    assert preflight.data_root({'name': 'other'}, None) == real
    assert [p.name for p in real.iterdir()] == ['gta5']


def test_the_regression_check_takes_the_root_from_the_same_place(drawn, monkeypatch, tmp_path):
    asked = []

    def data_root(suite, given, question=False):
        asked.append((suite['name'], given))
        raise BenchError('enough')

    monkeypatch.setenv('SFDA_DATA_ROOT', str(tmp_path))
    monkeypatch.setattr(preflight, 'data_root', data_root)
    (tmp_path / 'drawn.yaml').write_text('suite: drawn\n', encoding='utf-8')
    for call in (
        lambda: main(['plan', *drawn]),
        lambda: check_regression([*drawn, '--update', '--against', str(tmp_path / 'none.yaml')]),
    ):
        assert call() == 1
    assert asked == [('drawn', None)] * 2


def test_a_folder_given_to_a_suite_that_renders(drawn, tmp_path, pocket_root, capsys):
    """Empty: rendered into. A rendered world: taken as it is. Other data: refused, untouched."""
    assert main(['plan', '--json', *drawn, '--data-root', str(tmp_path / 'new')]) == 0
    assert len(json.loads(capsys.readouterr().out)['stages']) == 2
    assert read_marker(tmp_path / 'new')['counts']['gta5/train'] == 2
    before = read_marker(pocket_root)
    assert main(['plan', *drawn, '--data-root', str(pocket_root)]) == 0
    assert read_marker(pocket_root) == before
    assert before['counts'] != dict(WorldSpec().counts)
    foreign = tmp_path / 'foreign'
    (foreign / 'gta5').mkdir(parents=True)
    assert main(['plan', *drawn, '--data-root', str(foreign)]) == 1
    assert 'real data are never overwritten' in capsys.readouterr().err
    assert [p.name for p in foreign.iterdir()] == ['gta5']
