"""The thresholds benchmark: both sides agree; no timing is asserted."""

from __future__ import annotations

import pytest

from sfda_bench.benchmarks.thresholds import (
    cycle,
    make_maps,
    measure,
    same_pixels,
    sorting,
    streaming,
)
from sfda_bench.errors import BenchError


def test_both_sides_find_the_same_thresholds_up_to_sampling():
    maps = make_maps('cpu', distinct=4, size=(128, 256))
    ours, reference = streaming(cycle(maps, 8)), sorting(cycle(maps, 8))
    assert len(ours) == 19
    assert ours == pytest.approx(reference, abs=0.1)
    assert same_pixels(cycle(maps, 8)) == pytest.approx(reference, abs=1e-4)


def test_no_maps_are_refused():
    with pytest.raises(BenchError, match='0 maps'):
        measure(0, 'cpu')
