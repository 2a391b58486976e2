"""Measured against reported: a verdict with its reason and its basis.

*reproduced*: every field that decides a number is known and equal, and the difference lies inside
the joint interval (images, seeds, the reported spread, rounding) or the row's own tolerance. What
the evaluation is known from stands with it. *above* / *below*: equal fields, larger difference. A
number reported as the best on validation labels is judged against the best of our kept checkpoints.
*inside both readings* / *inside one reading* (*all*, *some* of more than two): nobody says which
checkpoint was reported, or the evidence leaves another field open between two values; the reason
says which fit. *not comparable*: a field differs or is not known; the reason names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot

from sfda_bench.board.basis import Measured
from sfda_bench.board.fields import TITLES, Candidate, Difference, candidates
from sfda_bench.board.readings import Reading, best, last
from sfda_bench.board.reported import UNKNOWN, ReportedFile, ReportedRow
from sfda_bench.board.rows import Board, Row, Verdict

ROUNDING = 0.05
"""Half a unit in the last printed digit."""

BASIS_TEXT = {
    'stated': '',
    'released_code': 'evaluation from the released code',
    'code_line': 'evaluation from the code that theirs is built on',
    'convention': 'evaluation by the convention of the field',
}


def joint_half_width(reading: Reading, told: ReportedRow) -> float:
    """Half-width of the joint interval of measured minus reported, in points."""
    half = hypot(reading.half, 1.96 * (told.std or 0))
    return max(half + ROUNDING, told.tolerance or 0)


def judge(board: Board, row: Row, reported: Mapping[str, ReportedFile]) -> Verdict | None:
    """The verdict of a row; ``None`` if nobody reported a number for its method and task."""
    found = candidates(board, row, reported)
    return answer(row, found[0]) if found else None


def answer(row: Row, candidate: Candidate) -> Verdict:
    """The verdict of a measured row on one reported row."""
    told, apart = candidate.told, candidate.apart
    if not row.counted:
        return Verdict('not comparable', 'self-reported, without counts')
    if row.bound and not same_checkpoint(row, told):
        return Verdict('not comparable', 'source model: every paper trains its own')
    if apart:
        # A value on other data or another network beside ours would invite a comparison.
        show = not {'data', 'network', 'condition'} & {item.field for item in apart}
        return Verdict('not comparable', reason_of(apart), told.value if show else None)
    measured = candidate.measured
    if measured is None:
        return Verdict('not comparable', 'basis of the reported number unknown', told.value)
    if measured.weakest_but('selection', *candidate.open) == UNKNOWN:
        # the linter refuses such a row; a file outside of the repository may have one
        return Verdict('not comparable', 'basis of a field unknown', told.value)
    if row.mean is None:
        return Verdict('not comparable', 'seeds are missing here', told.value)
    found = readings(row, told)
    if not found:
        field = Difference('checkpoint selection', 'last', told.selection)
        return Verdict('not comparable', f'{field}, none kept on the way', told.value)
    if told.selection == UNKNOWN or candidate.open:
        return among([(row, candidate)])
    return _word(found[0], told, measured, len(row.items))


def readings(row: Row, told: ReportedRow) -> list[Reading]:
    """What a measured row says in answer to a reported one: both choices where none is known."""
    choices = {'best_val_labels': (best,), UNKNOWN: (last, best)}.get(told.selection, (last,))
    found = [choice(row, told.scoring) for choice in choices]
    return [reading for reading in found if reading is not None]


def same_checkpoint(row: Row, told: ReportedRow) -> bool:
    """Whether a source-only row is of the very checkpoint that a reported one is of."""
    published = {item.record.source.published for item in row.items.values()}
    return told.checkpoint is not None and published == {told.checkpoint}


def _word(reading: Reading, told: ReportedRow, measured: Measured, seeds: int) -> Verdict:
    difference = reading.mean - (told.value or 0)
    half = joint_half_width(reading, told)
    basis = basis_text(measured)
    reason = f'joint interval ± {half:.1f}, {seeds} seed' + ('s' if seeds > 1 else '')
    if reading.choice == 'best':
        reason = f'{reading}; {reason}'
    if abs(difference) <= half:
        return Verdict('reproduced', reason, told.value, difference, basis)
    word = 'above' if difference > 0 else 'below'
    return Verdict(word, reason, told.value, difference, basis)


@dataclass(frozen=True)
class _Compared:
    """One possible reading of a reported number beside what was measured."""

    name: str
    difference: float
    inside: bool


def among(found: Sequence[tuple[Row, Candidate]]) -> Verdict:
    """The verdict on a number of several possible readings, each with the row that measured it.

    It is never *reproduced*: nobody says which reading is the reported one.
    """
    told, measured = found[0][1].told, found[0][1].measured
    compared = [item for row, candidate in found for item in _compared(row, candidate)]
    inside = [item for item in compared if item.inside]
    nearest = min((item.difference for item in compared), key=abs)
    basis = basis_text(measured, *found[0][1].open) if measured else ''
    unknown = f'{_open_text(found[0][1])} unknown'
    if inside:
        word = f'inside {_quantity(len(inside), len(compared))}'
        reason = f'{unknown}; {_listed(inside)} fit'
        return Verdict(word, reason, told.value, nearest, basis)
    alone = told.selection == UNKNOWN and len(compared) == len(found)
    reason = f'{unknown}; compared: {_listed(compared)}' + (
        ' (none kept on the way)' if alone else ''
    )
    return Verdict('above' if nearest > 0 else 'below', reason, told.value, nearest, basis)


def _compared(row: Row, candidate: Candidate) -> list[_Compared]:
    told = candidate.told
    out = []
    for reading in readings(row, told):
        difference = reading.mean - (told.value or 0)
        parts = [str(getattr(told, name)) for name in candidate.open if name != 'classes']
        parts += [reading.choice] if told.selection == UNKNOWN else []
        inside = abs(difference) <= joint_half_width(reading, told)
        out.append(_Compared(' '.join(parts), difference, inside))
    return out


def _quantity(inside: int, compared: int) -> str:
    if inside == compared and compared > 1:
        return 'both readings' if compared == 2 else 'all readings'
    return 'one reading' if inside == 1 else 'some readings'


def _listed(found: Sequence[_Compared]) -> str:
    return ' and '.join(item.name for item in found)


def _open_text(candidate: Candidate) -> str:
    names = [TITLES.get(name, name) for name in candidate.open]
    names += ['checkpoint selection'] if candidate.told.selection == UNKNOWN else []
    return ', '.join(names)


def basis_text(measured: Measured, *left_out: str) -> str:
    """What the evaluation of a reported number is known from; '' if it is stated."""
    text = BASIS_TEXT[measured.weakest_but('selection', *left_out)]
    return text if measured.sure or not text else f'{text}, likely'


def reason_of(apart: Sequence[Difference]) -> str:
    """The two most telling differences: what is known to differ before what is not known."""
    for item in apart:
        if item.field == 'data':
            return f'{item.ours}, not the {item.theirs}'
    order = sorted(apart, key=lambda item: item.theirs == UNKNOWN)
    more = f', and {len(order) - 2} more' if len(order) > 2 else ''
    return '; '.join(str(item) for item in order[:2]) + more
