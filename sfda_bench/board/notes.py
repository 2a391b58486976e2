"""What a reader must know beside the numbers: one note a finding, with the rows it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sfda_bench.board.loading import Item
from sfda_bench.board.rows import Board, Row
from sfda_bench.errors import BenchError
from sfda_bench.labels import CITYSCAPES_CLASSES, CLASS_SETS
from sfda_bench.plan import catalog

_CLASSES = re.compile(r'(?P<finding>classes .*): (?P<ids>\d+(?:, \d+)*)')
_WORSE_TEXT = 'worse than source-only, by points'
_WORSE = re.compile(r'worse than source-only by (?P<points>[\d.]+) mIoU')


@dataclass(frozen=True)
class Finding:
    """A finding and, by row, what was found: a text, or '' where the finding says it all."""

    text: str
    rows: tuple[tuple[Row, str], ...]

    def __str__(self) -> str:
        """The finding in one line."""
        told = [f'{row.title}: {detail}' if detail else row.title for row, detail in self.rows]
        return f'{self.text}: ' + '; '.join(told)


def findings(board: Board) -> list[Finding]:
    """All findings of a board, in the order in which its rows first have them."""
    found: dict[str, list[tuple[Row, str]]] = {}
    for row in board.rows:
        for finding, detail in row_findings(row):
            found.setdefault(finding, []).append((row, detail))
    return [Finding(text, tuple(rows)) for text, rows in found.items()]


def row_findings(row: Row) -> list[tuple[str, str]]:
    """Findings of a row with their details: which classes, which seeds, how much."""
    return [*_warnings(row), *_state(row)]


def row_notes(row: Row) -> list[str]:
    """The same, one line each."""
    return [': '.join(filter(None, found)) for found in row_findings(row)]


def _warnings(row: Row) -> list[tuple[str, str]]:
    """The records' warnings: equal ones of several seeds and stages told once."""
    told: dict[str, dict[str, set[int]]] = {}
    for seed, item in row.items.items():
        for text in item.record.warnings:
            finding, parts = _split(text, item)
            for part in parts:
                told.setdefault(finding, {}).setdefault(part, set()).add(seed)
    return [
        (finding, _points(row, parts) if finding == _WORSE_TEXT else _details(row, parts))
        for finding, parts in told.items()
    ]


def _points(row: Row, parts: dict[str, set[int]]) -> str:
    """``1.4, 2.1 (seeds 0, 1)``: a number a seed."""
    by_seed = sorted((seed, part) for part, seeds in parts.items() for seed in seeds)
    seeds = _seeds(row, [seed for seed, _ in by_seed])
    return ' '.join(filter(None, [', '.join(part for _, part in by_seed), seeds]))


def _split(text: str, item: Item) -> tuple[str, list[str]]:
    """A warning as its finding and what it was found of; class ids by name."""
    if found := _CLASSES.fullmatch(text):
        names = class_names(item)
        ids = [int(number) for number in found['ids'].split(', ')]
        return found['finding'], [names[i] if i < len(names) else str(i) for i in ids]
    if found := _WORSE.fullmatch(text):
        points = float(found['points'])
        return _WORSE_TEXT, [f'{points:.1f}' if points >= 0.1 else f'{points:.2f}']
    return text, ['']


def class_names(item: Item) -> list[str]:
    """Name of each output of the network that a record is of."""
    labels = list(item.protocol.labels)
    entry = item.record.entry
    try:
        network = catalog.load('networks', entry.network)['network']
    except BenchError:
        return labels
    if network.get('num_classes') == len(CITYSCAPES_CLASSES):
        labels = list(CITYSCAPES_CLASSES)
    outputs = CLASS_SETS.get(network.get('classes', {}).get(entry.task))
    return labels if outputs is None else [labels[i] for i in outputs]


def _details(row: Row, parts: dict[str, set[int]]) -> str:
    """``train (all seeds), wall (seed 0)``: parts of the same seeds together, most seeds first."""
    by_seeds: dict[tuple[int, ...], list[str]] = {}
    for part, seeds in parts.items():
        by_seeds.setdefault(tuple(sorted(seeds)), []).append(part)
    groups = sorted(by_seeds.items(), key=lambda group: (-len(group[0]), group[0]))
    everywhere = '(all seeds)' if len(groups) > 1 else ''
    texts = [(', '.join(names), _seeds(row, seeds) or everywhere) for seeds, names in groups]
    return ', '.join(' '.join(filter(None, pair)) for pair in texts)


def _seeds(row: Row, seeds: Sequence[int]) -> str:
    if len(seeds) == len(row.items):
        return ''
    return f'({"seed" if len(seeds) == 1 else "seeds"} {", ".join(map(str, seeds))})'


def _state(row: Row) -> list[tuple[str, str]]:
    """The guard, the model that predicts, the choice of the checkpoint, absent classes."""
    found = []
    verdicts = _all(row, lambda item: [item.record.guard.verdict])
    if not row.bound and row.track != 'uda' and set(verdicts) - {'sealed'}:
        found.append((f'data guard {", ".join(verdicts)}', ''))
    given = _all(row, lambda item: item.record.guard.given)
    if given and row.track != 'uda':
        # the files in the finding: rows that were given the same ones share a line
        told = f'{", ".join(verdicts)}, given files of a user, {", ".join(given)}'
        found.append((told, ''))
    for model in _all(row, lambda item: [item.record.predict_on]):
        if model not in ('student', 'source'):
            found.append((f'predicts with its {model}', ''))
    for chosen in _all(row, lambda item: [item.record.selection]):
        if chosen != 'last':
            found.append(('checkpoint selection', chosen))
    gone = _all(row, lambda item: item.scores.absent)
    if gone:
        found.append(('classes without a pixel in the truth', ', '.join(gone)))
    return found


def _all(row: Row, of: Callable[[Item], Iterable[str]]) -> list[str]:
    """What any of the row's records has, sorted."""
    return sorted({value for item in row.items.values() for value in of(item)})
