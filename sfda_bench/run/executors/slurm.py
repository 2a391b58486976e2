"""Stages as SLURM jobs, through submitit: ``afterok`` on their parents, requeue-safe.

Stages with the same parents go as one job array. The number of a stage's job stays in its folder,
so whoever leaves and comes back finds the jobs that are queued or running, and submits none twice.
A job runs its stage in a child process (the data guard seals that process for good, and submitit
must still write its own files); at a time-out or pre-emption submitit requeues the job, which
continues from the stage's last checkpoint.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sfda_bench.atomic import write_text
from sfda_bench.errors import BenchError
from sfda_bench.plan.model import Stage
from sfda_bench.run.executors import Report
from sfda_bench.run.squeue import ALIVE, cancel, queue_states, submitted_id
from sfda_bench.run.worker import EXIT_BUSY
from sfda_bench.store.filenames import JOB_FILE
from sfda_bench.store.runs import Store

#: Within what SLURM grants a job between its warning and its end.
STOP_SECONDS = 60.0
FINAL = ('done', 'failed', 'diverged', 'interrupted', 'skipped')
PROGRAMS = ('sbatch', 'squeue', 'scancel', 'srun')


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
        command = [sys.executable, '-m', 'sfda_bench.run.worker', self.root, self.stage_id]
        self._child = subprocess.Popen([*command, *([] if self.guard else ['--no-guard'])])
        return self._child.wait()

    def checkpoint(self) -> Any:
        """Let the child write a checkpoint, end it, and submit the same job again."""
        import submitit

        if self._child is not None:
            self._child.terminate()
            try:
                self._child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
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
        detach: Return once everything is submitted.
    """

    parameters: dict[str, Any]
    guard: bool = True
    poll_seconds: float = 5.0
    detach: bool = False
    _jobs: dict[str, str] = field(default_factory=dict)

    def run(self, stages: Sequence[Stage], store: Store, report: Report) -> None:
        """Submit what has no job yet, then watch until the last has ended, unless detached.

        An interrupt cancels the jobs. After another error they go on: the same command finds them.
        """
        try:
            self._adopt(stages, store)
            waiting = [stage for stage in stages if stage.id not in self._jobs]
            for group in groups(waiting):
                self._submit(group, store)
            if self.detach:
                say(
                    f'{len(waiting)} jobs submitted, {len(stages) - len(waiting)} were there; the '
                    'same command without --detach watches them and writes the records'
                )
                return
            self._watch({stage.id: stage for stage in stages}, store, report)
        except KeyboardInterrupt:
            if self._jobs:
                say(f'cancelling the jobs: {" ".join(sorted(set(self._jobs.values())))}')
            if self._jobs and not cancel(self._jobs.values()):
                say(f'scancel failed; cancel these yourself: {" ".join(self._jobs.values())}')
            raise
        except Exception:
            if self._jobs:
                say('the jobs that were submitted go on; the same command collects their results')
            raise

    def _adopt(self, stages: Sequence[Stage], store: Store) -> None:
        """Take over the jobs of an earlier call.

        Raises:
            BenchError: There were jobs, and nobody says whether they still are.
        """
        noted = {stage.id: job for stage in stages if (job := job_of(store, stage.id))}
        queue = queue_states(noted.values()) if noted else {}
        if queue is None:
            raise BenchError(
                f'{len(noted)} stages have jobs of an earlier call, and squeue does not answer',
                'an answer, so that no stage is submitted twice',
                f'wait and call again, or remove {JOB_FILE} from the folders in {store.root} whose '
                'jobs are gone',
            )
        self._jobs = {stage: job for stage, job in noted.items() if job in queue}
        if self._jobs:
            say(f'{len(self._jobs)} stages are queued or running already: '
                f'{" ".join(sorted(set(self._jobs.values())))}')  # fmt: skip

    def _submit(self, group: Sequence[Stage], store: Store) -> None:
        submitit = _submitit()
        executor = submitit.AutoExecutor(folder=store.root / '.slurm' / '%j', cluster='slurm')
        extra = dict(self.parameters.get('slurm_additional_parameters', {}))
        waits = sorted({self._jobs[p] for p in group[0].parents if p in self._jobs})
        if waits:
            extra['dependency'] = 'afterok:' + ':'.join(waits)
            extra['kill-on-invalid-dep'] = 'yes'
        extra['requeue'] = True
        name = job_name(group)
        executor.update_parameters(
            **{**self.parameters, 'slurm_additional_parameters': extra, 'name': name}
        )
        _read_ids_strictly(executor)
        jobs = [StageJob(str(store.root), stage.id, self.guard) for stage in group]
        if len(jobs) == 1:
            submitted = [executor.submit(jobs[0])]
        else:
            with executor.batch():
                submitted = [executor.submit(job) for job in jobs]
        for stage, job in zip(group, submitted, strict=True):
            self._jobs[stage.id] = str(job.job_id)
            write_text(store.path(stage.id) / JOB_FILE, f'{job.job_id}\n')
            say(f'job {job.job_id}  {stage.id}  {stage.title}')

    def _watch(self, stages: dict[str, Stage], store: Store, report: Report) -> None:
        seen: dict[str, str] = {}
        silent = False
        while len([s for s in seen.values() if s in FINAL]) < len(stages):
            time.sleep(self.poll_seconds)
            queue = queue_states(self._jobs.values())
            if queue is None and not silent:
                say('squeue does not answer; asking again until it does')
            silent = queue is None
            for stage_id, stage in stages.items():
                if seen.get(stage_id) not in FINAL:
                    state, reason = self._look(stage, store, queue, seen.get(stage_id, 'planned'))
                    if state != seen.get(stage_id) and state != 'planned':
                        report(stage, state, reason)
                    seen[stage_id] = state

    def _look(
        self, stage: Stage, store: Store, queue: dict[str, str] | None, before: str
    ) -> tuple[str, str]:
        """State of a stage: what it wrote itself, unless its job is gone."""
        status = store.status(stage.id)
        state = status.state if status else 'failed'
        job = self._jobs[stage.id]
        if queue is None:
            return (state if state == 'done' else before), ''
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


