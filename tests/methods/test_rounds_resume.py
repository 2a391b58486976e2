"""Rounds as cached stages: what a kill leaves, what `explain` shows, what ends up in records."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from sfda_bench.run import status as inspect
from sfda_bench.run.execute import run_plan
from sfda_bench.run.executors.local import LocalExecutor
from sfda_bench.store.runs import Store
from tests.harness import Bench

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def bench(pocket_root: Path, tmp_path: Path) -> Bench:
    return Bench(pocket_root, tmp_path)


def test_explain_shows_the_labels_that_cbst_and_crst_share(bench, capsys):
    from sfda_bench.cli.main import main

    ids = {}
    for method in ('cbst', 'crst_mrkld'):
        plan = bench.plan(method)
        facts = inspect.explain_entry(plan.entries[0], plan, bench.store, bench.records)
        ids[method] = {s['title'].split()[1]: s['id'] for s in facts['stages']}
        slug = plan.entries[0].key.slug
        command = ['explain', slug, '--suite', bench.suite, '--data-root', str(bench.data_root)]
        command += ['--runs', str(bench.store.root), '--records', str(bench.records)]
        command += ['--task', 'gta5_to_cityscapes', '--method', method]
        assert main(command) == 0
        assert ids[method]['label0'] in capsys.readouterr().out
    shared = {name for name in ids['cbst'] if ids['cbst'][name] == ids['crst_mrkld'].get(name)}
    assert shared == {'gta5', 'threshold0', 'label0'}


def test_an_empty_hard_split_is_a_warning_in_the_record(bench):
    """And so is the never predicted class of a hardly trained network; nothing is NaN."""
    plan = bench.plan('intrada[easy_portion=1.0,iters=1]', 'cbst[iters=1]')
    summary = bench.run(plan)
    assert summary.failures == [], bench.lines
    texts, losses = {}, []
    for path in bench.records.rglob('*.json'):
        record = json.loads(path.read_text())
        texts[record['entry']['method']] = ' | '.join(record['warnings'])
    assert 'no hard image' in texts['intrada']
    assert 'never predicted on the target' in texts['cbst']
    for stage_id in plan.stages:
        losses.append((bench.store.progress(stage_id) or {}).get('loss') or 0.0)
    assert all(torch.isfinite(torch.tensor(float(loss))) for loss in losses)


def states(store: Store, plan) -> dict[str, tuple[str, float]]:
    found = {}
    for stage_id in plan.entries[0].stages:
        status = store.status(stage_id)
        if status is not None:
            found[plan.stages[stage_id].name] = (status.state, status.updated)
    return found


@pytest.mark.slow
def test_a_kill_in_round_2_reruns_nothing_of_the_rounds_before(bench):
    method = 'cbst[iters=2,train2.iters=200]'
    plan = bench.plan(method)
    command = [
        sys.executable, str(REPOSITORY / 'tools/run_suite.py'), '--suite', bench.suite,
        '--data-root', str(bench.data_root), '--runs', str(bench.store.root),
        '--records', str(bench.records), '--task', 'gta5_to_cityscapes', '--method', method,
    ]  # fmt: skip
    suite = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        for _ in range(6000):
            if states(bench.store, plan).get('train2', ('',))[0] == 'running':
                break
            assert suite.poll() is None
            time.sleep(0.1)
    finally:
        os.killpg(suite.pid, signal.SIGKILL)
        suite.wait()
    rounds = {f'{kind}{n}' for kind in ('threshold', 'label', 'train') for n in (0, 1)}
    earlier = {name: states(bench.store, plan)[name] for name in rounds}
    assert {state for state, _ in earlier.values()} == {'done'}
    time.sleep(3)  # the orphaned stage notices within a second and ends
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout
    after = states(bench.store, plan)
    assert {name: after[name] for name in earlier} == earlier
    assert after['train2'][0] == 'done'
    for name in ('threshold', 'label', 'train'):
        assert f' {name}0 ' not in again.stdout and f' {name}1 ' not in again.stdout


@pytest.mark.slow
def test_an_adversarial_stage_stays_on_one_of_two_devices(bench):
    """mmengine's parallel wrapper knows one optimiser only; the result is that of one device."""
    method = 'intrada[iters=3,batch_size=2,norm_mode=eval,easy_portion=0.5]'
    plan = bench.plan(method)
    assert bench.run(plan).failures == []
    names = {plan.stages[i].name: i for i in plan.entries[0].stages}
    one = torch.load(bench.store.path(names['intra']) / 'final.pth')['state_dict']
    source = bench.store
    bench.store = Store(bench.folder / 'ranks')
    plan = bench.plan(method)
    for stage_id in plan.entries[0].stages:
        if plan.stages[stage_id].name not in ('intra', 'score'):
            bench.store.path(stage_id).parent.mkdir(parents=True, exist_ok=True)
            source.path(stage_id).rename(bench.store.path(stage_id))
    summary = run_plan(
        plan, bench.store, LocalExecutor(['cpu,cpu']), bench.records, lambda *_: None
    )
    assert summary.failures == []
    two = torch.load(bench.store.path(names['intra']) / 'final.pth')['state_dict']
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert 'GPU number: 2' not in (bench.store.path(names['intra']) / 'log.txt').read_text()
