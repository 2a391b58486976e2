"""Findings about a whole split: counts, sizes, class shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from sfda_bench.data.catalogue import ACDC_CONDITION_COUNTS, Layout
from sfda_bench.data.doctor.findings import Finding
from sfda_bench.data.doctor.inspect import Report
from sfda_bench.data.doctor.listing import SplitListing
from sfda_bench.data.fingerprint import VARIANTS, variant_name
from sfda_bench.data.markers import Marker
from sfda_bench.labels import CAMVID_CLASSES, CITYSCAPES_CLASSES, IGNORE, SYNTHIA16

_ENOUGH = 100
"""Decoded images from which on every class should have been seen."""
_TRAIN_IDS_ONLY = 19


def conclude(
    layout: Layout, listing: SplitListing, reports: list[Report], marker: Marker | None
) -> Iterator[Finding]:
    """Yield the findings about a split as a whole, and those about its files."""
    if not listing.samples:
        return
    yield from _about_files(listing, reports)
    yield from _about_counts(layout, listing, marker)
    yield from _about_sizes(listing, reports)
    yield from _about_classes(layout, listing, reports)


def _about_files(listing: SplitListing, reports: list[Report]) -> Iterator[Finding]:
    for report in reports:
        for name, found, path in report.problems:
            if name == 'size_mismatch' and listing.dataset == 'gta5' and len(reports) > 20000:
                name = 'known_size_mismatch'
                found = 'pairs of differing size, as in the official release (labels are resized)'
            yield Finding(name, listing.dataset, listing.split, found, paths=[path])


def _about_counts(
    layout: Layout, listing: SplitListing, marker: Marker | None
) -> Iterator[Finding]:
    count, split = len(listing.samples), listing.split
    name, dataset = layout.name, layout.name
    variant = variant_name(name, split, count, marker)
    official = (marker.counts(name) if marker else layout.counts).get(split)
    if marker:
        found = f'{marker.title}: {count} images, not the published data set'
        yield Finding('not_official', dataset, split, found)
    if count == official:
        return
    if (dataset, split, count) in VARIANTS:
        yield Finding('known_variant', dataset, split, f'known variant: {variant}')
        return
    found = f'{count} images'
    yield Finding(
        'wrong_count',
        dataset,
        split,
        found,
        expected=f'{official} images{_parts(name, split, marker)}',
    )


def _parts(dataset: str, split: str, marker: Marker | None) -> str:
    if dataset != 'acdc' or marker:
        return ''
    counts = ACDC_CONDITION_COUNTS[split].items()
    return ' (' + ', '.join(f'{c} {n}' for c, n in counts) + ')'


def _about_sizes(listing: SplitListing, reports: list[Report]) -> Iterator[Finding]:
    sizes = Counter(r.size for r in reports if r.size)
    if len(sizes) < 2 or listing.dataset == 'gta5':
        return
    usual = sizes.most_common(1)[0][0]
    odd = [r.image for r in reports if r.size and r.size != usual]
    found = f'{len(sizes)} image sizes, mostly {usual[0]}x{usual[1]}'
    yield Finding(
        'mixed_sizes', listing.dataset, listing.split, found, count=len(odd), paths=odd[:5]
    )


def _about_classes(
    layout: Layout, listing: SplitListing, reports: list[Report]
) -> Iterator[Finding]:
    histogram = sum((r.histogram for r in reports), np.zeros(256, np.int64))
    total = int(histogram.sum())
    if not total:
        return
    camvid = layout.name == 'camvid'
    names = CAMVID_CLASSES if camvid else CITYSCAPES_CLASSES
    road, void = histogram[3 if camvid else 0] / total, histogram[IGNORE] / total
    if road < 0.02 or void > 0.6:
        found = f'road {100 * road:.1f} %, ignored {100 * void:.1f} % of the pixels'
        yield Finding('class_shares', layout.name, listing.split, found)
    ids = sum((r.ids for r in reports), np.zeros(256, np.int64))
    if ids.any() and not ids[_TRAIN_IDS_ONLY:IGNORE].any():
        found = f'no id above {int(np.nonzero(ids[:IGNORE])[0].max(initial=0))} in any label file'
        yield Finding('train_ids_as_label_ids', layout.name, listing.split, found)
    expected = SYNTHIA16 if layout.name == 'synthia' else range(len(names))
    absent = [names[i] for i in expected if not histogram[i]]
    decoded = sum(bool(r.histogram.any()) for r in reports)
    if absent and decoded >= _ENOUGH:
        found = f'no pixel of {", ".join(absent)} in {decoded} images'
        yield Finding('missing_class', layout.name, listing.split, found)
