"""Console output of a suite: one status line a stage, a plan, a closing summary."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console as Terminal
from rich.live import Live
from rich.table import Table
from rich.text import Text
from tabulate import tabulate

from sfda_bench.plan.model import Entry, Plan, Stage
from sfda_bench.run.collect import is_complete
from sfda_bench.run.execute import Summary
from sfda_bench.run.status import record_of
from sfda_bench.store.runs import LOG_FILE, Store

COLUMNS = ('stage', 'state', 'progress', 'images/s', 'loss', 'left', 'device', 'memory')
#: Rows of the closing table: what fits a screen.
MOST_ROWS = 40
STYLES = {
    'done': 'green', 'running': 'cyan', 'failed': 'red', 'diverged': 'red', 'skipped': 'yellow',
}  # fmt: skip


class Console:
    """Prints the progress of a call.

    Args:
        store: For results and logs.
        total: Number of stages that will run.
        stream: Where to print; colours only on a terminal.
        quiet: Print nothing (with ``--json``).
    """

    def __init__(
        self, store: Store, total: int = 0, stream: TextIO | None = None, quiet: bool = False
    ) -> None:
        self.store, self.total, self.quiet = store, total, quiet
        self.out = Terminal(file=stream or sys.stdout)
        self.finished = 0
        self.began: dict[str, float] = {}

    def say(self, text: str | Text = '') -> None:
        """Print a line; above the table where there is one."""
        if not self.quiet:
            self.out.print(text, markup=False, highlight=False, soft_wrap=True)

    def stage(self, stage: Stage, state: str, reason: str) -> None:
        """One status line for a change of state."""
        if state == 'planned':
            self.say(f'  again    {stage.id}  {stage.title}\n           {reason}')
            return
        if state == 'running':
            self.began[stage.id] = time.monotonic()
            self.say(_line(state, f' {stage.id}  {stage.title}'))
            return
        self.finished += 1
        spent = time.monotonic() - self.began.get(stage.id, time.monotonic())
        line = f' {stage.id}  {stage.title}  {spent:.0f} s  [{self.finished}/{self.total}]'
        self.say(_line(state, line + (f'\n           {reason}' if reason else '')))

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def plan(self, plan: Plan, missing: Sequence[Stage]) -> None:
        """Entries and stages, cached or to run."""
        ids = {stage.id for stage in missing}
        rows = [
            [e.key.task, e.key.network, e.key.label, e.key.seed, _state(e, self.store)]
            for e in plan.entries
        ]
        self.say(tabulate(rows, ['task', 'network', 'method', 'seed', 'entry']))
        self.say()
        stages = [
            [s.id, _stage_state(s, self.store, ids), s.kind, s.title] for s in plan.stages.values()
        ]
        self.say(tabulate(stages, ['id', 'state', 'kind', 'stage']))
        counts = Counter(row[1] for row in stages)
        self.say(
            f'\n{len(plan.entries)} entries, {len(stages)} stages: '
            f'{counts["cached"]} cached, {counts["to run"]} to run'
            + (f', {counts["not needed"]} not needed' if counts['not needed'] else '')
        )
        self.left(plan)

    def left(self, plan: Plan) -> None:
        """Which methods were left out."""
        if plan.left:
            self.say(f'{len(plan.left)} more methods with --all: {", ".join(plan.left)}')

    def summary(self, summary: Summary, command: str, seconds: float) -> None:
        """Failures first, then what was done."""
        if summary.failures:
            self.say('\nNot finished:')
            for stage, state, reason in summary.failures:
                self.say(f'  {state}  {stage.title}\n    {reason}')
                if state in ('failed', 'diverged'):
                    self.say(f'    log: {self.store.path(stage.id) / LOG_FILE}')
            self.say(f'  retry with: {command}')
        for entry, reason in summary.incomplete:
            if entry.skip:
                self.say(f'  skipped  {entry.key.slug}: {reason}')
        if not summary.ran and not summary.incomplete:
            self.say(f'Nothing to run: all {len(summary.cached)} stages are cached.')
        else:
            done = sum(state == 'done' for _, state, _ in summary.ran)
            self.say(f'\nRan {done} stages, {len(summary.cached)} were cached.')
        self.say(
            f'{len(summary.written)} records written, {summary.unchanged} unchanged, '
            f'{len(summary.incomplete)} entries without a result ({seconds:.1f} s).'
        )

    def results(self, entries: Sequence[Entry], records: Path) -> None:
        """What was measured: mIoU and gain of every entry with a record, and where it lies."""
        rows = []
        for entry in entries:
            record = record_of(entry, records)
            if record is None:
                continue
            score, source = record.scores.miou, record.source.miou
            gain = None if score is None or source is None else score - source
            key = entry.key
            rows.append([
                key.task, key.network, key.label, key.seed, _number(score), _number(gain, '+.2f'),
            ])  # fmt: skip
        if not rows:
            return
        shown = rows[-MOST_ROWS:]
        self.say()
        self.say(tabulate(
            shown, ['task', 'network', 'method', 'seed', 'mIoU', 'gain'], disable_numparse=True,
            colalign=('left', 'left', 'left', 'right', 'right', 'right'),
        ))  # fmt: skip
        if len(rows) > len(shown):
            self.say(f'... and {len(rows) - len(shown)} more')
        suite = entries[0].key.suite
        self.say(f'\nrecords: {records / suite}\nboards:  python tools/make_leaderboard.py')


class LiveConsole(Console):
    """A table that is redrawn in place: state, progress, speed, loss, time left."""

    def __init__(self, store: Store, stages: Sequence[Stage]) -> None:
        super().__init__(store, len(stages))
        self.states = {stage.id: ('planned', '') for stage in stages}
        self.titles = {stage.id: stage.title for stage in stages}
        self.live = Live(
            console=self.out, get_renderable=self._table, refresh_per_second=2, transient=True
        )

    def __enter__(self) -> LiveConsole:
        self.live.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.live.stop()

    def stage(self, stage: Stage, state: str, reason: str) -> None:
        """Note a change; final states are also printed as lines."""
        self.states[stage.id] = (state, reason)
        if state == 'running':
            self.began[stage.id] = time.monotonic()
        else:
            super().stage(stage, state, reason)

    def _table(self) -> Table:
        table = Table(*COLUMNS, box=None)
        shown = 0
        for stage_id, (state, _) in self.states.items():
            if state == 'running':
                table.add_row(self.titles[stage_id], state, *_cells(self.store.progress(stage_id)))
                shown += 1
        waiting = sum(state == 'planned' for state, _ in self.states.values())
        table.caption = f'{self.finished} of {self.total} done, {shown} running, {waiting} waiting'
        return table


def _cells(progress: dict[str, Any]) -> list[str]:
    if not progress:
        return ['starting', *[''] * 5]
    loss, speed = progress.get('loss'), progress.get('images_per_second')
    return [
        f'{progress["done"]}/{progress["total"]}',
        f'{speed:.1f}' if speed else '',
        f'{loss:.3f}' if loss is not None else '',
        f'{progress["eta_seconds"]:.0f} s',
        progress.get('device', ''),
        f'{progress["memory_mb"]:.0f} MB' if 'memory_mb' in progress else '',
    ]


def make_console(store: Store, stages: Sequence[Stage], quiet: bool = False) -> Console:
    """A live table on a terminal, plain lines elsewhere."""
    if sys.stdout.isatty() and not quiet and stages:
        return LiveConsole(store, stages)
    return Console(store, len(stages), quiet=quiet)


def _line(state: str, rest: str) -> Text:
    """A state in its colour and what follows it."""
    return Text.assemble('  ', (f'{state:<8}', STYLES.get(state, '')), rest)


def _number(value: float | None, form: str = '.2f') -> str:
    return '-' if value is None else format(value, form)


def _state(entry, store: Store) -> str:
    if entry.skip:
        return f'skipped: {entry.skip}'
    if is_complete(entry, store):
        return 'cached'
    done = [store.is_done(i) for i in entry.needs]
    return f'{sum(done)}/{len(done)} stages done'


def _stage_state(stage: Stage, store: Store, missing: set[str]) -> str:
    """``not needed``: its files are gone, but all that rests on it is there."""
    if stage.id in missing:
        return 'to run'
    return 'cached' if store.is_done(stage.id) else 'not needed'


def plan_json(plan: Plan, store: Store, missing: Sequence[Stage]) -> dict[str, Any]:
    """The plan as plain data."""
    ids = {stage.id for stage in missing}
    return {
        'suite': plan.suite,
        'data_root': str(plan.data_root),
        'entries': [
            {**e.key.model_dump(), 'stages': e.stages, 'source_score': e.source_score,
             'state': _state(e, store)}
            for e in plan.entries
        ],
        'stages': [
            {'id': s.id, 'name': s.name, 'kind': s.kind, 'title': s.title, 'parents': s.parents,
             'state': _stage_state(s, store, ids)}
            for s in plan.stages.values()
        ],
    }  # fmt: skip


def summary_json(summary: Summary, records: Path) -> dict[str, Any]:
    """The outcome as plain data."""
    return {
        'ran': [{'id': s.id, 'title': s.title, 'state': st, 'reason': r}
                for s, st, r in summary.ran],
        'cached': summary.cached,
        'written': [str(path) for path in summary.written],
        'unchanged': summary.unchanged,
        'incomplete': [{**e.key.model_dump(), 'reason': r} for e, r in summary.incomplete],
        'records': str(records),
    }  # fmt: skip


def dump(data: Any) -> None:
    """Print plain data as JSON."""
    print(json.dumps(data, indent=1))
