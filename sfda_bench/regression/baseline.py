"""The baseline: a YAML file of expected values and, beside it, the counts that pairing needs."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from pydantic import Field, ValidationError

from sfda_bench.atomic import write_all
from sfda_bench.errors import BenchError
from sfda_bench.plan.identity import digest
from sfda_bench.reading import read_arrays, read_text
from sfda_bench.regression.limits import Limits
from sfda_bench.regression.measure import Measured
from sfda_bench.regression.provenance import Facts
from sfda_bench.scoring.statistics import Parts, miou
from sfda_bench.store.record import EntryKey, Strict

HEADER = """\
# What the regression check expects; its counts are in the .npz file of the same name.
# Written by: python tools/check_regression.py --suite {suite} --update
# `limits` may be edited by hand; what they mean: sfda_bench/regression/limits.py
"""
TOLERANCE = 1e-3


class Origin(Strict):
    """The value that slow drift is measured from: the last one that was changed on purpose."""

    miou: float
    recorded: str
    commit: str | None = None


class Anchor(Strict):
    """The expected result of one seed."""

    miou: float
    origin: Origin
    recorded: str
    commit: str | None
    source_sha256: str
    inference_protocol: str
    scoring_protocol: str
    truth: str
    counts_sha256: str
    machine: str
    speed: float | None
    peak_memory_mb: float | None
    classes: dict[str, float]
    stages: list[list[str]]


class Spread(Strict):
    """Standard deviation of mIoU over seeds, in points."""

    std: float
    seeds: int


class Cell(Strict):
    """One entry without its seed."""

    task: str
    network: str
    method: str
    params: dict[str, Any] = Field(default_factory=dict)
    spread: Spread | None = None
    seeds: dict[int, Anchor]


class Sheet(Strict):
    """Content of the YAML file."""

    schema_version: Literal[1] = 1
    suite: str
    limits: Limits = Field(default_factory=Limits)
    machines: dict[str, dict[str, Any]] = Field(default_factory=dict)
    cells: dict[str, Cell] = Field(default_factory=dict)


@dataclass
class Baseline:
    """A sheet with the counts and the provenance of its anchors.

    Attributes:
        parts: Intersection and union an image and class, by slug.
        facts: What is known of the stages, by id.
    """

    sheet: Sheet
    parts: dict[str, Parts] = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)

    def anchor(self, cell: str, seed: int) -> Anchor | None:
        """The anchor of one entry."""
        found = self.sheet.cells.get(cell)
        return found.seeds.get(seed) if found else None

    def spread(self, cell: str) -> Spread | None:
        """The spread measured for a cell, else for the same method on other tasks (pooled)."""
        own = self.sheet.cells[cell]
        if own.spread is not None:
            return own.spread
        like = [
            other.spread
            for other in self.sheet.cells.values()
            if other.spread is not None
            and (other.network, other.method) == (own.network, own.method)
        ]
        if not like:
            return None
        freedom = sum(s.seeds - 1 for s in like)
        variance = sum((s.seeds - 1) * s.std**2 for s in like) / freedom
        return Spread(std=variance**0.5, seeds=freedom + 1)


def slug_of(cell: str, seed: int) -> str:
    """Name of an entry."""
    return f'{cell}__s{seed}'


def load(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        BenchError: It is absent, not valid, or its counts are not those of its numbers.
    """
    path = Path(path)
    fix = f'restore {path.name} and its .npz from git, or run with --update'
    text = read_text(path, 'a baseline, written by --update', 'run the same with --update')
    try:
        sheet = Sheet(**yaml.safe_load(text))
    except (ValidationError, TypeError, yaml.YAMLError) as error:
        raise BenchError(f'{path} is not a baseline: {error}', 'schema 1', fix) from None
    parts, facts = _load_arrays(path.with_suffix('.npz'))
    for cell, item in sheet.cells.items():
        for seed, anchor in item.seeds.items():
            own = parts.get(slug_of(cell, seed))
            if own is None or abs(miou(own) - anchor.miou) > TOLERANCE:
                raise BenchError(f'{path}: counts of {slug_of(cell, seed)} do not fit', '', fix)
    return Baseline(sheet, parts, facts)


