"""Record of one entry, the content of a leaderboard cell.

A record is a JSON file with its per-image confusion counts in an NPZ file beside it. Everything on
a board is a pure function of such pairs and of the reported numbers.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sfda_bench.atomic import write_all
from sfda_bench.errors import BenchError
from sfda_bench.reading import read_arrays, read_text

Track = Literal['source-free', 'black-box', 'test-time', 'uda', 'bound']
Setting = Literal['offline', 'online', 'episodic', 'continual']
#: ``official``: a test replays recorded iterations of the authors' own program (tests/fidelity),
#: and the micro-cases of its functions pass; ``paper``: follows the published text;
#: ``reconstructed``: key facts are not public, and the card lists what was chosen.
Fidelity = Literal['official', 'paper', 'reconstructed']
GuardVerdict = Literal['sealed', 'files only', 'audited', 'unguarded', 'open', 'none']


class Strict(BaseModel):
    """A model that refuses unknown fields."""

    model_config = ConfigDict(extra='forbid')


class EntryKey(Strict):
    """One cell of the leaderboard.

    ``inference`` is '' unless a suite measures an entry under several inference protocols.
    """

    suite: str
    task: str
    network: str
    method: str
    params: dict[str, Any] = Field(default_factory=dict)
    seed: int
    inference: str = ''

    @property
    def label(self) -> str:
        """The method with its settings, as a user types it: ``tent[lr=0.001,iters=20]``."""
        if not self.params:
            return self.method
        return f'{self.method}[{",".join(f"{k}={v}" for k, v in self.params.items())}]'

    @property
    def slug(self) -> str:
        """Name for people and files: ``task__network__method__s0`` (changed parameters hashed)."""
        tail = ''
        if self.params:
            text = json.dumps(self.params, sort_keys=True)
            tail = '-' + hashlib.sha256(text.encode()).hexdigest()[:6]
        how = f'__{self.inference}' if self.inference else ''
        return f'{self.task}__{self.network}{how}__{self.method}{tail}__s{self.seed}'


class StageRef(Strict):
    """A stage the entry rests on."""

    name: str
    kind: str = Field(pattern=r'^[a-z][a-z0-9_]*$')
    id: str


class Scores(Strict):
    """Scores in percent under the record's default scoring protocol; ``None`` = class absent.

    ``per_round`` and ``per_round_condition`` are of streams that show the images several times, by
    the number of the round.
    """

    miou: float | None
    per_class: dict[str, float | None]
    per_condition: dict[str, float | None] = Field(default_factory=dict)
    per_round: dict[int, float | None] = Field(default_factory=dict)
    per_round_condition: dict[int, dict[str, float | None]] = Field(default_factory=dict)
    images: int


class SourceRef(Strict):
    """The shared source model: its checkpoint and its own score on the same images.

    ``published`` is the SHA-256 of the file it was converted from, if it was not trained here.
    """

    stage_id: str
    sha256: str
    origin: str
    miou: float | None
    published: str | None = None


class Guard(Strict):
    """What the adaptation process was allowed to read.

    ``sealed``: all of the seal in the kernel (records without ``in_force`` are older: files only).
    ``files only``: files in the kernel, the rest not. ``audited``: an audit hook. ``unguarded``:
    switched off by the user. ``open``: the method's track may read labels or source data.
    ``none``: nothing was adapted. ``given``: files that parameters or lists name, with the start
    of their SHA-256; what a user put into them is not known.
    """

    verdict: GuardVerdict
    granted: list[str] = Field(default_factory=list)
    given: list[str] = Field(default_factory=list)
    in_force: list[str] = Field(default_factory=list)
    missing: list[str] = Field(default_factory=list)


class CurvePoint(Strict):
    """A kept checkpoint, scored after adaptation was over (so that it cannot guide it).

    ``stage`` names the stage that kept it, where a method has several; ``conventions`` holds its
    mIoU under the other scoring protocols of the label space.
    """

    iteration: int
    miou: float
    stage: str = ''
    conventions: dict[str, float] = Field(default_factory=dict)


class Cost(Strict):
    """Cost of the adaptation stages together (the shared source stage is not counted)."""

    wall_seconds: float | None
    images_per_second: float | None
    peak_memory_mb: float | None
    source_wall_seconds: float | None = None


class Code(Strict):
    """Which code ran."""

    fingerprint: str
    commit: str | None
    dirty: bool | None


class Record(Strict):
    """One entry's result, with all that decides whether it may be compared with another.

    ``counts_file`` names the NPZ file beside it. It is empty, as is ``counts_sha256``, where there
    are no counts: a self-reported number, which only ``results/community`` may hold.
    """

    schema_version: Literal[1] = 1
    entry: EntryKey
    profile: str
    track: Track
    setting: Setting = 'offline'
    fidelity: Fidelity
    inference_protocol: str
    scoring_protocol: str
    predict_on: Literal['student', 'teacher', 'source'] = 'student'
    selection: Literal['last', 'best_val_labels', 'best_proxy'] = 'last'
    stages: list[StageRef]
    scores: Scores
    counts_file: str
    counts_sha256: str
    source: SourceRef
    data: dict[str, str]
    code: Code
    versions: dict[str, str]
    hardware: dict[str, Any]
    cost: Cost
    guard: Guard
    curve: list[CurvePoint] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    created: str


def counts_digest(counts: np.ndarray, ids: list[str], conditions: list[str]) -> str:
    """SHA-256 of the counts and image names, independent of the container's compression."""
    digest = hashlib.sha256(np.ascontiguousarray(counts, dtype='<u4').tobytes())
    digest.update(json.dumps([list(counts.shape), ids, conditions]).encode())
    return digest.hexdigest()


