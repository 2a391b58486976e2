"""A method that starts from another one's result: names, stages, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.plan.composition import card_of, links_of, names_of, networks_of, title_of
from sfda_bench.plan.method import Method
from sfda_bench.plan.model import Plan
from sfda_bench.plan.selectors import MethodSelector, parse_method

TASK = ('gta5_to_cityscapes',)
SCRATCH = """
card = dict(name='{name}', title='Toy', track='source-free', fidelity='paper')
optim = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-3))
stages = [dict(name='adapt', {fields}, iters=1, batch_size=2, optim_wrapper=optim)]
"""
ENTROPY = (
    "adapter=dict(type='Tent', losses=dict(entropy=dict(type='PixelEntropyLoss', loss_weight=1.)))"
)


def chain(text: str):
    selector = parse_method(text)
    return links_of(Method(selector.name), selector.params)


def own(plan: Plan, number: int = -1) -> list[str]:
    """Ids of an entry's stages without source and score."""
    return plan.entries[number].stages[1:-1]


def toy(folder: Path, name: str, fields: str = ENTROPY) -> str:
    path = folder / f'{name}.py'
    path.write_text(SCRATCH.format(name=name, fields=fields))
    return str(path)


def test_the_stages_of_the_init_are_those_of_its_own_entry(bench):
    plan = bench.plan('bn_adapt[source_weight=0.5]', 'cbst[init=bn_adapt[source_weight=0.5]]')
    alone, whole = plan.entries
    (adapted,) = own(plan, 0)
    assert own(plan)[0] == adapted
    assert whole.before == {adapted: 'bn_adapt.adapt'}
    assert whole.source_score == alone.source_score
    names = [whole.name_of(plan.stages[i]) for i in whole.stages[:4]]
    assert names == ['source', 'bn_adapt.adapt', 'threshold0', 'label0']
    first, second, train = (plan.stages[i] for i in own(plan)[1:4])
    assert first.parents == [adapted]
    assert second.parents == [adapted, first.id] and train.parents == [adapted, second.id]
    assert str(adapted) in first.config['load_from']
    assert first.title.startswith('cbst[init=bn_adapt[source_weight=0.5]] threshold0')
    apart = bench.plan('bn_adapt[source_weight=0.5]').stages
    assert {i: plan.stages[i].title for i in apart} == {i: s.title for i, s in apart.items()}
    plain = bench.plan('cbst')
    assert not set(own(plain)) & set(own(plan)), 'each stage rests on the init'


def test_what_stands_in_the_record_is_canonical(bench):
    plan = bench.plan(
        'tent[ init = iapc[ norm_mode=eval, adapt.iters = 5 ] ,iters=3]',
        'tent[init=iapc[adapt.iters=5,norm_mode=eval],iters=3]',
    )
    keys = {(e.key.slug, e.key.label) for e in plan.entries}
    (found,) = keys
    assert found[1] == 'tent[init=iapc[adapt.iters=5,norm_mode=eval],iters=3]'
    assert plan.entries[0].stages == plan.entries[1].stages


def test_chains_nest_and_each_end_is_that_of_the_shorter_one(bench):
    plan = bench.plan('tent[init=bn_adapt]', 'cbst[init=tent[init=bn_adapt]]', 'tent[init=tent]')
    assert own(plan, 1)[:2] == own(plan, 0)
    assert list(plan.entries[1].before.values()) == ['tent.bn_adapt.adapt', 'tent.adapt']
    assert plan.stages[own(plan, 1)[1]].title.startswith('tent[init=bn_adapt] adapt')
    first, second = own(plan, 2)
    assert plan.stages[second].parents == [first], 'the same method twice'


def test_a_stream_may_follow_and_starts_from_the_adapted_network(bench):
    plan = bench.plan('tent_online[init=bn_adapt]')
    adapted, stream = own(plan)
    assert plan.stages[stream].parents == [adapted]
    assert plan.entries[0].card.track == 'test-time' and plan.entries[0].card.setting == 'online'


def test_init_may_still_be_a_setting_of_a_stage(bench):
    plain, typed, after, both = (
        bench.plan(name)
        for name in (
            'intrada',
            'intrada[init=initial]',
            'intrada[init=tent]',
            'intrada[init=tent,stage.init=initial]',
        )
    )
    assert typed.entries[0].before == {} and own(typed)[0] == own(plain)[0]
    assert own(after)[0] == own(both)[0] and list(both.entries[0].before.values()) == ['tent.adapt']
    kept = [plan.stages[own(plan)[-1]].parents[0] for plan in (typed, both)]
    assert kept[0] == kept[1], "the last stage starts from the network's initial weights"


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('cbst[init=bn_adpt]', 'did you mean bn_adapt'),
        ('cbst[init=bn_*]', 'unknown method that cbst could start from'),
        ('intrada[init=inital]', 'did you mean initial'),
        ('cbst[init=tent_online]', 'leaves predictions, no checkpoint'),
        ('cbst[init=oracle]', 'oracle is a bound'),
        ('cbst[init=source_only]', 'starts from the source model'),
        ('oracle[init=tent]', 'oracle is a bound, which no adaptation precedes'),
        ('atp_blackbox[init=tent]', 'sees predictions of the source model, no weights'),
        ('tent_online[init=advent]', 'starts from one that reads source data'),
        ('tent_online[init=cbst[init=advent]]', 'starts from one that reads source data'),
        ('cbst[init=bn_adapt[source_weight=2]]', 'source_weight = 2.0'),
        ('cbst[init=bn_adapt[source_wight=1]]', 'unknown parameter of bn_adapt'),
        ('tent[init=initial]', "unknown parameter of tent 'init'"),
        ('advent[init=tent,stage.init=initial]', 'no stage of advent starts from the source model'),
        ('cbst[init=absent.py]', 'no file absent.py'),
    ],
)
def test_what_does_not_go_together_is_refused_while_planning(bench, text, told):
    with pytest.raises(BenchError, match=told):
        bench.plan(text)


