"""Warm-up and poly: case F of the IAPC sheet."""

import pytest
import torch

from sfda_bench.engine.schedule import warmup_poly
from sfda_bench.registry import PARAM_SCHEDULERS

CASES = {
    0: 1e-5,
    1: 1.0018e-5,
    2500: 5.5e-5,
    4999: 9.9982e-5,
    5000: 9.548854e-5,
    8999: 9.186320e-5,
}


@pytest.mark.parametrize(('step', 'rate'), CASES.items())
def test_case_f(step, rate):
    assert 1e-4 * warmup_poly(step) == pytest.approx(rate, rel=1e-6)


def test_the_scheduler_follows_it_and_resumes():
    def build():
        groups = [{'params': [torch.nn.Parameter(torch.ones(1))], 'lr': lr} for lr in (1e-4, 1e-3)]
        optimizer = torch.optim.SGD(groups, lr=1e-4)
        cfg = dict(type='WarmupPolyLR', warmup=5, horizon=20, begin=0, end=10, by_epoch=False)
        return optimizer, PARAM_SCHEDULERS.build(cfg, default_args={'optimizer': optimizer})

    optimizer, scheduler = build()
    for step in range(9):
        expected = 1e-4 * warmup_poly(step, 5, 0.1, 20)
        rates = [group['lr'] for group in optimizer.param_groups]
        assert rates == pytest.approx([expected, 10 * expected])
        optimizer.step()
        scheduler.step()
        if step == 4:
            saved = optimizer.state_dict(), scheduler.state_dict()
            optimizer, scheduler = build()
            optimizer.load_state_dict(saved[0])
            scheduler.load_state_dict(saved[1])
