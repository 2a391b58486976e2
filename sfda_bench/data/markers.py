"""Markers: a small JSON beside data sets that are not the published ones, with their counts."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

POCKET, SUBSET = 'pocket.json', 'subset.json'
POCKET_SEQUENCES = {'fog': 'GP01', 'night': 'GP02', 'rain': 'GP03', 'snow': 'GP04'}
"""Condition -> how the names of a pocket world's ACDC sequences begin."""


@dataclass(frozen=True)
class Marker:
    """What a pocket world or a subset says about itself.

    Attributes:
        title: For messages, e.g. ``'pocket world (seed 0, 96x192)'``.
        parts: Images of each ``data set/split[/condition]``.
        digest: Hash of the marker: data of equal sizes from another seed differ in it.
        complete: False while it is being written.
    """

    title: str
    parts: dict[str, int]
    digest: str
    complete: bool

    def counts(self, dataset: str) -> dict[str, int]:
        """Return images of each split of a data set."""
        counts: dict[str, int] = defaultdict(int)
        for part, number in self.parts.items():
            name, split, *_ = part.split('/')
            if name == dataset:
                counts[split] += number
        return dict(counts)


def read_any_marker(dataset_root: str | Path) -> Marker | None:
    """Return the marker beside a data set's folder (links are followed), or None."""
    for folder in (Path(dataset_root).parent, Path(dataset_root).resolve().parent):
        for name in (POCKET, SUBSET):
            marker = _read(folder / name)
            if marker is not None:
                return marker
    return None


def _read(path: Path) -> Marker | None:
    try:
        values = json.loads(path.read_text(encoding='utf-8'))
        height, width = values['size']
        title = f'{values["kind"]} (seed {values["seed"]}, {height}x{width})'
        stable = {k: v for k, v in values.items() if k not in ('complete', 'counts')}
        digest = hashlib.sha256(json.dumps(stable, sort_keys=True).encode()).hexdigest()
        return Marker(title, dict(values['counts']), digest[:16], bool(values.get('complete')))
    except (OSError, ValueError, KeyError, TypeError):
        return None
