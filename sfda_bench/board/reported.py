"""Reported numbers: typed rows with their origin, one YAML file a method, and their linter.

A row is one printed number, with how it was measured and what that is known from
(:mod:`~sfda_bench.board.basis`). What nothing tells stays ``unknown``; a row whose own arithmetic
does not hold is flagged, never mended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sfda_bench.board.basis import DECIDING, Evidence, Measured
from sfda_bench.board.loading import unique
from sfda_bench.errors import BenchError
from sfda_bench.labels import CITYSCAPES_CLASSES, SYNTHIA13, SYNTHIA16
from sfda_bench.paths import REPORTED
from sfda_bench.plan import catalog
from sfda_bench.scoring.files import parse, read_yaml
from sfda_bench.scoring.protocols import load_inference, load_scoring

UNKNOWN = 'unknown'
ROUNDING = 0.1
"""A printed mean may differ from the mean of printed classes by this much (both are rounded)."""

Flag = Literal['per_class_inconsistent', 'class_set_unknown', 'mean_of_conditions']


class _Strict(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class Origin(_Strict):
    """Where a number was read."""

    paper: str = Field(min_length=1)
    arxiv: str | None = None
    doi: str | None = None
    table: str | None = None
    found_in: str | None = None


class ReportedRow(_Strict):
    """One printed number, in percent. ``value`` is ``None`` for a number looked for, not found.

    ``run`` is the selector of our method that measures it, such as
    ``intrada_uda[writer.easy_portion=0.5]``; ``checkpoint`` the SHA-256 of the published file it is
    the score of.
    """

    label: str = Field(min_length=1)
    variant: str | None = None
    run: str | None = None
    checkpoint: str | None = Field(default=None, pattern=r'^[0-9a-f]{64}$')
    kind: Literal['result', 'comparison', 'reproduction']
    task: str
    task_id: str | None = None
    condition: str | None = None
    split: Literal['train', 'val', 'test', 'unknown']
    network: str | None = None
    network_text: str | None = None
    metric: str = 'mIoU'
    classes: int | None = None
    value: float | None = Field(default=None, ge=0, le=100)
    per_class: dict[str, float | None] = Field(default_factory=dict)
    per_condition: dict[str, float] = Field(default_factory=dict)
    setting: Literal['source-free', 'uda', 'test-time', 'source', 'unknown'] = 'unknown'
    inference: str = UNKNOWN
    scoring: str = UNKNOWN
    protocol_text: str | None = None
    selection: Literal['last', 'best_val_labels', 'online', 'unknown'] = 'unknown'
    selection_text: str | None = None
    seeds: int | None = Field(default=None, ge=1)
    std: float | None = Field(default=None, ge=0)
    tolerance: float | None = Field(default=None, gt=0)
    confidence: Literal['high', 'medium', 'low', 'aggregator', 'not_found']
    confidence_text: str | None = None
    origin: str
    measured: str | None = None
    flags: tuple[Flag, ...] = ()
    note: str | None = None

    @model_validator(mode='after')
    def _value_or_not_found(self) -> ReportedRow:
        if (self.value is None) != (self.confidence == 'not_found'):
            raise ValueError("a row without a value is 'not_found', and only that")
        return self


class ReportedFile(_Strict):
    """All rows of one method."""

    schema_version: Literal[1]
    method: str = Field(pattern=r'^[a-z0-9_]+$')
    title: str
    origins: dict[str, Origin]
    measured: dict[str, Measured] = Field(default_factory=dict)
    rows: tuple[ReportedRow, ...]

    def evidence(self, row: ReportedRow, field: str) -> Evidence | None:
        """What speaks for a field of one of its rows; ``None`` for a row without a basis."""
        found = self.measured.get(row.measured or '')
        return getattr(found, field) if found else None


def load_reported(path: Path) -> ReportedFile:
    """Read and validate one file.

    Raises:
        BenchError: If it is not of the schema, or its name is not its method.
    """
    path = Path(path)
    found = parse(ReportedFile, read_yaml(path), str(path))
    if found.method != path.stem:
        raise BenchError(f'{path} is of method {found.method!r}', f'{found.method}.yaml', 'rename')
    return found


@cache
def load_all(folder: Path = REPORTED) -> dict[str, ReportedFile]:
    """Every file of a folder, by method."""
    return {path.stem: load_reported(path) for path in sorted(Path(folder).glob('*.yaml'))}


def with_outside(
    files: Mapping[str, ReportedFile], methods: Iterable[str]
) -> dict[str, ReportedFile]:
    """``files`` and those that lie beside the configs of ``methods`` outside the repository."""
    paths = [
        catalog.config_path('methods', name).with_suffix('.yaml')
        for name in sorted(set(methods) & set(catalog.outside_methods()))
    ]
    return {**files, **{path.stem: load_reported(path) for path in paths if path.is_file()}}


def expected_classes(count: int | None) -> tuple[str, ...] | None:
    """Names of the Cityscapes classes behind a mean over 19, 16 or 13 classes."""
    subsets = {19: range(19), 16: SYNTHIA16, 13: SYNTHIA13}
    if count not in subsets:
        return None
    return tuple(CITYSCAPES_CLASSES[i] for i in subsets[count])


def class_mean(row: ReportedRow) -> float | None:
    """Mean of the printed class IoUs the row's value is a mean of; ``None`` if one is missing."""
    chosen = expected_classes(row.classes) or tuple(row.per_class)
    values = [row.per_class.get(name) for name in chosen]
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers and len(numbers) == len(values) else None


