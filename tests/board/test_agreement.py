"""Rank agreement with reported gains: which rows make a gain, tau, its interval."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from sfda_bench.board import agreement
from sfda_bench.board.boards import make_boards
from sfda_bench.board.loading import load_items
from sfda_bench.board.reported import ReportedFile
from tests.board.factory import make_record

TASK = 'gta5_to_cityscapes'


def file(method: str, *rows: dict) -> ReportedFile:
    """Reported rows of one method, each of a paper of its own name."""
    common = {
        'label': method,
        'kind': 'comparison',
        'task': 'GTA5 to Cityscapes',
        'task_id': TASK,
        'split': 'val',
        'network': 'deeplabv2_r101',
        'classes': 19,
        'confidence': 'high',
    }
    made = [{**common, 'origin': 'a', **row} for row in rows]
    origins = {row['origin']: {'paper': row['origin']} for row in made}
    return ReportedFile.model_validate(
        dict(schema_version=1, method=method, title=method, origins=origins, rows=made)
    )


def test_a_gain_is_of_one_paper_network_and_number_of_classes():
    reported = {
        'source_only': file(
            'source_only',
            {'value': 30.0},
            {'value': 34.0},
            {'value': 20.0, 'origin': 'b'},
            {'value': 5.0, 'network': 'fcn8s_vgg16'},
            {'value': 6.0, 'classes': 16},
        ),
        'tent': file(
            'tent',
            {'value': 40.0, 'run': 'tent'},  # 8 above the median of both source rows of a
            {'value': 24.0, 'run': 'tent', 'origin': 'b'},  # 4
            {'value': 90.0, 'run': 'tent', 'origin': 'c'},  # no source row in that paper
            {'value': 90.0, 'run': 'tent[iters=9]'},
            {'value': 90.0},
        ),
    }
    assert agreement.reported_gains(reported) == {
        (TASK, 'tent'): 6.0,
        (TASK, 'tent[iters=9]'): 58.0,
    }


@pytest.fixture
def boards(tmp_path):
    for place, method in enumerate(('tent', 'cbst', 'iapc', 'stvm', 'ld')):
        make_record(tmp_path, method, quality=0.5 + 0.08 * place, source=20.0)
    make_record(tmp_path, 'tent', quality=0.9, params={'iters': 9})
    make_record(tmp_path, 'tent', suite='camvid')
    return make_boards(load_items(tmp_path), samples=50)


def told(*gains: float) -> dict[str, ReportedFile]:
    names = ('tent', 'cbst', 'iapc', 'stvm', 'ld')
    files = {
        name: file(name, {'value': 30.0 + gain, 'run': name})
        for name, gain in zip(names, gains, strict=False)
    }
    return {'source_only': file('source_only', {'value': 30.0}), **files}


@pytest.mark.parametrize(
    ('gains', 'tau'), [((1, 2, 3, 4, 5), 1.0), ((5, 4, 3, 2, 1), -1.0), ((1, 4, 3, 2, 2), None)]
)
def test_tau_of_the_methods_that_both_have(boards, gains, tau):
    (found,) = agreement.agreements(boards, told(*gains), samples=400)
    assert found.board.key.suite == 'pocket' and len(found.gains) == 5
    here, there = ([gain[i] for gain in found.gains] for i in (1, 2))
    assert found.tau == pytest.approx(kendalltau(here, there).statistic)
    assert tau is None or found.tau == pytest.approx(tau)
    assert found.low - 1e-9 <= found.tau <= found.high + 1e-9
    assert agreement._tau(np.array(here), np.array(there)) == pytest.approx(found.tau)


def test_few_methods_have_gains_and_no_tau(boards):
    (found,) = agreement.agreements(boards, told(1, 2, 3))
    assert (found.tau, found.low, found.p, len(found.gains)) == (None, None, None, 3)
    text = agreement.section([found])
    assert '| 3 | – | – | – |' in text and 'Tent' in text
    assert agreement.agreements(boards, {}) == [] and agreement.section([]) == ''
