"""The fields that decide whether a measured and a reported number may be compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sfda_bench.board.basis import Measured
from sfda_bench.board.cards import card
from sfda_bench.board.readings import rescorable
from sfda_bench.board.reported import UNKNOWN, ReportedFile, ReportedRow, known
from sfda_bench.board.rows import Board, Row
from sfda_bench.errors import BenchError
from sfda_bench.plan import catalog
from sfda_bench.plan.selectors import MethodSelector, method_text, parse_method
from sfda_bench.scoring.protocols import load_scoring

SETTINGS = {'uda': 'uda', 'test-time': 'test-time', 'bound': 'source'}
CONFIDENCE = ('high', 'medium', 'low', 'aggregator', 'not_found')
#: Titles of the deciding fields on pages.
TITLES = {
    'scoring': 'scoring protocol',
    'inference': 'inference protocol',
    'selection': 'checkpoint selection',
}


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


@dataclass(frozen=True)
class Candidate:
    """A reported row that a measured one may answer, and what keeps them apart.

    ``open`` names fields whose value in ``told`` is one of several possible ones.
    """

    file: ReportedFile
    told: ReportedRow
    apart: tuple[Difference, ...]
    open: tuple[str, ...] = ()

    @property
    def measured(self) -> Measured | None:
        """What the row's protocol is known from."""
        return self.file.measured.get(self.told.measured or '')


def normal(name: str) -> str:
    """A method's name without punctuation, to match ``dt_st`` and ``dtst``."""
    return re.sub(r'[^a-z0-9]', '', name.lower())


def selector(told: ReportedRow) -> MethodSelector | None:
    """Our method, and its settings, that a reported row is to be measured with."""
    return parse_method(told.run) if told.run else None


def attached(method: str, file: ReportedFile, told: ReportedRow) -> bool:
    """Whether a reported row is of a method: by its own word, the method's card, or its name."""
    ours = selector(told)
    if ours is not None and ours.name == method:
        return True
    about = card(method)
    name = (about.reported if about else '') or method
    label = about.reported_label if about else ''
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
    """(field, ours, theirs) of everything that must agree.

    Scoring agrees if the counts can be scored as the reported number was. The choice of checkpoint
    is no field: a run has kept several (:mod:`~sfda_bench.board.readings`).
    """
    record = row.first.record
    real = 'full data sets'
    own = record.profile in ('paper', 'authors')
    same = told.scoring != UNKNOWN and rescorable(row.first, told.scoring)
    scoring = told.scoring if same else board.key.scoring
    return [
        ('data', real if own else f'{record.profile} suite', real),
        ('network', board.key.network, told.network or UNKNOWN),
        ('split', task_split(board.key.task), told.split),
        ('condition', 'all', told.condition or 'all'),
        ('classes', str(len(load_scoring(scoring).class_names)), str(told.classes or UNKNOWN)),
        ('scoring protocol', scoring, told.scoring),
        ('inference protocol', board.key.inference, told.inference),
        ('setting', SETTINGS.get(row.track, 'source-free'), told.setting),
        ('variant', *_variants(row, told)),
        ('consistency', 'consistent', _flag(told)),
    ]


def _flag(told: ReportedRow) -> str:
    """``consistent``, or the flag that forbids a comparison."""
    return 'per_class_inconsistent' if 'per_class_inconsistent' in told.flags else 'consistent'


def _variants(row: Row, told: ReportedRow) -> tuple[str, str]:
    """Method and settings, measured and to be measured."""
    ours = method_text(row.method, row.first.record.entry.params)
    wanted = selector(told)
    if wanted is None:
        return ours, told.variant or told.label
    return ours, wanted.text


def differences(board: Board, row: Row, told: ReportedRow) -> tuple[Difference, ...]:
    """Fields that differ or are not known."""
    return tuple(
        Difference(name, ours, theirs)
        for name, ours, theirs in fields(board, row, told)
        if theirs == UNKNOWN or ours != theirs
    )


def candidates(board: Board, row: Row, reported: Mapping[str, ReportedFile]) -> list[Candidate]:
    """Reported rows of the method and task with a value, closest protocol first."""
    found = []
    for file in reported.values():
        for told in file.rows:
            fits = told.task_id == board.key.task and told.metric == 'mIoU'
            if fits and told.value is not None and attached(row.method, file, told):
                found.append(Candidate(file, told, differences(board, row, told)))
    return sorted(found, key=_closeness)


def _closeness(candidate: Candidate) -> tuple:
    """Fewest differences first; then the choice of checkpoint that is a method's own."""
    told, apart = candidate.told, candidate.apart
    sure = sum(item.theirs != UNKNOWN for item in apart)
    chosen = ('last', 'online', 'best_val_labels', UNKNOWN).index(told.selection)
    kind = ('result', 'comparison', 'reproduction').index(told.kind)
    return len(apart), sure, chosen, kind, CONFIDENCE.index(told.confidence)


def unknown_fields(told: ReportedRow) -> list[str]:
    """Titles of the deciding fields that nothing tells, but for the choice of checkpoint."""
    names = ('network', 'split', 'classes', 'scoring', 'inference', 'setting')
    return [TITLES.get(name, name) for name in names if not known(told, name)]
