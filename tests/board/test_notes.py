"""Notes: one a finding, classes by name, seeds by number."""

import pytest

from sfda_bench.board.boards import make_boards
from sfda_bench.board.loading import load_items
from sfda_bench.board.notes import findings, row_notes
from sfda_bench.board.provenance import provenance, versions
from tests.board.factory import make_record


def board_of(folder):
    (board,) = make_boards(load_items(folder), 50)
    return board


def test_equal_warnings_of_seeds_and_stages_are_one_note(tmp_path):
    never = 'classes never predicted on the target, so never labelled: {}'
    for seed, ids in ((0, '3, 16'), (1, '16')):
        warnings = [never.format(ids), never.format('16'), 'odd']
        make_record(tmp_path, 'tent', seed, suite='study', warnings=warnings)
    for seed, points in ((0, '1.44'), (1, '0.02')):
        warnings = [f'worse than source-only by {points} mIoU']
        make_record(tmp_path, 'bn_adapt', seed, suite='study', warnings=warnings)
    make_record(tmp_path, 'hcl', 0, suite='study', warnings=['odd'])
    found = {
        finding.text: str(finding).split(': ', 1)[1] for finding in findings(board_of(tmp_path))
    }
    assert found[never.split(':')[0]] == 'Tent (offline): train (all seeds), wall (seed 0)'
    assert found['worse than source-only, by points'] == 'BN-adapt: 1.4, 0.02'
    assert sorted(found['odd'].split('; ')) == ['HCL', 'Tent (offline)']


@pytest.mark.parametrize(
    'fields, name',
    [
        (dict(), 'train'),
        # a Cityscapes network scored on CamVid: its outputs are Cityscapes classes
        (dict(task='cityscapes_to_camvid', network='cgnet', scoring='camvid11@1'), 'train'),
        # sixteen outputs: the last but one is not class 14
        (dict(task='synthia_to_cityscapes', network='deeplabv2_r101'), '16'),
    ],
)
def test_classes_have_the_names_of_the_networks_outputs(tmp_path, fields, name):
    text = 'classes without a labelled pixel: 16'
    make_record(tmp_path, 'tent', warnings=[text], **fields)
    (row,) = board_of(tmp_path).rows
    assert f'classes without a labelled pixel: {name}' in row_notes(row)


def test_sixteen_outputs_are_named_in_their_own_order(tmp_path):
    text = 'classes without a labelled pixel: 9, 15'
    make_record(
        tmp_path, 'tent', warnings=[text], task='synthia_to_cityscapes', network='deeplabv2_r101'
    )
    (row,) = board_of(tmp_path).rows
    assert 'classes without a labelled pixel: sky, bicycle' in row_notes(row)


def test_a_board_says_its_seeds_days_and_commits(tmp_path):
    code = dict(fingerprint='c', commit='0123456789abcdef', dirty=False)
    make_record(tmp_path, 'tent', 0, suite='study', code=code)
    make_record(tmp_path, 'tent', 1, suite='study', created='2026-02-03T00:00:00Z')
    make_record(tmp_path, 'hcl', 0, suite='study', code=code | dict(dirty=True))
    assert provenance(board_of(tmp_path)) == (
        'Seeds 0 (1 row) or 0, 1 (1 row). Measured 2026-01-01 to 2026-02-03, '
        'commits `0123456789ab`, `0123456789ab` with changes, unknown.'
    )
    assert versions(board_of(tmp_path)) == 'torch 2.13.0'
