"""From finished trials to the result of a sweep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sfda_bench.plan.expand import Selection, plan_of
from sfda_bench.plan.model import Entry, Plan
from sfda_bench.plan.search import SPACE_VERSION
from sfda_bench.plan.selectors import MethodSelector
from sfda_bench.plan.sweep import SEARCH_SEED, Candidate, Pool, Wanted
from sfda_bench.run.collect import stands
from sfda_bench.scoring.candidates import VALIDATORS, Evidence, choose, scores_of
from sfda_bench.scoring.validators import predicted_classes
from sfda_bench.store.evidence import EVIDENCE_NAME, load_evidence
from sfda_bench.store.filenames import ARTIFACTS
from sfda_bench.store.record import Record, read_record
from sfda_bench.store.runs import Store
from sfda_bench.store.sweep import FreshResult, SweepResult, TrialResult, pick

#: Bootstrap samples of the images.
SAMPLES = 200


def record_of(entry: Entry, records: Path) -> Record | None:
    """The record of an entry, if it states the result of the stages it has now."""
    if not stands(entry, records):
        return None
    return read_record(Path(records) / entry.key.suite / f'{entry.key.slug}.json')


def evidence_of(stage: str, store: Store) -> Evidence | None:
    """The evidence of a ``validate`` stage that ended well; ``None`` otherwise."""
    if not store.is_done(stage):
        return None
    return load_evidence(store.path(stage) / ARTIFACTS / EVIDENCE_NAME)


def result_of(pool: Pool, plan: Plan, store: Store, records: Path) -> SweepResult:
    """All that is known of a pool.

    Args:
        pool: The trials.
        plan: The plan they are part of.
        store: Where the stages lie.
        records: Folder of the records.
    """
    source = evidence_of(pool.source, store)
    found = [evidence_of(one.evidence, store) for one in pool.candidates]
    scores = {name: scores_of(name, found, source) for name in VALIDATORS}
    known = [record_of(one.entry, records) for one in pool.candidates]
    least = predicted_classes(source.statistics) / 2 if source else 0.0
    first = pool.candidates[0].entry
    trials = [
        TrialResult(
            params=one.params,
            entry=one.entry.key.slug,
            miou=record.scores.miou if record else None,
            scores={name: _finite(values[number]) for name, values in scores.items()},
            classes=predicted_classes(evidence.statistics) if evidence else None,
            collapsed=evidence is not None and predicted_classes(evidence.statistics) < least,
            seconds=_seconds(_own(one, plan), store),
            reason=_reason(one, plan, store),
        )
        for number, (one, evidence, record) in enumerate(
            zip(pool.candidates, found, known, strict=True)
        )
    ]
    stages = {stage for one in pool.candidates for stage in _own(one, plan)}
    return SweepResult(
        suite=first.key.suite,
        task=first.key.task,
        network=first.key.network,
        method=first.key.method,
        title=first.card.title,
        base=pool.base,
        inference_protocol=first.inference.ref,
        scoring_protocol=first.scoring.ref,
        axes={axis.name: axis.text for axis in pool.space.axes},
        space_version=SPACE_VERSION,
        optimises=list(pool.space.optimises),
        seed=SEARCH_SEED,
        images=len(source.ids) if source else 0,
        guard=_verdicts([one.evidence for one in pool.candidates], store),
        trials=trials,
        source_miou=next((record.source.miou for record in known if record), None),
        source_classes=predicted_classes(source.statistics) if source else None,
        seconds=_seconds(stages, store),
        stability=stability(found),
    )


def stability(pool: Sequence[Evidence | None], samples: int = SAMPLES) -> dict[str, float]:
    """Share of bootstrap samples of the images on which each validator picks the same candidate.

    Validators that need single pixels or images are left out.
    """
    there = [one for one in pool if one is not None]
    names = [v.name for v in VALIDATORS.values() if not (v.sampled or v.per_image)]
    if not there:
        return {}
    images = len(there[0].ids)
    first = {name: choose(scores_of(name, pool)) for name in names}
    same = dict.fromkeys(names, 0)
    draws = np.random.default_rng(0)
    for _ in range(samples):
        weights = np.bincount(draws.integers(0, images, images), minlength=images)
        drawn = [None if one is None else _weighted(one, weights) for one in pool]
        for name in names:
            same[name] += choose(scores_of(name, drawn)) == first[name]
    return {name: count / samples for name, count in same.items()}


def again(
    wanted: Wanted,
    pool: Pool,
    found: SweepResult,
    seeds: Sequence[int],
    data_root: Path | None,
    store: Store,
    workers: int = 0,
) -> Plan | None:
    """Entries of the chosen settings and of the published one on seeds that the search did not see.

    Args:
        wanted: What the sweep was asked for.
        pool: The trials.
        found: Their result; the validators in its ``select`` choose.
        seeds: The seeds.
        data_root: Folder of all data sets.
        store: Where the stages will lie.
        workers: Loader workers of each stage.

    Returns:
        ``None`` if there is nothing to run.
    """
    known = [number for name in found.select if (number := pick(found, name)) is not None]
    if not known or not seeds:
        return None
    selectors = [
        MethodSelector(pool.reference, found.trials[number].params) for number in {0, *known}
    ]
    selection = Selection([found.task], [found.network], selectors, seeds)
    return plan_of(wanted.suite, selection, data_root, store, workers)


def fresh_results(found: SweepResult, plan: Plan, records: Path) -> list[FreshResult]:
    """Results of the entries of :func:`again`, by trial and seed."""
    numbers = {str(trial.params): number for number, trial in enumerate(found.trials)}
    out = []
    for entry in plan.entries:
        record, number = record_of(entry, records), numbers[str(entry.key.params)]
        miou = record.scores.miou if record else None
        out.append(FreshResult(trial=number, seed=entry.key.seed, miou=miou))
    return sorted(out, key=lambda one: (one.trial, one.seed))


def _weighted(one: Evidence, weights: np.ndarray) -> Evidence:
    sums, views = one.statistics.total(weights), one.views.total(weights)
    return replace(one, statistics=sums, views=views)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _own(one: Candidate, plan: Plan) -> list[str]:
    """Ids of a trial's own stages: those of its method, and its evidence."""
    own = [i for i in one.entry.stages[1:] if plan.stages[i].kind != 'score']
    return [*own, one.evidence]


def _seconds(stages: Iterable[str], store: Store) -> float | None:
    """Seconds of some stages together; ``None`` if one did not end."""
    total = 0.0
    for status in map(store.status, stages):
        if status is None or 'wall_seconds' not in status.result:
            return None
        total += status.result['wall_seconds']
    return round(total, 1)


def _reason(one: Candidate, plan: Plan, store: Store) -> str:
    """Why a trial has no evidence or no score."""
    for stage in [*one.entry.stages[1:], one.evidence]:
        status = store.status(stage)
        if status is None or status.state != 'done':
            state = 'not run' if status is None else f'{status.state} {status.reason}'.strip()
            return f'{plan.stages[stage].name}: {state}'
    return ''


def _verdicts(stages: Sequence[str], store: Store) -> list[str]:
    """Seals in force while the evidence was made, sorted."""
    found = [status.result.get('guard', {}).get('verdict', 'none')
             for status in map(store.status, stages) if status]  # fmt: skip
    return sorted(set(found))
