"""What a reported number may mean where its evidence leaves a field open between known values.

Nobody says how a number was tested, but its authors' code has two tests; or it is a mean over 16 or
over 13 classes. Such a field stays unknown, and no measurement reproduces the number. It can still
be told which of the possible readings fits what was measured.
"""

from __future__ import annotations

from itertools import product

from sfda_bench.board.reported import ReportedFile, ReportedRow, known
from sfda_bench.errors import BenchError
from sfda_bench.scoring.protocols import load_inference, load_scoring

#: Fields that may be open; with the scoring the number of classes follows.
OPEN = ('inference', 'scoring')


def possible(told: ReportedRow, file: ReportedFile) -> tuple[ReportedRow, ...]:
    """The row with each combination of its possible values; the row itself where there are none.

    A single candidate is a guess and counts as none.
    """
    changes = [_values(told, file, field) for field in OPEN]
    rows = [
        told.model_copy(update={key: value for change in chosen for key, value in change.items()})
        for chosen in product(*(found or [{}] for found in changes))
    ]
    return tuple(rows)


def left_open(told: ReportedRow, file: ReportedFile) -> tuple[str, ...]:
    """Names of the deciding fields that differ between the possible readings of a row."""
    rows = possible(told, file)
    return tuple(
        name for name in (*OPEN, 'classes') if len({getattr(row, name) for row in rows}) > 1
    )


def _values(told: ReportedRow, file: ReportedFile, field: str) -> list[dict[str, object]]:
    """What each candidate of an unknown field would put into the row; empty if nothing is open."""
    evidence = file.evidence(told, field)
    if evidence is None or known(told, field):
        return []
    found = [_value(field, str(candidate)) for candidate in evidence.candidates]
    fits = [change for change in found if change.get('classes') in (None, told.classes)]
    chosen = found if told.classes is None else fits
    return chosen if len(chosen) > 1 and all(chosen) else []


def _value(field: str, name: str) -> dict[str, object]:
    """The fields of a row under one protocol; empty if it is not built here."""
    try:
        if field == 'inference':
            return {'inference': load_inference(name).ref}
        scoring = load_scoring(name)
        return {'scoring': scoring.ref, 'classes': len(scoring.class_names)}
    except BenchError:
        return {}
