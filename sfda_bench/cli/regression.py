"""``regression``: a suite against a baseline."""

from __future__ import annotations

import argparse
import fnmatch
import time
from pathlib import Path

from tabulate import tabulate

from sfda_bench.cli import suite as commands
from sfda_bench.cli.console import make_console
from sfda_bench.errors import BenchError, DataError
from sfda_bench.paths import RESULTS
from sfda_bench.plan.expand import load_suite
from sfda_bench.plan.model import Entry, Plan
from sfda_bench.plan.selectors import parse_method, parse_seeds
from sfda_bench.regression import baseline as files
from sfda_bench.regression import report as reports
from sfda_bench.regression.baseline import Baseline, Cell, Sheet
from sfda_bench.regression.check import Report, check, update
from sfda_bench.regression.limits import Limits
from sfda_bench.regression.measure import Measured, Unfinished, measure, unfinished
from sfda_bench.regression.provenance import Facts, facts_of
from sfda_bench.run import preflight
from sfda_bench.run.execute import run_plan, todo
from sfda_bench.store.record import EntryKey, load_records
from sfda_bench.store.runs import Store

ALARM = 2


def regression(arguments: argparse.Namespace) -> int:
    """Run the check; returns 0, :data:`ALARM`, or 1 for failures."""
    name = load_suite(arguments.suite)['name']
    path = arguments.against or RESULTS / 'baselines' / f'{name}.yaml'
    baseline = _baseline(path, name, arguments.update)
    if arguments.from_records:
        measured, lost = _from_records(arguments, name)
    else:
        measured, lost = _run(arguments)
    if not measured and not lost:
        raise BenchError('nothing to compare', 'at least one entry')
    wanted = _expected(baseline, arguments)
    report = check(baseline, measured, lost, wanted)
    if arguments.update:
        return _update(baseline, measured, report, path)
    print(reports.text(report))
    if arguments.summary:
        reports.append_summary(report, arguments.summary)
    if arguments.junit:
        reports.write_junit(report, arguments.junit)
    return ALARM if report.alarms else 0


def _baseline(path: Path, suite: str, is_update: bool) -> Baseline:
    if is_update and not Path(path).is_file():
        return Baseline(Sheet(suite=suite, limits=Limits()))
    baseline = files.load(path)
    if baseline.sheet.suite != suite:
        raise BenchError(f'{path} is a baseline of suite {baseline.sheet.suite}', suite)
    return baseline


def _run(arguments: argparse.Namespace) -> tuple[list[Measured], list[Unfinished]]:
    """Run what is missing, as ``run_suite`` does."""
    began = time.monotonic()
    records = arguments.records or arguments.runs / 'records'
    plan, store = _plan(arguments)
    arguments.workers, arguments.gpus_per_stage = arguments.jobs, 1
    arguments.executor, arguments.no_guard = 'local', False
    missing = todo(plan, store, records)
    preflight.check(plan, missing, store, records)
    console = make_console(store, missing)
    with console:
        summary = run_plan(plan, store, commands.executor_of(arguments), records, console.stage)
    console.summary(summary, 'the same command', time.monotonic() - began)
    facts = facts_of(plan, store)
    lost = [
        unfinished(entry, reason, plan, facts)
        for entry, reason in summary.incomplete
        if not entry.skip
    ]
    absent = {entry.key.slug for entry, _ in summary.incomplete}
    measured = [
        measure(records / plan.suite / f'{entry.key.slug}.json', entry, plan, store, facts)
        for entry in plan.entries
        if entry.key.slug not in absent
    ]
    return measured, lost


def _plan(arguments: argparse.Namespace) -> tuple[Plan, Store]:
    arguments.all, arguments.only_missing, arguments.loader_workers = False, False, 0
    return commands.prepare(arguments)


def _from_records(
    arguments: argparse.Namespace, suite: str
) -> tuple[list[Measured], list[Unfinished]]:
    """Records as they stand; their configs and code are known if the plan has the same ids.

    Unless methods are named, those that the suite does not run by default on a task and network are
    left out: no run would have them to compare.
    """
    folder = (arguments.records or RESULTS / 'records') / suite
    plan: Plan | None = None
    store, facts = Store(arguments.runs), Facts()
    entries: dict[str, Entry] = {}
    try:
        plan, store = _plan(arguments)
        entries, facts = {e.key.slug: e for e in plan.entries}, facts_of(plan, store)
    except DataError as error:
        print(f'the data are not here, so configs and code are not noted: {error.found}')
    seeds = parse_seeds(arguments.seed)
    planned = {_place(entry.key) for entry in entries.values()}
    found = [
        (path, record.entry.slug)
        for path, record in load_records(folder)
        if _selected(record.entry, arguments) and (seeds is None or record.entry.seed in seeds)
        if arguments.method or not planned or _place(record.entry) in planned
    ]
    if not found:
        raise BenchError(f'no such records in {folder}', 'records of the suite', 'run the suite')
    return [measure(p, entries.get(slug), plan, store, facts) for p, slug in found], []


def _place(key: EntryKey) -> tuple[str, str, str]:
    return key.task, key.network, key.method


def _expected(baseline: Baseline, arguments: argparse.Namespace) -> list[str]:
    """Cells of the baseline that the call selects."""
    return [name for name, cell in baseline.sheet.cells.items() if _selected(cell, arguments)]


def _selected(key: EntryKey | Cell, arguments: argparse.Namespace) -> bool:
    """Whether an entry's or a cell's names match the selectors."""
    for name in ('task', 'network'):
        patterns = getattr(arguments, name)
        if patterns and not any(fnmatch.fnmatch(getattr(key, name), p) for p in patterns):
            return False
    if not arguments.method:
        return True
    selectors = [parse_method(text) for text in arguments.method]
    return any(
        fnmatch.fnmatch(key.method, Path(s.name).stem if s.name.endswith('.py') else s.name)
        and (not s.params or s.params == key.params)
        for s in selectors
    )


def _update(baseline: Baseline, measured: list[Measured], report: Report, path: Path) -> int:
    failed = [row for row in report.rows if row.state == 'failed']
    for row in failed:
        print(f'kept: {row.slug} ({"; ".join(row.reasons)})')
    gone = [row.slug for row in report.rows if row.state == 'missing']
    moved = update(baseline, measured, report, gone)
    files.save(baseline, path)
    if moved:
        table = [
            [slug, _number(old), _number(new), _number(_gain(old, new), '+'), what]
            for slug, old, new, what in moved
        ]
        print(tabulate(table, ['moved', 'from', 'to', 'change', 'because'], disable_numparse=True))
    stay = len(measured) - sum(item[3] != 'removed' for item in moved)
    print(f'{path}: {len(moved)} moved, {stay} as they were')
    return 1 if failed else 0


def _gain(old: float | None, new: float | None) -> float | None:
    return None if old is None or new is None else new - old


def _number(value: float | None, sign: str = '') -> str:
    return '' if value is None else f'{value:{sign}.2f}'
