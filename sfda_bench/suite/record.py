"""The record of one entry: what a leaderboard cell is made of.

A record is a JSON file with its per-image confusion counts in an NPZ file beside it. Everything on
a board is a pure function of such pairs and of the reported numbers.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from sfda_bench.atomic import write_bytes, write_text

SCHEMA_VERSION = 1
Track = Literal['source-free', 'black-box', 'test-time', 'uda', 'bound']
Setting = Literal['offline', 'online', 'episodic', 'continual']
Fidelity = Literal['official', 'paper', 'reconstructed']
GuardVerdict = Literal['sealed', 'audited', 'unguarded', 'open', 'none']


class Strict(BaseModel):
    """A model that refuses unknown fields."""

    model_config = ConfigDict(extra='forbid')


class EntryKey(Strict):
    """One cell of the leaderboard."""

    suite: str
    task: str
    network: str
    method: str
    params: dict[str, Any] = Field(default_factory=dict)
    seed: int

    @property
    def slug(self) -> str:
        """Name for people and files: ``task__network__method__s0`` (changed parameters hashed)."""
        tail = ''
        if self.params:
            text = json.dumps(self.params, sort_keys=True)
            tail = '-' + hashlib.sha256(text.encode()).hexdigest()[:6]
        return f'{self.task}__{self.network}__{self.method}{tail}__s{self.seed}'


class StageRef(Strict):
    """A stage the entry rests on."""

    name: str
    kind: Literal['source', 'adapt', 'label', 'train', 'stream', 'score']
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
    """The shared source model: its checkpoint and its own score on the same images."""

    stage_id: str
    sha256: str
    origin: str
    miou: float | None


class Guard(Strict):
    """What the adaptation process was allowed to read.

    ``sealed``: enforced by the kernel. ``audited``: watched by an audit hook. ``unguarded``:
    switched off by the user. ``open``: the method's track may read labels or source data.
    ``none``: nothing was adapted.
    """

    verdict: GuardVerdict
    granted: list[str] = Field(default_factory=list)


class CurvePoint(Strict):
    """A kept checkpoint, scored after adaptation was over (so that it cannot guide it)."""

    iteration: int
    miou: float


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
    """One entry's result, with all that decides whether it may be compared with another."""

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
    """Write ``<folder>/<suite>/<slug>.json`` and ``.npz`` atomically; the JSON last.

    Args:
        counts: uint32 array (N, K, K + 1), last column = void predictions.
        ids: The N image ids.
        conditions: The N condition names ('' where the task has none).
    """
    out = Path(folder) / record.entry.suite
    path = out / f'{record.entry.slug}.json'
    write_bytes(out / record.counts_file, _npz_bytes(counts, ids, conditions))
    write_text(path, record.model_dump_json(indent=1) + '\n')
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
    """Read ``(counts, ids, conditions)`` of a record's NPZ file."""
    with np.load(path, allow_pickle=False) as data:
        return data['counts'], data['ids'].tolist(), data['conditions'].tolist()


def load_records(folder: Path) -> list[tuple[Path, Record]]:
    """All records below ``folder``, sorted by path."""
    return [
        (path, Record.model_validate_json(path.read_text()))
        for path in sorted(Path(folder).rglob('*.json'))
    ]
