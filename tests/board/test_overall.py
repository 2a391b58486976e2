"""``board.csv``: the rows of all boards in one table; Parquet where pyarrow is there."""

import importlib.util
import io
from pathlib import Path

import pandas as pd
import pytest

from sfda_bench.board import overall
from sfda_bench.board.boards import make_boards
from sfda_bench.board.loading import load_items
from sfda_bench.board.tiers import RERUN
from sfda_bench.cli.scripts import make_leaderboard
from sfda_bench.paths import RESULTS
from tests.board.factory import make_record, small_suite

COLUMNS = [
    'suite', 'task', 'network', 'setting', 'method', 'entry', 'track', 'fidelity', 'tier', 'seeds',
    'images', 'miou', 'miou_std', 'source_miou', 'gain', 'inference', 'scoring', 'commits', 'date',
]  # fmt: skip


@pytest.fixture
def records(tmp_path):
    folder = small_suite(tmp_path / 'records')
    code = dict(fingerprint='c', commit='a' * 40, dirty=True)
    make_record(
        folder, 'tent', params=dict(lr=0.001, iters=20), code=code, created='2026-02-03T10:00:00Z'
    )
    make_record(folder, 'tent', suite='paper', network='deeplabv2_r101', inference='dlv2_caffe@2')
    return folder


def table(text):
    return pd.read_csv(io.StringIO(text), dtype=dict(seeds=str))


def test_a_line_for_every_row_of_every_board(records):
    boards = make_boards(load_items(records), 200)
    frame = table(overall.csv(boards))
    assert list(frame) == COLUMNS
    rows = [(board, row) for board in boards for row in board.rows]
    assert len(frame) == len(rows) == 7
    for line, (board, row) in zip(frame.itertuples(), rows, strict=True):
        assert (line.suite, line.network, line.method) == (
            board.key.suite, board.key.network, row.method
        )  # fmt: skip
        assert line.miou == pytest.approx(row.mean, abs=1e-4, nan_ok=True) or row.mean is None
        assert line.seeds == ' '.join(map(str, row.items))
    plain = frame[frame.entry == 'tent'].iloc[-1]
    assert plain.gain == pytest.approx(plain.miou - plain.source_miou, abs=2e-4)


def test_settings_commits_and_the_newest_date(records):
    frame = table(overall.csv(make_boards(load_items(records), 200)))
    (own,) = frame[frame.entry == 'tent[lr=0.001,iters=20]'].itertuples()
    assert (own.commits, own.date) == ('a' * 12 + '-dirty', '2026-02-03')
    assert set(frame[frame.method == 'iapc'].commits) == {'unknown'}


def test_the_check_sees_an_edit(records, tmp_path, capsys):
    out = tmp_path / 'out'
    options = ['--records', str(records), '--out', str(out)]
    assert make_leaderboard(options) == 0 == make_leaderboard([*options, '--check'])
    for name in ('board.csv', 'record.schema.json'):
        path = out / name
        good = path.read_text()
        path.write_text(good.replace('pocket', 'packet', 1) + ' ')
        assert make_leaderboard([*options, '--check']) == 1
        assert f'{name} differs' in capsys.readouterr().err
        path.write_text(good)


def test_the_committed_table_names_what_is_committed():
    frame = table((RESULTS / 'board.csv').read_text(encoding='utf-8'))
    frame = frame[frame.tier == RERUN]
    seeds = sum(len(line.split()) for line in frame.seeds)
    assert seeds == len(list((RESULTS / 'records').rglob('*.json')))
    assert (frame.commits != 'unknown').all()


def test_without_pyarrow_no_parquet_is_left(tmp_path, monkeypatch):
    (tmp_path / overall.PARQUET).write_bytes(b'of an earlier table')
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    assert not overall.write_parquet('a,b\n1,2\n', tmp_path)
    assert not (tmp_path / overall.PARQUET).exists()


def test_parquet_holds_the_same(records, tmp_path):
    pytest.importorskip('pyarrow')
    text = overall.csv(make_boards(load_items(records), 200))
    assert overall.write_parquet(text, tmp_path)
    found = pd.read_parquet(tmp_path / overall.PARQUET)
    assert found.to_csv(index=False, float_format='%.4f', lineterminator='\n') == text


def test_parquet_is_neither_committed_nor_checked():
    ignored = (Path(__file__).parents[2] / '.gitignore').read_text().splitlines()
    assert f'results/{overall.PARQUET}' in ignored
