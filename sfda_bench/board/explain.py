"""Likely causes why a measured and a reported number differ, the largest known effect first.

Effect sizes come from public measurements of the code bases (issue threads, tables); those marked
as an estimate are our judgement. A cause without a size comes last. An explanation ranks suspects,
it convicts none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sfda_bench.board.fields import candidates
from sfda_bench.board.reported import UNKNOWN, ReportedFile, ReportedRow
from sfda_bench.board.rows import Board, Row
from sfda_bench.board.text import number

EFFECTS: dict[str, tuple[float | None, str]] = {
    'data': (None, 'other images: nothing can be said about the difference'),
    'network': (10.0, 'another architecture; even namesakes differ by points (estimate)'),
    'condition': (36.3, 'one table has 35.8 at night and 72.1 in fog'),
    'setting': (8.0, 'methods that read source data are usually ahead by points (estimate)'),
    'split': (5.0, 'val and test of ACDC differ by up to several points (estimate)'),
    'classes': (7.0, '19, 16 and 13 classes average different sets (estimate)'),
    'scoring protocol': (3.2, 'SYNTHIA conventions on the same predictions spread over 3.2 points'),
    'checkpoint selection': (2.0, 'best on validation labels against last: 1 to 2 points'),
    'inference protocol': (2.0, 'align_corners 1 to 2, flip and several scales 0.5 to 1.5 points'),
    'variant': (5.0, 'a part or an ablation of the method (estimate)'),
    'consistency': (0.6, 'the reported row contradicts itself'),
}  # fmt: skip
SEEDS = (4.1, 'five public runs of one method spread from 51.9 to 55.8')
PREDICT = (1.0, 'student against teacher: 0.3 to 1 point')


@dataclass(frozen=True)
class Cause:
    """A suspect: which field, both values, the largest known effect in points, and why."""

    field: str
    ours: str
    theirs: str
    size: float | None
    why: str

    @property
    def text(self) -> str:
        """One line for a page."""
        size = 'size not known' if self.size is None else f'up to {self.size:.1f} points'
        known = 'not stated' if self.theirs == UNKNOWN else self.theirs
        return f'{self.field} ({known} reported, {self.ours} here): {size}; {self.why}'


def _paper(told: ReportedRow, reported: Mapping[str, ReportedFile]) -> str | None:
    for file in reported.values():
        if told in file.rows:
            return file.origins[told.origin].paper
    return None


def source_of(told: ReportedRow, reported: Mapping[str, ReportedFile]) -> ReportedRow | None:
    """The source-only row of the same document, task, network and variant, if there is one."""
    paper = _paper(told, reported)
    key = (told.task_id, told.network, told.classes, told.variant)
    for file in reported.values():
        for row in file.rows:
            same = (row.task_id, row.network, row.classes, row.variant) == key
            if same and row.setting == 'source' and file.origins[row.origin].paper == paper:
                return row
    return None


def _source_cause(
    row: Row, told: ReportedRow, reported: Mapping[str, ReportedFile]
) -> Cause | None:
    theirs = source_of(told, reported)
    if row.source is None:
        return None
    if theirs is None or theirs.value is None:
        why = 'published source-only values of one task lie between 27 and 43'
        return Cause('source model', number(row.source), UNKNOWN, 10.0, why)
    gap = abs(row.source - theirs.value)
    why = 'the models that adaptation starts from differ by this much'
    return Cause('source model', number(row.source), number(theirs.value), gap, why)


def explain(
    board: Board, row: Row, reported: Mapping[str, ReportedFile]
) -> tuple[ReportedRow | None, list[Cause]]:
    """The closest reported row and the likely causes of the gap to it, largest effect first."""
    found = candidates(board, row, reported)
    if not found:
        return None, []
    told = found[0].told
    causes = [Cause(d.field, d.ours, d.theirs, *EFFECTS[d.field]) for d in found[0].apart]
    if told.selection not in ('last', 'online'):
        name = 'checkpoint selection'
        causes.append(Cause(name, 'last', told.selection, *EFFECTS[name]))
    source = _source_cause(row, told, reported)
    if source is not None:
        causes.append(source)
    if len(row.items) < 3 or told.seeds is None:
        causes.append(
            Cause('seeds', str(len(row.items)), str(told.seeds or UNKNOWN), *SEEDS)
        )  # fmt: skip
    if row.first.record.predict_on == 'teacher':
        causes.append(Cause('predicting model', 'teacher', UNKNOWN, *PREDICT))
    return told, sorted(causes, key=lambda c: (c.size is None, -(c.size or 0), c.field))
