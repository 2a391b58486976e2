"""What the records that are here say of data, images and source models, to compare new ones."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np

from sfda_bench.data.fingerprint import VARIANTS
from sfda_bench.errors import BenchError
from sfda_bench.plan import catalog
from sfda_bench.scoring.protocols import load_scoring
from sfda_bench.store.record import Record, load_counts
from sfda_bench.stream_ids import split_round

Source = tuple[str, str, str, str, str]


class Known:
    """Records of our own, looked up by what a new one must agree with.

    Args:
        records: Paths and records; they are taken at their word.
    """

    def __init__(self, records: Iterable[tuple[Path, Record]]) -> None:
        self.records = list(records)
        self._truths: dict[Path, str] = {}

    @cached_property
    def entries(self) -> dict[tuple[str, str], Path]:
        """Where the record of an entry lies, by suite and slug."""
        return {(r.entry.suite, r.entry.slug): path for path, r in self.records}

    def holds(self, path: Path) -> bool:
        """Whether a file is one of these records."""
        return path.resolve() in self._paths

    @cached_property
    def _paths(self) -> set[Path]:
        return {path.resolve() for path, _ in self.records}

    @cached_property
    def fingerprints(self) -> dict[tuple[str, str, str], set[str]]:
        """Fingerprints of data by suite, task and role."""
        found: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        for _, record in self.records:
            for role, value in record.data.items():
                found[record.entry.suite, record.entry.task, role].add(value)
        return found

    @cached_property
    def sources(self) -> dict[Source, float | None]:
        """The mIoU of source models."""
        return {source_key(record): record.source.miou for _, record in self.records}

    def images(self, record: Record) -> set[int]:
        """How many images an entry of this suite and task may have; empty if nothing tells."""
        entry = record.entry
        same = {
            images_of(r)
            for _, r in self.records
            if (r.entry.suite, r.entry.task) == (entry.suite, entry.task)
        }
        return same or published_images(entry.task)

    def truth(self, record: Record) -> str | None:
        """Fingerprint of images and labels under the same protocols; ``None`` if nothing tells."""
        space = load_scoring(record.scoring_protocol).label_space
        for path, other in self.records:
            if (
                other.counts_file
                and other.data.get('score') == record.data.get('score')
                and other.inference_protocol == record.inference_protocol
                and load_scoring(other.scoring_protocol).label_space == space
            ):
                if path not in self._truths:
                    counts, ids, _ = load_counts(path.parent / other.counts_file)
                    self._truths[path] = truth_of(counts, ids)
                return self._truths[path]
        return None


def source_key(record: Record) -> Source:
    """What decides a source model's score: its weights, the task and the protocols."""
    return (
        record.entry.suite,
        record.entry.task,
        record.inference_protocol,
        record.scoring_protocol,
        record.source.sha256,
    )


def images_of(record: Record) -> int:
    """Images that a record was scored on, however often each was shown."""
    return record.scores.images // max(1, len(record.scores.per_round))


def published_images(task: str) -> set[int]:
    """How many images the published lists of a task's scored split have."""
    try:
        target = catalog.load('tasks', task)['task']['target_val']
    except BenchError:
        return set()
    if target.get('conditions'):
        return set()
    scored = target['folder'], target['split']
    return {number for name, split, number in VARIANTS if (name, split) == scored}


def truth_of(counts: np.ndarray, ids: list[str]) -> str:
    """Hash of each image's pixels a true class, whatever the order and number of rounds.

    Args:
        counts: Integers (N, K, K + 1).
        ids: N ids.
    """
    rows = counts.sum(-1, dtype=np.int64).tolist()
    found = sorted({(split_round(name)[1], *row) for name, row in zip(ids, rows, strict=True)})
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()
