"""Verdicts: 'reproduced' needs every deciding field known and equal."""

import json

import pytest

from sfda_bench.board.basis import DECIDING, Evidence, Measured
from sfda_bench.board.boards import make_boards
from sfda_bench.board.explain import explain
from sfda_bench.board.fields import candidates
from sfda_bench.board.loading import load_items
from sfda_bench.board.reported import Origin, ReportedFile, ReportedRow, load_all
from sfda_bench.board.verdicts import judge
from tests.board.factory import make_record

PAPER = dict(
    suite='paper', profile='paper', network='deeplabv2_r101', inference='dlv2_caffe@2',
)  # fmt: skip
TOLD = dict(
    label='IAPC', kind='result', task='GTA5->Cityscapes', task_id='gta5_to_cityscapes',
    split='val', network='deeplabv2_r101', classes=19, value=45.3, setting='source-free',
    inference='dlv2_caffe@2', scoring='cityscapes19@1', selection='last', confidence='high',
    origin='o', run='iapc', measured='m',
)  # fmt: skip


def basis(**weak):
    """Everything stated, but for the fields named."""
    found = {name: dict(basis='stated', evidence=('README',)) for name in DECIDING}
    for name, word in weak.items():
        known = () if word == 'unknown' else ('evaluate.py:3',)
        found[name] = dict(basis=word, evidence=known)
    return Measured(**{name: Evidence(**item) for name, item in found.items()})


def reported(*rows, method='iapc', measured=None):
    files = ReportedFile(
        schema_version=1,
        method=method,
        title=method,
        origins={'o': Origin(paper='A paper'), 'p': Origin(paper='Another paper')},
        measured={'m': measured or basis()},
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
        (dict(inference='hcl_msflip@1'), 'inference protocol'),
        (dict(inference='unknown'), 'inference protocol'),
        (dict(scoring='unknown'), 'scoring protocol'),
        (dict(network='daformer_b5'), 'network'),
        (dict(network=None), 'network'),
        (dict(split='test'), 'split'),
        (dict(split='unknown'), 'split'),
        (dict(selection='best_val_labels'), 'checkpoint selection'),
        (dict(setting='uda'), 'setting'),
        (dict(classes=11, scoring='camvid11@1'), 'classes'),
        (dict(condition='night'), 'condition'),
        (dict(run='iapc[iters=5]'), 'variant'),
        (dict(run=None, variant='ablation lambda=0.5'), 'variant'),
        (dict(measured=None), 'basis'),
        (dict(flags=('per_class_inconsistent',)), 'consistency'),
    ],
)
def test_another_protocol_never_reproduces(measured, change, field):
    board, row = measured
    verdict = judge(board, row, reported(change | dict(value=row.mean)))
    assert verdict.word == 'not comparable' and field in verdict.reason


@pytest.mark.parametrize('change', [dict(profile='pocket'), dict(params={'lr': 1.0})])
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
    assert [c.told.value for c in candidates(*measured, rows)] == [45.0, 10.0, 20.0]


def test_nobody_reported_it(measured):
    assert judge(*measured, reported(dict(run=None), method='other')) is None


def test_bounds_are_not_judged(tmp_path):
    make_record(tmp_path, 'source_only', track='bound', **PAPER)
    (board,) = make_boards(load_items(tmp_path), 100)
    told = dict(setting='source', run='source_only')
    verdict = judge(board, board.rows[0], reported(told, method='source_only'))
    assert verdict.word == 'not comparable' and 'source model' in verdict.reason


@pytest.mark.parametrize(
    'published, word', [('a' * 64, 'reproduced'), ('b' * 64, 'not comparable')]
)
def test_the_score_of_a_published_checkpoint_is_judged(tmp_path, published, word):
    source = dict(stage_id='s', sha256='0' * 64, origin='theirs', miou=40.0, published=published)
    make_record(tmp_path, 'source_only', track='bound', **PAPER | {'source': 40.0})
    record = next(tmp_path.rglob('*.json'))
    text = json.loads(record.read_text())
    text['source'] = source
    record.write_text(json.dumps(text))
    (board,) = make_boards(load_items(tmp_path), 100)
    row = board.rows[0]
    told = dict(
        setting='source', run='source_only', checkpoint='a' * 64, value=round(row.values[0], 1)
    )
    row.mean, row.expected = row.values[0], (0,)
    assert judge(board, row, reported(told, method='source_only')).word == word


def with_curve(folder, points, conventions=None):
    """A board whose row kept checkpoints on the way; ``points`` are their mIoU."""
    curve = [
        dict(iteration=10 * i, miou=value, conventions=conventions or {})
        for i, value in enumerate(points)
    ]
    make_record(folder, 'iapc', 0, 0.6, source=36.6, curve=curve, **PAPER)
    (board,) = make_boards(load_items(folder), 500)
    row = board.rows[0]
    row.expected, row.mean = (0,), row.values[0]
    row.low = row.high = row.mean
    return board, row


def test_a_number_best_on_labels_is_judged_against_the_best_kept(tmp_path):
    board, row = with_curve(tmp_path, [40.0, 51.2, 45.0])
    told = dict(selection='best_val_labels', value=51.2)
    verdict = judge(board, row, reported(told))
    assert verdict.word == 'reproduced' and verdict.difference == pytest.approx(0)
    assert 'best of 3 kept' in verdict.reason and 'bound' in verdict.reason
    assert judge(board, row, reported(told | dict(value=row.mean))).word == 'above'
    assert judge(board, row, reported(told | dict(value=56.2))).word == 'below'
    last = dict(value=51.2, selection='last')
    assert judge(board, row, reported(last)).word == 'below'


