"""Status, explanation, cost and cleaning of a plan's stages in a store."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from sfda_bench.errors import BenchError, require_known
from sfda_bench.plan import catalog
from sfda_bench.plan.identity import decisive
from sfda_bench.plan.method import Method
from sfda_bench.plan.model import Entry, Plan, Stage
from sfda_bench.plan.plugins import installed, origin
from sfda_bench.run.collect import is_complete
from sfda_bench.store.record import Record, load_records, read_record
from sfda_bench.store.runs import CONFIG_FILE, StageStatus, Store

NOT_HERE = 'the record stands; its stages are not in this store'


def members(kind: str) -> list[dict[str, str]]:
    """What there is of a kind, one row each: name, title, and for methods track and origin."""
    block = {'tasks': 'task', 'networks': 'network', 'suites': 'suite'}.get(kind)
    if block:
        loaded = [(name, catalog.load(kind, name)[block]) for name in catalog.names(kind)]
        return [{block: name, 'title': found.get('title', '')} for name, found in loaded]
    rows = []
    for name in catalog.known('methods'):
        card = Method(name).card
        row: dict[str, Any] = {
            'method': name,
            'title': card.title,
            'track': card.track,
            'fidelity': card.fidelity,
            'mechanisms': card.mechanisms,
        }
        point = installed().get(name)
        rows.append({**row, 'from': origin(point) if point else 'here'})
    return rows


def record_of(entry: Entry, records: Path) -> Record | None:
    """The record that stands for an entry, whatever code it was measured with."""
    path = Path(records) / entry.key.suite / f'{entry.key.slug}.json'
    return read_record(path) if path.exists() or path.is_symlink() else None


def entry_state(entry: Entry, store: Store, records: Path) -> tuple[str, str]:
    """State from the closed list, and a reason.

    ``stale``: a record stands, but the plan's stages have other ids by now.
    """
    if entry.skip:
        return 'skipped', entry.skip
    record = record_of(entry, records)
    if record is not None and [ref.id for ref in record.stages] != entry.stages:
        return 'stale', 'a record stands, its stages have other ids: see explain'
    if is_complete(entry, store):
        return 'done', ''
    order = ('running', 'diverged', 'failed', 'interrupted', 'skipped')
    found = [store.status(i) for i in entry.needs]
    for state in order:
        for status in found:
            if status is not None and status.state == state:
                return state, f'{status.name}: {status.reason}' if status.reason else status.name
    if record is not None:
        return 'done', NOT_HERE
    return 'planned', ''


# --- explain --------------------------------------------------------------------------------------


def find_entry(plan: Plan, slug: str) -> Entry:
    """The entry of that name: a slug, or a method as ``status`` prints it, or a stage's id.

    Raises:
        UnknownNameError: None has it.
        BenchError: Several have it.
    """
    by_slug = {entry.key.slug: entry for entry in plan.entries}
    if slug in by_slug:
        return by_slug[slug]
    found = [e for e in plan.entries if slug in (e.key.label, e.key.method, *e.needs)]
    found = [e for e in found if e.key.label == slug] or found
    if len(found) > 1:
        raise BenchError(
            f'{slug!r} is {len(found)} entries',
            f'one of: {", ".join(e.key.slug for e in found)}',
            f'choose by --task, --network, --seed: explain {slug} --task {found[0].key.task} '
            f'--seed {found[0].key.seed}',
        )
    return found[0] if found else by_slug[require_known('entry', slug, by_slug)]


def explain_stage(stage: Stage, old: StageStatus | None, store: Store) -> dict[str, Any]:
    """What a stage's id depends on and, against an older run, what differs.

    Args:
        stage: The planned stage.
        old: Status of the run to compare with.
        store: Where that run lies.
    """
    now = store.status(stage.id)
    facts: dict[str, Any] = {
        'id': stage.id,
        'title': stage.title,
        'kind': stage.kind,
        'state': 'planned' if now is None else now.state,
        'parents': stage.parents,
        'data': stage.data,
        'code': stage.code,
        'modules': sorted(stage.modules),
    }
    if old is not None and old.id != stage.id:
        facts['differs'] = differences(stage, old, store)
    return facts


def differences(stage: Stage, old: StageStatus, store: Store) -> list[str]:
    """Lines ``field: old -> new`` for everything that gave two stages different ids."""
    new = stage.modules
    moved = {name for name in {*new, *old.modules} if new.get(name) != old.modules.get(name)}
    lines = [f'code: {name} changed' for name in sorted(moved)]
    if not old.modules and old.code != stage.code:
        lines = [f'code: {old.code} -> {stage.code}']
    lines += _differing('data', old.data, stage.data)
    if old.parents != stage.parents:
        lines.append(f'parents: {old.parents} -> {stage.parents}')
    path = store.path(old.id) / CONFIG_FILE
    if path.is_file():
        before = Config.fromfile(str(path), import_custom_modules=False).to_dict()
        lines += _differing('config', flat(decisive(before)), flat(decisive(stage.config)))
    return lines


def _differing(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    keys = sorted({*old, *new})
    return [
        f'{name} {key}: {old.get(key, "absent")!r} -> {new.get(key, "absent")!r}'
        for key in keys
        if key not in old or key not in new or _plain(old[key]) != _plain(new[key])
    ]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def flat(value: Any, prefix: str = '') -> dict[str, Any]:
    """A nested config as ``{'a.b.0.c': value}``."""
    if isinstance(value, Mapping):
        items: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        return {prefix: value}
    out: dict[str, Any] = {}
    for key, item in items:
        out.update(flat(item, f'{prefix}.{key}' if prefix else str(key)))
    return out


def explain_entry(entry: Entry, plan: Plan, store: Store, records: Path) -> dict[str, Any]:
    """Stages of an entry with their ids and dependences, compared with its record's."""
    record = record_of(entry, records)
    old = {ref.name: store.status(ref.id) for ref in record.stages} if record else {}
    planned = [plan.stages[i] for i in entry.stages]
    stages = [
        {'name': (name := entry.name_of(one)), **explain_stage(one, old.get(name), store)}
        for one in planned
    ]
    state, reason = entry_state(entry, store, records)
    about = {'entry': entry.key.slug, 'method': entry.key.label, 'title': entry.card.title}
    return {**about, 'state': state, 'reason': reason, 'stages': stages}


