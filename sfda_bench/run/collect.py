"""Collects the record of an entry from its finished stages."""

from __future__ import annotations

import datetime
import functools
import subprocess
from pathlib import Path
from typing import Any

from sfda_bench.errors import BenchError
from sfda_bench.paths import REPOSITORY
from sfda_bench.plan.identity import digest
from sfda_bench.plan.model import Entry, Plan, Stage
from sfda_bench.scoring import protocols
from sfda_bench.scoring.protocols import ScoringProtocol, load_scoring
from sfda_bench.scoring.scores import score
from sfda_bench.store.filenames import COUNTS_NAME, FINAL_NAME
from sfda_bench.store.record import (
    Code,
    Cost,
    CurvePoint,
    Guard,
    Record,
    SourceRef,
    StageRef,
    counts_digest,
    load_counts,
    read_record,
    save_record,
)
from sfda_bench.store.runs import Store
from sfda_bench.store.scored import scores_of


def is_complete(entry: Entry, store: Store) -> bool:
    """Whether a record can be made: its counts are there, and what is known of its other stages.

    Weights of stages that others were made from may have been deleted to save space.
    """
    if entry.skip:
        return False
    known = {i: store.status(i) for i in entry.needs}
    return all(store.is_done(i) for i in entry.measured) and all(
        status is not None and status.state == 'done' for status in known.values()
    )


def write_record(entry: Entry, plan: Plan, store: Store, folder: Path) -> Path | None:
    """Write the record of a finished entry, unless the same one stands there already.

    Returns:
        Its path if something was written.
    """
    if stands(entry, folder):
        return None
    counts, ids, conditions = load_counts(store.path(entry.stages[-1]) / COUNTS_NAME)
    return save_record(build_record(entry, plan, store), counts, ids, conditions, folder)


def stands(entry: Entry, folder: Path) -> bool:
    """Whether a record already states this entry's result, by the ids of its stages."""
    path = Path(folder) / entry.key.suite / f'{entry.key.slug}.json'
    if not path.is_file():
        return False
    try:
        old = read_record(path)
    except BenchError:
        return False
    card = entry.card
    return (
        [ref.id for ref in old.stages] == entry.stages
        and bool(old.curve) == bool(entry.curve)
        and (old.inference_protocol, old.scoring_protocol)
        == (entry.inference.ref, entry.scoring.ref)
        and (old.track, old.setting, old.fidelity, old.predict_on)
        == (card.track, card.setting, card.fidelity, card.predict_on)
        and (path.parent / old.counts_file).is_file()
    )


def build_record(entry: Entry, plan: Plan, store: Store) -> Record:
    """The record of an entry whose stages are all done."""
    stages = [plan.stages[stage_id] for stage_id in entry.stages]
    own = [stage for stage in stages[1:] if stage.kind != 'score']
    results = [_result(store, stage.id) for stage in own]
    counts, ids, conditions = load_counts(store.path(entry.stages[-1]) / COUNTS_NAME)
    source_counts, _, source_conditions = load_counts(store.path(entry.source_score) / COUNTS_NAME)
    scores = scores_of(counts, ids, conditions, entry.scoring)
    source = stages[0]
    warnings = [w for result in results for w in result.get('warnings', [])]
    source_miou = score(source_counts, source_conditions, entry.scoring).miou
    if own and scores.miou is not None and source_miou is not None and scores.miou < source_miou:
        warnings.append(f'worse than source-only by {source_miou - scores.miou:.2f} mIoU')
    facts = _result(store, entry.stages[-1])
    return Record(
        entry=entry.key,
        profile=entry.profile,
        track=entry.card.track,
        setting=entry.card.setting,
        fidelity=entry.card.fidelity,
        inference_protocol=entry.inference.ref,
        scoring_protocol=entry.scoring.ref,
        predict_on=entry.card.predict_on,
        stages=[_ref(stage, index, entry) for index, stage in enumerate(stages)],
        scores=scores,
        counts_file=f'{entry.key.slug}.npz',
        counts_sha256=counts_digest(counts, ids, conditions),
        source=SourceRef(
            stage_id=source.id,
            sha256=_status(store, source.id).outputs[FINAL_NAME],
            origin=source.config['stage'].get('origin') or f'trained here ({source.title})',
            miou=source_miou,
            published=source.config['stage'].get('convert', {}).get('sha256'),
        ),
        data=_data(stages),
        code=Code(fingerprint=digest([s.code for s in stages]), **commit()),
        versions=facts.get('versions', {}),
        hardware=facts.get('hardware', {}),
        cost=_cost(results, _result(store, source.id)),
        guard=_guard(results, entry),
        curve=_curve(entry, plan, store),
        warnings=warnings,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
    )


