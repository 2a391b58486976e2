"""The step benchmark runs; what it measures is not asserted here."""

from __future__ import annotations

import pytest
from mmengine.registry import DefaultScope

from sfda_bench.benchmarks.step_time import Timing, branches, measure, stages_of


def test_stages_on_unlabelled_images_are_found_once():
    found = [name for name, _ in stages_of(['atp', 'atp_teach', 'source_only'])]
    assert found == ['atp: align', 'atp: teach', 'atp: propagate']
    stage = dict(stages_of(['atp']))['atp: propagate']
    assert branches(stage) == (['easy', 'hard'], [None, None])


@pytest.mark.parametrize('scope', ['sfda_bench', 'mmseg'])
def test_a_stage_is_measured(scope):
    timing = Timing('deeplabv2_pocket', size=(160, 96), batch=2, repeats=1)
    with DefaultScope.overwrite_default_scope(scope):  # what a process had before
        row = measure(dict(stages_of(['atp']))['atp: propagate'], timing)
    assert set(row) == {'passes', 'step', 'ratio'} and row['ratio'] > 0
