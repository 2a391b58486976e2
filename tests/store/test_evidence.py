"""The file that a ``validate`` stage leaves, read back or refused."""

from __future__ import annotations

import numpy as np
import pytest

from sfda_bench.errors import BenchError
from sfda_bench.scoring.candidates import Evidence
from sfda_bench.scoring.prediction_statistics import (
    Statistics,
    ViewStatistics,
    statistics_of,
    view_statistics,
)
from sfda_bench.store.evidence import EVIDENCE_NAME, load_evidence, save_evidence


@pytest.fixture
def evidence() -> Evidence:
    maps = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    return Evidence(
        statistics=Statistics.stack([statistics_of(one) for one in maps]),
        views=ViewStatistics.stack([view_statistics(one, one[:, :, ::-1]) for one in maps]),
        logits=maps.reshape(2, 3, -1).transpose(0, 2, 1).reshape(-1, 3),
        image=np.repeat([0, 1], 20),
        ids=('a', 'b'),
    )


def test_read_as_written_to_the_same_bytes(tmp_path, evidence):
    path = tmp_path / EVIDENCE_NAME
    save_evidence(path, evidence)
    found = load_evidence(path)
    for part in ('statistics', 'views'):
        for name, value in getattr(evidence, part).arrays().items():
            np.testing.assert_array_equal(getattr(found, part).arrays()[name], value)
    np.testing.assert_array_equal(found.logits, evidence.logits)
    assert found.ids == ('a', 'b') and found.image.tolist() == [0] * 20 + [1] * 20
    before = path.read_bytes()
    save_evidence(path, found)
    assert path.read_bytes() == before


def test_another_file_is_refused(tmp_path, evidence):
    path = tmp_path / EVIDENCE_NAME
    with pytest.raises(BenchError, match='no file'):
        load_evidence(path)
    save_evidence(path, evidence)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BenchError, match='damaged'):
        load_evidence(path)
    arrays = {**evidence.statistics.arrays(), **evidence.views.arrays()}
    np.savez(path, **arrays, logits=evidence.logits, image=evidence.image, ids=np.array(['a']))
    with pytest.raises(BenchError, match='different lengths'):
        load_evidence(path)
