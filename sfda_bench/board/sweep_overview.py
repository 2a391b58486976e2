"""All sweeps together: which validators would have chosen well, and a line a sweep."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from sfda_bench.board.scatter import scatter
from sfda_bench.board.sweeps import NOTE, SHOWN, choices, finished, page
from sfda_bench.board.text import MISSING, duration, number, table
from sfda_bench.scoring.candidates import VALIDATORS
from sfda_bench.store.sweep import SweepResult


def overview(sweeps: Sequence[SweepResult]) -> str:
    """Validators by median regret over all sweeps, and a line a sweep."""
    usable = [found for found in sweeps if finished(found)]
    header = ['chosen by', 'sweeps', 'median regret', 'greatest', 'worst picks', 'collapsed']
    rows = sorted((_summary(name, usable) for name in VALIDATORS), key=_by_regret)
    lines = [
        [f'`{name}`', str(n), number(median), number(most), _percent(worst), _percent(fell)]
        for name, n, median, most, worst, fell in rows
        if n
    ]
    blocks = [NOTE, '# Sweeps']
    if not lines:
        return '\n\n'.join([*blocks, 'None yet: `python tools/run_suite.py sweep --help`.']) + '\n'
    return '\n\n'.join(
        [
            *blocks,
            'Which validator would have chosen well, over methods and tasks. Pairs of a method and '
            'its own objective do not count. With few sweeps this shows what can go wrong, not '
            'which validator is best; [how to choose](../../docs/choosing.md).',
            table(header, [*_controls(usable), *lines], 1),
            '## Each sweep',
            _list(sweeps),
        ]
    ) + '\n'  # fmt: skip


Line = tuple[str, int, float | None, float | None, float | None, float | None]


def _summary(name: str, sweeps: Sequence[SweepResult]) -> Line:
    """(name, sweeps, median and greatest regret, share of worst picks and of collapsed ones)."""
    found = [
        (sweep, choices(sweep)[name])
        for sweep in sweeps
        if name not in sweep.optimises and name in choices(sweep)
    ]
    if not found:
        return name, 0, None, None, None, None
    regrets = [choice.regret for _, choice in found]
    collapsed = [sweep.trials[choice.index].collapsed for sweep, choice in found]
    return (
        name,
        len(found),
        statistics.median(regrets),
        max(regrets),
        statistics.fmean(choice.worst for _, choice in found),
        statistics.fmean(collapsed),
    )


def _by_regret(line: Line) -> tuple[float, float]:
    return (
        float('inf') if line[2] is None else line[2],
        float('inf') if line[4] is None else line[4],
    )


def _controls(sweeps: Sequence[SweepResult]) -> list[list[str]]:
    """No search at all, and a trial at random."""
    default, chance, worst = [], [], []
    for found in sweeps:
        miou = [found.trials[n].miou or 0 for n in finished(found)]
        chance.append(max(miou) - statistics.fmean(miou))
        if found.trials[0].miou is not None:
            default.append(max(miou) - found.trials[0].miou)
            worst.append(found.trials[0].miou == min(miou) < max(miou))
    rows = [['*a trial at random*', str(len(chance)), number(statistics.median(chance)),
             number(max(chance)), MISSING, MISSING]]  # fmt: skip
    if default:
        rows.append(
            ['*the published setting*', str(len(default)), number(statistics.median(default)),
             number(max(default)), _percent(statistics.fmean(worst)), MISSING]
        )  # fmt: skip
    return rows


def _percent(share: float | None) -> str:
    return MISSING if share is None else f'{100 * share:.0f} %'


def _list(sweeps: Sequence[SweepResult]) -> str:
    rows = []
    for found in sweeps:
        miou = [found.trials[n].miou for n in finished(found)]
        values = [value for value in miou if value is not None]
        rows.append(
            [
                f'[{found.title}, {found.task}, {found.network}]({found.suite}/{found.slug}.md)',
                str(len(found.trials)),
                number(found.source_miou),
                number(found.trials[0].miou),
                number(max(values, default=None)),
                number(min(values, default=None)),
                str(sum(trial.collapsed for trial in found.trials)),
                duration(None if found.seconds is None else found.seconds / 3600),
            ]
        )
    header = ['sweep', 'trials', 'source', 'default', 'best (bound)', 'worst', 'collapsed', 'cost']
    return table(header, rows, 1)


def files(sweeps: Sequence[SweepResult]) -> dict[Path, str]:
    """All pages by their path below the folder of sweeps."""
    pages = {Path('README.md'): overview(sweeps)}
    for found in sweeps:
        pages[Path(found.suite) / f'{found.slug}.md'] = page(found)
        pages[Path(found.suite) / f'{found.slug}.svg'] = scatter(found, SHOWN)
    return pages
