"""Every training step on a simulated accelerator: no mixed devices, no waiting for the host."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from sfda_bench.adapt.host import fetched
from sfda_bench.adapt.thresholds import ConfidenceHistogram
from sfda_bench.benchmarks import step_time
from sfda_bench.errors import BenchError
from sfda_bench.paths import REPOSITORY
from tests import accelerator

#: Waits an image: what is written is fetched, once; what is summed up is not.
WAITS = {'label': 1, 'score': 1, 'stream': 1, 'validate': 1, 'gate': 1}
#: Stages that only sum up.
SUMS = ('threshold', 'soft', 'hard')
#: One more: whether there is a step, and a return to the source, is decided on the host; Pillow
#: enlarges on the host.
MORE = (
    'stream: dat stream',
    'stream: eta stream',
    'stream: sar stream',
    'score: cbst_mxnet_2048_flip@1',
)


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


def printed(module: str) -> dict[str, dict]:
    """What a module that simulates in a process of its own prints."""
    command = [sys.executable, '-W', 'ignore', '-m', module]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope='module')
def steps() -> dict[str, dict[str, int]]:
    """What makes each stage's step wait."""
    return printed('tests.accelerator_steps')


@pytest.fixture(scope='module')
def images() -> dict[str, dict]:
    """What the second image of each sort of stage waits for, see ``tests.accelerator_images``."""
    return printed('tests.accelerator_images')


@pytest.mark.parametrize('name', [name for name, _ in step_time.stages_of(None)])
def test_a_step_never_waits_for_the_host(name, steps):
    assert steps[name] == {}


@pytest.mark.parametrize('kind', WAITS)
def test_an_image_waits_for_the_host_once_where_it_is_written(kind, images):
    stages = {name: found for name, found in images.items() if name.startswith(f'{kind}: ')}
    assert stages and not {name: found for name, found in stages.items() if found['error']}
    for name, found in stages.items():
        last = name.split()[-1].rstrip('0123456789')
        limit = 0 if last in SUMS else WAITS[kind] + (name in MORE)
        assert sum(found['waits'].values()) == limit, (name, found['waits'])


def test_only_images_are_copied_to_the_device(images):
    for name, found in images.items():
        branches = {'label: hcl label': 2, 'label: iapc label': 3}.get(name, 1)
        branches += name in MORE[-1:]
        if not name.startswith('gate: '):  # it moves its network for every variant
            assert sum(found['transfers'].values()) == branches, (name, found['transfers'])


def test_the_device_writes_what_the_cpu_writes(images):
    assert all(found['files'] for found in images.values())
    assert {name: found['differ'] for name, found in images.items() if found['differ']} == {}


def test_what_is_not_sound_is_refused_before_thresholds():
    device = accelerator.register()
    histogram = ConfidenceHistogram(3, 2, device=device)
    confidence, labels = torch.tensor([0.5, 1.0, 0.25]).to(device), torch.arange(3).to(device)
    histogram.add(confidence, labels)
    before = histogram.counts.cpu()
    for wrong in ((confidence * torch.nan, labels), (confidence, labels + 1)):
        histogram._sound.fill_(True)
        histogram.add(*wrong)
        assert torch.equal(histogram.counts.cpu(), before) and int(before.sum()) == 3
        with pytest.raises(BenchError, match='no class'):
            histogram.thresholds(0.5)


def test_what_is_packed_comes_back_as_it_was():
    device = accelerator.register()
    tensors = [
        torch.tensor(2.5), torch.arange(3, dtype=torch.uint8), torch.arange(6.0).view(2, 3).t(),
        torch.tensor([[1 << 40]]), torch.ones(2, 0), torch.tensor([0.5]).half(),
    ]  # fmt: skip
    with accelerator.counted() as (waits, _):
        found = fetched(*(tensor.to(device) for tensor in tensors))
    assert sum(waits.values()) == 1
    for tensor, array in zip(tensors, found, strict=True):
        assert array.shape == tensor.shape and array.dtype == tensor.numpy().dtype
        assert (array == tensor.numpy()).all()
