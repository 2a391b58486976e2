"""Whether a record that somebody sent is what it should be: what its files and its fields say.

Each check yields an error for everything that is wrong, or raises the first. What only other
records can tell is in :mod:`sfda_bench.board.community`.
"""

from __future__ import annotations

import datetime
import math
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sfda_bench.board.loading import TOLERANCE
from sfda_bench.errors import BenchError
from sfda_bench.plan import catalog
from sfda_bench.plan.composition import card_of, links_of
from sfda_bench.plan.method import Method
from sfda_bench.reading import DAMAGE, require_file
from sfda_bench.scoring.protocols import ScoringProtocol, load_inference, load_scoring, split_ref
from sfda_bench.store.record import Record, Scores, counts_digest, load_counts, read_record
from sfda_bench.store.scored import scores_of

LARGEST_RECORD, LARGEST_COUNTS, LARGEST_UNPACKED = 1 << 20, 8 << 20, 1 << 28
"""Bytes of a JSON file, of an NPZ file, and of what is packed in that."""
LONGEST_TEXT = 500
PRINTED = 0.1
"""Points that a self-reported mIoU may miss the mean of its classes by: both may be rounded."""
AS_WRITTEN = 'send the record and its .npz as run_suite.py wrote them'

Counts = tuple[np.ndarray, list[str], list[str]]


def read(path: Path) -> Record:
    """The record, if it is small enough, valid and in its place.

    Raises:
        BenchError: It is not.
    """
    require_file(path, 'a record (JSON of schema 1)')
    _require_small(path, LARGEST_RECORD)
    record = read_record(path)
    slug, suite = record.entry.slug, record.entry.suite
    if (path.absolute().parent.name, path.name) != (suite, f'{slug}.json'):
        raise BenchError(
            f'{path} holds the record of {suite}/{slug}', f'{suite}/{slug}.json', 'mv it there'
        )
    if record.counts_file not in ('', f'{slug}.npz'):
        raise BenchError(
            f'{path} names the counts {record.counts_file!r}',
            f"{slug}.npz, or '' for a self-reported number",
            AS_WRITTEN,
        )
    return record


def _require_small(path: Path, limit: int) -> None:
    if path.is_symlink():
        raise BenchError(f'{path} is a link', 'a file', 'send the file itself')
    size = path.stat().st_size
    if size > limit:
        raise BenchError(
            f'{path} has {size:,} bytes', f'at most {limit:,}', f'{AS_WRITTEN}, and no other data'
        )


# --- fields -------------------------------------------------------------------------------------


def names(record: Record, suites: set[str]) -> Iterator[BenchError]:
    """Suite, task, network, method and protocols that nobody here knows.

    Args:
        record: The record.
        suites: Suites that have records but no config.
    """
    entry = record.entry
    for kind, name in (
        ('suites', entry.suite),
        ('tasks', entry.task),
        ('networks', entry.network),
        ('methods', entry.method),
    ):
        if kind != 'suites' or name not in suites:
            yield from _raised(partial(catalog.config_path, kind, name))
    yield from _raised(partial(load_inference, record.inference_protocol))
    yield from _raised(partial(load_scoring, record.scoring_protocol))


def _raised(call: Callable[[], object]) -> Iterator[BenchError]:
    try:
        call()
    except BenchError as error:
        yield error


def statements(record: Record) -> Iterator[BenchError]:
    """What a record says of its method and suite, other than their configs do."""
    entry = record.entry
    try:
        links = links_of(Method(entry.method), entry.params)
    except BenchError as error:
        yield error
        return
    card = card_of(links)
    about = {name: getattr(card, name) for name in ('track', 'setting', 'fidelity', 'predict_on')}
    if entry.suite in catalog.names('suites'):
        about['profile'] = catalog.load('suites', entry.suite)['suite']['profile']
    for name, expected in about.items():
        found = getattr(record, name)
        if found != expected:
            where = 'suite' if name == 'profile' else 'method'
            yield BenchError(
                f'{name} is {found!r}', f'{expected!r}, as its {where} says', AS_WRITTEN
            )
    for link in links:
        stages = partial(link.method.stages, record.profile, entry.task, link.params, entry.network)
        yield from _raised(stages)
    if entry.inference not in ('', split_ref(record.inference_protocol)[0]):
        yield BenchError(
            f'entry.inference is {entry.inference!r}', f'that of {record.inference_protocol}'
        )
    if not 0 <= entry.seed < 1 << 32:
        yield BenchError(f'seed is {entry.seed}', 'a number of 32 bits')
    weights = catalog.load('networks', entry.network)['network']['source'].get('sha256')
    if record.source.published not in (None, weights):
        yield BenchError(
            f'source.published is {record.source.published}',
            f'{weights}, the published weights of {entry.network}',
            AS_WRITTEN,
        )


