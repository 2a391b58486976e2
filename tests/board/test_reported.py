"""Reported numbers: complete, with origin, consistent or flagged."""

import pytest
import yaml

from sfda_bench.board import reported as R
from sfda_bench.errors import BenchError

FIRST_METHODS = ('atp', 'cbst', 'iapc', 'intrada', 'stvm')
ORIGIN = {'o': {'paper': 'A paper', 'table': 'Table 1'}}
ROW = dict(
    label='X', kind='result', task='GTA5->Cityscapes', task_id='gta5_to_cityscapes', split='val',
    value=40.0, classes=19, confidence='high', origin='o',
)  # fmt: skip


def write(folder, *rows, method='x', **fields):
    path = folder / f'{method}.yaml'
    data = dict(schema_version=1, method=method, title='X', origins=ORIGIN, rows=list(rows))
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


def test_an_unknown_synthia_convention_stays_unknown():
    rows = [row for file in R.load_all().values() for row in file.rows]
    synthia = [row for row in rows if row.task_id == 'synthia_to_cityscapes']
    assert len(synthia) > 50 and {row.scoring for row in synthia} == {R.UNKNOWN}


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
    ],
)
def test_the_linter_sees(tmp_path, change, message):
    write(tmp_path, ROW | change)
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
