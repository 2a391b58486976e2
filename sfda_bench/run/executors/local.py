"""Stages on this machine: a fork server that has imported torch once, one slot a device."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import forkserver
from typing import Any

from sfda_bench import interrupts
from sfda_bench.paths import REPOSITORY
from sfda_bench.plan.model import Stage
from sfda_bench.run.executors import Report
from sfda_bench.run.order import by_longest_way
from sfda_bench.run.temporary import short_sockets
from sfda_bench.run.worker import EXIT_BUSY, stage_main
from sfda_bench.store.runs import State, Store

POLL_SECONDS = 0.1
#: An iteration at full size on a slow machine, and writing its checkpoint, take less.
STOP_SECONDS = 90.0
STATES_OF_FAILURE = ('failed', 'diverged', 'interrupted', 'skipped')


@dataclass
class _Running:
    stage: Stage
    process: multiprocessing.process.BaseProcess
    device: str


@dataclass
class LocalExecutor:
    """Runs stages in worker processes.

    Args:
        devices: One name a slot: GPU indices, or ``'cpu'`` several times.
        guard: Whether sealed stages are sealed.
        retries: How often a stage whose process was killed is started again, alone on its slot.
    """

    devices: Sequence[str]
    guard: bool = True
    retries: int = 1
    _states: dict[str, str] = field(default_factory=dict)
    _tries: dict[str, int] = field(default_factory=dict)

    def run(self, stages: Sequence[Stage], store: Store, report: Report) -> None:
        """Run all stages; on an interrupt stop them, note it, and raise again."""
        os.environ.setdefault('OMP_NUM_THREADS', '1')
        short_sockets()
        _show_package_to_server()
        context = multiprocessing.get_context('forkserver')
        context.set_forkserver_preload(['sfda_bench.run.preload'])
        _start_server(context)
        waiting = by_longest_way(stages)
        free = list(self.devices)
        running: list[_Running] = []
        self._states = {stage.id: 'planned' for stage in stages}
        with interrupts.deferred():
            try:
                while waiting or running:
                    waiting = self._skip_orphans(waiting, store, report)
                    waiting = self._start_ready(waiting, free, running, context, store, report)
                    time.sleep(POLL_SECONDS)
                    self._reap(waiting, free, running, store, report)
                    interrupts.check()
            except BaseException:
                self._stop(running, store, report)
                raise

    def _note(self, store: Store, stage: Stage, state: State, reason: str, report: Report) -> None:
        """Write a state that the stage's own process could not write."""
        status = store.status(stage.id)
        if status is not None:
            status.state, status.reason = state, reason
            store.write(status)
        self._states[stage.id] = state
        report(stage, state, reason)

    def _skip_orphans(self, waiting: list[Stage], store: Store, report: Report) -> list[Stage]:
        keep = []
        for stage in waiting:
            broken = [p for p in stage.parents if self._states.get(p) in STATES_OF_FAILURE]
            if broken:
                self._note(store, stage, 'skipped', f'stage {broken[0]} did not finish', report)
            else:
                keep.append(stage)
        return keep

    def _start_ready(self, waiting, free, running, context, store, report) -> list[Stage]:
        keep = []
        for stage in waiting:
            ready = all(self._states.get(p, 'done') == 'done' for p in stage.parents)
            if not (ready and free):
                keep.append(stage)
                continue
            device = free.pop(0)
            process = context.Process(
                target=stage_main,
                args=(str(store.root), stage.id, self.guard, os.getpid(), device),
                daemon=False,
            )
            process.start()
            self._states[stage.id] = 'running'
            running.append(_Running(stage, process, device))
            report(stage, 'running', '')
        return keep

    def _reap(self, waiting, free, running, store, report) -> None:
        for job in list(running):
            if job.process.is_alive():
                continue
            job.process.join()
            running.remove(job)
            free.append(job.device)
            code = job.process.exitcode
            if code == EXIT_BUSY:
                # Another suite runs this stage: look again later, its result serves us too.
                self._states[job.stage.id] = 'planned'
                waiting.append(job.stage)
                time.sleep(1.0)
                continue
            status = store.status(job.stage.id)
            state = status.state if status else 'failed'
            if state == 'running' and self._may_retry(job.stage.id):
                self._states[job.stage.id] = 'planned'
                waiting.append(job.stage)
                report(job.stage, 'planned', f'{_death(code)}; trying again')
                continue
            if state == 'running' or status is None:
                self._note(store, job.stage, 'failed', _death(code), report)
                continue
            self._states[job.stage.id] = state
            report(job.stage, state, status.reason)

    def _may_retry(self, stage_id: str) -> bool:
        self._tries[stage_id] = self._tries.get(stage_id, 0) + 1
        return self._tries[stage_id] <= self.retries

    def _stop(self, running: list[_Running], store: Store, report: Report) -> None:
        """Let the stages finish their iteration and write a checkpoint; a second Ctrl-C does not.

        A stage that has not ended after :data:`STOP_SECONDS` is killed.
        """
        if not running:
            return
        print(
            f'stopping {len(running)} running stages at their next checkpoint; Ctrl-C again ends '
            'them at once',
            file=sys.stderr,
        )
        try:
            for job in running:
                job.process.terminate()
            deadline = time.monotonic() + STOP_SECONDS
            for job in running:
                job.process.join(max(0.0, deadline - time.monotonic()))
        except KeyboardInterrupt:
            pass
        finally:
            for job in running:
                job.process.kill()
        for job in running:
            job.process.join()
            status = store.status(job.stage.id)
            if status is not None and status.state in (*STATES_OF_FAILURE, 'done'):
                report(job.stage, status.state, status.reason)
            else:
                self._note(store, job.stage, 'interrupted', 'stopped by the user', report)


def _start_server(context: multiprocessing.context.ForkServerContext) -> None:
    """Start the fork server and wait for its imports; stopped meanwhile, end it."""
    with interrupts.own():
        forkserver.ensure_running()
    first = context.Process(target=time.sleep, args=(0,))
    try:
        first.start()
        first.join()
    except KeyboardInterrupt:
        os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)  # type: ignore[attr-defined]
        raise


def _show_package_to_server() -> None:
    """The fork server does not inherit ``sys.path``: tell it where an uninstalled package lies."""
    root = str(REPOSITORY)
    paths = [p for p in os.environ.get('PYTHONPATH', '').split(os.pathsep) if p]
    if root not in paths:
        os.environ['PYTHONPATH'] = os.pathsep.join([*paths, root])


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = ' (out of memory?)' if name == 'SIGKILL' else ''
        return f'the process was killed by {name}{hint}'
    return f'the process ended with code {code}'


def make(arguments: Any, devices: Sequence[str]) -> LocalExecutor:
    """The executor for the parsed command line."""
    return LocalExecutor(devices, guard=not arguments.no_guard)
