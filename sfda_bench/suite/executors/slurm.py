"""Stages as SLURM jobs, through submitit: ``afterok`` on their parents, requeue-safe.

Stages with the same parents go as one job array. A job runs its stage in a child process (the data
guard seals that process for good, and submitit must still write its own files); at a time-out or
pre-emption submitit requeues the job, which continues from the stage's last checkpoint.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sfda_bench.errors import BenchError
from sfda_bench.suite.executors import Report
from sfda_bench.suite.stages import Stage
from sfda_bench.suite.store import Store
from sfda_bench.suite.worker import EXIT_BUSY

FINAL = ('done', 'failed', 'diverged', 'interrupted', 'skipped')
ALIVE = ('PENDING', 'RUNNING', 'CONFIGURING', 'COMPLETING', 'REQUEUED', 'SUSPENDED', 'REQUEUE_HOLD')


class StageJob:
    """What a job executes; submitit pickles it.

    Args:
        root: The store's folder.
        stage_id: The stage.
        guard: Whether a sealed stage is sealed.
    """

    def __init__(self, root: str, stage_id: str, guard: bool) -> None:
        self.root, self.stage_id, self.guard = root, stage_id, guard
        self._child: subprocess.Popen | None = None

    def __call__(self) -> None:
        """Run the stage; wait while another process runs it; raise if it failed."""
        while (code := self._run()) == EXIT_BUSY:
            time.sleep(5.0)
        if code != 0:
            raise RuntimeError(f'stage {self.stage_id} ended with code {code}')

    def _run(self) -> int:
        command = [sys.executable, '-m', 'sfda_bench.suite.worker', self.root, self.stage_id]
        self._child = subprocess.Popen([*command, *([] if self.guard else ['--no-guard'])])
        return self._child.wait()

    def checkpoint(self) -> Any:
        """End the child (its last checkpoint is on disk) and submit the same job again."""
        import submitit

        if self._child is not None:
            self._child.kill()
            self._child.wait()
        return submitit.helpers.DelayedSubmission(StageJob(self.root, self.stage_id, self.guard))


@dataclass
class SlurmExecutor:
    """Submits stages and watches them.

    Args:
        parameters: submitit's parameters (``slurm_partition``, ``timeout_min``, ...).
        guard: Whether sealed stages are sealed.
        poll_seconds: Between two looks at the queue.
    """

    parameters: dict[str, Any]
    guard: bool = True
    poll_seconds: float = 5.0
    _jobs: dict[str, str] = field(default_factory=dict)

    def run(self, stages: Sequence[Stage], store: Store, report: Report) -> None:
        """Submit all stages, then watch until the last has ended; on an interrupt cancel them."""
        try:
            for group in groups(stages):
                self._submit(group, store)
            self._watch({stage.id: stage for stage in stages}, store, report)
        except BaseException:
            if self._jobs:
                subprocess.run(['scancel', *set(self._jobs.values())], check=False)
            raise

    def _submit(self, group: Sequence[Stage], store: Store) -> None:
        submitit = _submitit()
        executor = submitit.AutoExecutor(folder=store.root / '.slurm' / '%j', cluster='slurm')
        extra = dict(self.parameters.get('slurm_additional_parameters', {}))
        waits = sorted({self._jobs[p] for p in group[0].parents if p in self._jobs})
        if waits:
            extra['dependency'] = 'afterok:' + ':'.join(waits)
            extra['kill-on-invalid-dep'] = 'yes'
        extra['requeue'] = True
        name = f'sfda-{group[0].kind}'
        executor.update_parameters(
            **{**self.parameters, 'slurm_additional_parameters': extra, 'name': name}
        )
        jobs = [StageJob(str(store.root), stage.id, self.guard) for stage in group]
        if len(jobs) == 1:
            submitted = [executor.submit(jobs[0])]
        else:
            with executor.batch():
                submitted = [executor.submit(job) for job in jobs]
        for stage, job in zip(group, submitted, strict=True):
            self._jobs[stage.id] = str(job.job_id)

    def _watch(self, stages: dict[str, Stage], store: Store, report: Report) -> None:
        seen: dict[str, str] = {}
        while len([s for s in seen.values() if s in FINAL]) < len(stages):
            time.sleep(self.poll_seconds)
            queue = queue_states(self._jobs.values())
            for stage_id, stage in stages.items():
                if seen.get(stage_id) not in FINAL:
                    state, reason = self._look(stage, store, queue)
                    if state != seen.get(stage_id) and state != 'planned':
                        report(stage, state, reason)
                    seen[stage_id] = state

    def _look(self, stage: Stage, store: Store, queue: dict[str, str]) -> tuple[str, str]:
        """State of a stage: what it wrote itself, unless its job is gone."""
        status = store.status(stage.id)
        state = status.state if status else 'failed'
        job = self._jobs[stage.id]
        if state in FINAL and (state == 'done' or job not in queue):
            return state, status.reason if status else ''
        if queue.get(job) in ALIVE:
            return ('running' if queue[job] == 'RUNNING' else 'planned'), ''
        if status is None:
            return 'failed', f'job {job} left no stage.json'
        # Not in the queue and no final state: killed by SLURM, or its parent failed.
        parents = [store.status(parent) for parent in stage.parents]
        broken = [p.id for p in parents if p is not None and p.state != 'done']
        status.state = 'skipped' if broken else 'failed'
        status.reason = (
            f'stage {broken[0]} did not finish' if broken else f'job {job} ended without a result'
        )
        store.write(status)
        return status.state, status.reason


def groups(stages: Sequence[Stage]) -> Iterator[list[Stage]]:
    """Stages in order of submission, those with the same kind and parents together."""
    order: dict[tuple, list[Stage]] = {}
    depth: dict[str, int] = {}
    for stage in stages:
        depth[stage.id] = 1 + max((depth.get(p, 0) for p in stage.parents), default=0)
        key = (depth[stage.id], stage.kind, tuple(stage.parents))
        order.setdefault(key, []).append(stage)
    for key in sorted(order, key=lambda item: item[0]):
        yield order[key]


def queue_states(job_ids) -> dict[str, str]:
    """State of each job in the queue; jobs that left it are missing."""
    wanted = set(job_ids)
    command = ['squeue', '--noheader', '--array', '--format=%i %T', '--states=all']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        # The controller is busy or restarting: nothing is known, so nothing is lost.
        return dict.fromkeys(wanted, 'PENDING')
    pairs = (line.split() for line in done.stdout.splitlines() if line.strip())
    return {job: state for job, state in pairs if job in wanted and state in ALIVE}


def _submitit():
    try:
        import submitit
    except ImportError as error:
        raise BenchError(
            'the slurm executor needs submitit', 'submitit', "pip install -e '.[slurm]'"
        ) from error
    return submitit


def make(arguments: Any, devices: Sequence[str]) -> SlurmExecutor:
    """The executor for the parsed command line."""
    extra = {}
    for option in arguments.slurm_option:
        key, equals, value = option.partition('=')
        if not equals:
            raise BenchError(f'--slurm-option {option}', 'KEY=VALUE, e.g. constraint=a100')
        extra[key] = value
    parameters: dict[str, Any] = {
        'timeout_min': arguments.slurm_time,
        'cpus_per_task': arguments.slurm_cpus,
        'slurm_additional_parameters': extra,
    }
    optional = {
        'slurm_partition': arguments.slurm_partition,
        'slurm_account': arguments.slurm_account,
        'slurm_qos': arguments.slurm_qos,
        'mem_gb': arguments.slurm_mem,
        'gpus_per_node': arguments.slurm_gpus or None,
    }
    parameters.update({key: value for key, value in optional.items() if value is not None})
    return SlurmExecutor(parameters, guard=not arguments.no_guard)
