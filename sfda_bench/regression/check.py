"""Comparing results with a baseline, and moving the baseline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sfda_bench.regression import judge
from sfda_bench.regression.baseline import (
    Anchor,
    Baseline,
    Cell,
    Origin,
    put,
    refresh_spread,
    slug_of,
)
from sfda_bench.regression.judge import Change
from sfda_bench.regression.limits import Limits
from sfda_bench.regression.measure import Measured, Unfinished, cell_of
from sfda_bench.regression.provenance import NOTHING, differences
from sfda_bench.scoring.statistics import miou

State = Literal['ok', 'notice', 'alarm', 'new', 'failed', 'missing']
ALARMS = ('alarm', 'failed', 'missing')
#: (entry, old mIoU, new mIoU, what happened)
Move = tuple[str, float | None, float | None, str]


@dataclass
class Row:
    """One entry of the report.

    Attributes:
        slug: The entry.
        state: The verdict; :data:`ALARMS` end the check with exit code 2.
        base: Anchored mIoU, in percent.
        now: Measured mIoU, in percent.
        change: The difference and its noise.
        speed: New throughput ratio / anchored one.
        memory: (anchored, new) peak memory in MB.
        reasons: What was found.
        differs: What the two results differ in, the first thing first.
        moved: Whether the score itself is another one, beyond noise.
        repeats: Whether seed and machine are the baseline's.
    """

    slug: str
    state: State = 'ok'
    moved: bool = False
    repeats: bool = False
    base: float | None = None
    now: float | None = None
    change: Change | None = None
    speed: float | None = None
    memory: tuple[float | None, float | None] = (None, None)
    reasons: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)

    def raise_to(self, state: State, reason: str) -> None:
        """Add a reason; a notice never hides an alarm."""
        self.reasons.append(reason)
        if self.state not in ALARMS:
            self.state = state


@dataclass
class Report:
    """All rows of a check, and the mean over the entries that could be compared."""

    suite: str
    rows: list[Row]
    mean: Row | None = None

    @property
    def alarms(self) -> list[Row]:
        """Rows that end the check with exit code 2."""
        found = [row for row in self.rows if row.state in ALARMS]
        return found + ([self.mean] if self.mean and self.mean.state in ALARMS else [])


def check(
    baseline: Baseline,
    measured: Sequence[Measured],
    unfinished: Sequence[Unfinished],
    expected: Iterable[str],
) -> Report:
    """Compare.

    Args:
        baseline: What is expected.
        measured: The finished entries.
        unfinished: Entries that were to run and have no result.
        expected: Cells of the baseline that the call selects.
    """
    rows = [_row(baseline, item) for item in measured]
    _resources(rows, measured, baseline)
    present = {item.cell for item in measured}
    for lost in unfinished:
        present.add(cell_of(lost.slug))
        rows.append(_failed(baseline, lost))
    for cell in expected:
        if cell not in present:
            rows.append(Row(cell, 'missing', reasons=['in the baseline, but not in this run']))
    return Report(baseline.sheet.suite, rows, _mean(rows, measured, baseline.sheet.limits))


def _failed(baseline: Baseline, lost: Unfinished) -> Row:
    row = Row(lost.slug, 'failed', reasons=[f'no result: {lost.reason}'])
    cell = baseline.sheet.cells.get(cell_of(lost.slug))
    if cell is not None:
        anchor = cell.seeds.get(lost.seed) or cell.seeds[min(cell.seeds)]
        row.base = anchor.miou
        # the machine of a run that left no record is not known: take it as unchanged
        row.differs = differences(anchor.stages, lost.stages, baseline.facts, lost.facts, ({}, {}))
    return row


def _row(baseline: Baseline, item: Measured) -> Row:
    slug = item.item.record.entry.slug
    row = Row(slug, now=miou(item.item.parts))
    cell = baseline.sheet.cells.get(item.cell)
    if cell is None:
        row.raise_to('new', 'not in the baseline: accept it with --update')
        return row
    seeds = [item.seed] if item.seed in cell.seeds else sorted(cell.seeds)
    anchors = [cell.seeds[seed] for seed in seeds]
    row.base = sum(anchor.miou for anchor in anchors) / len(anchors)
    row.differs = _differs(baseline, item, anchors[0])
    problem = _incomparable(item, anchors[0])
    if problem:
        row.moved = True
        row.raise_to('alarm', problem)
        return row
    _compare(row, baseline, item, cell, seeds)
    if item.seed in cell.seeds:
        _compare_same_seed(row, item, anchors[0])
    return row


def _differs(baseline: Baseline, item: Measured, anchor: Anchor) -> list[str]:
    machine = baseline.sheet.machines.get(anchor.machine, {})
    return differences(
        anchor.stages, item.stages, baseline.facts, item.facts, (machine, item.machine)
    )


def _incomparable(item: Measured, anchor: Anchor) -> str:
    record = item.item.record
    for name in ('inference_protocol', 'scoring_protocol'):
        if getattr(record, name) != getattr(anchor, name):
            return f'{name} {getattr(anchor, name)} -> {getattr(record, name)}: not comparable'
    if item.item.truth != anchor.truth:
        return 'scored on other images or other labels: not comparable'
    return ''


def _compare(row: Row, baseline: Baseline, item: Measured, cell: Cell, seeds: list[int]) -> None:
    """MIoU and classes against the anchors."""
    limits = baseline.sheet.limits
    spread = baseline.spread(item.cell)
    noise = judge.moderated(spread.std if spread else None, spread.seeds if spread else 0, limits)
    elsewhere = item.item.record.source.sha256 != cell.seeds[seeds[0]].source_sha256
    machine = baseline.sheet.machines.get(cell.seeds[seeds[0]].machine)
    row.repeats = item.seed in cell.seeds and machine == item.machine
    parts = [baseline.parts[slug_of(item.cell, seed)] for seed in seeds]
    source_std = limits.source_spread if elsewhere else 0.0
    row.change = judge.change(item.item.parts, parts, noise, source_std)
    if row.change.alarms(limits, row.repeats):
        row.moved = True
        row.raise_to('alarm', f'mIoU {row.change.difference:+.2f} (p {row.change.p:.1g})')
    elif abs(row.change.difference) >= limits.miou:
        row.raise_to('notice', f'mIoU {row.change.difference:+.2f}, within noise')
    lost = judge.lost_classes(item.item.parts, parts, item.item.protocol.class_names, limits)
    if lost:
        row.raise_to('alarm', f'classes no longer recognised: {", ".join(lost)}')
    drifted = _drifted(row, cell.seeds[seeds[0]], limits)
    if drifted and not row.moved:
        row.moved = True
        row.raise_to('alarm', drifted)


def _drifted(row: Row, anchor: Anchor, limits: Limits) -> str:
    """A shift that several updates, each within noise, have accepted bit by bit."""
    if row.now is None or row.change is None or anchor.origin.recorded == anchor.recorded:
        return ''
    shift = row.now - anchor.origin.miou
    image_variance = float(row.change.drawn.var())
    # The origin's counts are gone: another run's spread stands for the run between the two.
    variance = image_variance + max(row.change.run_variance, 2 * limits.spread**2)
    p = judge.tail(shift, variance + row.change.source_variance, row.change.df)
    if abs(shift) < limits.miou or p >= limits.alpha:
        return ''
    return f'mIoU {shift:+.2f} since {anchor.origin.recorded[:10]}, in steps within noise'


def _compare_same_seed(row: Row, item: Measured, anchor: Anchor) -> None:
    if item.item.record.counts_sha256 == anchor.counts_sha256 or row.state in ALARMS:
        return
    if [list(stage) for stage in item.stages] == anchor.stages:
        first = row.differs[0] if row.differs else NOTHING
        row.raise_to('notice', f'another result from equal stages; differs: {first}')


def _resources(rows: list[Row], measured: Sequence[Measured], baseline: Baseline) -> None:
    """Throughput and memory, judged with all entries of the run in view."""
    limits = baseline.sheet.limits
    elsewhere = False
    for row, item in zip(rows, measured, strict=True):
        cell = baseline.sheet.cells.get(item.cell)
        if cell is None:
            continue
        anchor = cell.seeds.get(item.seed) or cell.seeds[min(cell.seeds)]
        row.memory = (anchor.peak_memory_mb, item.item.record.cost.peak_memory_mb)
        if item.speed and anchor.speed:
            row.speed = item.speed / anchor.speed
        elsewhere |= baseline.sheet.machines.get(anchor.machine) != item.machine
    slow = judge.slow([row.speed for row in rows], limits)
    large = judge.large([row.memory for row in rows], elsewhere, limits)
    for row, is_slow, is_large in zip(rows, slow, large, strict=True):
        if is_slow:
            row.raise_to('alarm', f'throughput {row.speed:.2f} of the baseline')
        if is_large:
            row.raise_to('alarm', f'peak memory {row.memory[0]:.0f} -> {row.memory[1]:.0f} MB')


def _mean(rows: list[Row], measured: Sequence[Measured], limits: Limits) -> Row | None:
    found = [row for row in rows if row.change is not None]
    if len(found) < 3:
        return None
    tasks = {item.item.record.entry.task for item in measured}
    change = judge.mean_change([row.change for row in found if row.change], len(tasks))
    base = sum(row.base or 0.0 for row in found) / len(found)
    mean = Row(f'mean of {len(found)} entries', base=base, now=base + change.difference)
    mean.change = change
    if change.alarms(limits, all(row.repeats for row in found)):
        mean.raise_to('alarm', f'mIoU {change.difference:+.2f} (p {change.p:.1g})')
        lines = (line for row in found for line in row.differs)
        mean.differs = list(dict.fromkeys(lines))
    return mean


# --- moving the baseline --------------------------------------------------------------------------


def update(
    baseline: Baseline, measured: Sequence[Measured], report: Report, drop: Iterable[str]
) -> list[Move]:
    """Anchor every entry at its new result.

    A change within noise moves the anchor, but not the value that drift is measured from; so many
    small updates do not add up unseen.

    Args:
        baseline: Is changed.
        measured: The new results.
        report: Their comparison with the old baseline.
        drop: Cells to leave out from now on.

    Returns:
        (entry, old mIoU, new mIoU, what happened) of everything that moved.
    """
    rows = {row.slug: row for row in report.rows}
    fresh: dict[str, list[int]] = {}
    for item in measured:
        fresh.setdefault(item.cell, []).append(item.seed)
    olds = {item.item.record.entry.slug: baseline.anchor(item.cell, item.seed) for item in measured}
    moved: list[Move] = []
    for item in measured:
        slug = item.item.record.entry.slug
        old = olds[slug]
        put(baseline, item, _origin(rows[slug], old))
        cell = baseline.sheet.cells[item.cell]
        now = cell.seeds[item.seed].miou
        if old is None:
            moved.append((slug, None, now, 'new'))
        elif old.counts_sha256 != item.item.record.counts_sha256:
            because = '; '.join(rows[slug].reasons) if rows[slug].moved else 'within noise'
            moved.append((slug, old.miou, now, because))
    for cell_name, seeds in fresh.items():
        cell = baseline.sheet.cells[cell_name]
        cell.seeds = {seed: cell.seeds[seed] for seed in sorted(seeds)}
        refresh_spread(cell, seeds)
    for cell_name in drop:
        gone = baseline.sheet.cells.pop(cell_name)
        first = gone.seeds[min(gone.seeds)]
        moved.append((cell_name, first.miou, None, 'removed'))
    return moved


def _origin(row: Row, old: Anchor | None) -> Origin | None:
    """Keep measuring drift from the old origin unless the change was noticed and is accepted."""
    return None if old is None or row.moved else old.origin
