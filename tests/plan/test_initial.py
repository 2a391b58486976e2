"""ImageNet-type initial weights, and networks with fewer outputs than 19, through real stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sfda_bench.errors import BenchError
from sfda_bench.labels import SYNTHIA16
from sfda_bench.networks.checkpoints.formats import BY_NAME
from sfda_bench.store.filenames import COUNTS_NAME, FINAL_NAME
from sfda_bench.store.record import load_counts
from tests.harness import Bench, linked_root
from tests.networks.helpers import CONFIGS, randomise
from tests.networks.restated_mit import B0, RestatedMiT

NETWORK = f"""
_base_ = {str(CONFIGS / 'segformer_b0.py')!r}
network = dict(
    name='small', classes=dict(synthia_to_cityscapes='synthia16'),
    source=dict(crop_size=None, batch_size=1, param_scheduler=[]),
)
"""
SUITE = """
suite = dict(
    name='initial', title='Initial weights', tasks=['synthia_to_cityscapes', 'gta5_to_cityscapes'],
    networks=[{network!r}], seeds=[0], profile='pocket', inference='pocket',
    source=dict(iters=1),
)
"""


def small_bench(pocket_root: Path, tmp_path: Path) -> Bench:
    network = tmp_path / 'small.py'
    network.write_text(NETWORK)
    bench = Bench(linked_root(pocket_root, tmp_path), tmp_path)
    Path(bench.suite).write_text(SUITE.format(network=str(network)))
    return bench


def write_weights(root: Path, seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    state = dict(randomise(RestatedMiT(**B0), seed).state_dict())
    state['head.weight'] = torch.zeros(1000, B0['dims'][-1])
    state['head.bias'] = torch.zeros(1000)
    torch.save(state, root / 'weights' / 'mit_b0.pth')
    return BY_NAME['mit_imagenet'].convert({k: v for k, v in state.items() if 'head' not in k})


def test_missing_initial_weights_are_named_before_anything_runs(pocket_root, tmp_path):
    bench = small_bench(pocket_root, tmp_path)
    with pytest.raises(BenchError, match=r'network small: no file .*mit_b0\.pth') as error:
        bench.plan('source_only')
    assert 'of SegFormer (ImageNet-1k)' in str(error.value)
    assert 'init=None' in str(error.value)


def test_training_starts_from_the_initial_weights_and_scores_sixteen_outputs(pocket_root, tmp_path):
    bench = small_bench(pocket_root, tmp_path)
    given = write_weights(bench.data_root)
    plan = bench.plan('source_only', tasks=['synthia_to_cityscapes'])
    source, score = plan.entries[0].stages
    (initial,) = plan.stages[source].parents
    assert plan.stages[initial].title == 'initial weights small s0'
    summary = bench.run(plan, workers=1)
    assert summary.failures == []
    state = torch.load(bench.store.path(initial) / FINAL_NAME, weights_only=True)['state_dict']
    assert all(torch.equal(state[key], value) for key, value in given.items())
    assert state['decode_head.conv_seg.weight'].shape[0] == 16
    trained = torch.load(bench.store.path(source) / FINAL_NAME, weights_only=True)['state_dict']
    key = 'backbone.layers.0.0.projection.weight'
    step = (trained[key] - given[key]).abs().max()
    assert 0 < step < 1e-3, 'one step away from the given weights'
    counts, _, _ = load_counts(bench.store.path(score) / COUNTS_NAME)
    assert counts.shape[1:] == (19, 20)
    never = sorted(set(range(19)) - set(SYNTHIA16))
    assert counts[:, :, never].sum() == 0 and counts.sum() > 0
    assert np.flatnonzero(counts.sum(axis=(0, 1)))[-1] < 19


def test_the_oracle_starts_where_the_source_model_starts(pocket_root, tmp_path):
    bench = small_bench(pocket_root, tmp_path)
    write_weights(bench.data_root)
    plan = bench.plan('oracle', tasks=['gta5_to_cityscapes'])
    source, oracle, _ = plan.entries[0].stages
    assert plan.stages[oracle].parents == plan.stages[source].parents
    assert len(plan.stages[oracle].parents) == 1


def test_other_initial_weights_are_another_source_model(pocket_root, tmp_path):
    bench = small_bench(pocket_root, tmp_path)
    write_weights(bench.data_root)
    first = bench.plan('source_only').entries[0].stages[0]
    assert bench.plan('source_only').entries[0].stages[0] == first
    write_weights(bench.data_root, seed=1)
    assert bench.plan('source_only').entries[0].stages[0] != first


def test_a_network_without_a_scored_class_is_refused(pocket_root, tmp_path):
    bench = small_bench(pocket_root, tmp_path)
    write_weights(bench.data_root)
    network = tmp_path / 'small.py'
    network.write_text(NETWORK.replace('synthia_to_cityscapes', 'gta5_to_cityscapes'))
    with pytest.raises(BenchError, match=r'16 outputs of synthia16.*task gta5_to_cityscapes'):
        bench.plan('source_only')
    network.write_text(NETWORK.replace('synthia16', 'synthia17'))
    with pytest.raises(BenchError, match='did you mean synthia16'):
        bench.plan('source_only', tasks=['synthia_to_cityscapes'])
