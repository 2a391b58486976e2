"""Boards and their rows: records grouped into what may be compared, with all statistics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

import numpy as np

from sfda_bench.board.loading import Item, unique
from sfda_bench.board.tiers import REPORTED, Tier
from sfda_bench.plan.composition import names_of
from sfda_bench.plan.selectors import MethodSelector
from sfda_bench.scoring.confusion import nan_mean, ratio
from sfda_bench.scoring.protocols import ScoringProtocol, load_scoring, names
from sfda_bench.scoring.ranking import Pair
from sfda_bench.scoring.scores import parts

Interval = tuple[float, float]


@dataclass(frozen=True, order=True)
class BoardKey:
    """What all rows of a board share; numbers are compared only inside one.

    ``setting`` is '' for offline methods, else how the images are met at test time. ``truth`` is ''
    unless records of the same protocol were scored on different images or labels.
    """

    suite: str
    task: str
    network: str
    inference: str
    scoring: str
    setting: str = ''
    truth: str = ''

    @property
    def slug(self) -> str:
        """Name for files, e.g. ``pocket__gta5_to_cityscapes__deeplabv2_pocket``."""
        parts = [self.suite, self.task, self.network]
        return '__'.join([*parts, *filter(None, (self.setting, self.truth))])


@dataclass(frozen=True)
class Verdict:
    """``word`` with its ``reason``, the reported value and measured minus reported.

    ``basis`` says what the reported number's evaluation is known from; '' if its authors state it.
    """

    word: str
    reason: str = ''
    reported: float | None = None
    difference: float | None = None
    basis: str = ''

    def __str__(self) -> str:
        """``word (basis)``."""
        return f'{self.word} ({self.basis})' if self.basis else self.word


@dataclass
class Row:
    """One method on one board, its records of one tier. Percent and points; ``None`` = missing.

    ``ties`` are letters of groups: two rows have one in common just if they are not separable.
    """

    method: str
    title: str
    items: dict[int, Item]
    expected: tuple[int, ...]
    mean: float | None = None
    std: float | None = None
    seed_half: float | None = None
    low: float | None = None
    high: float | None = None
    rank: int | None = None
    last_rank: int | None = None
    ties: tuple[str, ...] = ()
    source: float | None = None
    gain: float | None = None
    gap: float | None = None
    hours: float | None = None
    verdict: Verdict | None = None
    class_intervals: dict[str, Interval] = field(default_factory=dict)
    condition_intervals: dict[str, Interval] = field(default_factory=dict)

    @property
    def first(self) -> Item:
        """Any one of the row's records (they share track, protocol, method and tier)."""
        return next(iter(self.items.values()))

    @property
    def methods(self) -> list[str]:
        """The method, and those whose results it was started from."""
        return names_of(MethodSelector(self.method, self.first.record.entry.params))

    @property
    def track(self) -> str:
        """Track of the method."""
        return self.first.record.track

    @property
    def tier(self) -> Tier:
        """What stands behind the number."""
        return self.first.tier

    @property
    def counted(self) -> bool:
        """Whether there are counts: without them, no interval, rank or verdict."""
        return self.tier != REPORTED

    @property
    def fidelity(self) -> str:
        """Fidelity of the method."""
        return self.first.record.fidelity

    @property
    def bound(self) -> bool:
        """Whether the row is a bound (source-only, oracle) and not a method."""
        return self.track == 'bound'

    @property
    def complete(self) -> bool:
        """Whether every expected seed has a record."""
        return set(self.expected) <= set(self.items)

    @property
    def warnings(self) -> list[str]:
        """Warnings of all seeds, each once."""
        return unique(text for item in self.items.values() for text in item.record.warnings)

    @property
    def values(self) -> dict[int, float | None]:
        """mIoU a seed."""
        return {seed: item.scores.miou for seed, item in self.items.items()}

    @cached_property
    def per_class(self) -> dict[str, float | None]:
        """Mean over seeds of each class IoU; missing if any seed is."""
        return _mean_dicts([item.scores.per_class for item in self.items.values()], self.complete)

    @cached_property
    def per_condition(self) -> dict[str, float | None]:
        """Mean over seeds of each condition's mIoU; missing if any seed is."""
        found = [item.scores.per_condition for item in self.items.values()]
        return _mean_dicts(found, self.complete)

    @cached_property
    def per_round(self) -> dict[str, float | None]:
        """Mean over seeds of mIoU by round, and by condition in it, of streams of several rounds.

        Names are ``round 1`` and ``round 1 fog``.
        """
        found = [
            {
                ' '.join(filter(None, (f'round {number}', tag))): value
                for number, scores in item.rounds.items()
                for tag, value in {'': scores.miou, **scores.per_condition}.items()
            }
            for item in self.items.values()
        ]
        return _mean_dicts(found, self.complete)

    @cached_property
    def conventions(self) -> dict[str, float | None]:
        """Mean over seeds of mIoU under every scoring protocol of the label space.

        A self-reported number is known under its own alone.
        """
        if not self.counted:
            return {
                protocol.ref: self.mean if protocol.ref == self.first.protocol.ref else None
                for protocol in same_space(self.first.protocol.label_space)
            }
        totals = np.stack([item.totals[''] for item in self.items.values()])
        found: dict[str, float | None] = {}
        for protocol in same_space(self.first.protocol.label_space):
            values = 100 * nan_mean(ratio(*parts(totals, protocol)))
            missing = not self.complete or bool(np.isnan(values).any())
            found[protocol.ref] = None if missing else float(values.mean())
        return found


