"""Verdicts: 'reproduced' needs every deciding field known and equal."""

import pytest

from sfda_bench.board.boards import make_boards
from sfda_bench.board.explain import explain
from sfda_bench.board.loading import load_items
from sfda_bench.board.reported import Origin, ReportedFile, ReportedRow, load_all
from sfda_bench.board.verdicts import candidates, judge, not_run
from tests.board.factory import make_record

PAPER = dict(
    suite='paper', profile='paper', network='deeplabv2_r101', inference='dlv2_caffe@1',
)  # fmt: skip
TOLD = dict(
    label='IAPC', kind='result', task='GTA5->Cityscapes', task_id='gta5_to_cityscapes',
    split='val', network='deeplabv2_r101', classes=19, value=45.3, setting='source-free',
    inference='dlv2_caffe@1', scoring='cityscapes19@1', selection='last', confidence='high',
    origin='o',
)  # fmt: skip


def reported(*rows, method='iapc'):
    files = ReportedFile(
        schema_version=1,
        method=method,
        title=method,
        origins={'o': Origin(paper='A paper'), 'p': Origin(paper='Another paper')},
        rows=tuple(ReportedRow(**(TOLD | row)) for row in rows),
    )
    return {method: files}


@pytest.fixture(scope='module')
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp('records')
    for seed in range(3):
        make_record(folder, 'iapc', seed, 0.6, source=36.6, **PAPER)
    (board,) = make_boards(load_items(folder), 500)
    return board, board.rows[0]


def test_equal_fields_and_a_small_difference_are_reproduced(measured):
    verdict = judge(*measured, reported({}))
    assert verdict.word == 'reproduced' and '3 seeds' in verdict.reason
    assert verdict.difference == pytest.approx(measured[1].mean - 45.3)


@pytest.mark.parametrize('value, word', [(40.0, 'above'), (50.0, 'below')])
def test_equal_fields_and_a_large_difference(measured, value, word):
    assert judge(*measured, reported(dict(value=value))).word == word


def test_a_tolerance_of_the_card_counts(measured):
    assert judge(*measured, reported(dict(value=47.0))).word == 'below'
    assert judge(*measured, reported(dict(value=47.0, tolerance=3))).word == 'reproduced'


@pytest.mark.parametrize(
    'change, field',
    [
        (dict(inference='dlv2_caffe_msflip@1'), 'inference protocol'),
        (dict(inference='unknown'), 'inference protocol'),
        (dict(scoring='unknown'), 'scoring protocol'),
        (dict(network='daformer_b5'), 'network'),
        (dict(network=None), 'network'),
        (dict(split='test'), 'split'),
        (dict(split='unknown'), 'split'),
        (dict(selection='best_val_labels'), 'checkpoint selection'),
        (dict(selection='unknown'), 'checkpoint selection'),
        (dict(setting='uda'), 'setting'),
        (dict(classes=16, scoring='synthia16_avg@1'), 'classes'),
        (dict(condition='night'), 'condition'),
        (dict(variant='ablation lambda=0.5'), 'variant'),
        (dict(flags=('per_class_inconsistent',)), 'consistency'),
    ],
)
def test_another_protocol_never_reproduces(measured, change, field):
    board, row = measured
    verdict = judge(board, row, reported(change | dict(value=row.mean)))
    assert verdict.word == 'not comparable' and field in verdict.reason


@pytest.mark.parametrize(
    'change', [dict(profile='pocket'), dict(params={'lr': 1.0}), dict(selection='best_val_labels')]
)
def test_a_measured_row_of_another_kind_never_reproduces(tmp_path, change):
    make_record(tmp_path, 'iapc', quality=0.6, **(PAPER | change))
    (board,) = make_boards(load_items(tmp_path), 100)
    row = board.rows[0]
    assert (
        judge(board, row, reported(dict(value=row.mean or row.first.scores.miou))).word
        == 'not comparable'
    )


def test_a_number_on_other_data_is_not_even_shown(tmp_path):
    make_record(tmp_path, 'iapc', quality=0.6)
    (board,) = make_boards(load_items(tmp_path), 100)
    verdict = judge(board, board.rows[0], reported({}))
    assert verdict.reported is None and verdict.reason == 'pocket suite, not the full data sets'


