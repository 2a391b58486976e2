"""Records that others sent: examined file by file, and against the records that are here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sfda_bench.board import checks
from sfda_bench.board.known import Known, Source, images_of, source_key, truth_of
from sfda_bench.board.loading import TOLERANCE
from sfda_bench.board.tiers import REPORTED, RERUN, Tier, is_community, told_tier
from sfda_bench.errors import BenchError
from sfda_bench.scoring.protocols import load_scoring
from sfda_bench.store.record import Record, record_paths

#: Files of a folder of records that are none, and not counts.
BESIDE = ('README.md',)


@dataclass(frozen=True)
class Examined:
    """One file with all that is wrong with it.

    Attributes:
        path: The file.
        record: What it holds, if it is a record.
        tier: The tier that it has, or has among the records of others.
        problems: What must be mended, each naming the file.
        unchecked: What nothing here could tell.
    """

    path: Path
    record: Record | None = None
    tier: Tier | None = None
    problems: tuple[BenchError, ...] = ()
    unchecked: tuple[str, ...] = ()


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The files that are named, and those in folders that are; hidden ones are passed over.

    Raises:
        BenchError: A folder holds no record, unless it is the one for those of others.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        records = record_paths(path)
        if not records and not is_community(path):
            raise BenchError(f'no record in {path}', '<suite>/<entry>.json', 'check the path')
        found += records
    return list(dict.fromkeys(found))


def strays(paths: Sequence[Path]) -> list[Examined]:
    """What lies in folders of records and belongs to none."""
    found = []
    for folder in (path for path in paths if path.is_dir()):
        for path in sorted(folder.rglob('*')):
            name = path.relative_to(folder)
            if path.is_dir() or any(part.startswith('.') for part in name.parts):
                continue
            of_record = path.suffix == '.npz' and path.with_suffix('.json').is_file()
            if path.suffix != '.json' and not of_record and path.name not in BESIDE:
                error = BenchError(
                    f'{path} belongs to no record', '<entry>.json and <entry>.npz', f'rm {path}'
                )
                found.append(Examined(path, problems=(error,)))
    return found


def examine(paths: Sequence[Path], known: Known) -> list[Examined]:
    """Every file, sorted as they are named, with what is wrong with it.

    Args:
        paths: Files, and folders of them.
        known: The records to hold them against. One that is examined is not held against itself.
    """
    sent: dict[Path, Record | BenchError] = {}
    for path in files_of(paths):
        try:
            sent[path] = checks.read(path)
        except (BenchError, OSError) as error:
            sent[path] = error if isinstance(error, BenchError) else _unreadable(path, error)
    records = {path: found for path, found in sent.items() if isinstance(found, Record)}
    found = []
    for path, record in sent.items():
        if isinstance(record, BenchError):
            found.append(Examined(path, problems=(record,)))
            continue
        unchecked: list[str] = []
        problems = list(_problems(path, record, records, known, unchecked))
        named = tuple(_naming(path, problem) for problem in problems)
        tier = RERUN if known.holds(path) else told_tier(record)
        found.append(Examined(path, record, tier, named, tuple(unchecked)))
    return found + strays(paths)


def _unreadable(path: Path, error: OSError) -> BenchError:
    return BenchError(f'{path} cannot be read: {error.strerror}', 'a record', 'check the path')


def _naming(path: Path, error: BenchError) -> BenchError:
    """The error, with the file's name in front unless it says it."""
    if str(path.with_suffix('')) in error.found:
        return error
    return BenchError(f'{path}: {error.found}', error.expected, error.fix or checks.AS_WRITTEN)


