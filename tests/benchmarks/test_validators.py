"""Both sides of the benchmark compute the same sums."""

import json

import numpy as np

from sfda_bench.benchmarks import validators as benchmark
from sfda_bench.cli.main import main
from sfda_bench.scoring.prediction_statistics import statistics_of


def test_both_sides_compute_the_same():
    (logits,) = benchmark.maps(1)
    ours, plain = statistics_of(logits).arrays(), benchmark.plain(logits).arrays()
    for name, value in plain.items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(ours[name], value, rtol=1e-5, atol=1e-6 * scale, err_msg=name)


def test_the_command_prints_the_ratio(capsys):
    assert main(['benchmark', 'validators', '--maps', '1', '--repeat', '1', '--json']) in (0, 1)
    assert set(json.loads(capsys.readouterr().out)) == {
        'seconds', 'plain_seconds', 'ratio', 'bytes_an_image'
    }  # fmt: skip
