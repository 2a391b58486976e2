"""A method started from another one's result: run, sealed, resumed, recorded, shown."""

from __future__ import annotations

import json
import re

import pytest
import torch

from sfda_bench.board.boards import make_boards
from sfda_bench.board.loading import load_items
from sfda_bench.cli.main import main
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method
from sfda_bench.run import status as inspect
from sfda_bench.run.collect import stands
from sfda_bench.store.filenames import FINAL_NAME
from tests.harness import Bench

INIT = 'bn_adapt[iters=2]'
CHAIN = f'cbst[init={INIT},rounds=1,train0.iters=2]'
STREAM = f'tent_online[init={INIT}]'


@pytest.fixture(scope='module')
def ran(pocket_root, tmp_path_factory):
    """The init and two methods that start from it."""
    bench = Bench(pocket_root, tmp_path_factory.mktemp('composition'))
    plan = bench.plan(INIT, CHAIN, STREAM)
    return bench, plan, bench.run(plan)


def record_of(bench: Bench, entry) -> dict:
    return json.loads((bench.records / 'tiny' / f'{entry.key.slug}.json').read_text())


def weights(bench: Bench, stage: str) -> dict[str, torch.Tensor]:
    return torch.load(bench.store.path(stage) / FINAL_NAME)['state_dict']


def test_the_init_runs_once_and_what_follows_goes_on_from_it(ran):
    bench, plan, summary = ran
    assert summary.failures == [] and len(summary.written) == 3
    done = [title for title, state in bench.lines if state == 'done']
    assert sorted(set(done)) == sorted(done) and len(done) == len(plan.stages) == 10
    source, adapted, *_, train, _ = plan.entries[1].stages
    first, init, last = (weights(bench, i) for i in (source, adapted, train))
    assert first.keys() == init.keys() == last.keys()
    # CBST keeps the running statistics that BN-adapt has left
    moved = [k for k in first if 'running_mean' in k and not torch.equal(first[k], init[k])]
    assert moved and all(torch.equal(init[k], last[k]) for k in moved)
    assert any(not torch.equal(init[k], last[k]) for k in last)
    assert bench.store.verify(adapted) == []


def test_its_record_compares_with_the_source_model_and_counts_the_whole(ran):
    bench, plan, _ = ran
    alone, chain, stream = (record_of(bench, entry) for entry in plan.entries)
    assert chain['source'] == stream['source'] == alone['source']
    assert [stage['name'] for stage in chain['stages']] == [
        'source', 'bn_adapt.adapt', 'threshold0', 'label0', 'train0', 'score',
    ]  # fmt: skip
    assert chain['entry']['params'] == {'init': INIT, 'rounds': 1, 'train0.iters': 2}
    assert (chain['track'], stream['track']) == ('source-free', 'test-time')
    for record in (chain, stream):
        assert record['guard']['verdict'] in ('sealed', 'files only', 'audited')
        assert record['cost']['wall_seconds'] > alone['cost']['wall_seconds']
    assert all(stands(entry, bench.records) for entry in plan.entries)
    again = bench.run(plan)
    assert again.ran == [] and again.written == [] and again.unchanged == 3


def test_a_sealed_stage_reads_the_init_and_not_the_source_model(ran):
    bench, plan, _ = ran
    source, adapted, *own = plan.entries[1].stages[:-1]
    for stage in own:
        block = plan.stages[stage].config['stage']
        read = [*block['grants'], str(plan.stages[stage].config['load_from'])]
        assert block['sealed'] and not any(str(bench.store.path(source)) in path for path in read)
    assert str(bench.store.path(adapted)) in plan.stages[own[0]].config['load_from']


def test_an_interrupted_chain_goes_on_where_it_was(ran, tmp_path):
    """What stands of the init stays; the stage that was stopped ends with the same bytes."""
    from sfda_bench.run.stage import run_stage
    from tests.methods.test_contract import stopped_config

    bench, plan, _ = ran
    adapted, *_, train, scored = plan.entries[1].stages[1:]
    config = bench.store.path(train) / 'config.py'
    run_stage(stopped_config(config, tmp_path / 'whole'), guard=False)
    with pytest.raises(KeyboardInterrupt):
        run_stage(stopped_config(config, tmp_path / 'parts', stop=True), guard=False)
    run_stage(stopped_config(config, tmp_path / 'parts'), guard=False)
    whole, parts = (torch.load(tmp_path / n / FINAL_NAME)['state_dict'] for n in ('whole', 'parts'))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    before = bench.store.status(adapted).updated
    assert all(inspect.remove(bench.store, stage) for stage in (train, scored))
    again = bench.run(plan)
    assert [stage.id for stage, _, _ in again.ran] == [train, scored]
    assert bench.store.status(adapted).updated == before


def test_commands_and_boards_show_it(ran, capsys):
    bench, plan, _ = ran
    places = ['--data-root', str(bench.data_root), '--runs', str(bench.store.root)]
    what = ['--suite', bench.suite, '--task', 'gta5_to_cityscapes', '--method', CHAIN]
    where = [*what, *places, '--records', str(bench.records)]
    shown = {}
    for command in (['plan'], ['status'], ['explain', CHAIN]):
        assert main([*command, *where]) == 0
        shown[command[0]] = capsys.readouterr().out
    assert all(CHAIN in text for text in shown.values())
    assert ' done' in shown['status']
    assert 'after BN-adapt [iters=2]' in shown['explain']
    assert plan.entries[1].stages[1] in shown['explain']
    assert main(['show', CHAIN, '--profile', 'pocket']) == 0
    text = re.sub(r'\s+', ' ', capsys.readouterr().out)
    assert 'stages: bn_adapt.adapt, threshold0, label0, train0' in text
    assert 'threshold0 (label) starts from bn_adapt.adapt' in text
    boards = make_boards(load_items(bench.records), 50)
    rows = {row.title: row for board in boards for row in board.rows}
    title = 'CBST (source-free reading) [rounds=1, train0.iters=2] after BN-adapt [iters=2]'
    assert set(rows) == {
        'BN-adapt [iters=2]', title, 'Tent (online) after BN-adapt [iters=2]',
    }  # fmt: skip
    record = rows[title].first.record
    assert rows[title].methods == ['cbst', 'bn_adapt']
    assert rows[title].source == record.source.miou == rows['BN-adapt [iters=2]'].source


def test_forcing_a_method_again_leaves_what_it_starts_from(ran):
    from sfda_bench.cli.suite import force
    from sfda_bench.store.runs import Store

    bench, _, _ = ran
    plan, store = bench.plan(CHAIN), Store(bench.folder / 'empty')
    own = plan.entries[0].stages[2:]
    assert force(plan, store, []) == set(own)
    assert force(plan, store, ['bn_adapt.adapt']) == {plan.entries[0].stages[1]}


OFFLINE = [
    name
    for name in catalog.names('methods')
    if (card := Method(name).card).track == 'source-free' and card.setting == 'offline'
]


@pytest.mark.slow
@pytest.mark.parametrize('name', OFFLINE)
def test_every_source_free_method_starts_from_another_one(bench, name):
    """Heads, decoders, metrics and past models are made of what the init hands on."""
    stages = Method(name).stages('pocket', 'gta5_to_cityscapes', {})
    changes = [f'{stage["name"]}.iters=2' for stage in stages if 'iters' in stage]
    plan = bench.plan(f'{name}[{",".join([*changes, f"init={INIT}"])}]')
    summary = bench.run(plan)
    assert summary.failures == [] and len(summary.written) == 1
