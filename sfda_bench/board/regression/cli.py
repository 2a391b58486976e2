"""Command line of the regression check; ``tools/check_regression.py`` calls :func:`main`."""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from sfda_bench.board.build import RESULTS
from sfda_bench.board.regression import baseline as files
from sfda_bench.board.regression import report as reports
from sfda_bench.board.regression.baseline import Baseline, Cell, Sheet
from sfda_bench.board.regression.check import Report, check, update
from sfda_bench.board.regression.limits import Limits
from sfda_bench.board.regression.measure import Measured, Unfinished, measure, unfinished
from sfda_bench.board.regression.provenance import Facts, facts_of
from sfda_bench.errors import BenchError, DataError
from sfda_bench.suite import commands
from sfda_bench.suite.console import make_console
from sfda_bench.suite.plan import load_suite
from sfda_bench.suite.record import EntryKey, load_records
from sfda_bench.suite.run import run_plan, todo
from sfda_bench.suite.selectors import parse_method, parse_seeds
from sfda_bench.suite.stages import Entry, Plan
from sfda_bench.suite.store import Store

ALARM = 2
EPILOG = """
exit code: 0 no alarm, 2 alarm, 1 wrong usage or failure

examples:
  python tools/check_regression.py                              the pocket suite, all of it
  python tools/check_regression.py --task gta5_to_cityscapes    a third of it
  python tools/check_regression.py --update                     accept what changed
  python tools/check_regression.py --seed 0-3 --update          measure the spread over seeds, too
  python tools/check_regression.py --suite lab.py --data-root SUBSET --against lab.yaml
"""


def build_parser() -> argparse.ArgumentParser:
    """Options of ``check_regression``."""
    parser = argparse.ArgumentParser(
        prog='check_regression',
        description='Run a suite (what is cached is not run again) and compare every entry with '
        'a baseline: mIoU, classes, throughput, memory.',
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--suite', default='pocket', help='pocket (default), camvid, FILE.py')
    parser.add_argument(
        '--against', type=Path, metavar='FILE', help='default: results/baselines/<suite>.yaml'
    )
    for name in ('task', 'network', 'method'):
        parser.add_argument(
            f'--{name}', nargs='+', metavar='NAME', help=f'only these {name}s (globs allowed)'
        )
    parser.add_argument('--seed', nargs='+', metavar='N', help='seeds, e.g. 0-2')
    root = os.environ.get('SFDA_DATA_ROOT')
    parser.add_argument('--data-root', type=Path, default=Path(root) if root else None)
    parser.add_argument('--runs', type=Path, default=Path(os.environ.get('SFDA_RUNS') or 'runs'))
    parser.add_argument(
        '--records', type=Path, metavar='DIR', help='records of this run (default: RUNS/records)'
    )
    parser.add_argument('--jobs', type=int, metavar='N', help='stages at a time (default: cores)')
    parser.add_argument('--update', action='store_true', help='rewrite the baseline')
    parser.add_argument(
        '--from-records',
        action='store_true',
        help='run nothing: take the records as they stand (default: results/records)',
    )
    summary = os.environ.get('GITHUB_STEP_SUMMARY')
    parser.add_argument(
        '--summary', type=Path, default=summary, metavar='FILE.md', help='add the report to a file'
    )
    parser.add_argument('--junit', type=Path, metavar='FILE.xml', help='write a JUnit report')
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check; returns 0, :data:`ALARM`, or 1 for wrong usage and failures."""
    try:
        arguments = build_parser().parse_args(argv)
    except SystemExit as end:
        return 1 if end.code else 0
    try:
        return _main(arguments)
    except BenchError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\ninterrupted; the same command continues', file=sys.stderr)
        return 1


def _main(arguments: argparse.Namespace) -> int:
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
    console = make_console(store, todo(plan, store))
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
    arguments.loader_workers = 0
    return commands.prepare(arguments)


def _from_records(
    arguments: argparse.Namespace, suite: str
) -> tuple[list[Measured], list[Unfinished]]:
    """Records as they stand; their configs and code are known if the plan has the same ids.

    Unless methods are named, those that the suite does not run by default are left out: no run
    would have them to compare.
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
    planned = {entry.key.method for entry in entries.values()}
    found = [
        (path, record.entry.slug)
        for path, record in load_records(folder)
        if _selected(record.entry, arguments) and (seeds is None or record.entry.seed in seeds)
        if arguments.method or not planned or record.entry.method in planned
    ]
    if not found:
        raise BenchError(f'no such records in {folder}', 'records of the suite', 'run the suite')
    return [measure(p, entries.get(slug), plan, store, facts) for p, slug in found], []


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