# --- cost -----------------------------------------------------------------------------------------


def predict_cost(missing: Iterable[Stage], store: Store) -> dict[str, Any]:
    """Time and disk of the stages to run, from earlier stages of the same name in the store.

    Returns:
        ``seconds`` of stages with a precedent, ``disk_mb`` likewise, ``unknown`` stages.
    """
    known = precedents(store)
    total: dict[str, Any] = {'seconds': 0.0, 'disk_mb': 0.0, 'stages': 0, 'unknown': 0}
    for stage in missing:
        total['stages'] += 1
        if stage.title in known:
            seconds, size = known[stage.title]
            total['seconds'] += seconds
            total['disk_mb'] += size
        else:
            total['unknown'] += 1
    return total


def precedents(store: Store) -> dict[str, tuple[float, float]]:
    """Wall seconds and megabytes by title; the newest of each title counts."""
    found: dict[str, tuple[float, tuple[float, float]]] = {}
    for stage_id in store.ids():
        status = store.status(stage_id)
        if status is None or status.state != 'done' or 'wall_seconds' not in status.result:
            continue
        size = sum(p.stat().st_size for p in store.path(stage_id).rglob('*') if p.is_file()) / 2**20
        if status.title not in found or found[status.title][0] < status.updated:
            found[status.title] = status.updated, (status.result['wall_seconds'], size)
    return {title: cost for title, (_, cost) in found.items()}


# --- cleaning -------------------------------------------------------------------------------------


def unused(store: Store, keep: Iterable[str], records: Path) -> list[str]:
    """Ids in the store that neither ``keep`` nor any record refers to and nobody runs."""
    wanted = set(keep)
    for _, record in load_records(records) if Path(records).is_dir() else []:
        wanted.update(ref.id for ref in record.stages)
    return [i for i in store.ids() if i not in wanted and not _is_locked(store, i)]


def _is_locked(store: Store, stage_id: str) -> bool:
    lock = store.try_lock(stage_id)
    if lock is None:
        return True
    lock.release()
    return False


def remove(store: Store, stage_id: str) -> bool:
    """Delete a stage's folder unless somebody runs it; returns whether it is gone."""
    lock = store.try_lock(stage_id)
    if lock is None:
        return False
    try:
        shutil.rmtree(store.path(stage_id), ignore_errors=True)
        return True
    finally:
        lock.release()
