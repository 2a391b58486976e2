"""``results/benchmarks.md``: every claim of speed as a ratio, with machine and commit."""

from __future__ import annotations

from collections.abc import Sequence

from sfda_bench.board.markdown import NOTE
from sfda_bench.board.text import MISSING, table
from sfda_bench.store.benchmark import BenchmarkRecord, Ratio

NAME = 'benchmarks.md'
FOLDER = 'benchmarks'
INTRODUCTION = """\
Each ratio compares two things that were timed in turn in one run, so that it holds on other
machines more nearly than a time does. Measure them anew with `python tools/benchmark.py all`."""


def page(records: Sequence[BenchmarkRecord]) -> str:
    """The page in Markdown."""
    blocks = [NOTE, '# Benchmarks', INTRODUCTION]
    if not records:
        blocks.append('Nothing was measured yet.')
    for record in records:
        blocks += [f'## {record.title}', _where(record), _ratios(record.ratios)]
        if record.facts:
            body = [[name, f'{value:,.4g}'] for name, value in record.facts.items()]
            blocks.append(table(['besides', ''], body))
    return '\n\n'.join(blocks) + '\n'


def _where(record: BenchmarkRecord) -> str:
    commit = record.commit[:7] if record.commit else 'unknown commit'
    changed = ' with changes' if record.dirty else ''
    machine = record.hardware
    device = machine.get('gpu') or f'{machine.get("cpu")}, {machine.get("cores")} cores'
    return (
        f'`{record.command}`, {record.seconds / 60:.1f} min at {commit}{changed}, '
        f'{record.created[:10]}; {device}, torch {record.versions.get("torch", "?")}, '
        f'load {record.load:.1f} at the beginning.'
    )


def _ratios(ratios: Sequence[Ratio]) -> str:
    words = {True: 'yes', False: '**no**', None: MISSING}
    body = [
        [
            ratio.what,
            f'{ratio.value:.3g}',
            MISSING
            if ratio.aim is None
            else f'{"at least" if ratio.better == "higher" else "at most"} {ratio.aim:g}',
            words[ratio.met],
        ]
        for ratio in ratios
    ]
    return table(['compared', 'ratio', 'aim', 'met'], body)
