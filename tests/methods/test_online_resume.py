"""Streams of the test-time methods: killed, taken up again, and the same bytes as in one go."""

from __future__ import annotations

import pytest

from sfda_bench.run.stage import run_stage
from sfda_bench.store.filenames import RESUME_NAME
from tests.run.test_stopping import ACDC, StopAfter, streams, variant, written

__all__ = ['StopAfter', 'streams']  # a hook, registered by its import, and a fixture
METHODS = [
    'cotta',
    'cotta_continual[rounds=2]',
    'dat',
    'eta',
    'sar',
    'sar[form=official]',
    'ubna_online',
]


@pytest.mark.slow
@pytest.mark.parametrize('method', METHODS)
def test_a_stream_that_was_killed_continues_and_writes_the_same_bytes(streams, tmp_path, method):
    plan = streams.plan(method, tasks=[ACDC])
    stage = plan.stages[plan.entries[0].stages[1]]
    images = 16 if 'continual' in method else 8
    often = {'test_cfg.checkpoint_interval': 2}
    run_stage(variant(streams.store, stage, tmp_path / 'whole', **often), guard=False)
    stop = {'at': images // 2 + 1}
    with pytest.raises(KeyboardInterrupt):
        run_stage(variant(streams.store, stage, tmp_path / 'parts', stop, **often), guard=False)
    assert (tmp_path / 'parts' / RESUME_NAME).is_file()
    run_stage(variant(streams.store, stage, tmp_path / 'parts', **often), guard=False)
    whole = written(tmp_path / 'whole')
    assert len(whole) == images + 2
    assert written(tmp_path / 'parts') == whole
