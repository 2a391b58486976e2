"""All benchmarks in one command: real small runs, their records and the page of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sfda_bench.benchmarks import suite
from sfda_bench.board.benchmarks import page
from sfda_bench.cli.main import main
from sfda_bench.errors import BenchError
from sfda_bench.store.benchmark import Ratio, load_benchmarks

ROOT = Path(__file__).parents[2]


def test_records_and_page_of_a_quick_run(tmp_path, capsys):
    out = tmp_path / 'benchmarks'
    call = ['benchmark', 'all', '--quick', '--only', 'scoring', '--out', str(out)]
    assert main(call) == 0
    (record,) = load_benchmarks(out)
    assert record.name == 'scoring' and len(record.ratios) == 2
    assert all(ratio.value > 0 for ratio in record.ratios)
    assert record.hardware['cores'] and record.versions['torch']
    text = page([record])
    assert record.command in text and f'{record.ratios[0].value:.3g}' in text
    before = (out / 'scoring.json').read_bytes()
    assert main([*call, '--only-missing']) == 0
    assert 'measured before' in capsys.readouterr().out
    assert (out / 'scoring.json').read_bytes() == before


@pytest.mark.parametrize(
    ('value', 'better', 'met'),
    [(0.95, 'higher', True), (0.94, 'higher', False), (1.1, 'lower', True), (1.11, 'lower', False)],
)
def test_a_promise_is_kept_or_not(value, better, met):
    aim = 0.95 if better == 'higher' else 1.1
    assert Ratio(what='x', value=value, aim=aim, better=better).met is met
    assert Ratio(what='x', value=value).met is None


def test_a_broken_promise_shows_on_the_page(tmp_path):
    steps = suite._steps({'tent: adapt': {'ratio': 1.3}, 'stvm: adapt': {'ratio': 1.0}})
    assert [ratio.met for ratio in steps] == [True, False]


def test_unknown_names_and_damaged_records_are_named(tmp_path):
    with pytest.raises(BenchError, match='benchmark nonsense'):
        suite.chosen(['nonsense'])
    (tmp_path / 'scoring.json').write_text('{"name": 3', encoding='utf-8')
    with pytest.raises(BenchError, match='no record of a benchmark'):
        load_benchmarks(tmp_path)


def test_without_records_the_page_says_so():
    assert 'Nothing was measured yet' in page([])


def test_what_is_printed_as_json_is_json_alone():
    call = [sys.executable, '-m', 'sfda_bench.cli.main', 'benchmark', 'data', '--json']
    call += ['--images', '1', '--repeats', '1']
    done = subprocess.run(call, cwd=ROOT, capture_output=True, encoding='utf-8')
    found = json.loads(done.stdout)
    assert found and all(row['ratio'] > 0 for row in found)
