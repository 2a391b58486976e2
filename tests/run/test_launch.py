"""One stage on two devices (here: two processes with gloo): the total batch stays the same."""

from __future__ import annotations

import pytest
import torch

from sfda_bench.run.execute import run_plan
from sfda_bench.run.executors.local import LocalExecutor
from sfda_bench.store.runs import Store


@pytest.mark.slow
def test_two_ranks_share_the_batch_and_agree_with_one(bench):
    methods = ('tent[iters=4,batch_size=2,norm_mode=eval,flip=False]', 'bn_adapt[iters=2]')
    bench.run(bench.plan('source_only'))
    plan = bench.plan(*methods)
    bench.run(plan)
    adapt = plan.entries[0].stages[1]
    one = torch.load(bench.store.path(adapt) / 'final.pth')['state_dict']

    source = bench.store
    bench.store = Store(bench.folder / 'ranks')
    plan = bench.plan(*methods)
    first = plan.entries[0].stages[0]
    bench.store.path(first).parent.mkdir(parents=True)
    source.path(first).rename(bench.store.path(first))
    lines = []
    summary = run_plan(
        plan, bench.store, LocalExecutor(['cpu,cpu']), bench.records, lambda *a: lines.append(a)
    )
    assert summary.failures == []
    two = torch.load(bench.store.path(adapt) / 'final.pth')['state_dict']
    # The same eight draws, two a step: gradients are averaged over ranks instead of images.
    assert all(torch.allclose(one[k].float(), two[k].float(), atol=1e-5) for k in one)
    assert 'GPU number: 2' in (bench.store.path(adapt) / 'log.txt').read_text()


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_refused(bench):
    plan = bench.plan('tent[iters=2,batch_size=3]')
    bench.run(bench.plan('source_only'))
    summary = run_plan(
        plan, bench.store, LocalExecutor(['cpu,cpu']), bench.records, lambda *_: None
    )
    assert any('total batch of 3 on 2 devices' in reason for _, _, reason in summary.failures)