def texts(record: Record) -> Iterator[BenchError]:
    """Text that has no place on a page, and a date that is none."""
    for where, value in flat(record.model_dump()).items():
        if not isinstance(value, str):
            continue
        bad = re.search(r'[<>|\x00-\x1f\x7f]', value)
        if bad or len(value) > LONGEST_TEXT:
            what = f'holds {bad[0]!r}' if bad else f'has {len(value):,} characters'
            limit = f'plain text of at most {LONGEST_TEXT} characters, without < > |'
            yield BenchError(f'{where} {what}', limit, AS_WRITTEN)
    try:
        datetime.datetime.fromisoformat(record.created.replace('Z', '+00:00'))
    except ValueError:
        yield BenchError(f'created is {record.created!r}', 'a date (ISO 8601)', AS_WRITTEN)


def flat(value: Any, where: str = '') -> dict[str, Any]:
    """Every leaf of nested mappings and lists, by its place: ``scores.per_class.road``."""
    if isinstance(value, Mapping):
        pairs = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list):
        pairs = [(str(index), item) for index, item in enumerate(value)]
    else:
        return {where: value}
    found: dict[str, Any] = {}
    for name, item in pairs:
        found |= flat(item, f'{where}.{name}'.strip('.'))
    return found


# --- scores -------------------------------------------------------------------------------------


def counts_of(path: Path, record: Record) -> Counts:
    """The counts beside a record.

    Raises:
        BenchError: They are absent, too large, damaged, or not those that the record names.
    """
    file = path.parent / record.counts_file
    require_file(
        file,
        f'the counts that {path.name} names',
        "send it too; for a self-reported number say counts_file '' and counts_sha256 ''",
    )
    _require_small(file, LARGEST_COUNTS)
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except DAMAGE:
        unpacked = 0  # what is wrong is said by who reads it
    if unpacked > LARGEST_UNPACKED:
        raise BenchError(
            f'{file} unpacks to {unpacked:,} bytes', f'at most {LARGEST_UNPACKED:,}', AS_WRITTEN
        )
    counts, ids, conditions = load_counts(file)
    if counts_digest(counts, ids, conditions) != record.counts_sha256:
        raise BenchError(f'{file} was altered', f'sha-256 {record.counts_sha256}', AS_WRITTEN)
    if counts.size and int(counts.min()) < 0:
        raise BenchError(f'{file} holds numbers below 0', 'counts of pixels', AS_WRITTEN)
    if not ids or len(set(ids)) < len(ids):
        raise BenchError(f'{file} holds an image twice, or none', 'each image once', AS_WRITTEN)
    return counts, ids, conditions


def recomputed(record: Record, found: Counts) -> Iterator[BenchError]:
    """Scores that do not follow from the counts."""
    computed = scores_of(*found, load_scoring(record.scoring_protocol))
    ours, theirs = flat(computed.model_dump()), flat(record.scores.model_dump())
    wrong = [name for name in {**ours, **theirs} if not _equal(ours.get(name), theirs.get(name))]
    if wrong:
        more = f' (and {len(wrong) - 1} more scores)' if len(wrong) > 1 else ''
        yield BenchError(
            f'scores.{wrong[0]} is {theirs.get(wrong[0])}{more}',
            f'{ours.get(wrong[0])}, from the counts',
            AS_WRITTEN,
        )
    if record.curve and not _equal(record.curve[-1].miou, computed.miou):
        yield BenchError(
            f'the curve ends at {record.curve[-1].miou}', f'{computed.miou}, the score', AS_WRITTEN
        )


def _equal(a: Any, b: Any) -> bool:
    if a is None or b is None or isinstance(a, Mapping) or isinstance(b, Mapping):
        return bool(a == b)
    return bool(abs(a - b) <= TOLERANCE)


def told(record: Record, protocol: ScoringProtocol) -> Iterator[BenchError]:
    """What cannot be true of a self-reported number, even so."""
    fix = 'correct the numbers'
    if record.counts_sha256:
        yield BenchError(
            'counts_sha256 without counts_file', "'' of both, or the counts", AS_WRITTEN
        )
    scores = record.scores
    if scores.images < 1:
        yield BenchError(f'scores.images is {scores.images}', 'the number of images', fix)
    for name, value in flat(scores.model_dump(exclude={'images'})).items():
        if isinstance(value, float) and not 0 <= value <= 100:
            yield BenchError(f'scores.{name} is {value}', 'percent, 0 to 100', fix)
    if scores.miou is None:
        yield BenchError('scores.miou is missing', 'the mIoU in percent', fix)
    if scores.per_class and tuple(scores.per_class) != protocol.class_names:
        yield BenchError(
            f'scores.per_class holds {len(scores.per_class)} classes: {_some(scores)}',
            f'the {len(protocol.class_names)} of {protocol.ref}, in their order',
            'name the classes as the protocol does, or leave per_class empty ({})',
        )
    values = [value for value in scores.per_class.values() if value is not None]
    if values and scores.miou is not None and protocol.mean_of == 'pixels':
        mean = math.fsum(values) / len(values)
        if not abs(mean - scores.miou) <= PRINTED:
            yield BenchError(
                f'scores.miou is {scores.miou}', f'{mean:.2f}, the mean of its classes', fix
            )


def _some(scores: Scores) -> str:
    shown = list(scores.per_class)[:3]
    return ', '.join(shown) + (', ...' if len(scores.per_class) > len(shown) else '')
