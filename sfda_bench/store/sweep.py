"""The result of a sweep: every trial with its scores, with and without labels."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from sfda_bench.atomic import write_text
from sfda_bench.errors import BenchError
from sfda_bench.reading import read_text
from sfda_bench.store.record import Strict


class TrialResult(Strict):
    """One trial.

    ``miou`` is ``None`` if it did not finish; ``scores`` are of the validators, higher is better,
    ``None`` where there is no evidence. ``classes`` is the number of classes it predicts;
    ``collapsed``: fewer than half of those that the source model predicts. ``seconds`` are of its
    own stages, shared ones included.
    """

    params: dict[str, Any]
    entry: str
    miou: float | None
    scores: dict[str, float | None]
    classes: int | None = None
    collapsed: bool = False
    seconds: float | None = None
    reason: str = ''


class FreshResult(Strict):
    """A chosen setting on a seed that the search did not see."""

    trial: int
    seed: int
    miou: float | None


class SweepResult(Strict):
    """The trials of one method on one task and network, in their order; 0 is the published one.

    ``seconds`` is the cost of the search, stages that trials share counted once; ``stability`` the
    share of bootstrap samples of the images on which a validator picks the same trial.
    """

    schema_version: Literal[1] = 1
    suite: str
    task: str
    network: str
    method: str
    title: str
    base: dict[str, Any] = Field(default_factory=dict)
    inference_protocol: str
    scoring_protocol: str
    axes: dict[str, str]
    space_version: int
    optimises: list[str] = Field(default_factory=list)
    seed: int
    images: int
    guard: list[str]
    trials: list[TrialResult]
    source_miou: float | None
    source_classes: int | None
    seconds: float | None
    stability: dict[str, float] = Field(default_factory=dict)
    select: list[str] = Field(default_factory=list)
    fresh: list[FreshResult] = Field(default_factory=list)

    @property
    def slug(self) -> str:
        """Name of its files: ``task__network__method`` (typed settings and axes hashed)."""
        text = json.dumps([self.base, self.axes], sort_keys=True)
        tail = hashlib.sha256(text.encode()).hexdigest()[:6]
        return f'{self.task}__{self.network}__{self.method}-{tail}'


def pick(found: SweepResult, validator: str) -> int | None:
    """Number of the trial that a validator chooses among those that finished; labels do not count.

    The highest score; of equal ones the first, so that the published setting wins.
    """
    known = [
        (score, -number)
        for number, trial in enumerate(found.trials)
        if trial.miou is not None and (score := trial.scores.get(validator)) is not None
    ]
    return -max(known)[1] if known else None


def save_sweep(found: SweepResult, folder: Path) -> Path:
    """Write ``<folder>/<suite>/<slug>.json``."""
    path = Path(folder) / found.suite / f'{found.slug}.json'
    write_text(path, found.model_dump_json(indent=1) + '\n')
    return path


def load_sweeps(folder: Path) -> list[SweepResult]:
    """All sweeps of a folder, sorted by file; its ``records`` are none.

    Raises:
        BenchError: A file is damaged or of another kind.
    """
    found = []
    for path in sorted(Path(folder).glob('*/*.json')):
        if path.parent.name == 'records':
            continue
        text = read_text(path, 'the result of a sweep (JSON of schema 1)')
        try:
            found.append(SweepResult.model_validate_json(text))
        except ValidationError as error:
            first = error.errors()[0]
            where = '.'.join(str(part) for part in first['loc'])
            raise BenchError(
                f'{path} is no result of a sweep: {where}: {first["msg"]}',
                'the result of a sweep (JSON of schema 1)',
                'delete it and run the sweep again: its trials are cached',
            ) from None
    return found
