"""Every training step on a simulated accelerator: no mixed devices, no waiting for the host."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from sfda_bench.benchmarks import step_time
from sfda_bench.paths import REPOSITORY
from tests import accelerator


def test_the_simulation_sees_what_waits_and_what_mixes():
    maps = torch.arange(4.0).to(accelerator.register())
    with accelerator.counted() as (waits, transfers):
        assert float(maps.sum()) == 6.0
        maps[maps > 1.0]
        torch.nonzero(maps)
        maps.cpu()
        torch.ones(2).to(maps.device)
        maps * torch.tensor(2.0)  # a number of the CPU is none
        torch.where(maps > 1.0, maps, 0.0).sum()
    assert sum(waits.values()) == 4, waits
    assert sum(transfers.values()) == 1, transfers
    with pytest.raises(RuntimeError, match='on the device and on the CPU'):
        maps + torch.ones(4)


@pytest.fixture(scope='module')
def steps() -> dict[str, dict[str, int]]:
    """What makes each stage's step wait."""
    command = [sys.executable, '-W', 'ignore', '-m', 'tests.accelerator_steps']
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize('name', [name for name, _ in step_time.stages_of(None)])
def test_a_step_never_waits_for_the_host(name, steps):
    assert steps[name] == {}
