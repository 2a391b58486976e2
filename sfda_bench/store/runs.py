"""The store: ``runs/<id>/`` holds all that is known of a stage.

``stage.json`` carries its state from a closed list; every write is atomic; a failure is data and
never a cache hit.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import Field, ValidationError

from sfda_bench.atomic import write_text
from sfda_bench.store.filenames import PROGRESS_NAME
from sfda_bench.store.record import Strict

State = Literal['planned', 'running', 'done', 'failed', 'interrupted', 'diverged', 'skipped']
STAGE_FILE = 'stage.json'
CONFIG_FILE = 'config.py'
LOG_FILE = 'log.txt'
GATE_NAME = 'gate.json'


class StageStatus(Strict):
    """Content of ``stage.json``."""

    id: str
    name: str
    kind: str
    title: str
    state: State
    reason: str = ''
    parents: list[str] = Field(default_factory=list)
    data: dict[str, str] = Field(default_factory=dict)
    code: str = ''
    modules: dict[str, str] = Field(default_factory=dict)
    outputs: dict[str, str] = Field(default_factory=dict)
    result: dict[str, Any] = Field(default_factory=dict)
    pid: int | None = None
    host: str | None = None
    updated: float = 0.0


class Store:
    """Stages of one folder.

    Args:
        root: The folder, usually ``runs/``.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root).resolve()

    def path(self, stage_id: str) -> Path:
        """Folder of a stage."""
        return self.root / stage_id

    def status(self, stage_id: str) -> StageStatus | None:
        """What is known of a stage; ``None`` if nothing, or if its file cannot be read."""
        path = self.path(stage_id) / STAGE_FILE
        try:
            return StageStatus.model_validate_json(path.read_text(encoding='utf-8'))
        except (FileNotFoundError, ValidationError):
            return None

    def write(self, status: StageStatus) -> None:
        """Write ``stage.json``."""
        status.updated = time.time()
        text = status.model_dump_json(indent=1)
        write_text(self.path(status.id) / STAGE_FILE, text + '\n')

    def is_done(self, stage_id: str) -> bool:
        """Whether a stage finished and its outputs are all there, with the size they had."""
        status = self.status(stage_id)
        if status is None or status.state != 'done':
            return False
        return all((self.path(stage_id) / name).is_file() for name in status.outputs)

    def verify(self, stage_id: str) -> list[str]:
        """Names of outputs that are missing or whose checksum moved."""
        status = self.status(stage_id)
        if status is None:
            return []
        return [
            name
            for name, checksum in status.outputs.items()
            if not (self.path(stage_id) / name).is_file()
            or sha256_file(self.path(stage_id) / name) != checksum
        ]

    def lock(self, stage_id: str) -> FileLock:
        """The lock that whoever runs a stage holds."""
        folder = self.root / '.locks'
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f'{stage_id}.lock')

    def try_lock(self, stage_id: str) -> FileLock | None:
        """Take a stage's lock without waiting; ``None`` if somebody else has it."""
        lock = self.lock(stage_id)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        return lock

    def ids(self) -> list[str]:
        """Ids of all stages in the store."""
        if not self.root.is_dir():
            return []
        return sorted(p.parent.name for p in self.root.glob(f'*/{STAGE_FILE}'))

    def progress(self, stage_id: str) -> dict[str, Any]:
        """The latest progress of a running stage, ``{}`` if none."""
        try:
            return json.loads((self.path(stage_id) / PROGRESS_NAME).read_text(encoding='utf-8'))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with Path(path).open('rb') as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
