"""``list losses`` and ``list hooks``: what a config may name, what it is, and who uses it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from sfda_bench.cli.main import main
from sfda_bench.plan import catalog
from sfda_bench.plan.parts import about, parts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def told():
    return {kind: {row[kind[:-2 if kind == 'losses' else -1]]: row for row in parts(kind)}
            for kind in ('losses', 'hooks')}  # fmt: skip


def test_every_registered_loss_and_hook_is_listed(told):
    from mmengine.hooks import Hook

    from sfda_bench.registry import HOOKS, MODELS

    HOOKS.import_from_location()
    MODELS.import_from_location()
    ours = {name for name, found in HOOKS.module_dict.items() if issubclass(found, Hook)}
    assert set(told['hooks']) == {n for n in ours if HOOKS.get(n).__module__.startswith('sfda_')}
    assert set(told['losses']) == {
        name
        for name, found in MODELS.module_dict.items()
        if hasattr(found, 'loss_name') and found.__module__.startswith('sfda_bench.')
    }


def test_each_says_what_it_is_and_where(told):
    for rows in told.values():
        for name, row in rows.items():
            assert row['about'] and '`' not in row['about'], name
            assert f'class {name}(' in (ROOT / row['file']).read_text(), name


def test_users_are_the_methods_whose_configs_state_it(told):
    assert 'iapc' in told['hooks']['MeanTeacherHook']['methods']
    assert told['hooks']['ProgressHook']['methods'] == []
    for row in (*told['losses'].values(), *told['hooks'].values()):
        assert set(row['methods']) <= set(catalog.names('methods'))
    assert any('iapc' in row['methods'] for row in told['losses'].values())


def test_the_first_sentence_is_plain_text():
    doc = ':func:`~a.b.loss` of ``x``, e. g. 1.5\n    nats. More.\n\n    Args:\n        x: y.'
    node = ast.parse(f'class A:\n    """{doc}"""').body[0]
    assert about(node) == 'loss of x, e. g. 1.5 nats'


def test_json_and_table(capsys):
    assert main(['list', 'hooks', '--json']) == 0
    rows = json.loads(capsys.readouterr().out)['hooks']
    assert main(['list', 'hooks']) == 0
    table = capsys.readouterr().out
    assert [line.split()[0] for line in table.splitlines() if line[0] not in ' -'] == [
        'hook',
        *(row['hook'] for row in rows),
    ]


def test_a_misspelt_kind_gets_a_hint(capsys):
    assert main(['list', 'loses']) == 1
    assert 'did you mean losses' in capsys.readouterr().err


def test_listing_imports_no_torch():
    code = (
        'import sys\nfrom sfda_bench.cli.main import main\nmain(["list", "losses"])\n'
        'sys.exit("torch" in sys.modules)'
    )
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