@cache
def same_space(label_space: str) -> list[ScoringProtocol]:
    """Scoring protocols of a label space that differ in classes or averaging."""
    protocols = [load_scoring(name) for name in names('scoring')]
    return [p for p in protocols if p.label_space == label_space and not p.per_condition]


def _mean_dicts(found: Sequence[dict[str, float | None]], complete: bool) -> dict:
    keys = unique(key for item in found for key in item)
    return {key: mean_or_missing([f.get(key) for f in found]) if complete else None for key in keys}


def mean_or_missing(values: Sequence[float | None]) -> float | None:
    """Mean of all values; ``None`` if one is missing (no mean over what happened to finish)."""
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present and len(present) == len(values) else None


@dataclass
class Board:
    """A table: its key, its rows (best first, bounds last) and every pairwise comparison."""

    key: BoardKey
    rows: list[Row]
    pairs: list[Pair] = field(default_factory=list)

    @property
    def images(self) -> int:
        """Images scored."""
        return self.rows[0].first.scores.images

    @property
    def rounds(self) -> int:
        """How often each image was shown; 1 unless the setting is continual."""
        return max(1, len(self.rows[0].first.rounds))

    @property
    def upper(self) -> float | None:
        """mIoU of the upper bound: the best complete bound row that is above the source model."""
        bounds = [r for r in self.rows if r.bound and r.counted]
        means = [r.mean for r in bounds if r.gain and r.mean and r.gain > 0]
        return max(means, default=None)

    @property
    def best(self) -> Row | None:
        """The best complete method; a self-reported number is none."""
        found = [r for r in self.rows if not r.bound and r.counted and r.mean is not None]
        return found[0] if found else None


def _key(item: Item) -> BoardKey:
    record = item.record
    entry = record.entry
    return BoardKey(
        entry.suite,
        entry.task,
        entry.network,
        record.inference_protocol,
        record.scoring_protocol,
        '' if record.setting == 'offline' else record.setting,
    )


def group(items: Sequence[Item]) -> dict[BoardKey, list[Item]]:
    """Items by board, sorted; split further where images or labels differ.

    A self-reported number stands with those of its data, or the first there are.
    """
    found: dict[BoardKey, list[Item]] = defaultdict(list)
    for item in items:
        found[_key(item)].append(item)
    boards: dict[BoardKey, list[Item]] = {}
    for key in sorted(found):
        truths = {item.path: _truth(item, found[key]) for item in found[key]}
        prints = unique(truths.values())
        for truth in prints:
            tag = truth if len(prints) > 1 else ''
            name = replace(key, truth=tag)
            boards[name] = [item for item in found[key] if truths[item.path] == truth]
    return boards


def _truth(item: Item, others: Sequence[Item]) -> str:
    """Fingerprint of the images and labels that an item belongs to."""
    if item.counted:
        return item.truth
    counted = [other for other in others if other.counted]
    scored = item.record.data.get('score')
    same = [other for other in counted if other.record.data.get('score') == scored]
    return next((other.truth for other in (*same, *counted)), '')
