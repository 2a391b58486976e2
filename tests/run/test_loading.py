"""How stages are fed where there is a GPU, and that it is no part of any id."""

from __future__ import annotations

import copy

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from sfda_bench.registry import MODELS
from sfda_bench.run.loading import pin, unblock, usual_workers


@pytest.mark.parametrize(
    ('gpus', 'stages', 'cores', 'workers'),
    [(0, 2, 2, 0), (1, 1, 16, 4), (8, 8, 16, 1), (1, 1, 1, 1), (4, 4, 16, 3)],
)
def test_loader_workers_share_the_cores(gpus, stages, cores, workers):
    assert usual_workers(gpus, stages, cores) == workers


def test_batches_are_pinned_and_copied_without_waiting(bench):
    plan = bench.plan('tent')
    stage = plan.stages[plan.entries[0].stages[1]]
    config = Config(copy.deepcopy(stage.config))
    pin(config)
    assert config.train_dataloader.pin_memory
    init_default_scope('sfda_bench')
    adapter = MODELS.build(config.model)
    assert unblock(adapter) >= 2
    # of its branches, and the network's own in it
    assert adapter.data_preprocessor._non_blocking
    assert adapter.data_preprocessor.inner._non_blocking


def test_neither_is_part_of_an_id(bench):
    from sfda_bench.plan.identity import decisive

    plan = bench.plan('tent')
    stage = plan.stages[plan.entries[0].stages[1]]
    pinned = Config(copy.deepcopy(stage.config))
    pin(pinned)
    assert decisive(pinned.to_dict()) == decisive(stage.config)