def _problems(
    path: Path, record: Record, sent: Mapping[Path, Record], known: Known, unchecked: list[str]
) -> Iterator[BenchError]:
    unknown = list(checks.names(record, {suite for suite, _ in known.entries}))
    yield from unknown
    yield from checks.texts(record)
    yield from _twice(path, record, sent, known)
    if unknown:
        return  # the rest rests on these names
    yield from checks.statements(record)
    if told_tier(record) == REPORTED:
        yield from checks.told(record, load_scoring(record.scoring_protocol))
    else:
        try:
            counts = checks.counts_of(path, record)
            yield from checks.recomputed(record, counts)
        except BenchError as error:
            yield error
            return
        yield from _truth(record, counts, known, unchecked)
    yield from _data(record, known, unchecked)
    yield from _source(record, sent, known)


def _twice(
    path: Path, record: Record, sent: Mapping[Path, Record], known: Known
) -> Iterator[BenchError]:
    """An entry that is here, or that two files hold."""
    key = record.entry.suite, record.entry.slug
    here = known.entries.get(key)
    if here is not None and here.resolve() != path.resolve():
        yield BenchError(
            f'{path} holds an entry that was run here',
            f'an entry other than that of {here}',
            'if your number differs, open an issue (a number looks wrong)',
        )
    for other, its in sent.items():
        if other != path and (its.entry.suite, its.entry.slug) == key:
            yield BenchError(
                f'{path} and {other} hold the same entry', 'one file an entry', 'remove one of them'
            )


def _truth(
    record: Record, counts: checks.Counts, known: Known, unchecked: list[str]
) -> Iterator[BenchError]:
    """Counts of other images or labels than those of the data they name."""
    truth = known.truth(record)
    if truth is None:
        unchecked.append('no record here has these images: their labels could not be compared')
    elif truth != truth_of(counts[0], counts[1]):
        yield BenchError(
            'the counts are not of the images and labels of these data',
            'as many pixels a true class and image as every record of them',
            'score the published split again',
        )


def _data(record: Record, known: Known, unchecked: list[str]) -> Iterator[BenchError]:
    """Fingerprints, and numbers of images, that no record and no published list has."""
    entry = record.entry
    if 'score' not in record.data and record.counts_file:
        yield BenchError(
            "no fingerprint 'score' in data", 'that of the scored split', checks.AS_WRITTEN
        )
    for role, value in record.data.items():
        there = known.fingerprints.get((entry.suite, entry.task, role))
        if not there:
            unchecked.append(f'no record here has a fingerprint of {role} for this suite and task')
        elif value not in there:
            yield BenchError(
                f'fingerprint of {role} is {value}',
                f'{" or ".join(sorted(there))}, that of every record of this suite and task',
                'python tools/prepare_data.py doctor names what differs in your copy of the data',
            )
    images, expected = images_of(record), known.images(record)
    if expected and images not in expected:
        numbers = ' or '.join(str(number) for number in sorted(expected))
        yield BenchError(f'scored on {images} images', numbers, 'score the whole split')
    elif not expected:
        unchecked.append('nothing here tells how many images there are')


def _source(record: Record, sent: Mapping[Path, Record], known: Known) -> Iterator[BenchError]:
    """A source score, which gains are measured from, that is not that of the source model."""
    if is_source(record):
        expected, where = record.scores.miou, 'its own score'
    else:
        others: dict[Source, float | None] = {
            source_key(its): its.scores.miou for its in sent.values() if is_source(its)
        }
        found = {**others, **known.sources}
        if source_key(record) not in found:
            if record.counts_file:
                yield BenchError(
                    'no record shows the score of its source model',
                    'the record of source_only of the same seed',
                    'run source_only too and send its record',
                )
            return
        expected, where = found[source_key(record)], 'that of its source model'
    told = record.source.miou
    same = told == expected or (
        told is not None and expected is not None and abs(told - expected) <= TOLERANCE
    )
    if not same:
        yield BenchError(f'source.miou is {told}', f'{expected}, {where}', checks.AS_WRITTEN)


def is_source(record: Record) -> bool:
    """Whether a record is of a source model as it is: not adapted, nor in another number format."""
    kinds = {stage.kind for stage in record.stages}
    plain = record.track == 'bound' and not record.entry.params
    return bool(kinds) and kinds <= {'source', 'score'} and plain
