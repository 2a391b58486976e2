"""Reported numbers: complete, with origin, consistent or flagged."""

import pytest
import yaml

from sfda_bench.board import reported as R
from sfda_bench.board.basis import DECIDING
from sfda_bench.errors import BenchError

FIRST_METHODS = ('atp', 'cbst', 'iapc', 'intrada', 'stvm')
ORIGIN = {'o': {'paper': 'A paper', 'table': 'Table 1'}}
ROW = dict(
    label='X', kind='result', task='GTA5->Cityscapes', task_id='gta5_to_cityscapes', split='val',
    value=40.0, classes=19, confidence='high', origin='o', measured='m',
)  # fmt: skip
SAID = dict(basis='stated', evidence=['README'])
NOTHING = dict(basis='unknown')
BASIS = {name: NOTHING for name in DECIDING} | {'split': SAID, 'classes': SAID}


def write(folder, *rows, method='x', **fields):
    path = folder / f'{method}.yaml'
    data = dict(schema_version=1, method=method, title='X', origins=ORIGIN, rows=list(rows))
    data['measured'] = {'m': BASIS}
    path.write_text(yaml.safe_dump(data | fields))
    return path


def test_the_committed_rows_pass():
    assert R.lint() == []


def test_the_first_methods_are_there_with_their_origins():
    found = R.load_all()
    assert set(FIRST_METHODS) <= set(found)
    for name in FIRST_METHODS:
        file = found[name]
        assert file.rows and all(file.origins[row.origin].paper for row in file.rows)
    values = {
        (row.task_id, row.classes): row.value for row in found['iapc'].rows if row.kind == 'result'
    }
    assert values['gta5_to_cityscapes', 19] == 49.4
    assert values['synthia_to_cityscapes', 16] == 45.3
    assert values['synthia_to_cityscapes', 13] == 52.6
    finals = [r.value for r in found['atp'].rows if r.variant == 'step P (propagating) = final']
    assert sorted(finals) == [35.8, 62.6, 63.0, 64.0, 66.6, 72.1]
    assert all(row.value is None for row in found['stvm'].rows)


def test_numbers_that_contradict_themselves_are_flagged_not_mended():
    flagged = [
        (file.method, row.value, round(R.class_mean(row), 1))
        for file in R.load_all().values()
        for row in file.rows
        if 'per_class_inconsistent' in row.flags
    ]
    assert sorted(flagged) == [('cbst', 36.1, 40.7), ('intrada', 46.3, 45.8)]


def test_every_mean_of_our_tasks_says_what_each_field_is_known_from():
    files = R.load_all()
    rows = [(file, row) for file in files.values() for row in file.rows if R.is_number(row)]
    assert len(rows) >= 279 and all(row.measured for _, row in rows)
    known = [row for file, row in rows if file.measured[row.measured].weakest != 'unknown']
    assert len(known) >= 120
    open_ = [row for _, row in rows if row.scoring == R.UNKNOWN]
    assert open_ and all(
        file.evidence(row, 'scoring').basis == 'unknown' for file, row in rows if row in open_
    )


def test_a_network_of_16_outputs_is_scored_with_the_other_classes_masked():
    """13 classes of such a network come from the same matrix as its 16."""
    rows = {(r.classes, r.scoring) for r in R.load_all()['iapc'].rows if r.value is not None}
    assert (13, 'synthia13_masked16@1') in rows and (16, 'synthia16_masked@1') in rows


def test_the_conditions_of_acdc_are_tasks_of_their_own():
    rows = [r for r in R.load_all()['atp'].rows if r.inference == 'atp_1280_prior@1']
    assert len(rows) == 12 and {r.condition for r in rows} == {None}
    assert {r.task_id for r in rows} == {
        f'cityscapes_to_acdc_{name}' for name in ('fog', 'night', 'rain', 'snow')
    }


def test_recalled_numbers_are_not_used():
    """Rows of CRST variants that exist only as unverified recall must not have slipped in."""
    labels = {row.label for file in R.load_all().values() for row in file.rows}
    assert not {'CRST-MRL2', 'CRST-MRENT', 'CRST-MRKLD-SP', 'Source only (CRST paper)'} & labels


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(origin='p'), "origin 'p' is not among"),
        (dict(per_class={'raod': 1.0}), 'unknown classes raod'),
        (dict(scoring='synthia16_avg@1'), '16 classes, the row says 19'),
        (dict(inference='dlv2@1'), "unknown inference protocol 'dlv2'"),
        (dict(flags=['per_class_inconsistent']), 'but consistent'),
        (dict(confidence_text='unverified recall'), 'unverified'),
        (dict(value=None), "is 'not_found', and only that"),
        (dict(value=140), 'less than or equal to 100'),
        (dict(vlaue=3), 'Extra inputs'),
        (dict(measured=None), 'no basis'),
        (dict(measured='n'), "basis 'n' is not among"),
        (dict(selection='last'), "selection is 'last', its basis 'unknown'"),
        (dict(classes=None), "classes is None, its basis 'stated'"),
    ],
)
def test_the_linter_sees(tmp_path, change, message):
    write(tmp_path, ROW | change)
    assert message in '\n'.join(R.lint(tmp_path))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(split=dict(basis='released_code')), "basis 'released_code' without evidence"),
        (dict(network=dict(basis='unknown', sure='open')), "'sure' of an unknown value"),
        (dict(network=dict(basis='guessed')), 'released_code'),
    ],
)
def test_a_basis_needs_its_evidence(tmp_path, change, message):
    write(tmp_path, ROW, measured={'m': BASIS | change})
    assert message in '\n'.join(R.lint(tmp_path))


def test_the_linter_checks_the_arithmetic(tmp_path):
    classes = {name: 50.0 for name in R.CITYSCAPES_CLASSES}
    write(tmp_path, ROW | dict(per_class=classes))
    assert 'classes average 50.00, printed 40.0' in '\n'.join(R.lint(tmp_path))
    write(tmp_path, ROW | dict(per_class=classes, flags=['per_class_inconsistent']))
    assert R.lint(tmp_path) == []
    write(tmp_path, ROW | dict(per_class=classes | {'car': None}))
    assert R.lint(tmp_path) == []


def test_a_13_class_mean_is_checked_on_its_own_classes():
    classes = dict.fromkeys(R.expected_classes(16), 10.0) | dict(wall=90.0, fence=90.0, pole=90.0)
    row = R.ReportedRow(**(ROW | dict(classes=13, value=10.0, per_class=classes)))
    assert R.class_mean(row) == 10.0 and not R.inconsistent(row)


def test_a_row_given_twice_and_a_misnamed_file(tmp_path):
    write(tmp_path, ROW, ROW)
    assert 'given twice' in R.lint(tmp_path)[0]
    path = write(tmp_path, ROW)
    with pytest.raises(BenchError, match=r'x\.yaml'):
        R.load_reported(path.rename(tmp_path / 'y.yaml'))
