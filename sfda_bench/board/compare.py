"""Two records on the same images in detail: overall, by class, by condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sfda_bench.board.loading import Item, require_counts, unique
from sfda_bench.board.text import number, table
from sfda_bench.errors import BenchError
from sfda_bench.scoring.statistics import (
    LEVEL,
    SAMPLES,
    Comparison,
    Parts,
    adjust,
    bootstrap_classes,
    bootstrap_weights,
    normal_p,
    paired_bootstrap,
    paired_permutation,
    percentile_interval,
)


@dataclass(frozen=True)
class Detail:
    """A comparison of one class or condition; ``p_adjusted`` is Benjamini-Hochberg's."""

    name: str
    comparison: Comparison
    p_adjusted: float


@dataclass(frozen=True)
class Report:
    """``a - b``: overall by two tests, and in detail."""

    overall: Comparison
    permutation_p: float
    classes: list[Detail]
    conditions: list[Detail]


def subset(parts: Parts, keep: np.ndarray) -> Parts:
    """The images of a mask."""
    return Parts(parts.inter[keep], parts.union[keep])


def by_condition(item: Item) -> dict[str, Parts]:
    """Parts of each condition's images; empty where the task has none."""
    tags = np.array(item.conditions, dtype=np.str_)
    return {tag: subset(item.parts, tags == tag) for tag in unique(item.conditions) if tag}


def compare(a: Item, b: Item, samples: int = SAMPLES) -> Report:
    """Compare two records.

    Raises:
        BenchError: They were scored under different protocols, on other images or labels, or are
            without counts.
    """
    for item in (a, b):
        require_counts(item)
    for field in ('inference_protocol', 'scoring_protocol'):
        ours, theirs = getattr(a.record, field), getattr(b.record, field)
        if ours != theirs:
            raise BenchError(f'{field} {ours} against {theirs}', 'one protocol for both records')
    settings = {x.record.setting for x in (a, b) if x.record.track != 'bound'}
    if len(settings) > 1:
        raise BenchError(f'settings {" and ".join(sorted(settings))}', 'one setting for both')
    if a.ids != b.ids or a.truth != b.truth:
        raise BenchError(
            'the records were scored on different images or labels',
            'the same images, for a paired comparison',
            'score both on the same data',
        )
    conditions = by_condition(b)
    found = {
        tag: paired_bootstrap(parts, conditions[tag], samples)
        for tag, parts in by_condition(a).items()
    }
    return Report(
        paired_bootstrap(a.parts, b.parts, samples),
        paired_permutation(a.parts, b.parts, samples),
        _classes(a, b, samples),
        _details(list(found), list(found.values())),
    )


def _classes(a: Item, b: Item, samples: int) -> list[Detail]:
    weights = bootstrap_weights(a.parts.images, samples)
    drawn = bootstrap_classes(a.parts, weights) - bootstrap_classes(b.parts, weights)
    names, found = [], []
    for column, name in enumerate(a.protocol.class_names):
        ours, theirs = a.scores.per_class[name], b.scores.per_class[name]
        if ours is None or theirs is None:
            continue
        values = drawn[:, column]
        error = float(np.nanstd(values.astype(np.float64)))
        names.append(name)
        found.append(
            Comparison(ours - theirs, *percentile_interval(values), normal_p(ours - theirs, error))
        )
    return _details(names, found)


def _details(names: Sequence[str], found: Sequence[Comparison]) -> list[Detail]:
    adjusted = adjust([item.p for item in found], 'bh')
    return [Detail(n, c, float(p)) for n, c, p in zip(names, found, adjusted, strict=True)]


def text(a: Item, b: Item, report: Report) -> str:
    """The report for a terminal, as Markdown."""
    overall = report.overall
    lines = [
        f'a  {a.record.entry.slug}: {number(a.scores.miou, 2)}',
        f'b  {b.record.entry.slug}: {number(b.scores.miou, 2)}',
        f'a - b  {overall.difference:+.2f} [{overall.low:+.2f}, {overall.high:+.2f}], '
        f'paired bootstrap p {overall.p:.4f}, paired permutation p {report.permutation_p:.4f}',
        f'({a.scores.images} images; one seed each: the spread over seeds is not in these p)',
    ]
    for title, details in (('class', report.classes), ('condition', report.conditions)):
        if details:
            body = [_cells(detail) for detail in details]
            lines += ['', table([title, 'a - b', '95 %', 'p (BH)', 'separated'], body)]
    return '\n'.join(lines)


def _cells(detail: Detail) -> list[str]:
    found = detail.comparison
    return [
        detail.name,
        f'{found.difference:+.2f}',
        f'[{found.low:+.2f}, {found.high:+.2f}]',
        f'{detail.p_adjusted:.4f}',
        'yes' if detail.p_adjusted < 1 - LEVEL else 'no',
    ]