def _curve(entry: Entry, plan: Plan, store: Store) -> list[CurvePoint]:
    """Scores along the way, under every protocol of the label space.

    From the source model, if there is but one stage, to the last checkpoint; none where the suite
    keeps no checkpoints. Of methods that it starts from there is nothing.
    """
    if not entry.curve:
        return []
    kept = [plan.stages[i] for i in entry.stages[1:-1] if i not in entry.before]
    own = [stage for stage in kept if 'train_cfg' in stage.config]
    iters = {stage.name: stage.config['train_cfg']['max_iters'] for stage in own}
    last = own[-1].name
    alone = len(kept) == 1 and not entry.before
    points = [(last, 0, entry.source_score)] if alone else []
    points += [(n, iters[n] if at is None else at, i) for n, at, i in entry.curve]
    points.append((last, iters[last], entry.stages[-1]))
    several = len({name for name, *_ in points}) > 1
    found = []
    for name, iteration, stage_id in points:
        counts, _, conditions = load_counts(store.path(stage_id) / COUNTS_NAME)
        miou = score(counts, conditions, entry.scoring).miou
        if miou is None:
            continue
        others = {
            protocol.ref: value
            for protocol in _same_space(entry.scoring)
            if (value := score(counts, conditions, protocol).miou) is not None
        }
        found.append(
            CurvePoint(
                iteration=iteration,
                miou=miou,
                stage=name if several else '',
                conventions=others,
            )
        )
    return found


def _same_space(scoring: ScoringProtocol) -> list[ScoringProtocol]:
    """The other scoring protocols that a record's counts can be scored with."""
    known = [load_scoring(name) for name in protocols.names('scoring')]
    return [p for p in known if p.label_space == scoring.label_space and p.ref != scoring.ref]


def _ref(stage: Stage, index: int, entry: Entry) -> StageRef:
    """The first stage is the entry's source, whatever kind it is of."""
    kind = 'source' if index == 0 else stage.kind
    return StageRef(name=entry.name_of(stage), kind=kind, id=stage.id)


def _data(stages: list[Stage]) -> dict[str, str]:
    """Fingerprints by role; the source stage's training data count as ``source``."""
    found: dict[str, str] = {}
    for index, stage in enumerate(stages):
        for role, fingerprint in stage.data.items():
            found['source' if index == 0 else role] = fingerprint
    return found


def _status(store: Store, stage_id: str):
    status = store.status(stage_id)
    if status is None:
        raise FileNotFoundError(f'stage {stage_id} has no valid stage.json in {store.root}')
    return status


def _result(store: Store, stage_id: str) -> dict[str, Any]:
    return _status(store, stage_id).result


def _cost(results: list[dict[str, Any]], source: dict[str, Any]) -> Cost:
    def total(key: str) -> list[float]:
        return [r[key] for r in results if r.get(key) is not None]

    wall, speed, memory = (
        total('wall_seconds'), total('images_per_second'), total('peak_memory_mb')
    )  # fmt: skip
    return Cost(
        wall_seconds=round(sum(wall), 3) if wall else (0.0 if not results else None),
        images_per_second=min(speed) if speed else None,
        peak_memory_mb=max(memory) if memory else None,
        source_wall_seconds=source.get('wall_seconds'),
    )


def _guard(results: list[dict[str, Any]], entry: Entry) -> Guard:
    """The weakest verdict of the entry's own stages."""
    order = ['open', 'unguarded', 'audited', 'files only', 'sealed']
    guards = [r['guard'] for r in results if 'guard' in r]
    if not guards:
        return Guard(verdict='open' if results else 'none')
    verdict = min((g['verdict'] for g in guards), key=order.index)
    granted = sorted({Path(p).name for g in guards for p in g['granted']})
    lists = [set(g.get('in_force', [])) for g in guards]
    missing = sorted({part for g in guards for part in g.get('missing', [])})
    in_force = sorted(set.intersection(*lists))
    given = sorted({file for g in guards for file in g.get('given', [])})
    return Guard(verdict=verdict, granted=granted, given=given, in_force=in_force, missing=missing)


@functools.lru_cache(maxsize=1)
def commit() -> dict[str, Any]:
    """Git commit of the code and whether it has uncommitted changes, ``None`` where unknown."""

    def git(*args: str) -> str:
        command = ['git', '-C', str(REPOSITORY), *args]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, encoding='utf-8', errors='replace'
        ).stdout.strip()

    try:
        changed = git('status', '--porcelain', '--', 'sfda_bench', 'mm_configs')
        return {'commit': git('rev-parse', 'HEAD'), 'dirty': bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return {'commit': None, 'dirty': None}