def test_an_unknown_choice_of_checkpoint_is_tried_both_ways(tmp_path):
    board, row = with_curve(tmp_path, [40.0, 51.2])
    unknown = dict(selection='unknown')
    for value, words in (
        (51.2, ('inside one reading', 'best fit')),
        (row.mean, ('inside one reading', 'last fit')),
        (60.0, ('below', 'last and best')),
        (20.0, ('above', 'last and best')),
    ):
        verdict = judge(board, row, reported(unknown | dict(value=value)))
        assert verdict.word == words[0] and words[1] in verdict.reason
    board, row = with_curve(tmp_path / 'flat', [40.0, row.mean])
    verdict = judge(board, row, reported(unknown | dict(value=row.mean)))
    assert verdict.word == 'inside both readings'


@pytest.mark.parametrize(('apart', 'word'), [(0.049, 'reproduced'), (0.051, 'below')])
def test_half_a_printed_digit_is_no_difference(tmp_path, apart, word):
    """With an interval of no width, what is printed is known to half its last digit."""
    board, row = with_curve(tmp_path, [])
    value = round(row.mean + apart, 6)
    assert judge(board, row, reported(dict(value=value))).word == word


@pytest.mark.parametrize(
    ('weak', 'text'),
    [
        ({}, 'reproduced'),
        (dict(inference='released_code'), 'reproduced (evaluation from the released code)'),
        (dict(scoring='code_line', split='stated'), 'reproduced (evaluation from the code'),
        (dict(classes='convention', network='code_line'), 'by the convention of the field)'),
        (dict(setting='unknown'), 'not comparable'),
    ],
)
def test_what_the_evaluation_is_known_from_stands_with_the_verdict(measured, weak, text):
    assert text in str(judge(*measured, reported({}, measured=basis(**weak))))


def test_the_counts_are_scored_as_the_reported_number_was(measured):
    board, row = measured
    told = dict(classes=16, scoring='synthia16_masked@1')
    value = row.conventions['synthia16_masked@1']
    verdict = judge(board, row, reported(told | dict(value=value)))
    assert verdict.word == 'reproduced' and verdict.difference == pytest.approx(0, abs=1e-9)
    assert value != pytest.approx(row.mean)


def test_explain_ranks_the_suspects(measured):
    files = reported(
        dict(selection='best_val_labels', inference='hcl_msflip@1', value=55.0)
    ) | reported(
        dict(
            label='source-only', run=None, setting='source', value=99, kind='comparison', origin='p'
        ),
        dict(label='source-only', run=None, setting='source', value=42.6, kind='comparison'),
        method='source_only',
    )
    board, row = measured
    told, causes = explain(board, row, files)
    assert told.value == 55.0 and causes[0].field == 'source model'
    assert causes[0].size == pytest.approx(6.0) and '42.6 reported, 36.6 here' in causes[0].text
    assert [c.field for c in causes[1:]] == ['seeds', 'checkpoint selection', 'inference protocol']
    assert [c.size for c in causes] == sorted((c.size for c in causes), reverse=True)
    assert explain(board, row, {}) == (None, [])


def of_method(folder, method, track):
    make_record(folder / method, method, 0, 0.6, source=36.6, track=track, **PAPER)
    (board,) = make_boards(load_items(folder / method), 500)
    return board, board.rows[0]


@pytest.mark.parametrize(
    ('method', 'file', 'label', 'run'),
    [
        ('cbst_uda', 'cbst', 'CBST', 'cbst_uda'),
        # ST as published is CBST's program with one threshold
        ('self_training', 'cbst', 'ST', 'cbst_uda'),
        ('crst_mrkld_uda', 'crst', 'CRST-MRKLD', 'crst_mrkld_uda'),
        # without easy images it is ADVENT's model
        ('intrada_uda', 'intrada', 'IntraDA', ('intrada_uda', 'advent')),
        ('minent', 'minent', 'MinEnt', 'minent'),
    ],
)
def test_numbers_reported_under_another_name_attach_by_label(tmp_path, method, file, label, run):
    found = candidates(*of_method(tmp_path, method, 'uda'), load_all())
    labels = {c.told.label.split(' (')[0] for c in found if c.told.run is None}
    runs = {c.told.run.split('[')[0] for c in found if c.told.run}
    assert found and labels <= {label} and runs <= set(run if isinstance(run, tuple) else [run])
    names = {row.label for row in load_all()[file].rows}
    assert len(names) > 1 or file == 'minent'


@pytest.mark.parametrize('method', ['cbst', 'crst_mrkld', 'crst_lrent', 'intrada', 'self_training'])
def test_a_source_free_reading_does_not_claim_the_number_of_the_published_form(tmp_path, method):
    board, row = of_method(tmp_path, method, 'source-free')
    found = candidates(board, row, load_all())
    assert found
    for one in found:
        assert one.told.setting == 'unknown' or 'setting' in {item.field for item in one.apart}
    verdict = judge(board, row, load_all())
    assert verdict.word == 'not comparable'
