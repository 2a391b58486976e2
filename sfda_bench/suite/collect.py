"""From finished stages to a record."""

from __future__ import annotations

import datetime
import functools
import subprocess
from pathlib import Path
from typing import Any

from sfda_bench.scoring.rounds import by_round
from sfda_bench.scoring.scores import score
from sfda_bench.suite.identity import PACKAGE_ROOT, digest
from sfda_bench.suite.names import COUNTS_NAME, FINAL_NAME
from sfda_bench.suite.record import (
    Code,
    Cost,
    CurvePoint,
    Guard,
    Record,
    Scores,
    SourceRef,
    StageRef,
    counts_digest,
    load_counts,
    save_record,
)
from sfda_bench.suite.stages import Entry, Plan, Stage
from sfda_bench.suite.store import Store


def is_complete(entry: Entry, store: Store) -> bool:
    """Whether all stages of an entry are done."""
    if entry.skip:
        return False
    return all(store.is_done(stage_id) for stage_id in entry.needs)


def write_record(entry: Entry, plan: Plan, store: Store, folder: Path) -> Path | None:
    """Write the record of a finished entry, unless the same one stands there already.

    Returns:
        Its path if something was written.
    """
    path = Path(folder) / entry.key.suite / f'{entry.key.slug}.json'
    if path.is_file() and _stands(path, entry):
        return None
    counts, ids, conditions = load_counts(store.path(entry.stages[-1]) / COUNTS_NAME)
    return save_record(build_record(entry, plan, store), counts, ids, conditions, folder)


def _stands(path: Path, entry: Entry) -> bool:
    """Whether a record already states this entry's result, by the ids of its stages."""
    try:
        old = Record.model_validate_json(path.read_text())
    except ValueError:
        return False
    card = entry.method.card
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
    scored = score(counts, conditions, entry.scoring)
    rounds = by_round(counts, ids, conditions, entry.scoring)
    source = stages[0]
    warnings = [w for result in results for w in result.get('warnings', [])]
    source_miou = score(source_counts, source_conditions, entry.scoring).miou
    if own and scored.miou is not None and source_miou is not None and scored.miou < source_miou:
        warnings.append(f'worse than source-only by {source_miou - scored.miou:.2f} mIoU')
    facts = _result(store, entry.stages[-1])
    return Record(
        entry=entry.key,
        profile=entry.profile,
        track=entry.method.card.track,
        setting=entry.method.card.setting,
        fidelity=entry.method.card.fidelity,
        inference_protocol=entry.inference.ref,
        scoring_protocol=entry.scoring.ref,
        predict_on=entry.method.card.predict_on,
        stages=[_ref(stage, index) for index, stage in enumerate(stages)],
        scores=Scores(
            miou=scored.miou,
            per_class=scored.per_class,
            per_condition=scored.per_condition,
            per_round={number: found.miou for number, found in rounds.items()},
            per_round_condition={
                number: found.per_condition
                for number, found in rounds.items()
                if found.per_condition
            },
            images=len(ids),
        ),
        counts_file=f'{entry.key.slug}.npz',
        counts_sha256=counts_digest(counts, ids, conditions),
        source=SourceRef(
            stage_id=source.id,
            sha256=_status(store, source.id).outputs[FINAL_NAME],
            origin=source.config['stage'].get('origin') or f'trained here ({source.title})',
            miou=source_miou,
        ),
        data=_data(stages),
        code=Code(fingerprint=digest([s.code for s in stages]), **commit()),
        versions=facts.get('versions', {}),
        hardware=facts.get('hardware', {}),
        cost=_cost(results, _result(store, source.id)),
        guard=_guard(results, entry),
        curve=_curve(entry, plan, store, source_miou, scored.miou),
        warnings=warnings,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
    )


def _curve(
    entry: Entry, plan: Plan, store: Store, first: float | None, last: float | None
) -> list[CurvePoint]:
    """Scores along the last adapt stage, from the source model to the end."""
    if not entry.curve:
        return []
    points = [(0, first)] if len(entry.stages) == 3 else []
    for iteration, stage_id in entry.curve:
        counts, _, conditions = load_counts(store.path(stage_id) / COUNTS_NAME)
        points.append((iteration, score(counts, conditions, entry.scoring).miou))
    points.append((plan.stages[entry.stages[-2]].config['train_cfg']['max_iters'], last))
    return [CurvePoint(iteration=i, miou=miou) for i, miou in points if miou is not None]


def _ref(stage: Stage, index: int) -> StageRef:
    """The first stage is the entry's source, whatever the stage is called where it is shared."""
    if index == 0:
        return StageRef(name='source', kind='source', id=stage.id)
    return StageRef(name=stage.name, kind=stage.kind, id=stage.id)  # type: ignore[arg-type]


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
    order = ['open', 'unguarded', 'audited', 'sealed']
    guards = [r['guard'] for r in results if 'guard' in r]
    if not guards:
        return Guard(verdict='open' if results else 'none')
    verdict = min((g['verdict'] for g in guards), key=order.index)
    granted = sorted({Path(p).name for g in guards for p in g['granted']})
    return Guard(verdict=verdict, granted=granted)


@functools.lru_cache(maxsize=1)
def commit() -> dict[str, Any]:
    """Git commit of the code and whether it has uncommitted changes, ``None`` where unknown."""

    def git(*args: str) -> str:
        command = ['git', '-C', str(PACKAGE_ROOT.parent), *args]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git('status', '--porcelain', '--', 'sfda_bench', 'mm_configs')
        return {'commit': git('rev-parse', 'HEAD'), 'dirty': bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return {'commit': None, 'dirty': None}
