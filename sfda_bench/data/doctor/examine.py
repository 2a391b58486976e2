"""Examines a data set: lists it, looks at every file on all cores, concludes."""

from __future__ import annotations

import multiprocessing
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sfda_bench import interrupts
from sfda_bench.data.catalogue import Layout
from sfda_bench.data.doctor.conclude import conclude
from sfda_bench.data.doctor.findings import Finding, merge
from sfda_bench.data.doctor.inspect import Job, Report, full_digest, inspect_batch
from sfda_bench.data.doctor.listing import SplitListing, label_files, list_carefully
from sfda_bench.data.fingerprint import manifest_fingerprint, variant_name
from sfda_bench.data.layout import find_root, get_layout, missing_message
from sfda_bench.data.markers import Marker, read_any_marker

_BATCH = 16
_SPARE_SPLITS = ('test',)
"""Splits that no task needs: absent without complaint unless asked for."""


@dataclass
class SplitResult:
    """What is known about a split after the examination."""

    dataset: str
    split: str
    images: int
    labelled: int
    fingerprint: str
    variant: str
    histogram: np.ndarray
    decoded: int

    def to_dict(self) -> dict:
        """Return plain values for JSON; the histogram as pixels of each train id and void."""
        counts = {str(i): int(n) for i, n in enumerate(self.histogram) if n}
        return {**self.__dict__, 'histogram': counts}