def test_no_committed_number_reproduces_by_accident(tmp_path):
    """Against all committed rows: a pocket record of every method, at the very reported value."""
    for name in load_all():
        make_record(tmp_path, name, quality=0.6)
    (board,) = make_boards(load_items(tmp_path), 100)
    for row in board.rows:
        verdict = judge(board, row, load_all())
        assert verdict is None or verdict.word == 'not comparable'


def test_the_closest_row_is_chosen(measured):
    rows = reported(
        dict(value=10.0, inference='unknown'), dict(value=45.0), dict(value=20.0, network=None)
    )
    assert [told.value for told, _ in candidates(*measured, rows)] == [45.0, 10.0, 20.0]


def test_nobody_reported_it(measured):
    assert judge(*measured, reported({}, method='other')) is None


def test_bounds_are_not_judged(tmp_path):
    make_record(tmp_path, 'source_only', track='bound', **PAPER)
    (board,) = make_boards(load_items(tmp_path), 100)
    verdict = judge(board, board.rows[0], reported(dict(setting='source'), method='source_only'))
    assert verdict.word == 'not comparable' and 'own source model' in verdict.reason


def test_explain_ranks_the_suspects(measured):
    files = reported(
        dict(selection='best_val_labels', inference='dlv2_caffe_msflip@1', value=55.0)
    ) | reported(
        dict(label='source-only', setting='source', value=99, kind='comparison', origin='p'),
        dict(label='source-only', setting='source', value=42.6, kind='comparison'),
        method='source_only',
    )
    board, row = measured
    told, causes = explain(board, row, files)
    assert told.value == 55.0 and causes[0].field == 'source model'
    assert causes[0].size == pytest.approx(6.0) and '42.6 reported, 36.6 here' in causes[0].text
    assert [c.field for c in causes[1:]] == ['seeds', 'checkpoint selection', 'inference protocol']
    assert [c.size for c in causes] == sorted((c.size for c in causes), reverse=True)
    assert explain(board, row, {}) == (None, [])


def test_what_was_reported_and_never_run_is_listed(measured):
    board, _ = measured
    missing = not_run([board], reported({}) | reported({}, method='hcl'))
    assert [(task, file.method) for task, file, _ in missing] == [('GTA5 -> Cityscapes', 'hcl')]


def of_method(folder, method, track):
    make_record(folder / method, method, 0, 0.6, source=36.6, track=track, **PAPER)
    (board,) = make_boards(load_items(folder / method), 500)
    return board, board.rows[0]


@pytest.mark.parametrize(
    ('method', 'file', 'label'),
    [
        ('cbst_uda', 'cbst', 'CBST'),
        ('self_training', 'cbst', 'ST'),
        ('crst_mrkld_uda', 'crst', 'CRST-MRKLD'),
        ('intrada_uda', 'intrada', 'IntraDA'),
        ('minent', 'minent', 'MinEnt'),
    ],
)
def test_numbers_reported_under_another_name_attach_by_label(tmp_path, method, file, label):
    found = candidates(*of_method(tmp_path, method, 'uda'), load_all())
    assert found and {told.label.split(' (')[0] for told, _ in found} == {label}
    names = {told.label for told in load_all()[file].rows}
    assert len(names) > 1 or file == 'minent'


@pytest.mark.parametrize('method', ['cbst', 'crst_mrkld', 'crst_lrent', 'intrada', 'self_training'])
def test_a_source_free_reading_does_not_claim_the_number_of_the_published_form(tmp_path, method):
    board, row = of_method(tmp_path, method, 'source-free')
    found = candidates(board, row, load_all())
    assert found
    for told, apart in found:
        assert told.setting == 'unknown' or 'setting' in {item.field for item in apart}
    verdict = judge(board, row, load_all())
    assert verdict.word == 'not comparable'


def test_a_source_free_run_leaves_the_published_form_not_run(tmp_path):
    told = reported(dict(label='CBST', setting='uda'), method='cbst')
    free, _ = of_method(tmp_path, 'cbst', 'source-free')
    with_source, _ = of_method(tmp_path, 'cbst_uda', 'uda')
    assert len(not_run([free], told)) == 1 and not_run([with_source], told) == []
