"""From records to boards: nothing hidden, nothing averaged that did not finish."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sfda_bench.board import site
from sfda_bench.board.boards import make_boards
from sfda_bench.board.build import build
from sfda_bench.board.loading import load_item, load_items
from sfda_bench.board.papers import bibtex
from sfda_bench.cli.scripts import make_leaderboard
from sfda_bench.errors import BenchError
from tests.board.factory import make_record, small_suite

SAMPLES = 400


def boards_of(folder):
    return make_boards(load_items(folder), SAMPLES)


def by_method(board):
    return {row.method: row for row in board.rows}


def test_a_board_has_what_its_records_say(tmp_path):
    (board,) = boards_of(small_suite(tmp_path))
    rows = by_method(board)
    assert board.rows[0].method == 'iapc'
    assert [row.bound for row in board.rows] == [False] * 3 + [True] * 2
    assert rows['iapc'].rank == 1 and rows['tent'].rank == rows['bn_adapt'].rank == 2
    assert rows['oracle'].rank is None
    values = [item.scores.miou for item in rows['tent'].items.values()]
    assert rows['tent'].mean == pytest.approx(np.mean(values))
    assert rows['tent'].std == pytest.approx(np.std(values, ddof=1))
    assert rows['tent'].low < rows['tent'].mean < rows['tent'].high
    assert rows['tent'].gain == pytest.approx(rows['tent'].mean - 40)
    share = (rows['tent'].mean - 40) / (rows['oracle'].mean - 40)
    assert rows['tent'].gap == pytest.approx(100 * share)
    assert rows['oracle'].gap == pytest.approx(100)
    assert rows['tent'].hours == pytest.approx(1 / 60)


def test_a_missing_seed_means_a_missing_mean(tmp_path):
    small_suite(tmp_path, suite='study')
    (tmp_path / 'study').joinpath('gta5_to_cityscapes__deeplabv2_pocket__tent__s1.json').unlink()
    (board,) = boards_of(tmp_path)
    row = by_method(board)['tent']
    assert row.mean is None and row.rank is None and not row.complete
    assert set(row.per_class.values()) == {None}
    assert '2 of 3 seeds' in build(tmp_path, SAMPLES)['README.md']


def test_a_missing_cost_or_source_is_not_averaged_over(tmp_path):
    make_record(tmp_path, 'tent', 0)
    make_record(
        tmp_path,
        'tent',
        1,
        source=None,
        cost=dict(wall_seconds=None, images_per_second=None, peak_memory_mb=None),
    )
    (board,) = boards_of(tmp_path)
    row = board.rows[0]
    assert row.mean is not None and row.source is None and row.gain is None and row.hours is None


@pytest.mark.parametrize(
    'change',
    [
        dict(task='synthia_to_cityscapes'),
        dict(network='deeplabv2_r101'),
        dict(suite='paper'),
        dict(inference='daformer@1'),
        dict(scoring='synthia16_avg@1'),
        dict(world=1),
    ],
)
def test_only_the_same_protocol_and_images_share_a_board(tmp_path, change):
    make_record(tmp_path / 'a', 'tent')
    make_record(tmp_path / 'b', 'bn_adapt', **change)
    assert len(boards_of(tmp_path)) == 2


def test_parameters_make_a_row_of_their_own(tmp_path):
    make_record(tmp_path, 'tent')
    make_record(tmp_path, 'tent', params={'lr': 0.1}, quality=0.3)
    (board,) = boards_of(tmp_path)
    assert [row.title.split(' [')[-1] for row in board.rows][1] == 'lr=0.1]'


def test_a_method_after_another_is_called_so_and_cites_both(tmp_path):
    make_record(tmp_path, 'cbst')
    make_record(tmp_path, 'cbst', params={'init': 'iapc[iters=5]'}, quality=0.5)
    make_record(tmp_path, 'cbst', params={'init': 'iapc', 'iters': 3}, quality=0.3)
    (board,) = boards_of(tmp_path)
    own = 'CBST (source-free reading)'
    assert [row.title for row in board.rows] == [
        own, f'{own} after IAPC [iters=5]', f'{own} [iters=3] after IAPC',
    ]  # fmt: skip
    assert [row.methods for row in board.rows] == [['cbst'], ['cbst', 'iapc'], ['cbst', 'iapc']]
    assert '2306.01598' in bibtex([board])
    mechanisms = site._board_context(board, {}, tmp_path)['mechanisms']
    assert 'contrast' in mechanisms[board.rows[1].title]
    assert 'contrast' not in mechanisms[own]
    cards = [row.title if row else card.title for row, _, card in site._cards(board) if card]
    assert cards == [*(row.title for row in board.rows), 'IAPC']


def test_conditions_are_averaged_over_seeds(tmp_path):
    tags = ['fog', 'night', 'rain', 'snow'] * 3
    for seed in (0, 1):
        make_record(
            tmp_path, 'tent', seed, task='cityscapes_to_acdc', scoring='acdc19@1', conditions=tags
        )
    (board,) = boards_of(tmp_path)
    (row,) = board.rows
    single = [item.scores.per_condition['fog'] for item in row.items.values()]
    assert row.per_condition['fog'] == pytest.approx(np.mean(single))


def test_altered_counts_and_scores_are_refused(tmp_path):
    path = make_record(tmp_path, 'tent')
    data = json.loads(path.read_text())
    data['scores']['miou'] += 0.1
    path.write_text(json.dumps(data))
    with pytest.raises(BenchError, match='from its counts'):
        load_item(path)
    data['scores']['miou'] -= 0.1
    data['counts_sha256'] = '0' * 64
    path.write_text(json.dumps(data))
    with pytest.raises(BenchError, match='was altered'):
        load_item(path)
    path.write_text('{}')
    with pytest.raises(BenchError, match='is not a record'):
        load_item(path)


def test_the_page_explains_itself_first(tmp_path):
    page = build(small_suite(tmp_path), SAMPLES)['README.md']
    headings = [line for line in page.splitlines() if line.startswith('## ')]
    assert headings[:4] == [
        '## Reported numbers', '## How to read this', '## Overview', '## Suite `pocket`',
    ]  # fmt: skip
    assert 'Not good for' in page
    for column in ('rank', 'fidelity', 'source', 'verdict', 'gain', 'gap', 'cost'):
        assert f'| {column} ' in page
    assert '| source | mIoU | verdict |' in page  # no column that cannot be filled


def test_check_fails_when_the_page_differs(tmp_path, capsys):
    records, out = small_suite(tmp_path / 'records'), tmp_path / 'results'
    options = ['--records', str(records), '--out', str(out)]
    assert make_leaderboard([*options, '--check']) == 1
    assert make_leaderboard(options) == 0
    assert make_leaderboard([*options, '--check']) == 0
    before = (out / 'README.md').read_bytes()
    assert make_leaderboard(options) == 0 and (out / 'README.md').read_bytes() == before
    capsys.readouterr()
    (out / 'README.md').write_text('edited')
    assert make_leaderboard([*options, '--check']) == 1
    assert 'differs from the regenerated one' in capsys.readouterr().err
    assert (out / 'README.md').read_text() == 'edited'


def test_no_records_is_a_page_too(tmp_path):
    assert 'No records yet' in build(tmp_path / 'none', SAMPLES)['README.md']


def test_an_empty_page_replaces_a_board_only_on_demand(tmp_path, capsys):
    records, out = small_suite(tmp_path / 'records'), tmp_path / 'results'
    assert make_leaderboard(['--records', str(records), '--out', str(out)]) == 0
    before = (out / 'README.md').read_bytes()
    (tmp_path / 'empty').mkdir()
    for name in ('recrods', 'empty', 'records/pocket/none'):
        wrong = ['--records', str(records), str(tmp_path / name), '--out', str(out)]
        assert make_leaderboard(wrong) == 1
        assert str(tmp_path / name) in capsys.readouterr().err
    assert (out / 'README.md').read_bytes() == before
    options = ['--records', str(tmp_path / 'empty'), '--out', str(out), '--allow-empty']
    assert make_leaderboard(options) == 0 and b'No records yet' in (out / 'README.md').read_bytes()


def test_copies_of_records(tmp_path):
    """Hidden ones are passed over; others would count an entry twice and are named."""
    path = make_record(tmp_path, 'tent')
    for name in ('.ipynb_checkpoints/x-checkpoint.json', '.hidden.json', 'pocket/.~lock.x.json'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / name)
    assert len(load_items(tmp_path)) == 1
    copy = shutil.copy(path, path.with_name('copy of it.json'))
    with pytest.raises(BenchError, match=r'copy of it\.json holds the record of'):
        load_items(tmp_path)
    Path(copy).unlink()
    shutil.copytree(path.parent, tmp_path / 'old')
    with pytest.raises(BenchError, match='hold the same entry'):
        load_items(tmp_path)


def test_a_board_that_cannot_be_written_changes_nothing(tmp_path, capsys):
    records, out = small_suite(tmp_path / 'records'), tmp_path / 'results'
    options = ['--records', str(records), '--out', str(out)]
    assert make_leaderboard(options) == 0
    for path in (out / 'boards').glob('*.md'):
        path.write_text('older')
    (out / 'site' / 'index.html').unlink()
    (out / 'site' / 'index.html').mkdir()
    before = {p: p.read_bytes() for p in out.rglob('*') if p.is_file()}
    assert make_leaderboard(options) == 1
    assert f'{out / "site" / "index.html"}: Is a directory' in capsys.readouterr().err
    assert {p: p.read_bytes() for p in out.rglob('*') if p.is_file()} == before


def test_the_board_does_not_import_torch():
    code = (
        'import sys, sfda_bench.cli.board, sfda_bench.scoring.ranking;'
        'sys.exit("torch" in sys.modules or "mmseg" in sys.modules)'
    )
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0
