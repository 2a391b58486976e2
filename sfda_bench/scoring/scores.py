"""Scores of a protocol, computed from confusion counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sfda_bench.errors import BenchError
from sfda_bench.scoring.confusion import absent, intersection_union, nan_mean, ratio
from sfda_bench.scoring.protocols import ScoringProtocol


@dataclass(frozen=True)
class ProtocolScores:
    """Scores in percent; ``None`` = the class is neither in the truth nor predicted.

    ``absent`` names the averaged classes without a pixel in the truth. ``per_condition`` holds the
    mIoU of each condition, ``per_condition_class`` its class IoUs.
    """

    protocol: str
    miou: float | None
    per_class: dict[str, float | None]
    per_condition: dict[str, float | None] = field(default_factory=dict)
    per_condition_class: dict[str, dict[str, float | None]] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    images: int = 0

    def record_fields(self) -> dict[str, Any]:
        """The fields of ``sfda_bench.store.record.Scores``."""
        return {
            'miou': self.miou,
            'per_class': self.per_class,
            'per_condition': self.per_condition,
            'images': self.images,
        }


def parts(counts: np.ndarray, protocol: ScoringProtocol) -> tuple[np.ndarray, np.ndarray]:
    """Intersection and union of the protocol's classes.

    Both are linear in the counts under every convention, so they may be summed over images before
    or after; the bootstrap relies on it.

    Args:
        counts: (..., K, K + 1).

    Returns:
        Two arrays (..., C) for the C classes averaged.
    """
    counts = np.asarray(counts)
    labels = len(protocol.labels)
    if counts.shape[-2:] != (labels, labels + 1):
        raise BenchError(
            f'confusion counts of shape {counts.shape} under protocol {protocol.ref}',
            f'(..., {labels}, {labels + 1}), label space {protocol.label_space}',
            'score with a protocol of the same label space',
        )
    chosen = protocol.indices
    if protocol.convention == 'recomputed':
        counts = counts[..., chosen, :][..., [*chosen, labels]]
        return intersection_union(counts)
    if protocol.convention == 'masked':
        keep = np.zeros(labels, dtype=counts.dtype)
        keep[protocol.kept_rows] = 1
        counts = counts * keep[:, None]
    inter, union = intersection_union(counts)
    return inter[..., chosen], union[..., chosen]


def _percent(value: float) -> float | None:
    return None if np.isnan(value) else float(value) * 100


def _named(names: tuple[str, ...], values: np.ndarray) -> dict[str, float | None]:
    return {name: _percent(value) for name, value in zip(names, values, strict=True)}


def score(
    counts: np.ndarray, conditions: list[str] | None, protocol: ScoringProtocol
) -> ProtocolScores:
    """Score per-image counts under a protocol.

    Args:
        counts: Integers (N, K, K + 1), one matrix an image.
        conditions: N condition names, or ``None``; used if the protocol scores by condition.
        protocol: The scoring protocol.

    Raises:
        BenchError: If the counts are not of the protocol's label space, or the lengths differ.
    """
    counts = np.asarray(counts)
    if counts.ndim != 3:
        raise BenchError(f'counts of shape {counts.shape}', '(images, K, K + 1)')
    if conditions is not None and len(conditions) != len(counts):
        raise BenchError(f'{len(conditions)} conditions for {len(counts)} images', 'one an image')
    names = protocol.class_names
    total = counts.sum(axis=0, dtype=np.int64)
    values = ratio(*parts(total, protocol))
    by_condition: dict[str, float | None] = {}
    by_condition_class: dict[str, dict[str, float | None]] = {}
    if protocol.per_condition and conditions is not None:
        tags = np.array(conditions, dtype=np.str_)
        for tag in sorted(set(tags.tolist()) - {''}):
            own = ratio(*parts(counts[tags == tag].sum(axis=0, dtype=np.int64), protocol))
            by_condition[tag] = _percent(float(nan_mean(own)))
            by_condition_class[tag] = _named(names, own)
    gone = absent(total)[protocol.indices]
    mean = _percent(float(nan_mean(values)))
    if protocol.mean_of == 'conditions':
        found = list(by_condition.values())
        known = [value for value in found if value is not None]
        mean = sum(known) / len(known) if known and len(known) == len(found) else None
    return ProtocolScores(
        protocol=protocol.ref,
        miou=mean,
        per_class=_named(names, values),
        per_condition=by_condition,
        per_condition_class=by_condition_class,
        absent=tuple(name for name, is_gone in zip(names, gone, strict=True) if is_gone),
        images=len(counts),
    )
