"""Ten iterations of every method on a ResNet-101 and on SegFormer-B0, images of 256 x 512.

Slow: one to six minutes a method on one core. The pocket world at that size, random weights, the
paper profile; one image an iteration, or the fewest that the method works with.
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

pytestmark = pytest.mark.slow
ITERATIONS = 10
NETWORKS = ['deeplabv2_r101', 'segformer_b0']
METHODS = [name for name in catalog.names('methods') if Method(name).card.track != 'bound']
WORLD = WorldSpec(
    size=(256, 512), counts={'gta5/train': 2, 'cityscapes/train': 4, 'cityscapes/val': ITERATIONS}
)
SUITE = """
suite = dict(
    name='ten', title='Ten iterations', tasks=['gta5_to_cityscapes'], networks=[{network!r}],
    seeds=[0], profile='paper', inference={inference!r},
    source=dict(iters=1, batch_size=1, init=None),
    input_size=dict(gta5=(512, 256), cityscapes=(512, 256)),
)
"""
INFERENCE = {'deeplabv2_r101': 'pocket', 'segformer_b0': 'daformer'}
#: Mixing, contrast over a batch or batch statistics of the head need a second image.
BATCH = {'stvm': 2, 'atp': 2, 'atp_teach': 2, 'atp_blackbox': 2, 'hcl': 2}


@pytest.fixture(scope='module')
def benches(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bench]:
    """One store a network, so that methods share its source model."""
    root = tmp_path_factory.mktemp('world')
    ensure_pocket(root, WORLD, workers=1)

    @functools.cache
    def bench(network: str) -> Bench:
        made = Bench(root, tmp_path_factory.mktemp('ten'))
        text = SUITE.format(network=network, inference=INFERENCE[network])
        Path(made.suite).write_text(text)
        return made

    return bench


def short(name: str, network: str) -> str:
    """A selector of ten iterations a stage, and of one round."""
    changes = []
    for stage in Method(name).stages('paper', 'gta5_to_cityscapes', {}, network):
        own = stage['name']
        if 'iters' in stage:
            changes += [f'{own}.iters={ITERATIONS}', f'{own}.batch_size={BATCH.get(name, 1)}']
        if stage.get('rounds', 1) > 2:
            changes.append(f'{own}.rounds=2')
    return f'{name}[{",".join(changes)}]' if changes else name


@pytest.mark.parametrize('network', NETWORKS)
@pytest.mark.parametrize('name', METHODS)
def test_ten_iterations(benches: Callable[[str], Bench], name: str, network: str):
    bench = benches(network)
    plan = bench.plan(short(name, network))
    (entry,) = plan.entries
    if entry.skip:
        pytest.skip(entry.skip)
    summary = bench.run(plan, workers=1)
    assert summary.failures == [], bench.lines
    for stage_id in entry.stages:
        loss = (bench.store.progress(stage_id) or {}).get('loss')
        assert loss is None or math.isfinite(loss)
    counts, _, _ = load_counts(bench.store.path(entry.stages[-1]) / COUNTS_NAME)
    assert counts[:, :, :19].sum() > 0
