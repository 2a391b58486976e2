"""Lists the files of a data set, without trusting that its folders are complete."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sfda_bench.data.catalogue import ACDC_CONDITION_COUNTS, Layout, Sample
from sfda_bench.data.doctor.findings import Finding
from sfda_bench.data.layout import image_dirs, label_dirs, list_split, resolve_conditions
from sfda_bench.data.markers import POCKET_SEQUENCES
from sfda_bench.errors import DataError

_COMPANIONS = {
    'cityscapes': ('_color.png', '_instanceIds.png', '_polygons.json', '_instanceTrainIds.png'),
    'acdc': ('_gt_labelColor.png', '_gt_invIds.png', '_gt_invGray.png'),
}
_OFFICIAL_VAL_CITIES = {'frankfurt', 'lindau', 'munster'}


@dataclass
class SplitListing:
    """The samples of a split and what is wrong with their places."""

    dataset: str
    split: str
    samples: list[Sample] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def add(self, name: str, found: str, paths: list[str] | None = None, count: int = 1) -> None:
        """Note a finding; ``count`` files are concerned."""
        finding = Finding(name, self.dataset, self.split, found, count=count)
        finding.paths = (paths or [])[:5]
        self.findings.append(finding)


def list_carefully(layout: Layout, root: Path, split: str) -> SplitListing:
    """Return what can be listed of a split, folder by folder."""
    listing = SplitListing(layout.name, split)
    labelled = split in layout.labelled_splits
    for condition in resolve_conditions(layout.name, None):
        conditions = [condition] if condition else None
        folder = image_dirs(layout.name, root, split, conditions)[0]
        if not folder.is_dir():
            listing.add('missing_folder', f'no folder {folder}', [str(folder)])
            continue
        try:
            samples = list_split(layout.name, root, split, conditions, labelled=False)
        except DataError:
            listing.add('empty_folder', f'no {layout.image_suffix} in {folder}', [str(folder)])
            continue
        if labelled and not label_dirs(layout.name, root, split, conditions)[0].is_dir():
            missing = str(label_dirs(layout.name, root, split, conditions)[0])
            listing.add('missing_folder', f'no label folder {missing}', [missing])
        elif labelled:
            samples = list_split(layout.name, root, split, conditions)
        listing.samples += samples
    _check_labels(listing, layout, root)
    _check_extra(listing, layout, root)
    if layout.name == 'acdc':
        _check_conditions(listing, root)
    if layout.name == 'cityscapes':
        _check_cities(listing)
    return listing


def label_files(layout: Layout, sample: Sample) -> tuple[tuple[str, str], ...]:
    """Return (file, encoding) of all labels of a sample, the one that is read first."""
    if sample.label is None:
        return ()
    stem = str(sample.label)
    used = next(s for _, s in layout.label_suffixes if stem.endswith(s))
    every = [(stem[: -len(used)] + suffix, name) for name, suffix in layout.label_suffixes]
    every.sort(key=lambda pair: pair[0] != stem)
    return tuple(p for p in every if p[0] == stem or Path(p[0]).exists())


def _check_labels(listing: SplitListing, layout: Layout, root: Path) -> None:
    """Sort out images without label: elsewhere (split, condition) or nowhere."""
    lost = [s for s in listing.samples if s.label is not None and not os.path.lexists(s.label)]
    if not lost:
        return
    elsewhere = _labels_elsewhere(layout, root, listing.split)
    groups: dict[str, list[str]] = defaultdict(list)
    for sample in lost:
        place = elsewhere.get(sample.label.name) if sample.label else None
        groups[place or 'missing_label'].append(str(sample.image))
    texts = {
        'missing_label': 'images without label',
        'swapped_split': f'images in {listing.split} whose labels lie in another split',
        'wrong_condition': 'images whose labels lie below another condition',
    }
    for name, paths in groups.items():
        listing.add(name, texts[name], paths, len(paths))
    gone = {str(s.image) for s in lost}
    listing.samples = [
        s._replace(label=None) if str(s.image) in gone else s for s in listing.samples
    ]


def _labels_elsewhere(layout: Layout, root: Path, split: str) -> dict[str, str]:
    """Return label file name -> what it means that it lies in another folder."""
    found: dict[str, str] = {}
    own = {str(d) for d in label_dirs(layout.name, root, split)}
    for other in layout.labelled_splits:
        name = 'wrong_condition' if other == split else 'swapped_split'
        for folder in label_dirs(layout.name, root, other):
            if other == split or str(folder) not in own:
                for path in _files(folder):
                    found.setdefault(path.name, name)
    return found


def _files(folder: Path) -> Iterator[Path]:
    for base, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if not name.startswith('.'):
                yield Path(base) / name


def _check_extra(listing: SplitListing, layout: Layout, root: Path) -> None:
    """Find files that no sample accounts for."""
    known = {str(s.image) for s in listing.samples}
    stems = {s.sample_id for s in listing.samples}
    allowed = _COMPANIONS.get(layout.name, ()) + tuple(s for _, s in layout.label_suffixes)
    extra = []
    folders = [d for d in image_dirs(layout.name, root, listing.split) if d.is_dir()]
    for folder in folders:
        extra += [str(p) for p in _files(folder) if str(p) not in known]
    if listing.split in layout.labelled_splits and listing.samples:
        for folder in label_dirs(layout.name, root, listing.split):
            for path in _files(folder):
                suffix = next((s for s in allowed if path.name.endswith(s)), None)
                if suffix is None or path.name[: -len(suffix)] not in stems:
                    extra.append(str(path))
    if extra:
        listing.add('extra_file', 'files that belong to no sample', extra, len(extra))


def _check_conditions(listing: SplitListing, root: Path) -> None:
    """Find sequences below two conditions, below a wrong one, and unknown condition folders."""
    places: dict[str, set[str]] = defaultdict(set)
    for sample in listing.samples:
        places[sample.image.parent.name].add(sample.condition)
    wrong = sorted(s for s, found in places.items() if len(found) > 1)
    home = {prefix: condition for condition, prefix in POCKET_SEQUENCES.items()}
    for sequence, found in places.items():
        expected = home.get(sequence[:4])
        if expected and len(found) == 1 and expected not in found:
            wrong.append(sequence)
    if wrong:
        listing.add('wrong_condition', f'sequences {", ".join(wrong[:5])}', wrong, len(wrong))
    rgb = root / 'rgb_anon'
    known = set(ACDC_CONDITION_COUNTS['val'])
    unknown = [p for p in sorted(rgb.iterdir()) if p.is_dir()] if rgb.is_dir() else []
    unknown = [p for p in unknown if p.name not in known]
    if unknown:
        names = [str(p) for p in unknown]
        listing.add('wrong_condition', f'unknown condition folders {names}', names, len(names))


def _check_cities(listing: SplitListing) -> None:
    """Tell the official validation cities in train (or training cities in val)."""
    cities = {s.image.parent.name for s in listing.samples}
    real_val = cities & _OFFICIAL_VAL_CITIES
    if listing.split == 'train' and real_val:
        listing.add('swapped_split', f'validation cities in train: {sorted(real_val)}')
    elif listing.split == 'val' and 'aachen' in cities:
        listing.add('swapped_split', 'training cities in val: aachen')
