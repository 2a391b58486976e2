"""Fingerprints: which files a number was measured on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from sfda_bench.data.layout import list_split


def split_fingerprint(
    dataset: str,
    root: Path,
    split: str,
    conditions: Sequence[str] | None = None,
    labelled: bool = True,
) -> str:
    """Hash of the relative paths and sizes of a split's images (and labels), 16 hex digits.

    Args:
        dataset: Name of the data set.
        root: Its folder.
        split: Its split.
        conditions: ACDC's conditions; ``None`` = all.
        labelled: Whether labels count.
    """
    digest = hashlib.sha256()
    for sample in list_split(dataset, root, split, conditions, labelled):
        for path in (sample.image, sample.label):
            if path is not None:
                digest.update(f'{path.relative_to(root)} {path.stat().st_size}\n'.encode())
    return digest.hexdigest()[:16]