def _load_arrays(path: Path) -> tuple[dict[str, Parts], Facts]:
    expected = 'the counts of the baseline beside it'
    fix = 'restore both files of the baseline from git, or run with --update'
    data = read_arrays(path, None, expected, fix)
    slugs = [name.removesuffix('.inter') for name in data if name.endswith('.inter')]
    try:
        facts = json.loads(data['facts'].tobytes())
        return {s: Parts(data[f'{s}.inter'], data[f'{s}.union']) for s in slugs}, facts
    except (KeyError, ValueError) as error:
        raise BenchError(f'{path} is incomplete: {error}', expected, fix) from None


def save(baseline: Baseline, path: Path) -> None:
    """Write both files atomically; what no anchor refers to is left out."""
    sheet = baseline.sheet
    anchors = {
        slug_of(cell, seed): anchor
        for cell, item in sorted(sheet.cells.items())
        for seed, anchor in sorted(item.seeds.items())
    }
    used = {identity for anchor in anchors.values() for _, identity in anchor.stages}
    facts = {i: baseline.facts[i] for i in sorted(used & baseline.facts.keys())}
    machines = {anchor.machine for anchor in anchors.values()}
    sheet.machines = {k: v for k, v in sorted(sheet.machines.items()) if k in machines}
    sheet.cells = dict(sorted(sheet.cells.items()))
    arrays = {'facts': np.frombuffer(json.dumps(facts, sort_keys=True).encode(), np.uint8)}
    for slug in anchors:
        arrays[f'{slug}.inter'] = baseline.parts[slug].inter.astype('<u4')
        arrays[f'{slug}.union'] = baseline.parts[slug].union.astype('<u4')
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    text = yaml.safe_dump(
        sheet.model_dump(), sort_keys=False, default_flow_style=None, width=100, allow_unicode=True
    )
    written = HEADER.format(suite=sheet.suite) + text
    path = Path(path)
    write_all({path.with_suffix('.npz'): buffer.getvalue(), path: written.encode()})


def put(baseline: Baseline, measured: Measured, origin: Origin | None) -> None:
    """Anchor an entry at a new result.

    Args:
        baseline: Is changed.
        measured: The result.
        origin: Where its drift is measured from; ``None`` = from this result on.
    """
    record, key = measured.item.record, measured.item.record.entry
    machine = digest(measured.machine)
    baseline.sheet.machines[machine] = measured.machine
    score = round(miou(measured.item.parts), 4)
    anchor = Anchor(
        miou=score,
        origin=origin or Origin(miou=score, recorded=record.created, commit=record.code.commit),
        recorded=record.created,
        commit=record.code.commit,
        source_sha256=record.source.sha256,
        inference_protocol=record.inference_protocol,
        scoring_protocol=record.scoring_protocol,
        truth=measured.item.truth,
        counts_sha256=record.counts_sha256,
        machine=machine,
        speed=round(measured.speed, 4) if measured.speed else None,
        peak_memory_mb=record.cost.peak_memory_mb,
        classes={k: round(v, 2) for k, v in measured.item.scores.per_class.items() if v},
        stages=[list(stage) for stage in measured.stages],
    )
    cell = baseline.sheet.cells.setdefault(measured.cell, _cell(key))
    cell.seeds[key.seed] = anchor
    baseline.parts[key.slug] = measured.item.parts
    baseline.facts.update(measured.facts)


def _cell(key: EntryKey) -> Cell:
    return Cell(task=key.task, network=key.network, method=key.method, params=key.params, seeds={})


def refresh_spread(cell: Cell, seeds: list[int]) -> None:
    """Measure the spread over these seeds; of one seed alone an earlier measurement stands."""
    if len(seeds) > 1:
        values = [cell.seeds[seed].miou for seed in seeds]
        cell.spread = Spread(std=round(float(np.std(values, ddof=1)), 4), seeds=len(values))
