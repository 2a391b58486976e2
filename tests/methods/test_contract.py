"""What every method must do, whatever it is: found by its config, never listed here."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method
from sfda_bench.plan.model import Plan
from sfda_bench.store.filenames import COUNTS_NAME, FINAL_NAME
from sfda_bench.store.record import load_counts
from tests.harness import Bench

pytestmark = pytest.mark.fast
METHODS = catalog.names('methods')


def having(kind: str) -> list[str]:
    """Methods with a stage of a kind."""
    stages = {name: Method(name)._stages for name in METHODS}
    return [n for n in METHODS if any(s.get('kind', 'adapt') == kind for s in stages[n])]


ADAPTING, STREAMING = having('adapt'), having('stream')
BLACK_BOX = [name for name in METHODS if Method(name).card.track == 'black-box']


def short(bench: Bench, name: str) -> str:
    """A selector that shortens every training stage of a method to two iterations."""
    stages = Method(name).stages('pocket', 'gta5_to_cityscapes', {})
    changes = [f'{stage["name"]}.iters=2' for stage in stages if 'iters' in stage]
    # a stream cannot be shorter than two rounds where it must have several
    changes += [f'{s["name"]}.rounds=2' for s in stages if s.get('rounds', 1) > 2]
    return f'{name}[{",".join(changes)}]' if changes else name


@pytest.fixture(scope='module')
def ran(pocket_root: Path, tmp_path_factory: pytest.TempPathFactory):
    """All methods on the tiny world, two iterations a stage."""
    bench = Bench(pocket_root, tmp_path_factory.mktemp('contract'))
    plans = {name: bench.plan(short(bench, name)) for name in METHODS}
    merged = Plan('tiny', pocket_root, [], {})
    for plan in plans.values():
        merged.entries += plan.entries
        merged.stages.update(plan.stages)
    bench.run(merged)
    return bench, plans


@pytest.mark.parametrize('name', METHODS)
def test_every_stage_is_done_and_the_record_is_written(ran, name):
    bench, plans = ran
    entry = plans[name].entries[0]
    states = {}
    for stage_id in entry.stages:
        status = bench.store.status(stage_id)
        states[status.title] = (status.state, status.reason)
    assert {state for state, _ in states.values()} == {'done'}, states
    record = json.loads((bench.records / 'tiny' / f'{entry.key.slug}.json').read_text())
    assert record['track'] == entry.method.card.track
    expected = 'sealed' if entry.method.sealed and len(entry.stages) > 2 else None
    if expected:
        assert record['guard']['verdict'] in ('sealed', 'audited')


def test_no_stage_complains_of_the_registries(ran):
    bench, plans = ran
    logs = {i: bench.store.path(i) / 'log.txt' for plan in plans.values() for i in plan.stages}
    found = [i for i, path in logs.items() if 'Failed to search registry' in path.read_text()]
    assert logs and found == []


@pytest.mark.parametrize('name', ADAPTING)
def test_losses_are_finite(ran, name):
    bench, plans = ran
    for stage_id in plans[name].entries[0].stages[1:-1]:
        progress = bench.store.progress(stage_id)
        if progress.get('loss') is not None:
            assert math.isfinite(progress['loss'])


@pytest.mark.parametrize('name', ADAPTING)
def test_the_network_moved_and_the_source_did_not(ran, name):
    bench, plans = ran
    entry = plans[name].entries[0]
    trained = [i for i in entry.stages[1:-1] if plans[name].stages[i].kind == 'adapt']
    source = bench.store.path(entry.stages[0])
    adapted = bench.store.path(trained[-1])
    before = torch.load(source / FINAL_NAME, weights_only=True)['state_dict']
    after = torch.load(adapted / FINAL_NAME, weights_only=True)['state_dict']
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    assert bench.store.verify(entry.stages[0]) == []


@pytest.mark.parametrize('name', STREAMING)
def test_a_stream_adapts_repeats_itself_and_leaves_the_source_alone(ran, name, tmp_path):
    """Other predictions than the source model's; the same bytes again, without the guard."""
    from mmengine.config import Config

    from sfda_bench.run.stage import run_stage

    bench, plans = ran
    entry = plans[name].entries[0]
    folder = bench.store.path(entry.stages[1])
    first = {p.relative_to(folder): p.read_bytes() for p in (folder / 'artifacts').rglob('*.*')}
    assert sum(path.suffix == '.png' for path in first) >= 3
    config = Config.fromfile(str(folder / 'config.py'), import_custom_modules=False)
    config.work_dir = str(tmp_path)
    config.test_evaluator.out_dir = str(tmp_path / 'artifacts')
    config.dump(str(tmp_path / 'config.py'))
    run_stage(tmp_path / 'config.py', guard=False)
    assert {path: (tmp_path / path).read_bytes() for path in first} == first
    assert bench.store.verify(entry.stages[0]) == []
    counts, source = (
        load_counts(bench.store.path(i) / COUNTS_NAME)[0]
        for i in (entry.stages[-1], entry.source_score)
    )
    assert not np.array_equal(counts[: len(source)], source)


@pytest.mark.parametrize('name', BLACK_BOX)
def test_a_black_box_method_owns_no_weights_of_the_source(ran, name):
    bench, plans = ran
    entry, stages = plans[name].entries[0], plans[name].stages
    source = entry.stages[0]
    using = [i for i in entry.stages[1:-1] if source in stages[i].parents]
    assert [stages[i].kind for i in using] == ['label']
    for stage_id in set(entry.stages[1:-1]) - set(using):
        config = stages[stage_id].config
        readable = [*config['stage']['grants'], str(config['load_from'])]
        assert not any(path.startswith(str(bench.store.path(source))) for path in readable)


def stopped_config(config: Path, folder: Path, stop: bool = False) -> Path:
    """Four iterations of a stage, perhaps with an interruption after the third; its new config."""
    from mmengine.config import Config
    from mmengine.hooks import Hook

    from sfda_bench.registry import HOOKS

    @HOOKS.register_module(force=True)
    class StopAt(Hook):
        priority = 'LOWEST'

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter + 1 == 3:
                raise KeyboardInterrupt

    cfg = Config.fromfile(str(config), import_custom_modules=False)
    folder.mkdir(parents=True, exist_ok=True)
    cfg.work_dir = str(folder)
    cfg.train_cfg.max_iters = 4
    cfg.default_hooks.checkpoint.interval = 2
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), *([{'type': 'StopAt'}] if stop else [])]
    cfg.dump(str(folder / 'config.py'))
    return folder / 'config.py'


@pytest.mark.slow
@pytest.mark.parametrize('name', ADAPTING)
def test_resuming_equals_not_having_stopped(ran, name, tmp_path):
    """Every adapting stage: stopped after iteration 3 of 4, resumed, same bytes."""
    from sfda_bench.run.stage import run_stage

    bench, plans = ran
    for stage_id in plans[name].entries[0].stages[1:-1]:
        if plans[name].stages[stage_id].kind != 'adapt':
            continue
        config, folder = bench.store.path(stage_id) / 'config.py', tmp_path / stage_id
        run_stage(stopped_config(config, folder / 'whole'), guard=False)
        with pytest.raises(KeyboardInterrupt):
            run_stage(stopped_config(config, folder / 'parts', stop=True), guard=False)
        run_stage(stopped_config(config, folder / 'parts'), guard=False)
        whole, parts = (
            torch.load(folder / kind / FINAL_NAME)['state_dict'] for kind in ('whole', 'parts')
        )
        different = [key for key in whole if not torch.equal(whole[key], parts[key])]
        assert not different, (stage_id, different[:5])
