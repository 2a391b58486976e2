"""Which networks a method is planned on, and sizes that a suite must state consistently."""

from __future__ import annotations

from pathlib import Path

import pytest

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.plan import catalog
from sfda_bench.plan.expand import Selection, load_suite, make_plan
from sfda_bench.plan.selectors import parse_method
from sfda_bench.registry import MODELS
from sfda_bench.scoring.protocols import load_inference
from sfda_bench.store.runs import Store

SINGLE, MULTI = 'deeplabv2_r101', 'deeplabv2_r101_multi'


@pytest.fixture
def planned(pocket_root: Path, tmp_path: Path):
    """Plans of the paper suite on rendered data, from random weights."""
    suite = {**load_suite('paper'), 'source': {'init': None}, 'seeds': [0]}
    path = tmp_path / 'paper.py'
    path.write_text(f'suite = {suite!r}')

    def plan(*methods: str, networks: list[str] | None = None, task: str = 'gta5_to_cityscapes'):
        selection = Selection([task], networks, [parse_method(m) for m in methods])
        return make_plan(str(path), selection, pocket_root, Store(tmp_path / 'runs'))

    return plan


def networks_of(plan) -> list[tuple[str, str]]:
    return [(entry.key.method, entry.key.network) for entry in plan.entries]


def test_a_method_runs_on_the_network_of_its_paper(planned):
    found = planned('advent', 'minent', 'intrada', 'intrada_uda', 'tent', 'source_only')
    assert sorted(networks_of(found)) == [
        ('advent', MULTI),
        ('intrada', MULTI),
        ('intrada_uda', MULTI),
        ('minent', MULTI),
        ('source_only', SINGLE),
        ('source_only', MULTI),
        ('tent', SINGLE),
    ]


def test_a_bound_alone_runs_on_the_networks_of_the_suite_and_beside_a_method_on_its(planned):
    assert networks_of(planned('source_only')) == [('source_only', SINGLE)]
    beside = networks_of(planned('source_only', 'advent'))
    assert sorted(beside) == [('advent', MULTI), ('source_only', MULTI)]


def test_the_user_chooses_among_all_networks_of_the_suite(planned):
    assert networks_of(planned('advent', networks=[SINGLE])) == [('advent', SINGLE)]
    assert networks_of(planned('tent', networks=[MULTI])) == [('tent', MULTI)]
    with pytest.raises(UnknownNameError, match='deeplabv2_r101_multi'):
        planned('advent', networks=['deeplabv2_r101_mult'])


@pytest.mark.parametrize('suite', catalog.names('suites'))
def test_target_images_are_trained_and_scored_at_one_size(suite: str):
    block = load_suite(suite)
    for task in block['tasks']:
        wanted = block['inference']
        protocol = load_inference(wanted if isinstance(wanted, str) else wanted[task])
        folder = catalog.load('tasks', task)['task']['target_train']['folder']
        trained = block.get('input_size', {}).get(folder)
        assert (trained and list(trained)) == (protocol.size and list(protocol.size)), task


def test_source_training_moves_what_adaptation_freezes(planned):
    """Scale and shift of batch norm in all layers but the stem; ADVENT's recipe freezes them."""
    for network, moved in ((SINGLE, True), (MULTI, False)):
        plan = planned('tent', networks=[network])
        source, *_, adapt = plan.entries[0].stages[:-1]
        trained = MODELS.build(plan.stages[source].config['model']['backbone'])
        names = [n for n, p in trained.named_parameters() if p.ndim == 1 and p.requires_grad]
        assert len(names) == (206 if moved else 0)
        assert not any(name.startswith('bn1') for name in names)
        adapted = plan.stages[adapt].config['model']['segmentor']['backbone']
        assert adapted['norm_cfg']['requires_grad'] is False


@pytest.mark.parametrize(
    'method', ['cbst', 'self_training', 'crst_lrent', 'crst_mrkld', 'cbst_uda']
)
def test_self_training_is_planned_on_the_network_of_its_code_and_scored_as_there(planned, method):
    plan = planned(method, 'tent')
    assert sorted(networks_of(plan)) == sorted([(method, 'deeplabv2_r101_rgb'), ('tent', SINGLE)])
    protocols = {entry.key.method: entry.inference.id for entry in plan.entries}
    assert protocols == {method: 'crst_test_0912f', 'tent': 'dlv2_caffe'}


def test_a_chain_runs_where_all_its_methods_do_and_is_refused_where_they_share_nothing(planned):
    found = planned('tent[init=intrada]', 'tent')
    assert sorted(networks_of(found)) == [('tent', SINGLE), ('tent', MULTI)]
    with pytest.raises(BenchError, match='has methods of different networks'):
        planned('cbst[init=intrada]')
    chosen = planned('cbst[init=intrada]', networks=[MULTI])
    assert networks_of(chosen) == [('cbst', MULTI)]
