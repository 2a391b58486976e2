"""Which networks a method is planned on, and sizes that a suite must state consistently."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.plan import catalog
from sfda_bench.plan.expand import Selection, load_suite, make_plan
from sfda_bench.plan.method import Method
from sfda_bench.plan.selectors import parse_method
from sfda_bench.registry import MODELS
from sfda_bench.scoring.protocols import load_inference
from sfda_bench.stack import import_stack
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


@pytest.fixture
def pocket(pocket_root: Path, tmp_path: Path):
    """Plans of the pocket suite, entries by network."""

    def plan(*methods: str, **chosen):
        selected = [parse_method(m) for m in methods] or None
        selection = Selection(methods=selected, **{'everything': False, **chosen})
        found = make_plan('pocket', selection, pocket_root, Store(tmp_path / 'runs'))
        return {
            name: [entry for entry in found.entries if entry.key.network == name]
            for name in (FIRST, SECOND)
        }

    return plan


FIRST, SECOND = 'deeplabv2_pocket', 'segformer_pocket'


def test_a_second_network_runs_by_default_what_the_suite_says(pocket):
    run = load_suite('pocket')['default_runs'][SECOND]
    assert set(run['methods']) <= set(load_suite('pocket')['default_methods'])
    found = pocket()
    assert {entry.key.task for entry in found[SECOND]} == set(run['tasks'])
    assert {entry.key.method for entry in found[SECOND]} == set(run['methods'])
    # on the tasks asked for, and with everything all methods
    assert not pocket(tasks=['cityscapes_to_acdc'])[SECOND]
    every = pocket(everything=True)
    assert {entry.key.task for entry in every[SECOND]} == set(run['tasks'])
    assert {e.key.method for e in every[SECOND]} == {e.key.method for e in every[FIRST]}


def test_a_second_network_runs_on_all_tasks_when_it_is_named(pocket):
    assert not pocket('tent')[SECOND]
    found = pocket('tent', networks=[SECOND])
    assert not found[FIRST]
    assert [entry.key.task for entry in found[SECOND]] == load_suite('pocket')['tasks']
    both = pocket('tent', networks=['*_pocket'], tasks=['synthia_to_cityscapes'])
    assert [len(entries) for entries in both.values()] == [1, 1]


def test_a_suite_based_on_it_may_have_other_tasks(pocket_root, tmp_path):
    path = tmp_path / 'own.py'
    path.write_text(f'suite = {dict(load_suite("pocket"), tasks=["cityscapes_to_acdc_night"])!r}')
    plan = make_plan(str(path), Selection(), pocket_root, Store(tmp_path / 'runs'))
    assert {entry.key.network for entry in plan.entries} == {FIRST}


def test_a_method_has_other_settings_on_a_network_that_needs_them(pocket):
    """IAPC reads a layer by its name in a ResNet; elsewhere the map that the head reads."""
    method, task = Method('iapc'), 'gta5_to_cityscapes'
    for network, layer in ((FIRST, 'layer3'), (SECOND, 'head_input')):
        adapter = method.stages('pocket', task, {}, network)[-1]['adapter']
        assert adapter['feature_layer'] == layer
    assert method.stages('pocket', task, {}) == method.stages('pocket', task, {}, FIRST)
    typed = method.stages('pocket', task, {'feature_layer': 'layers.2.2'}, SECOND)
    assert typed[-1]['adapter']['feature_layer'] == 'layers.2.2'


def test_the_first_network_is_planned_as_without_the_second(pocket, pocket_root, tmp_path):
    suite = {k: v for k, v in load_suite('pocket').items() if k != 'default_runs'}
    path = tmp_path / 'pocket.py'
    path.write_text(f'suite = {suite!r}')
    alone = make_plan(str(path), Selection(everything=False), pocket_root, Store(tmp_path / 'runs'))
    stages = [(entry.key.slug, entry.needs) for entry in alone.entries]
    assert [(entry.key.slug, entry.needs) for entry in pocket()[FIRST]] == stages


@pytest.mark.parametrize(
    ('change', 'shown'),
    [
        ({'nowhere': {'tasks': [], 'methods': []}}, "unknown network in default_runs .* 'nowhere'"),
        (
            {SECOND: {'tasks': ['night'], 'methods': []}},
            "unknown task in default_runs .* 'night'",
        ),
        ({SECOND: {'tasks': [], 'methods': ['tnt']}}, "unknown method in default_runs .* 'tnt'"),
    ],
)
def test_default_runs_of_unknown_names_are_refused(change, shown, pocket_root, tmp_path):
    path = tmp_path / 'pocket.py'
    path.write_text(f'suite = {dict(load_suite("pocket"), default_runs=change)!r}')
    with pytest.raises(UnknownNameError, match=shown):
        make_plan(str(path), Selection(), pocket_root, Store(tmp_path / 'runs'))


def adapter(kind: str) -> type:
    import_stack()
    return MODELS.get(kind)


def test_what_a_network_lacks_is_refused_while_planning_exactly_where_the_code_would(pocket):
    """Methods whose adapter asks for statistics layers say so in their config."""
    needing = set()
    for name in catalog.names('methods'):
        kinds = {s['adapter']['type'] for s in Method(name).spec()['stages'] if 'adapter' in s}
        if any('statistics_layers' in vars(sys.modules[c.__module__]) for c in map(adapter, kinds)):
            needing.add(name)
    skipped = {e.key.method: e.skip for e in pocket(everything=True)[SECOND] if e.skip}
    assert set(skipped) == needing
    assert skipped['bn_adapt'] == (
        'moves batch-norm statistics, which segformer_pocket does not have'
    )
    assert not any(e.skip for e in pocket(everything=True)[FIRST])
    assert Method('bn_adapt').skip_reason('gta5_to_cityscapes', 'a network from elsewhere') == ''


def test_a_chain_runs_where_all_its_methods_do_and_is_refused_where_they_share_nothing(planned):
    found = planned('tent[init=intrada]', 'tent')
    assert sorted(networks_of(found)) == [('tent', SINGLE), ('tent', MULTI)]
    with pytest.raises(BenchError, match='has methods of different networks'):
        planned('cbst[init=intrada]')
    chosen = planned('cbst[init=intrada]', networks=[MULTI])
    assert networks_of(chosen) == [('cbst', MULTI)]


def test_a_suite_that_states_methods_has_these_unless_some_are_named(bench):
    text = Path(bench.suite).read_text()
    Path(bench.suite).write_text(f"{text}\nsuite.update(methods=['tent', 'tent[iters=3]'])\n")
    labels = lambda plan: [entry.key.label for entry in plan.entries]  # noqa: E731
    assert labels(bench.plan()) == ['tent', 'tent[iters=3]']
    assert labels(bench.plan('cbst')) == ['cbst']
