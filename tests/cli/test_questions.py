"""Questions about a suite: answered in a moment, nothing is rendered or run."""

from __future__ import annotations

import json

import pytest

from sfda_bench.cli.main import main
from sfda_bench.run import preflight


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """A clone in which nothing was rendered yet."""
    monkeypatch.setattr(preflight, 'rendered_root', lambda: tmp_path / 'data')
    monkeypatch.delenv('SFDA_DATA_ROOT', raising=False)
    return tmp_path


def ask(fresh, *words: str) -> int:
    return main([*words, '--runs', str(fresh / 'runs'), '--records', str(fresh / 'records')])


@pytest.mark.parametrize('command', ['status', 'plan'])
def test_a_question_renders_nothing(fresh, capsys, command):
    assert ask(fresh, command, '--method', 'tent', 'tent[iters=3]', '--task', 'gta5*') == 0
    shown = capsys.readouterr().out
    assert 'tent[iters=3]' in shown
    assert not (fresh / 'data').exists()


def test_ids_are_those_of_the_rendered_world(fresh, capsys, monkeypatch):
    def ids() -> list[str]:
        assert ask(fresh, 'plan', '--method', 'tent', '--task', 'gta5*', '--json') == 0
        found = json.loads(capsys.readouterr().out)
        assert found['data_root'] == str(fresh / 'data')
        return [stage['id'] for stage in found['stages']]

    before = ids()
    from sfda_bench.pocket import skeleton
    from sfda_bench.pocket.world import WorldSpec

    (fresh / 'data').mkdir()
    skeleton.lay_out(WorldSpec(), fresh / 'data')  # as if rendered
    monkeypatch.setattr(skeleton, 'lay_out', None)  # not asked again
    assert ids() == before


def test_explain_takes_what_status_prints(fresh, capsys):
    words = ['--method', 'tent', 'tent[iters=3]', '--task', 'gta5*']
    assert ask(fresh, 'explain', 'tent[iters=3]', *words) == 0
    assert 'tent-' in capsys.readouterr().out.splitlines()[0]
    assert ask(fresh, 'explain', 'tent', *words) == 0
    first = capsys.readouterr().out
    stage = first.split('\n\n')[2].split()[0]
    assert ask(fresh, 'explain', stage, *words) == 0
    assert ask(fresh, 'explain', 'tent', '--method', 'tent') == 1
    assert '--task' in capsys.readouterr().err


def test_what_all_adds_is_said(fresh, capsys):
    assert ask(fresh, 'plan', '--task', 'gta5*') == 0
    usual = capsys.readouterr().out
    assert ' more methods with --all: ' in usual and 'urma' in usual.split('with --all:')[1]
    assert ask(fresh, 'plan', '--all') == 0
    whole = capsys.readouterr().out
    assert 'with --all' not in whole and ' urma ' in whole
