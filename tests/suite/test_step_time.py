"""The step benchmark runs; what it measures is not asserted here."""

from __future__ import annotations

import argparse

from sfda_bench.suite.step_time import branches, measure, stages_of


def test_stages_on_unlabelled_images_are_found_once():
    found = [name for name, _ in stages_of(['atp', 'atp_teach', 'source_only'])]
    assert found == ['atp: align', 'atp: teach', 'atp: propagate']
    stage = dict(stages_of(['atp']))['atp: propagate']
    assert branches(stage) == (['easy', 'hard'], [None, None])


def test_a_stage_is_measured():
    arguments = argparse.Namespace(
        network='deeplabv2_pocket', device='cpu', batch=2, size=(160, 96), repeats=1
    )
    row = measure(dict(stages_of(['atp']))['atp: propagate'], arguments)
    assert set(row) == {'passes', 'step', 'ratio'} and row['ratio'] > 0