def job_of(store: Store, stage_id: str) -> str | None:
    """Number of the job that a stage was last submitted as."""
    path = store.path(stage_id) / JOB_FILE
    text = path.read_text(encoding='utf-8', errors='replace').strip() if path.is_file() else ''
    return text if re.fullmatch(r'\d+(_\d+)?', text) else None


def job_name(group: Sequence[Stage]) -> str:
    """Name of a job in the queue: its first stage's title, and how many others go with it."""
    words = re.sub(r'[^A-Za-z0-9_.=+-]+', '-', group[0].title).strip('-')
    return f'sfda-{words[:80]}' + (f'+{len(group) - 1}' if len(group) > 1 else '')


def say(text: str) -> None:
    """A line for the person who watches."""
    print(text, file=sys.stderr, flush=True)


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


def _submitit():
    try:
        import submitit
    except ImportError as error:
        raise BenchError(
            'the slurm executor needs submitit', 'submitit', "pip install -e '.[slurm]'"
        ) from error
    return submitit


def _read_ids_strictly(executor: Any) -> None:
    """Let submitit take the job's number from sbatch's own line, not from a banner's."""
    inner = getattr(executor, '_executor', executor)
    theirs = inner._get_job_id_from_submission_command
    cls = type(inner)
    if not getattr(cls, 'reads_strictly', False):
        cls._get_job_id_from_submission_command = staticmethod(
            lambda output: submitted_id(output) or theirs(output)
        )
        cls.reads_strictly = True


def _require_programs() -> None:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise BenchError(
            f'--executor slurm without {", ".join(missing)}',
            "SLURM's commands on the PATH",
            "run it on the cluster's login node, or choose --executor local",
        )


def make(arguments: Any, devices: Sequence[str]) -> SlurmExecutor:
    """The executor for the parsed command line."""
    extra = {}
    for option in arguments.slurm_option:
        key, equals, value = option.partition('=')
        if not equals:
            raise BenchError(f'--slurm-option {option}', 'KEY=VALUE, e.g. constraint=a100')
        extra[key] = value
    _require_programs()
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
    detach = bool(getattr(arguments, 'detach', False))
    return SlurmExecutor(parameters, guard=not arguments.no_guard, detach=detach)