def inconsistent(row: ReportedRow) -> bool:
    """Whether the printed mean is not the mean of the printed classes (beyond rounding)."""
    mean = class_mean(row)
    return mean is not None and row.value is not None and abs(mean - row.value) > ROUNDING


def is_number(row: ReportedRow) -> bool:
    """Whether a row is a mean IoU that somebody might reproduce."""
    return row.value is not None and row.metric == 'mIoU' and row.task_id is not None


def known(row: ReportedRow, field: str) -> bool:
    """Whether one of the deciding fields of a row has a value."""
    return getattr(row, field) not in (None, UNKNOWN)


def lint_basis(row: ReportedRow, file: ReportedFile) -> list[str]:
    """What is wrong with a row's basis: none where one is needed, or one that its values belie."""
    if row.measured is None:
        return ['no basis: name one of `measured`'] if is_number(row) else []
    if row.measured not in file.measured:
        return [f'basis {row.measured!r} is not among `measured`']
    found = []
    for field in DECIDING:
        evidence = getattr(file.measured[row.measured], field)
        if known(row, field) == (evidence.basis == 'unknown'):
            found.append(f"{field} is {getattr(row, field)!r}, its basis '{evidence.basis}'")
    return found


def lint_row(row: ReportedRow, file: ReportedFile) -> list[str]:
    """What is wrong with a row."""
    found = lint_basis(row, file)
    if row.origin not in file.origins:
        found.append(f'origin {row.origin!r} is not among the origins')
    unknown = sorted(set(row.per_class) - set(CITYSCAPES_CLASSES))
    if unknown:
        found.append(f'unknown classes {", ".join(unknown)}')
    if inconsistent(row) != ('per_class_inconsistent' in row.flags):
        found.append(
            f'classes average {class_mean(row) or 0:.2f}, printed {row.value}: '
            "flag 'per_class_inconsistent' it, do not mend it"
            if inconsistent(row)
            else "flagged 'per_class_inconsistent' but consistent"
        )
    for kind, ref in (('inference', row.inference), ('scoring', row.scoring)):
        found += _lint_protocol(kind, ref, row)
    if 'unverified' in (row.confidence_text or ''):
        found.append('an unverified number must not be here')
    return found


def _lint_protocol(kind: str, ref: str, row: ReportedRow) -> list[str]:
    if ref == UNKNOWN:
        return []
    try:
        if kind == 'inference':
            load_inference(ref)
            return []
        classes = len(load_scoring(ref).class_names)
    except BenchError as error:
        return [error.found]
    if row.metric == 'mIoU' and row.classes != classes:
        return [f'{ref} has {classes} classes, the row says {row.classes}']
    return []


def lint(folder: Path = REPORTED) -> list[str]:
    """Every problem of a folder of reported numbers, one line each."""
    found, seen = [], set()
    for path in sorted(Path(folder).glob('*.yaml')):
        try:
            file = load_reported(path)
        except BenchError as error:
            found.append(str(error))
            continue
        for index, row in enumerate(file.rows):
            found += [f'{path.name} row {index} ({row.label}): {x}' for x in lint_row(row, file)]
            key = row.model_dump_json()
            if key in seen:
                found.append(f'{path.name} row {index} ({row.label}): given twice')
            seen.add(key)
        used = {row.origin for row in file.rows} | {row.measured for row in file.rows}
        found += [
            f'{path.name}: {x!r} unused'
            for x in [*unique(file.origins), *file.measured]
            if x not in used
        ]
    return found
