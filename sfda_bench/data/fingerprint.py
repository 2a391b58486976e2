"""Fingerprints: which files a number was measured on. No torch here.

The quick one hashes relative paths and sizes; the deep one the bytes too. Rendered and cut data
(pocket worlds, subsets) have equal sizes for different content, so their marker's digest counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from sfda_bench.data.layout import list_split
from sfda_bench.data.markers import Marker, read_any_marker

VARIANTS: dict[tuple[str, str, int], str] = {
    ('gta5', 'train', 24966): 'GTA5, complete (24 966)',
    ('gta5', 'train', 24941): 'GTA5 without 25 images (24 941, a circulating list)',
    ('synthia', 'train', 9400): 'SYNTHIA-RAND-CITYSCAPES, complete (9 400)',
    ('cityscapes', 'train', 2975): 'Cityscapes train, complete (2 975)',
    ('cityscapes', 'train', 505): 'Cityscapes train, 505 images (the CBST / CRST list by size)',
    ('cityscapes', 'val', 500): 'Cityscapes val, complete (500)',
    ('acdc', 'train', 1600): 'ACDC train, complete (1 600)',
    ('acdc', 'val', 406): 'ACDC val, complete (406)',
    ('camvid', 'train', 367): 'CamVid train, complete (367)',
    ('camvid', 'val', 101): 'CamVid val, complete (101)',
    ('camvid', 'test', 233): 'CamVid test, complete (233)',
}
"""(data set, split, images) -> name of a list of images that numbers were published on."""

_CHUNK = 1 << 20


def split_fingerprint(
    dataset: str,
    root: Path,
    split: str,
    conditions: Sequence[str] | None = None,
    labelled: bool = True,
    deep: bool = False,
) -> str:
    """Return the hash of the files of a split, 16 hex digits.

    Args:
        dataset: Name of the data set.
        root: Its folder.
        split: Its split.
        conditions: ACDC's conditions; ``None`` = all.
        labelled: Whether labels count. False never touches the label folder.
        deep: Hash the bytes of the files as well as their names and sizes.
    """
    samples = list_split(dataset, root, split, conditions, labelled)
    files = [p for s in samples for p in (s.image, s.label) if p is not None]
    return manifest_fingerprint(root, files, deep)


def manifest_fingerprint(root: str | Path, files: Iterable[Path], deep: bool = False) -> str:
    """Return the hash of files below ``root``: relative path and size of each (and bytes)."""
    digest = hashlib.sha256()
    marker = read_any_marker(root)
    if marker is not None:
        digest.update(f'{marker.digest}\n'.encode())
    for path in files:
        try:
            size = path.stat().st_size
        except OSError:
            size = -1
        digest.update(f'{path.relative_to(root).as_posix()} {size}\n'.encode())
        if deep and size >= 0:
            _add_bytes(digest, path)
    return digest.hexdigest()[:16]


def _add_bytes(digest: hashlib._Hash, path: Path) -> None:
    with path.open('rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)


def variant_name(dataset: str, split: str, images: int, marker: Marker | None = None) -> str:
    """Return the name of the list of images that a split is, or ``'custom (N images)'``."""
    if marker is not None:
        return marker.title
    return VARIANTS.get((dataset, split, images), f'custom ({images} images)')
