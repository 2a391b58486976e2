"""``run_suite new-method``: what it writes, and that the result fails until it is filled in."""

from __future__ import annotations

import ast
import inspect
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tokenize
from collections import Counter
from pathlib import Path

import pytest

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.new_method.contract import check_method, unfilled
from sfda_bench.new_method.scaffold import OVERRIDES, TRAINING, new_method
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method

ROOT = Path(__file__).parents[2]
TASKS = catalog.names('tasks')


def adapting() -> list[str]:
    return [
        name
        for name in catalog.names('methods')
        if any(s.get('kind', 'adapt') in TRAINING for s in Method(name).spec()['stages'])
    ]


@pytest.mark.parametrize('like', catalog.names('methods'))
def test_every_method_can_be_taken_over(like, tmp_path):
    """Same stages, profiles, networks and settings, but for the classes of the adapters."""
    files = new_method('mine', like, tmp_path)
    old, new = Method(like), Method(str(files[0]))
    card = new.card
    assert (card.name, card.track, card.setting) == ('mine', old.card.track, old.card.setting)
    assert card.predict_on == old.card.predict_on and not card.reported and not card.choices
    assert new.spec()['skip'] == old.spec()['skip'] and new._presets == old._presets
    code = files[1].read_text() if new.code_files else ''
    for profile in old.spec()['profiles'] or {'pocket': {}}:
        assert new.networks(profile) == old.networks(profile)
        for task in TASKS:
            theirs, ours = (m.stages(profile, task, {}) for m in (old, new))
            for a, b in zip(theirs, ours, strict=True):
                if a.get('kind', 'adapt') in TRAINING:
                    assert f'class {b["adapter"]["type"]}({a["adapter"]["type"]})' in code
                    b['adapter']['type'] = a['adapter']['type']
            assert json.dumps(theirs) == json.dumps(ours)


@pytest.mark.parametrize('like', catalog.names('methods'))
def test_the_comments_of_a_config_are_kept(like, tmp_path):
    """All but those of its card, which is the author's to write."""
    text, new = Path(Method(like).file).read_text(), new_method('mine', like, tmp_path)[0]
    (card,) = (n for n in ast.parse(text).body if ast.unparse(n).startswith('card ='))
    kept = [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT and not card.lineno <= token.start[0] <= card.end_lineno
    ]
    found = Counter(re.findall('#.*', new.read_text()))
    assert not Counter(kept) - found


@pytest.mark.parametrize('like', adapting())
def test_what_it_overrides_has_the_signature_of_what_it_overrides(like, tmp_path):
    from sfda_bench.plan.plugins import import_file

    name = f'signs_{like}'
    module = import_file(new_method(name, like, tmp_path)[1])
    classes = [c for c in vars(module).values() if isinstance(c, type)]
    own = [c for c in classes if c.__module__ == module.__name__]
    assert own
    for cls in own:
        for hook in set(vars(cls)) & set(OVERRIDES):
            base = getattr(cls.__mro__[1], hook)
            names = [list(inspect.signature(f).parameters) for f in (getattr(cls, hook), base)]
            assert names[0] == names[1], (cls, hook)


