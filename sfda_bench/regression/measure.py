"""Values that the regression check compares, taken from records."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sfda_bench.board.loading import Item, load_item, require_counts
from sfda_bench.plan.model import Entry, Plan
from sfda_bench.regression.provenance import Facts
from sfda_bench.store.runs import Store


@dataclass(frozen=True)
class Measured:
    """One finished entry.

    Attributes:
        item: Its record with its counts.
        speed: Images a second while adapting, against the reference of the same run (see
            :func:`throughput`); ``None`` where nothing was adapted or the reference is not known.
        facts: What is known of its stages, by id.
    """

    item: Item
    speed: float | None = None
    facts: Facts = field(default_factory=dict)

    @property
    def cell(self) -> str:
        """Name of the entry without its seed."""
        return cell_of(self.item.record.entry.slug)

    @property
    def seed(self) -> int:
        """The entry's seed."""
        return self.item.record.entry.seed

    @property
    def stages(self) -> list[tuple[str, str]]:
        """(name, id) of each stage the entry rests on."""
        return [(ref.name, ref.id) for ref in self.item.record.stages]

    @property
    def machine(self) -> dict[str, Any]:
        """Library versions and hardware."""
        return {'versions': self.item.record.versions, 'hardware': self.item.record.hardware}


@dataclass(frozen=True)
class Unfinished:
    """A planned entry without a result.

    Attributes:
        reason: Why.
        stages: (name, id) of each stage it would rest on.
        facts: What is known of them, by id.
    """

    slug: str
    seed: int
    reason: str
    stages: list[tuple[str, str]] = field(default_factory=list)
    facts: Facts = field(default_factory=dict)


def unfinished(entry: Entry, reason: str, plan: Plan, facts: Facts) -> Unfinished:
    """Note an entry that has no result."""
    stages = [(entry.name_of(plan.stages[i]), i) for i in entry.stages]
    return Unfinished(entry.key.slug, entry.key.seed, reason, stages, facts)


def cell_of(slug: str) -> str:
    """``task__network__method`` of an entry's slug."""
    return slug.rsplit('__s', 1)[0]


def measure(
    path: Path, entry: Entry | None, plan: Plan | None, store: Store, facts: Facts
) -> Measured:
    """Read one entry's record.

    Args:
        path: The record.
        entry: The planned entry; ``None`` if none has this name.
        plan: Its plan.
        store: Where its stages may lie.
        facts: What is known of the plan's stages.
    """
    item = load_item(path)
    require_counts(item)
    ids = {ref.id for ref in item.record.stages}
    known = {identity: facts[identity] for identity in ids if identity in facts}
    speed = None
    if entry is not None and plan is not None and set(entry.stages) <= ids:
        speed = throughput(entry, plan, store)
    return Measured(item, speed, known)


def throughput(entry: Entry, plan: Plan, store: Store) -> float | None:
    """Speed of the slowest adapting stage relative to a plain network in the same store.

    The plain network is the source model: while it was trained or, if it came from elsewhere,
    while it was scored. On a CPU, both speeds are those of the processes' own time, which a busy
    machine hardly changes; on a GPU, those of the clock.
    """
    trained = 'train_dataloader' in plan.stages[entry.stages[0]].config
    reference = entry.stages[0] if trained else entry.source_score
    known = [store.status(stage_id) for stage_id in [reference, *entry.stages[1:-1]]]
    results = [status.result for status in known if status is not None]
    if len(results) != len(known) or len(known) < 2:
        return None
    for name in ('images_per_cpu_second', 'images_per_second'):
        speeds = [float(result.get(name) or 0) for result in results]
        if all(speeds):
            return min(speeds[1:]) / speeds[0]
    return None
