"""From a reported row to the entry that measures it."""

import json

import pytest

from sfda_bench.board.reported import load_all
from sfda_bench.board.reproduction import questions
from sfda_bench.cli import reproduce
from sfda_bench.cli.main import main
from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.store.record import EntryKey
from sfda_bench.store.runs import Store

ASKED = questions(load_all())
BY_ID = {question.id: question for question in ASKED}


def test_the_list_says_of_every_row_what_it_needs(capsys):
    assert main(['reproduce', '--list', '--json']) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == len(ASKED) and len({row['row'] for row in rows}) == len(rows)
    assert sum(row['complete'] for row in rows) >= 120
    assert sum(row['judgeable'] for row in rows) >= 100
    for row in rows:
        assert row['judgeable'] == (not row['missing'])
        if row['judgeable']:
            assert row['run'] and row['data_sets'] and row['command'].endswith(row['row'])
    crst = next(row for row in rows if row['row'] == 'crst:2')
    assert crst['open'] == {'inference': ['crst_native_flip@1', 'crst_test_0912f@1']}
    assert crst['inference'] == 'unknown' == crst['basis_by_field']['inference']
    assert crst['iterations'] == {'source': 100000, 'method': 3462}
    cgnet = next(row for row in rows if row['row'] == 'cgnet:0')
    assert cgnet['judgeable'] and cgnet['data_sets'] == ['camvid'] and cgnet['seeds'] == 1
    assert cgnet['weights'][0]['sha256'].startswith('7a398416')
    assert cgnet['iterations'] == {'source': 0, 'method': 0}, 'nothing is trained'


def test_rows_are_named_by_id_or_by_method():
    assert [q.id for q in reproduce.choose('iapc:0', False, ASKED)] == ['iapc:0']
    chosen = reproduce.choose('atp_align', False, ASKED)
    assert {q.told.run for q in chosen} == {'atp_align'} and all(q.judgeable for q in chosen)
    assert len(reproduce.choose(None, True, ASKED)) == sum(q.judgeable for q in ASKED)
    with pytest.raises(UnknownNameError, match='iapc:0'):
        reproduce.choose('iapc:99', False, ASKED)
    with pytest.raises(UnknownNameError, match='did you mean iapc'):
        reproduce.choose('iapcc', False, ASKED)
    with pytest.raises(BenchError, match='without a row'):
        reproduce.choose(None, False, ASKED)
    with pytest.raises(BenchError, match='no reported number of sfda can be judged'):
        reproduce.choose('sfda', False, ASKED)


def test_the_entry_has_the_fields_of_the_row():
    told = BY_ID['atp:7'].told
    suite = reproduce.suite_of(BY_ID['atp:7'])
    assert suite['tasks'] == ['cityscapes_to_acdc_night'] and suite['networks'] == ['daformer_b5']
    assert suite['inference'] == 'atp_1280_prior' and suite['profile'] == 'paper'
    assert told.selection == 'best_val_labels' and suite['curve_points'] > 1
    assert reproduce.suite_of(BY_ID['iapc:0'])['curve_points'] == 0, 'its last checkpoint counts'
    crst = BY_ID['crst:2']
    tests = [reproduce.suite_of(crst, told=told)['inference'] for told in crst.meant]
    assert tests == ['crst_native_flip', 'crst_test_0912f']


def test_what_is_missing_is_named_at_once_before_anything_runs(tmp_path):
    rows = [BY_ID['iapc:0'], BY_ID['atp:7']]
    with pytest.raises(BenchError) as error:
        reproduce.plan_questions(rows, tmp_path, Store(tmp_path / 'runs'))
    for word in ('iapc:0', 'atp:7', 'gta5', 'cityscapes', 'acdc'):
        assert word in error.value.found
    with pytest.raises(BenchError, match='no file cbst_prior') as error:
        reproduce.plan_questions([BY_ID['cbst:5']], tmp_path, Store(tmp_path / 'runs'))
    assert 'prepare_data.py cbst-prior' in error.value.found
    open_row = next(q for q in ASKED if q.missing)
    with pytest.raises(BenchError, match='cannot be judged'):
        reproduce.plan_questions([open_row], tmp_path, Store(tmp_path / 'runs'))


def test_one_method_under_two_protocols_is_two_entries():
    key = dict(suite='reproduce', task='t', network='n', method='m', seed=0)
    names = {EntryKey(**key, inference=i).slug for i in ('', 'daformer', 'atp_1280')}
    assert len(names) == 3 and 't__n__m__s0' in names


@pytest.mark.data
def test_the_first_number_is_reproduced_by_one_command(real_root, tmp_path, capsys):
    """CGNet as its authors published it, on CamVid's 233 test images: 65.6 reported."""
    places = ['--runs', str(tmp_path / 'runs'), '--records', str(tmp_path / 'records')]
    assert main(['reproduce', 'cgnet:0', '--data-root', str(real_root), *places]) == 0
    assert 'reproduced (evaluation from the released code)' in capsys.readouterr().out
    (record,) = (tmp_path / 'records' / 'reproduce').glob('*.json')
    assert json.loads(record.read_text())['scores']['miou'] == pytest.approx(65.42, abs=0.05)
