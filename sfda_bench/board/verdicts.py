"""Measured against reported: a verdict with its reason.

*reproduced*: every field that decides a number is known and equal, and the difference lies inside
the joint interval (images, seeds, the reported spread, rounding) or the row's own tolerance.
*above* / *below*: equal fields, larger difference. *not comparable*: a field differs or is not
known; the reason names it. *not run*: reported, never measured here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot

from sfda_bench.board.cards import card, title
from sfda_bench.board.reported import UNKNOWN, ReportedFile, ReportedRow
from sfda_bench.board.rows import Board, Row, Verdict
from sfda_bench.errors import BenchError
from sfda_bench.scoring.protocols import load_scoring
from sfda_bench.suite import catalog

ROUNDING = 0.05
"""Half a unit in the last printed digit."""

SETTINGS = {'uda': 'uda', 'test-time': 'test-time', 'bound': 'source'}
CONFIDENCE = ('high', 'medium', 'low', 'aggregator', 'not_found')


@dataclass(frozen=True)
class Difference:
    """A field that decides a number and is not the same on both sides."""

    field: str
    ours: str
    theirs: str

    def __str__(self) -> str:
        if self.theirs == UNKNOWN:
            return f'{self.field} of the reported number unknown'
        return f'{self.field}: {self.theirs} reported, {self.ours} here'


def normal(name: str) -> str:
    """A method's name without punctuation, to match ``dt_st`` and ``dtst``."""
    return re.sub(r'[^a-z0-9]', '', name.lower())


def attached(method: str, file: ReportedFile, told: ReportedRow) -> bool:
    """Whether a reported row is of a method, by the method's card or else by its name."""
    known = card(method)
    name = (known.reported if known else '') or method
    label = known.reported_label if known else ''
    if normal(file.method) != normal(name):
        return False
    return not label or told.label == label or told.label.startswith(f'{label} (')


def task_split(task: str) -> str:
    """Split on which a task is scored."""
    try:
        return str(catalog.load('tasks', task)['task']['target_val']['split'])
    except (BenchError, KeyError):
        return UNKNOWN


def fields(board: Board, row: Row, told: ReportedRow) -> list[tuple[str, str, str]]:
    """(field, ours, theirs) of everything that must agree."""
    record = row.first.record
    real = 'full data sets'
    changed = ', '.join(f'{k}={v}' for k, v in sorted(record.entry.params.items()))
    # A loose scoring reference ('unknown') still tells the number of classes.
    return [
        ('data', real if record.profile == 'paper' else f'{record.profile} suite', real),
        ('network', board.key.network, told.network or UNKNOWN),
        ('split', task_split(board.key.task), told.split),
        ('condition', 'all', told.condition or 'all'),
        ('classes', str(len(load_scoring(board.key.scoring).class_names)), _classes(told)),
        ('scoring protocol', board.key.scoring, told.scoring),
        ('inference protocol', board.key.inference, told.inference),
        ('checkpoint selection', record.selection, told.selection),
        ('setting', SETTINGS.get(row.track, 'source-free'), told.setting),
        ('variant', changed or 'default', _variant(told)),
        ('consistency', 'consistent', told.flags[0] if told.flags else 'consistent'),
    ]


def _classes(told: ReportedRow) -> str:
    return UNKNOWN if told.classes is None else str(told.classes)


def _variant(told: ReportedRow) -> str:
    """'default' unless the row is a part or an ablation of the method."""
    text = (told.variant or '').lower()
    part = 'ablation' in text or ('step' in text and 'final' not in text) or 'black-box' in text
    return (told.variant or '') if part else 'default'


def differences(board: Board, row: Row, told: ReportedRow) -> list[Difference]:
    """Fields that differ or are not known."""
    return [
        Difference(name, ours, theirs)
        for name, ours, theirs in fields(board, row, told)
        if theirs == UNKNOWN or ours != theirs
    ]


def candidates(
    board: Board, row: Row, reported: Mapping[str, ReportedFile]
) -> list[tuple[ReportedRow, list[Difference]]]:
    """Reported rows of the method and task with a value, closest protocol first."""
    found = []
    for file in reported.values():
        for told in file.rows:
            fits = told.task_id == board.key.task and told.metric == 'mIoU'
            if fits and told.value is not None and attached(row.method, file, told):
                found.append((told, differences(board, row, told)))
    return sorted(found, key=lambda pair: _closeness(*pair))


def _closeness(told: ReportedRow, apart: Sequence[Difference]) -> tuple:
    known = sum(item.theirs != UNKNOWN for item in apart)
    kind = ('result', 'comparison', 'reproduction').index(told.kind)
    return len(apart), known, kind, CONFIDENCE.index(told.confidence)


def joint_half_width(row: Row, told: ReportedRow) -> float:
    """Half-width of the joint interval of measured minus reported, in points."""
    image = ((row.high or 0) - (row.low or 0)) / 2
    half = hypot(image, row.seed_half or 0, 1.96 * (told.std or 0))
    return max(half + ROUNDING, told.tolerance or 0)


def judge(board: Board, row: Row, reported: Mapping[str, ReportedFile]) -> Verdict | None:
    """The verdict of a row; ``None`` if nobody reported a number for its method and task."""
    found = candidates(board, row, reported)
    if not found:
        return None
    if row.bound:
        return Verdict('not comparable', 'every paper trains its own source model')
    told, apart = found[0]
    if apart:
        # A value on other data or another network beside ours would invite a comparison.
        show = not {'data', 'network', 'condition'} & {item.field for item in apart}
        return Verdict('not comparable', _reason(apart), told.value if show else None)
    if row.mean is None or told.value is None:
        return Verdict('not comparable', 'seeds are missing here', told.value)
    difference = row.mean - told.value
    half = joint_half_width(row, told)
    seeds = f'{len(row.items)} seed' + ('s' if len(row.items) > 1 else '')
    reason = f'joint interval ± {half:.1f}, {seeds}'
    if abs(difference) <= half:
        return Verdict('reproduced', reason, told.value, difference)
    return Verdict('above' if difference > 0 else 'below', reason, told.value, difference)


def _reason(apart: Sequence[Difference]) -> str:
    """The two most telling differences: what is known to differ before what is not known."""
    for item in apart:
        if item.field == 'data':
            return f'{item.ours}, not the {item.theirs}'
    order = sorted(apart, key=lambda item: item.theirs == UNKNOWN)
    more = f', and {len(order) - 2} more' if len(order) > 2 else ''
    return '; '.join(str(item) for item in order[:2]) + more


def not_run(
    boards: Sequence[Board], reported: Mapping[str, ReportedFile], suite: str = 'paper'
) -> list[tuple[str, ReportedFile, ReportedRow]]:
    """Reported results of our tasks that no board of ``suite`` has measured: (task title, ...)."""
    have = [
        (b.key.task, b.key.network, r.method, SETTINGS.get(r.track, 'source-free'))
        for b in boards
        if b.key.suite == suite
        for r in b.rows
    ]

    def measured(file: ReportedFile, row: ReportedRow) -> bool:
        return any(
            (task, network) == (row.task_id, row.network)
            and row.setting in (UNKNOWN, setting)
            and attached(method, file, row)
            for task, network, method, setting in have
        )

    return [
        (title('tasks', row.task_id), file, row)
        for file in reported.values()
        for row in file.rows
        if row.task_id and row.value is not None and not measured(file, row)
    ]