@dataclass
class Examination:
    """Everything the doctor saw."""

    root: str
    splits: list[SplitResult] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there is no error (warnings do not count)."""
        return not any(f.level == 'error' for f in self.findings)

    def to_dict(self) -> dict:
        """Return plain values for JSON."""
        return {
            'root': self.root,
            'ok': self.ok,
            'splits': [s.to_dict() for s in self.splits],
            'findings': [f.to_dict() for f in self.findings],
        }


Progress = Callable[[int, int], None]


def examine(
    data_root: str | Path,
    wanted: dict[str, tuple[str, ...]],
    sample: int = 200,
    workers: int | None = None,
    progress: Progress | None = None,
    task: str = '',
    optional: frozenset[str] = frozenset(),
) -> Examination:
    """Examine data sets.

    Args:
        data_root: Folder with the data sets.
        wanted: Data set -> splits to examine; ``()`` means all that are there.
        sample: Files of each split that are decoded; of the others only header and end are read.
        workers: Processes; None for all cores, 1 to stay in this process.
        progress: Called with (files done, all files).
        task: For messages.
        optional: Data sets whose absence is a warning: source data where a checkpoint is there.
    """
    result = Examination(str(data_root))
    work: list[tuple[Layout, Path, SplitListing, Marker | None]] = []
    for dataset, splits in wanted.items():
        layout, root = get_layout(dataset), find_root(data_root, dataset)
        if root is None:
            result.findings.append(_missing(dataset, data_root, task, dataset in optional))
            continue
        marker = read_any_marker(root)
        listings = [list_carefully(layout, root, s) for s in _splits(layout, root, splits)]
        if dataset in ('cityscapes', 'acdc', 'camvid', 'gta5', 'synthia'):
            result.findings += _across_splits(listings, marker)
        work += [(layout, root, listing, marker) for listing in listings]
    reports = _look(work, sample, workers, progress)
    for layout, root, listing, marker in work:
        own = reports[layout.name, listing.split]
        result.findings += listing.findings
        result.findings += conclude(layout, listing, own, marker)
        result.findings += _copies(listing, own)
        result.splits.append(_result(root, listing, own, marker))
    result.findings = merge(result.findings)
    return result


def _missing(dataset: str, data_root: str | Path, task: str, optional: bool) -> Finding:
    error = missing_message([dataset], data_root, task)
    expected, fix = (error.expected, error.fix) if error else ('', '')
    found, level = f'no {dataset} in {data_root}', 'error'
    if optional:
        found += '; only needed to train source models here (weights/ has published ones)'
        level = 'warning'
    return Finding('missing_dataset', dataset, '', found, expected, fix, level)


def _splits(layout: Layout, root: Path, wanted: tuple[str, ...]) -> list[str]:
    """Return the splits to examine: as asked, or all but spare ones that are absent."""
    if wanted:
        return list(dict.fromkeys(wanted))
    return [
        split
        for split in layout.counts
        if split not in _SPARE_SPLITS or _there(layout, root, split) or layout.name == 'camvid'
    ]


def _there(layout: Layout, root: Path, split: str) -> bool:
    conditions = layout.conditions or ('',)
    return any((root / layout.images(split, c)).is_dir() for c in conditions)


def _across_splits(listings: list[SplitListing], marker: Marker | None) -> Iterator[Finding]:
    """Find train and val exchanged (by their numbers) and images that two splits share."""
    counts = {listing.split: len(listing.samples) for listing in listings}
    if not listings or 'train' not in counts or 'val' not in counts:
        return
    dataset = listings[0].dataset
    expected = marker.counts(dataset) if marker else get_layout(dataset).counts
    train, val = expected.get('train'), expected.get('val')
    if train != val and (counts['train'], counts['val']) == (val, train):
        found = f'train holds {counts["train"]} images and val {counts["val"]}: exchanged'
        yield Finding('swapped_split', dataset, 'train', found)
    ids: dict[str, str] = {}
    for listing in listings:
        for sample in listing.samples:
            other = ids.setdefault(sample.sample_id, listing.split)
            if other != listing.split:
                found = f'the same image in {other} and {listing.split}'
                paths = [str(sample.image)]
                yield Finding('duplicate_image', dataset, listing.split, found, paths=paths)


def _look(
    work: list[tuple[Layout, Path, SplitListing, Marker | None]],
    sample: int,
    workers: int | None,
    progress: Progress | None,
) -> dict[tuple[str, str], list[Report]]:
    """Look at all files of all splits; return the reports in the order of the samples."""
    keys: list[tuple[str, str]] = []
    jobs: list[Job] = []
    for layout, _, listing, _ in work:
        step = max(len(listing.samples) // sample, 1) if sample > 0 else 0
        for number, item in enumerate(listing.samples):
            decode = bool(step) and number % step == 0
            jobs.append(Job(str(item.image), label_files(layout, item), decode))
            keys.append((layout.name, listing.split))
    batches = [jobs[i : i + _BATCH] for i in range(0, len(jobs), _BATCH)]
    done: dict[int, list[Report]] = {}
    count = 0
    for number, batch in _run(batches, workers or os.cpu_count() or 1):
        done[number] = batch
        count += len(batch)
        if progress is not None:
            progress(count, len(jobs))
    reports: dict[tuple[str, str], list[Report]] = defaultdict(list)
    flat = [report for number in sorted(done) for report in done[number]]
    for key, report in zip(keys, flat, strict=True):
        reports[key].append(report)
    return reports


def _run(batches: list[list[Job]], workers: int) -> Iterable[tuple[int, list[Report]]]:
    if workers <= 1 or len(batches) <= 1:
        for number, batch in enumerate(batches):
            yield number, inspect_batch(batch)
        return
    context = multiprocessing.get_context('forkserver' if os.name == 'posix' else 'spawn')
    with ProcessPoolExecutor(min(workers, len(batches)), mp_context=context) as pool:
        with interrupts.own():
            jobs = {pool.submit(inspect_batch, batch): n for n, batch in enumerate(batches)}
        with interrupts.cancelling(pool):
            for job in as_completed(jobs):
                yield jobs[job], job.result()


def _copies(listing: SplitListing, reports: list[Report]) -> Iterator[Finding]:
    """Find images that are byte for byte the same as another one."""
    groups: dict[str, list[str]] = defaultdict(list)
    for report in reports:
        if report.digest:
            groups[report.digest].append(report.image)
    for suspects in groups.values():
        if len(suspects) < 2:
            continue
        same: dict[str, list[str]] = defaultdict(list)
        for path in suspects:
            same[full_digest(path)].append(path)
        for paths in same.values():
            if len(paths) > 1:
                found = 'images that are byte for byte copies of another'
                yield Finding(
                    'duplicate_image', listing.dataset, listing.split, found,
                    count=len(paths) - 1, paths=paths[:5],
                )  # fmt: skip


def _result(
    root: Path, listing: SplitListing, reports: list[Report], marker: Marker | None
) -> SplitResult:
    files = [p for s in listing.samples for p in (s.image, s.label) if p is not None]
    histogram = sum((r.histogram for r in reports), np.zeros(256, np.int64))
    return SplitResult(
        dataset=listing.dataset,
        split=listing.split,
        images=len(listing.samples),
        labelled=sum(s.label is not None for s in listing.samples),
        fingerprint=manifest_fingerprint(root, files),
        variant=variant_name(listing.dataset, listing.split, len(listing.samples), marker),
        histogram=histogram,
        decoded=sum(bool(r.histogram.any()) for r in reports),
    )