def test_what_it_writes_is_in_house_style(tmp_path):
    files = [new_method('a_new_one', like, tmp_path / like) for like in catalog.names('methods')]
    python = [str(path) for paths in files for path in paths if path.suffix == '.py']
    ruff = [sys.executable, '-m', 'ruff']
    options = ['--config', str(ROOT / 'pyproject.toml')]
    done = subprocess.run(
        [*ruff, 'format', '--check', '--diff', *options, *python], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    ours = ['--ignore', 'D1', '--config', f'src = ["{ROOT}"]']
    done = subprocess.run(
        [*ruff, 'check', *options, *ours, *python], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_inside_the_repository_it_writes_to_four_rooms(tmp_path, monkeypatch):
    from sfda_bench.new_method import scaffold

    shutil.copytree(catalog.CONFIG_ROOT, tmp_path / 'mm_configs')
    monkeypatch.setattr(catalog, 'CONFIG_ROOT', tmp_path / 'mm_configs')
    monkeypatch.setattr(scaffold, 'REPOSITORY', tmp_path)
    files = [path.relative_to(tmp_path).as_posix() for path in new_method('mine', 'tent')]
    assert files == [
        'mm_configs/methods/mine.py',
        'sfda_bench/methods/mine/adapter.py',
        'sfda_bench/methods/mine/__init__.py',
        'results/reported/mine.yaml',
        'tests/methods/test_mine.py',
    ]
    assert "METHOD = 'mine'" in (tmp_path / files[-1]).read_text()
    assert 'mine' in catalog.names('methods')
    left = unfilled('mine')
    for what in ('title: the name', 'paper: authors', 'your own terms', 'what is minimised'):
        assert any(what in line for line in left), what
    based = new_method('another', 'minent')[0].read_text()
    assert "_base_ = './advent.py'" in based and "type='Another'" in based
    assert len(Method('another').stages('pocket', TASKS[0], {})) == 1
    with pytest.raises(BenchError, match='there is a method mine already'):
        new_method('mine', 'tent')


@pytest.mark.parametrize('name', ['Mine', '1st', 'my-method', 'class', '../mine', ''])
def test_a_name_that_is_none_is_refused(name, tmp_path):
    with pytest.raises(BenchError, match='cannot be the name'):
        new_method(name, 'tent', tmp_path)


def test_a_misspelt_method_is_named_with_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match='did you mean tent'):
        new_method('mine', 'tnet', tmp_path)


def test_like_a_bound_there_is_no_code_to_write(tmp_path):
    files = new_method('mine', 'oracle', tmp_path)
    assert [path.name for path in files] == ['mine.py', 'mine.yaml', 'test_mine.py']
    assert not any('code' in line for line in unfilled(str(files[0])))


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / 'mine.yaml').write_text('kept')
    with pytest.raises(BenchError, match=r'mine\.yaml exists'):
        new_method('mine', 'tent', tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ['mine.yaml']
    assert (tmp_path / 'mine.yaml').read_text() == 'kept'


def fill_in(folder: Path) -> None:
    for path in filter(Path.is_file, folder.iterdir()):
        lines = path.read_text().splitlines()
        if path.suffix == '.yaml':
            lines = lines[1:]
        path.write_text('\n'.join(lines).replace('FILL IN: ', '') + '\n')


def call(*words: object, code: int = 0) -> str:
    command = [sys.executable, *map(str, words)]
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_outside_from_scaffold_to_a_row_beside_ours(tmp_path):
    """The command, its test before and after filling in, a record, a board with ours."""
    folder, work = tmp_path / 'own', tmp_path / 'work'
    config = folder / 'mine.py'
    tool = ROOT / 'tools' / 'run_suite.py'
    told = call(tool, 'new-method', 'mine', '--like', 'tent', '--outside', folder)
    assert 'says what to fill in' in told and f'--method {config}' in told
    test = ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', folder / 'test_mine.py', '-k', 'fill']
    failed = call(*test, code=1)
    for what in ('title: the name on the board', 'summary: the idea', 'paper: auth', 'own terms'):
        assert what in failed
    fill_in(folder)
    assert '1 passed' in call(*test)

    check_method('tent', work)
    record = check_method(str(config), work)
    own = tmp_path / 'own_records' / 'contract'
    own.mkdir(parents=True)
    for path in (record, record.with_suffix('.npz')):
        path.rename(own / path.name)
    folders = ['--records', work / 'records', own.parent]
    outside = ['--method', config]
    call(ROOT / 'tools/make_leaderboard.py', *folders, *outside, '--out', tmp_path / 'board')
    (board,) = (tmp_path / 'board' / 'boards').glob('contract__*.md')
    page = board.read_text()
    assert '| the name on the board [adapt.iters=2]' in page
    assert '| Tent (offline) [adapt.iters=2]' in page


def test_numbers_reported_beside_a_config_reach_the_verdict(tmp_path, monkeypatch):
    from sfda_bench.board.reported import with_outside

    folder = tmp_path / 'own'
    config = new_method('mine', 'tent', folder)[0]
    fill_in(folder)
    monkeypatch.setattr(catalog, '_added', {})
    assert with_outside({}, ['mine', 'tent']) == {}
    assert catalog.add(config) == 'mine' and 'mine' in catalog.known('methods')
    assert with_outside({}, ['mine', 'tent'])['mine'].rows == ()
