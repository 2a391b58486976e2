"""Answers to reported numbers: what measures each, whether it can be judged, what it came to.

A reported row names our method (``run``); its task, network and protocols name the rest of an
entry. What is unknown, or not built here, is said by name: a reader sees why a number has no
verdict and which command would give it one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from sfda_bench.board.fields import (
    Candidate,
    differences,
    selector,
    task_split,
    unknown_fields,
)
from sfda_bench.board.possible import left_open, possible
from sfda_bench.board.reported import UNKNOWN, ReportedFile, ReportedRow, is_number
from sfda_bench.board.rows import Board, Row, Verdict
from sfda_bench.board.tiers import RERUN
from sfda_bench.board.verdicts import among, answer
from sfda_bench.errors import BenchError
from sfda_bench.plan import catalog
from sfda_bench.plan.composition import names_of
from sfda_bench.scoring import protocols

OPEN = 'not run'


@dataclass(frozen=True)
class Question:
    """One reported number and what keeps it from a verdict.

    Attributes:
        id: ``<file>:<index>``, e.g. ``iapc:0``.
        file: The file it stands in.
        told: The row.
        missing: What is unknown or not here, one line each; empty = it can be judged.
    """

    id: str
    file: ReportedFile
    told: ReportedRow
    missing: tuple[str, ...]

    @property
    def judgeable(self) -> bool:
        """Whether a measurement would get a verdict other than 'not comparable'."""
        return not self.missing

    @cached_property
    def meant(self) -> tuple[ReportedRow, ...]:
        """The row, once for each value that its evidence leaves open."""
        return possible(self.told, self.file)

    @cached_property
    def open(self) -> tuple[str, ...]:
        """Names of the fields that its evidence leaves open."""
        return left_open(self.told, self.file)

    @property
    def complete(self) -> bool:
        """Whether each of the seven deciding fields is known, the choice of checkpoint too."""
        found = self.file.measured.get(self.told.measured or '')
        return found is not None and found.weakest != UNKNOWN

    @property
    def command(self) -> str:
        """The command that measures it."""
        return f'python tools/run_suite.py reproduce {self.id}'


def questions(reported: Mapping[str, ReportedFile]) -> list[Question]:
    """Every reported mean IoU of our tasks, in the order of the files."""
    return [
        Question(f'{name}:{index}', file, told, tuple(missing(told, file)))
        for name, file in reported.items()
        for index, told in enumerate(file.rows)
        if is_number(told)
    ]


def missing(told: ReportedRow, file: ReportedFile) -> list[str]:
    """What keeps a reported number from a verdict, whatever is measured."""
    meant = possible(told, file)
    found = [f'{field} unknown' for field in unknown_fields(meant[0])]
    if told.run is None:
        found.append(f'no method here measures {told.label}'.strip())
    if 'per_class_inconsistent' in told.flags:
        found.append('the printed row contradicts itself')
    if told.setting == 'source' and told.checkpoint is None:
        found.append(_no_checkpoint(told, file))
    here = [text for row in meant for text in (*_not_here(row), *_unsuited(row))]
    return found + list(dict.fromkeys(here))


def _no_checkpoint(told: ReportedRow, file: ReportedFile) -> str:
    """Why a source model's score is not judged: nobody published it, or its hash is not known."""
    measured = file.measured.get(told.measured or '')
    if measured is None or measured.source_model is None:
        return 'source model: no published checkpoint known'
    return f'source model: SHA-256 not known of {measured.source_model}'


def _unsuited(told: ReportedRow) -> Iterator[str]:
    """What does not go together here: task and split, network and protocol or checkpoint."""
    if told.task_id and _exists('tasks', told.task_id) and told.split != UNKNOWN:
        scored = task_split(told.task_id)
        if scored != told.split:
            yield f'split: {told.split} reported, task {told.task_id} scores {scored}'
    if not (told.network and _exists('networks', told.network)):
        return
    network = catalog.load('networks', told.network)['network']
    name = protocols.split_ref(told.inference)[0]
    if told.inference != UNKNOWN and name not in network['inference']:
        yield f'network {told.network} is not declared for {told.inference}'
    if told.checkpoint and network['source'].get('sha256') != told.checkpoint:
        yield f'network {told.network} does not start from the published checkpoint'


def _not_here(told: ReportedRow) -> Iterator[str]:
    for kind, name in (('tasks', told.task_id), ('networks', told.network)):
        if name and not _exists(kind, name):
            yield f'{kind[:-1]} {name} not built here'
    if told.inference != UNKNOWN and _protocol('inference', told.inference) is None:
        yield f'inference protocol {told.inference} not built here'
    if told.scoring != UNKNOWN and _protocol('scoring', told.scoring) is None:
        yield f'scoring protocol {told.scoring} not built here'
    ours = selector(told)
    for name in names_of(ours) if ours else ():
        if not _exists('methods', name):
            yield f'method {name} not built here'


@cache
def _exists(kind: str, name: str) -> bool:
    return name in catalog.known(kind)


@cache
def _protocol(kind: str, ref: str) -> protocols.Protocol | None:
    load = protocols.load_inference if kind == 'inference' else protocols.load_scoring
    try:
        return load(ref)
    except BenchError:
        return None


@dataclass(frozen=True)
class Answer:
    """A question with the verdict on the row that measured it, or on none."""

    question: Question
    verdict: Verdict
    board: Board | None = None
    row: Row | None = None


def answers(asked: Sequence[Question], boards: Sequence[Board]) -> list[Answer]:
    """The answer to each question: a verdict on what was run here, or what is missing."""
    places = [(board, row) for board in boards for row in board.rows if row.tier == RERUN]
    return [_answer(question, places) for question in asked]


def _answer(question: Question, places: Sequence[tuple[Board, Row]]) -> Answer:
    if question.missing:
        return Answer(question, Verdict('not comparable', '; '.join(question.missing)))
    found = [_measured(question, told, places) for told in question.meant]
    here = [item for item in found if item is not None]
    if len(here) < len(found):  # a reading that was not measured might be the one that fits
        return Answer(question, Verdict(OPEN, '', question.told.value))
    board, row, candidate = here[0]
    if len(here) == 1:
        return Answer(question, answer(row, candidate), board, row)
    return Answer(question, among([item[1:] for item in here]), board, row)


def _measured(
    question: Question, told: ReportedRow, places: Sequence[tuple[Board, Row]]
) -> tuple[Board, Row, Candidate] | None:
    """Where one reading of a reported row was measured; ``None`` if nowhere."""
    ours = selector(told)
    for board, row in places:
        same = ours is not None and (row.method, row.first.record.entry.params) == tuple(ours)
        if not (same and told.task_id == board.key.task):
            continue
        candidate = Candidate(question.file, told, differences(board, row, told), question.open)
        if not candidate.apart and answer(row, candidate).word != 'not comparable':
            return board, row, candidate
    return None


def run_text(told: ReportedRow) -> str:
    """The method and settings that measure a reported row; '' if none does."""
    ours = selector(told)
    return ours.text if ours else ''
