"""The suite on a real SLURM of one node, started by the test."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from sfda_bench.run.execute import run_plan
from sfda_bench.run.executors.slurm import SlurmExecutor, groups, job_of
from sfda_bench.store.record import load_counts
from sfda_bench.store.runs import Store
from tests.run.slurm_cluster import Cluster, missing_programs


@pytest.fixture(scope='module')
def cluster():
    if missing_programs():
        pytest.skip(f'not installed: {missing_programs()} (Debian: slurm-wlm munge)')
    pytest.importorskip('submitit')
    folder = Path(tempfile.mkdtemp(prefix='slurm-'))
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def slurm(**more) -> SlurmExecutor:
    parameters = {'timeout_min': 10, 'cpus_per_task': 1, 'slurm_partition': 'debug', **more}
    return SlurmExecutor(parameters, poll_seconds=0.5)


def counts_of(store: Store, plan, entry) -> list:
    return load_counts(store.path(entry.stages[-1]) / 'counts.npz')[0].tolist()


def requeue_once(store: Store, stage_id: str, executor: SlurmExecutor, done: list) -> None:
    """Requeue the job of a stage as soon as that stage has written a checkpoint."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if (store.path(stage_id) / 'resume.pth').is_file():
            job = executor._jobs[stage_id]
            subprocess.run(['scontrol', 'requeue', job], check=True)
            done.append(job)
            return
        time.sleep(0.02)


@pytest.mark.slurm
def test_chains_with_dependencies_and_a_requeued_job_give_the_local_result(bench, cluster):
    # bn_adapt and tent start from one source: three levels, two of them arrays of two jobs.
    methods = ('bn_adapt[iters=3]', 'tent[iters=60,batch_size=2]')
    plan = bench.plan(*methods)
    local = bench.run(plan)
    assert local.failures == []
    expected = [counts_of(bench.store, plan, entry) for entry in plan.entries]

    bench.store = Store(bench.folder / 'cluster_runs')
    plan = bench.plan(*methods)
    executor, requeued = slurm(), []
    adapt = plan.entries[1].stages[1]
    watcher = threading.Thread(
        target=requeue_once, args=(bench.store, adapt, executor, requeued), daemon=True
    )
    watcher.start()
    lines = []
    summary = run_plan(
        plan, bench.store, executor, bench.records, lambda s, state, r: lines.append((s.id, state))
    )
    watcher.join(timeout=5)
    assert summary.failures == [], cluster.logs()
    assert requeued == [executor._jobs[adapt]]
    log = (bench.store.path(adapt) / 'log.txt').read_text()
    assert 'resumed epoch' in log
    assert [counts_of(bench.store, plan, entry) for entry in plan.entries] == expected


@pytest.mark.slurm
def test_a_failed_parent_cancels_what_waits_for_it(bench, cluster):
    plan = bench.plan('tent[iters=4,batch_size=2,lr=1e25]')
    summary = run_plan(plan, bench.store, slurm(), bench.records, lambda *_: None)
    states = {stage.id: state for stage, state, _ in summary.failures}
    adapt, score = plan.entries[0].stages[1:]
    assert states == {adapt: 'diverged', score: 'skipped'}


@pytest.mark.slurm
def test_who_leaves_and_comes_back_submits_nothing_twice(bench, cluster, capsys):
    """Left as a lost connection leaves: jobs queued and running, nobody who watches."""
    bench.store = Store(bench.folder / 'left_runs')
    plan = bench.plan('bn_adapt[iters=4]')
    leaving = slurm()
    leaving.detach = True
    run_plan(plan, bench.store, leaving, bench.records, lambda *_: None)
    first = dict(leaving._jobs)
    assert set(first) == set(plan.stages)
    assert all(job_of(bench.store, stage) == job for stage, job in first.items())

    back = slurm()
    summary = run_plan(
        bench.plan('bn_adapt[iters=4]'), bench.store, back, bench.records, lambda *_: None
    )
    assert summary.failures == [], cluster.logs()
    assert all(back._jobs[stage] == first[stage] for stage in back._jobs)
    submitted = {path.name for path in (bench.store.root / '.slurm').iterdir() if path.is_dir()}
    assert submitted == set(first.values())
    assert len(summary.written) == 1
    told = capsys.readouterr().err
    assert all(f'job {job}  {stage}' in told for stage, job in first.items())


def test_stages_of_one_kind_and_parent_are_grouped(bench):
    plan = bench.plan('source_only', 'bn_adapt[iters=2]', 'tent[iters=2]')
    sizes = [(group[0].kind, len(group)) for group in groups(list(plan.stages.values()))]
    assert sizes == [('train', 1), ('score', 1), ('adapt', 2), ('score', 1), ('score', 1)]
