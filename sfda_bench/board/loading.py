"""Records with their counts, checked and reduced to what the boards need."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sfda_bench.board.tiers import REPORTED, RERUN, Tier, is_community, tier_of
from sfda_bench.errors import BenchError
from sfda_bench.reading import require_file, require_folder
from sfda_bench.scoring.protocols import ScoringProtocol, load_scoring
from sfda_bench.scoring.rounds import by_round, merge_rounds
from sfda_bench.scoring.scores import ProtocolScores, parts, score
from sfda_bench.scoring.statistics import Parts
from sfda_bench.store.record import (
    Record,
    counts_digest,
    load_counts,
    read_record,
    record_paths,
    require_own_name,
)

TOLERANCE = 1e-3
"""Largest difference, in points, between a record's mIoU and the one its counts give."""


@dataclass(frozen=True)
class Item:
    """One record with its counts.

    ``totals`` are the counts summed over images, by condition and overall (key ``''``);
    ``truth`` fingerprints images and labels, so that only equal ones are compared. A stream of
    several rounds has its ``rounds`` scored apart; everywhere else an image's rounds are added up.
    Of a self-reported number there are only the scores: no parts, ids, totals or truth.
    """

    path: Path
    record: Record
    scores: ProtocolScores
    parts: Parts
    ids: tuple[str, ...]
    conditions: tuple[str, ...]
    image_miou: np.ndarray
    totals: dict[str, np.ndarray]
    truth: str
    rounds: dict[int, ProtocolScores] = field(default_factory=dict)
    tier: Tier = RERUN

    @property
    def counted(self) -> bool:
        """Whether there are counts."""
        return self.tier != REPORTED

    @property
    def protocol(self) -> ScoringProtocol:
        """The record's default scoring protocol."""
        return load_scoring(self.record.scoring_protocol)


def truth_fingerprint(counts: np.ndarray, ids: list[str]) -> str:
    """Hash of the image ids and of each image's pixels a true class."""
    digest = hashlib.sha256(np.ascontiguousarray(counts.sum(-1), dtype='<i8').tobytes())
    digest.update(json.dumps(ids).encode())
    return digest.hexdigest()[:8]


def _image_miou(inter: np.ndarray, union: np.ndarray) -> np.ndarray:
    """(N,) mIoU of each image alone: for sorting pictures, never for a table."""
    valid = union > 0
    values = np.where(valid, inter / np.maximum(union, 1), 0)
    return 100 * values.sum(-1) / np.maximum(valid.sum(-1), 1)


def load_item(path: Path) -> Item:
    """Read one record and its counts; of a self-reported number, the record alone.

    Raises:
        BenchError: If the record is not valid, its counts are missing or altered, or its scores
            are not those of its counts.
    """
    path = Path(path)
    fix = f'run the entry again, or restore {path.name} and its .npz from git'
    record = read_record(path)
    tier = tier_of(path, record)
    if tier == REPORTED:
        return _told(path, record)
    if not record.counts_file:
        raise BenchError(
            f'{path} names no counts', 'counts beside it, but for self-reported numbers', fix
        )
    counts_path = path.parent / record.counts_file
    require_file(counts_path, f'the counts of {path.name} beside it', fix)
    counts, ids, conditions = load_counts(counts_path)
    if counts_digest(counts, ids, conditions) != record.counts_sha256:
        raise BenchError(f'{counts_path} was altered', f'sha-256 {record.counts_sha256}', fix)
    return _reduce(path, record, counts, ids, conditions, fix, tier)


def _told(path: Path, record: Record) -> Item:
    """A number that nothing stands behind, as it is told."""
    protocol, told = load_scoring(record.scoring_protocol), record.scores
    nothing = np.zeros((0, len(protocol.class_names)), np.int64)
    rounds = {
        number: ProtocolScores(
            protocol.ref, miou, {}, per_condition=told.per_round_condition.get(number, {})
        )
        for number, miou in told.per_round.items()
    }
    return Item(
        path,
        record,
        ProtocolScores(
            protocol.ref, told.miou, told.per_class, told.per_condition, images=told.images
        ),
        Parts(nothing, nothing),
        (),
        (),
        np.zeros(0),
        {},
        '',
        rounds,
        REPORTED,
    )


def require_counts(item: Item) -> None:
    """Raise for a self-reported number.

    Raises:
        BenchError: Naming its record.
    """
    if not item.counted:
        raise BenchError(
            f'{item.path} is self-reported: it has no counts',
            'a record with its counts',
            'run the entry: its record and counts are written together',
        )


def _reduce(
    path: Path,
    record: Record,
    counts: np.ndarray,
    ids: list[str],
    conditions: list[str],
    fix: str,
    tier: Tier,
) -> Item:
    protocol = load_scoring(record.scoring_protocol)
    truth = truth_fingerprint(counts, ids)
    rounds = by_round(counts, ids, conditions, protocol)
    counts, ids, conditions = merge_rounds(counts, ids, conditions)
    scores = score(counts, conditions, protocol)
    told, found = record.scores.miou, scores.miou
    if (told is None) != (found is None) or abs((told or 0) - (found or 0)) > TOLERANCE:
        raise BenchError(f'{path} says mIoU {told}', f'{found}, from its counts', fix)
    inter, union = parts(counts, protocol)
    tags = np.array(conditions, dtype=np.str_)
    totals = {'': counts.sum(0, dtype=np.int64)}
    for tag in sorted(set(tags.tolist()) - {''}):
        totals[tag] = counts[tags == tag].sum(0, dtype=np.int64)
    return Item(
        path,
        record,
        scores,
        Parts(inter, union),
        tuple(ids),
        tuple(conditions),
        _image_miou(inter, union),
        totals,
        truth,
        rounds,
        tier,
    )


def load_items(folders: Path | Iterable[Path]) -> list[Item]:
    """All records below one or several folders, sorted by path; an absent folder holds none.

    An entry that several folders have counts once, as the last of them says; what others sent
    never stands before a record of our own. Hidden files and folders are passed over.

    Raises:
        BenchError: A record or its counts are damaged, or two files hold the same entry.
    """
    folders = [folders] if isinstance(folders, (str, Path)) else list(folders)
    found = {}
    for folder in sorted(folders, key=lambda folder: not is_community(folder)):
        for path in record_paths(folder):
            found[path.relative_to(folder)] = path
    items = [load_item(path) for _, path in sorted(found.items())]
    seen: dict[tuple[str, str], Path] = {}
    for item in items:
        require_own_name(item.path, item.record)
        entry = item.record.entry
        other = seen.setdefault((entry.suite, entry.slug), item.path)
        if other != item.path:
            raise BenchError(
                f'{other} and {item.path} hold the same entry',
                'one file an entry',
                'move one of them out of the folder of records',
            )
    return items


def require_records(folders: Path | Sequence[Path]) -> None:
    """Raise unless every folder is there and holds a record; that of others may be empty.

    Raises:
        BenchError: Naming the folder, so that a mistyped one does not give an empty board.
    """
    for folder in [folders] if isinstance(folders, (str, Path)) else folders:
        if is_community(folder):
            continue
        fix = 'check --records; for a board without records add --allow-empty'
        require_folder(folder, 'a folder of records', fix)
        if not record_paths(folder):
            raise BenchError(f'no record in {folder}', '<suite>/<entry>.json', fix)


def unique(values: Iterable[str]) -> list[str]:
    """Values in order of first appearance, each once."""
    return list(dict.fromkeys(values))
