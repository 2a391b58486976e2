"""The benchmark measures what it says, on the same counts."""

import json

import numpy as np
import pytest

from sfda_bench.benchmarks import scoring as benchmark
from sfda_bench.cli.scripts import benchmark as command
from sfda_bench.labels import CITYSCAPES_TRAIN_TO_ID
from sfda_bench.scoring.confusion import confusion_counts


def test_both_sides_count_the_same(tmp_path):
    pytest.importorskip('cityscapesscripts')
    data = benchmark.pairs(1)
    theirs = benchmark.reference(data, tmp_path)()
    ours = confusion_counts(*data[0], benchmark.CLASSES)
    ids = list(CITYSCAPES_TRAIN_TO_ID)
    assert (theirs[np.ix_(ids, ids)] == ours[:, :-1]).all()


def test_the_command_prints_the_ratio(capsys):
    pytest.importorskip('cityscapesscripts')
    assert command(['scoring', '--images', '1', '--repeat', '1', '--json']) == 0
    assert json.loads(capsys.readouterr().out)['ratio'] > 1