def test_a_method_that_trains_nothing_hands_on_nothing(bench, tmp_path):
    fields = "kind='label', writer=dict(type='EntropyRankWriter')"
    path = toy(tmp_path, 'looks', fields)
    with pytest.raises(BenchError, match='looks trains nothing, so it leaves no checkpoint'):
        bench.plan(f'tent[init={path}]')


@pytest.mark.parametrize(('file', 'refused'), [('final.pth', False), ('artifacts/prior.npy', True)])
def test_what_only_the_source_model_has_is_refused(bench, tmp_path, file, refused):
    fields = ENTROPY[:-1] + f", prior='stage://source/{file}')"
    path = toy(tmp_path, 'reads', fields)
    assert bench.plan(path).entries
    if not refused:
        adapted, stage = own(plan := bench.plan(f'{path}[init=bn_adapt]'))
        config, given = plan.stages[stage].config, str(bench.store.path(adapted) / file)
        assert config['model']['prior'] == config['load_from'] == given
        return
    with pytest.raises(BenchError, match=r'reads artifacts/prior\.npy of the source model'):
        bench.plan(f'{path}[init=bn_adapt]')


def test_a_method_from_outside_is_known_by_its_name_afterwards(bench, tmp_path):
    path = toy(tmp_path, 'mine')
    plan = bench.plan(f'cbst[init={path}[iters=2]]')
    assert plan.entries[0].key.label == 'cbst[init=mine[iters=2]]'
    assert bench.plan(plan.entries[0].key.label).entries[0].stages == plan.entries[0].stages
    with pytest.raises(UnknownNameError):
        bench.plan('cbst[init=yours]')


@pytest.mark.parametrize(
    ('text', 'track', 'fidelity', 'title'),
    [
        ('tent[iters=3]', 'source-free', 'paper', 'Tent (offline)'),
        ('tent[init=bn_adapt]', 'source-free', 'paper', 'Tent (offline) after BN-adapt'),
        (
            'bn_adapt[init=cbst[iters=3,init=tent]]',
            'source-free',
            'reconstructed',
            'BN-adapt after CBST (source-free reading) [iters=3] after Tent (offline)',
        ),
        ('bn_adapt[init=advent]', 'uda', 'paper', 'BN-adapt after AdvEnt'),
        ('advent[init=bn_adapt]', 'uda', 'paper', 'AdvEnt after BN-adapt'),
        ('tent[init=atp_blackbox]', 'source-free', None, None),
        ('tent_online[init=tent]', 'test-time', 'paper', None),
    ],
)
def test_the_card_of_a_chain_claims_no_more_than_its_methods(text, track, fidelity, title):
    card = card_of(chain(text))
    assert card.track == track
    assert fidelity in (None, card.fidelity) and title in (None, card.title)


def test_the_card_of_a_chain_has_all_mechanisms_and_no_reported_numbers():
    card, alone = card_of(chain('urma[init=bn_adapt]')), Method('urma').card
    assert card.mechanisms == [*alone.mechanisms, 'statistics']
    assert alone.reported_label and not card.reported_label
    assert card_of(chain('urma')) == alone


def test_titles_of_rows_need_no_config_of_the_init():
    params = {'iters': 3, 'init': 'gone[lr=0.1]'}
    assert title_of('tent', params) == 'Tent (offline) [iters=3] after gone [lr=0.1]'
    assert title_of('gone', params) == 'gone [init=gone[lr=0.1], iters=3]'
    assert title_of('intrada', {'init': 'initial'}).endswith('[init=initial]')
    assert names_of(MethodSelector('tent', params)) == ['tent', 'gone']
    assert names_of(MethodSelector('intrada', {'init': 'initial'})) == ['intrada']


def test_a_chain_runs_on_the_networks_that_all_its_methods_run_on():
    assert networks_of(chain('tent[init=intrada]'), 'paper') == ['deeplabv2_r101_multi']
    assert networks_of(chain('minent[init=intrada]'), 'paper') == ['deeplabv2_r101_multi']
    assert networks_of(chain('tent[init=bn_adapt]'), 'paper') == []
    assert networks_of(chain('cbst[init=intrada]'), 'paper') is None