def save_record(
    record: Record, counts: np.ndarray, ids: list[str], conditions: list[str], folder: Path
) -> Path:
    """Write ``<folder>/<suite>/<slug>.json`` and ``.npz``: both or, if that fails, neither.

    Args:
        counts: uint32 array (N, K, K + 1), last column = void predictions.
        ids: The N image ids.
        conditions: The N condition names ('' where the task has none).
    """
    out = Path(folder) / record.entry.suite
    path = out / f'{record.entry.slug}.json'
    text = record.model_dump_json(indent=1) + '\n'
    counts_path = out / record.counts_file
    write_all({counts_path: _npz_bytes(counts, ids, conditions), path: text.encode()})
    return path


def _npz_bytes(counts: np.ndarray, ids: list[str], conditions: list[str]) -> bytes:
    import io

    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        counts=counts.astype('<u4'),
        ids=np.array(ids, dtype=np.str_),
        conditions=np.array(conditions, dtype=np.str_),
    )
    return buffer.getvalue()


def load_counts(path: Path) -> tuple[np.ndarray, list[str], list[str]]:
    """Read ``(counts, ids, conditions)`` of a record's NPZ file.

    Raises:
        BenchError: It is absent, damaged or another kind of file.
    """
    path = Path(path)
    expected = 'the confusion counts of a record (NPZ: counts, ids, conditions)'
    fix = _fix(path)
    found = read_arrays(path, ('counts', 'ids', 'conditions'), expected, fix)
    counts, ids, conditions = found['counts'], found['ids'], found['conditions']
    shapes = f'counts {counts.shape} of {counts.dtype}, {ids.shape} ids, {conditions.shape} tags'
    named = all(a.shape == counts.shape[:1] and a.dtype.kind == 'U' for a in (ids, conditions))
    if counts.ndim != 3 or counts.dtype.kind not in 'ui' or not named:
        raise BenchError(f'{path} holds {shapes}', '(N, K, K + 1) numbers, N ids, N tags', fix)
    return counts, ids.tolist(), conditions.tolist()


def _fix(path: Path) -> str:
    stem = path.with_suffix('').name
    return f'run the entry again, or restore {stem}.json and {stem}.npz from git'


def read_record(path: Path) -> Record:
    """Read one record.

    Raises:
        BenchError: It is absent, damaged or another kind of file.
    """
    path = Path(path)
    text = read_text(path, 'a record (JSON of schema 1)', _fix(path))
    try:
        return Record.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = '.'.join(str(part) for part in first['loc'])
        told = f'{where}: {first["msg"]}' if where else first['msg']
        more = f' (and {error.error_count() - 1} more)' if error.error_count() > 1 else ''
        raise BenchError(
            f'{path} is not a record: {told}{more}', 'a record of schema 1', _fix(path)
        ) from None


def record_paths(folder: Path) -> list[Path]:
    """The files below ``folder`` that should be records, sorted; hidden ones are not."""
    folder = Path(folder)
    return [
        path
        for path in sorted(folder.rglob('*.json'))
        if not any(part.startswith('.') for part in path.relative_to(folder).parts)
    ]


def load_records(folder: Path) -> list[tuple[Path, Record]]:
    """All records below ``folder``, sorted by path.

    Raises:
        BenchError: One is damaged, or has the name of another entry.
    """
    found = [(path, read_record(path)) for path in record_paths(folder)]
    for path, record in found:
        require_own_name(path, record)
    return found


def require_own_name(path: Path, record: Record) -> None:
    """Refuse a record under another name than its entry's: a copy would count twice."""
    if path.stem != record.entry.slug:
        raise BenchError(
            f'{path} holds the record of {record.entry.slug}',
            f'{record.entry.slug}.json, one file an entry',
            'if it is a copy, move it out of the folder of records',
        )
