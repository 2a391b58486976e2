"""Runs a plan: writes the stages, executes what is missing, collects the records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pprint import pformat
from typing import Any

from sfda_bench.atomic import write_text
from sfda_bench.plan.model import Entry, Plan, Stage
from sfda_bench.run.collect import is_complete, stands, write_record
from sfda_bench.run.executors import Executor, Report
from sfda_bench.store.runs import CONFIG_FILE, StageStatus, Store


@dataclass
class Summary:
    """What a call did.

    Attributes:
        ran: Stages executed, with their final state and reason.
        cached: Ids of stages that were done before.
        written: Record files written or changed.
        unchanged: Entries whose record stood already.
        incomplete: Entries without a result, with the reason.
    """

    ran: list[tuple[Stage, str, str]] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)
    unchanged: int = 0
    incomplete: list[tuple[Entry, str]] = field(default_factory=list)

    @property
    def failures(self) -> list[tuple[Stage, str, str]]:
        """Stages that did not end as done."""
        return [item for item in self.ran if item[1] != 'done']


def todo(plan: Plan, store: Store, records: Path) -> list[Stage]:
    """Stages that must run, parents first.

    A stage whose files are gone runs again only if something unfinished rests on it, or if its
    facts are gone too and a record that is not there yet must state them.
    """
    parents = {parent for stage in plan.stages.values() for parent in stage.parents}
    wanted = {stage_id for stage_id in plan.stages if stage_id not in parents} | plan.forced
    for entry in plan.entries:
        if not entry.skip:
            wanted.update(entry.measured)
            if not stands(entry, records):
                wanted.update(i for i in entry.needs if not _is_known(i, store))
    missing: set[str] = set()
    while wanted:
        stage_id = wanted.pop()
        if stage_id not in missing and not store.is_done(stage_id):
            missing.add(stage_id)
            wanted.update(plan.stages[stage_id].parents)
    return [stage for stage in plan.stages.values() if stage.id in missing]


def _is_known(stage_id: str, store: Store) -> bool:
    status = store.status(stage_id)
    return status is not None and status.state == 'done'


def config_text(config: Mapping[str, Any]) -> str:
    """A resolved config as a mmengine text config (its own formatter takes half a second)."""
    blocks = (f'{key} = {pformat(config[key], width=96)}' for key in sorted(config))
    return '\n\n'.join(blocks) + '\n'


def prepare(stage: Stage, store: Store) -> None:
    """Write a stage's resolved config and its state, unless somebody is running it."""
    lock = store.try_lock(stage.id)
    if lock is None:
        return
    try:
        folder = store.path(stage.id)
        text = config_text(stage.config)
        header = (
            f'# {stage.title}\n# python tools/train.py {CONFIG_FILE}  (score: tools/score.py)\n'
        )
        write_text(folder / CONFIG_FILE, header + text)
        store.write(
            StageStatus(
                id=stage.id,
                name=stage.name,
                kind=stage.kind,
                title=stage.title,
                state='planned',
                parents=stage.parents,
                data=stage.data,
                code=stage.code,
                modules=stage.modules,
            )
        )
    finally:
        lock.release()


def run_plan(
    plan: Plan,
    store: Store,
    executor: Executor,
    records: Path,
    report: Report,
    on_record: Callable[[Entry, Path], None] | None = None,
) -> Summary:
    """Execute what is missing and write the records of all finished entries.

    Args:
        plan: What to run.
        store: Where stages lie.
        executor: Who runs them.
        records: Folder of the records.
        report: Called at each change of a stage's state.
        on_record: Called for each record that was written.
    """
    summary = Summary()
    missing = todo(plan, store, records)
    summary.cached = [i for i in plan.stages if store.is_done(i)]
    for stage in missing:
        prepare(stage, store)

    def note(stage: Stage, state: str, reason: str) -> None:
        if state not in ('running', 'planned'):
            summary.ran.append((stage, state, reason))
        report(stage, state, reason)

    try:
        if missing:
            executor.run(missing, store, note)
    finally:
        collect_into(summary, plan, store, records, on_record)
    return summary


def collect_into(
    summary: Summary,
    plan: Plan,
    store: Store,
    records: Path,
    on_record: Callable[[Entry, Path], None] | None = None,
) -> Summary:
    """Write the records of all entries whose stages are done."""
    for entry in plan.entries:
        if not is_complete(entry, store):
            if not entry.skip and _is_measured(entry, store) and stands(entry, records):
                summary.unchanged += 1
                continue
            summary.incomplete.append((entry, entry.skip or _why(entry, store)))
            continue
        path = write_record(entry, plan, store, records)
        if path is None:
            summary.unchanged += 1
        else:
            summary.written.append(path)
            if on_record:
                on_record(entry, path)
    return summary


def _is_measured(entry: Entry, store: Store) -> bool:
    return all(store.is_done(stage_id) for stage_id in entry.measured)


def _why(entry: Entry, store: Store) -> str:
    for stage_id in entry.needs:
        status = store.status(stage_id)
        if status is None:
            return 'not run'
        if status.state != 'done':
            return f'{status.name} {status.state}' + (f': {status.reason}' if status.reason else '')
    return 'an output is missing'
