"""The published recipes on full-size networks and inputs: two iterations of every stage, scored.

Slow: three to twenty minutes a method on one core, and up to 15 GB (a step of ATP on DAFormer-B5,
of IntraDA with source data on ResNet-101), so nothing else of that size beside it. The data are the
pocket world at the data sets' own sizes; the networks start from random weights.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method
from sfda_bench.pocket.world import WorldSpec, ensure_pocket
from sfda_bench.store.filenames import COUNTS_NAME
from sfda_bench.store.record import load_counts
from tests.harness import Bench

SIZES = {'gta5': (1052, 1914), 'synthia': (760, 1280), 'cityscapes': (1024, 2048)}
PARTS = {
    'gta5': {'gta5/train': 2},
    'synthia': {'synthia/train': 2},
    'cityscapes': {'cityscapes/train': 2, 'cityscapes/val': 1},
    'acdc': {
        f'acdc/{s}/{c}': 1 for s in ('train', 'val') for c in ('fog', 'night', 'rain', 'snow')
    },
}
SUITE = """
suite = dict(
    name='native', title='Native sizes', tasks={tasks}, networks=[{network!r}], seeds=[0],
    profile='paper', inference={inference!r}, source=dict(iters=1, init=None),
    input_size=dict(gta5=(1280, 720), synthia=(1280, 760), cityscapes=(1024, 512), acdc=(960, 540)),
)
"""
#: Networks of the papers where it is not DeepLabV2 with ResNet-101.
NETWORKS = {'atp': ('daformer_b5', 'daformer')}
METHODS = [name for name in catalog.names('methods') if Method(name).card.track not in ('bound',)]


#: Target images, where two are too few: ATP takes three tenths of them as easy.
IMAGES = {'atp': 4, 'atp_blackbox': 4}


def native_world(root: Path, images: int) -> Path:
    """A pocket world in which every data set has its own size."""
    for folder, counts in PARTS.items():
        if images > 2 and folder in ('cityscapes', 'acdc'):
            counts = {part: images if '/train' in part else n for part, n in counts.items()}
        size = SIZES.get(folder, (1080, 1920))
        ensure_pocket(root / folder, WorldSpec(size=size, counts=counts), workers=2)
    together = root / 'together'
    together.mkdir()
    for folder in PARTS:
        (together / folder).symlink_to(root / folder / folder)
    return together


@pytest.fixture(scope='module')
def benches(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Bench]:
    """One store for each number of target images, so that methods share their source model."""

    @functools.cache
    def bench(images: int) -> Bench:
        root = native_world(tmp_path_factory.mktemp('native'), images)
        return Bench(root, tmp_path_factory.mktemp('paper'))

    return bench


def exercise(benches: Callable[[int], Bench], name: str, task: str) -> None:
    bench = benches(IMAGES.get(name, 2))
    network, inference = NETWORKS.get(name.split('_')[0], ('deeplabv2_r101', 'dlv2_caffe'))
    Path(bench.suite).write_text(SUITE.format(tasks=[task], network=network, inference=inference))
    stages = Method(name).stages('paper', task, {})
    changes = ','.join(f'{s["name"]}.iters=2' for s in stages if 'iters' in s)
    plan = bench.plan(f'{name}[{changes}]' if changes else name, tasks=[task])
    summary = bench.run(plan, workers=1)
    assert summary.failures == [], bench.lines
    for stage_id in plan.entries[0].stages:
        loss = (bench.store.progress(stage_id) or {}).get('loss')
        assert loss is None or math.isfinite(loss)
    counts, _, _ = load_counts(bench.store.path(plan.entries[0].stages[-1]) / COUNTS_NAME)
    assert counts[:, :, :19].sum() > 0


@pytest.mark.slow
@pytest.mark.parametrize('name', METHODS)
def test_every_stage_of_the_paper_profile_runs(benches: Callable[[int], Bench], name: str):
    exercise(benches, name, 'gta5_to_cityscapes')


@pytest.mark.slow
@pytest.mark.parametrize('name', ['iapc', 'intrada'])
def test_sixteen_outputs(benches: Callable[[int], Bench], name: str):
    exercise(benches, name, 'synthia_to_cityscapes')


@pytest.mark.slow
@pytest.mark.parametrize('name', ['iapc', 'atp'])
def test_adverse_conditions(benches: Callable[[int], Bench], name: str):
    exercise(benches, name, 'cityscapes_to_acdc')
