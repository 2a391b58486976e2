"""Dataclasses of a plan: ``StageDraft``, ``Stage``, ``Entry``, ``Plan``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sfda_bench.plan.method import Card, Method
from sfda_bench.scoring.protocols import InferenceProtocol, ScoringProtocol
from sfda_bench.store.filenames import FINAL_NAME
from sfda_bench.store.record import EntryKey


@dataclass(frozen=True)
class StageDraft:
    """A stage as its kind describes it: a value, before it has an id.

    Attributes:
        config: mmengine config. What other stages made stands in it as
            ``stage://<name>/<path>``; paths below its own folder are filled in later.
        name: Name inside its method.
        title: For people.
        data: Fingerprint of each data set it reads, by role.
        parent: Id of the stage whose checkpoint it starts from.
        weights: Which file of the parent it loads; ``None`` if it loads none.
        reads: Ids of further stages whose files the config refers to, by the name used there.
        code_files: Python files outside the package that it runs.
        keep: Iterations whose checkpoints it keeps, to be scored for a curve.
        flow: Order and rounds of a stream whose predictions are scored instead of a checkpoint.
    """

    config: dict[str, Any]
    name: str
    title: str
    data: dict[str, str] = field(default_factory=dict)
    parent: str | None = None
    weights: str | None = FINAL_NAME
    reads: dict[str, str] = field(default_factory=dict)
    code_files: Sequence[Path] = ()
    keep: list[int] = field(default_factory=list)
    flow: dict[str, Any] | None = None


@dataclass
class Stage:
    """One cached step of work.

    Attributes:
        id: Its identity.
        name: Name inside its method (``source``, ``adapt``, ``score``, ...).
        kind: Name of its kind, a module of :mod:`sfda_bench.plan.kinds`.
        title: For people, e.g. ``tent adapt gta5_to_cityscapes deeplabv2_pocket s0``.
        config: Resolved mmengine config.
        parents: Ids of the stages it starts from.
        data: Fingerprint of each data set it reads.
        code: Fingerprint of its code.
        modules: Hash of each module that counts into it.
    """

    id: str
    name: str
    kind: str
    title: str
    config: dict[str, Any]
    parents: list[str]
    data: dict[str, str]
    code: str
    modules: dict[str, str] = field(default_factory=dict)


@dataclass
class Entry:
    """One cell of the board with everything its record needs.

    Attributes:
        stages: Ids in order: source, the method's own, score.
        card: What holds for the whole: the method's own card, unless it starts from another one.
        source_score: Id of the stage that scores the source model.
        before: Ids of those ``stages`` that belong to the methods it starts from, each with its
            name here, such as ``bn_adapt.adapt``.
        curve: (stage, iteration, id of the stage that scores its checkpoint); the iteration of a
            stage's last checkpoint is ``None``.
        skip: Why the entry cannot run; '' if it can.
    """

    key: EntryKey
    method: Method
    card: Card
    task: Mapping[str, Any]
    profile: str
    inference: InferenceProtocol
    scoring: ScoringProtocol
    stages: list[str] = field(default_factory=list)
    source_score: str = ''
    before: dict[str, str] = field(default_factory=dict)
    curve: list[tuple[str, int | None, str]] = field(default_factory=list)
    skip: str = ''

    def name_of(self, stage: Stage) -> str:
        """What one of its stages is called here; the first is its source, wherever it is shared."""
        if stage.id == self.stages[0]:
            return 'source'
        return self.before.get(stage.id, stage.name)

    @property
    def measured(self) -> list[str]:
        """Ids of the stages whose counts the record is made of."""
        return [self.stages[-1], self.source_score, *(i for _, _, i in self.curve)]

    @property
    def needs(self) -> list[str]:
        """Ids of all stages the record rests on."""
        return [*self.stages, self.source_score, *(i for _, _, i in self.curve)]


@dataclass
class Plan:
    """Entries and their stages; ``stages`` is in an order in which parents come first.

    ``forced`` are ids of stages that run even if nothing unfinished needs them, ``left`` the
    methods of the suite that run only when they are named or everything is asked for.
    """

    suite: str
    data_root: Path
    entries: list[Entry]
    stages: dict[str, Stage]
    forced: set[str] = field(default_factory=set)
    left: list[str] = field(default_factory=list)

    def restrict(self) -> None:
        """Forget stages that no entry needs, directly or through parents (a gate, say)."""
        needed: set[str] = set()
        todo = [stage_id for entry in self.entries for stage_id in entry.needs]
        while todo:
            stage_id = todo.pop()
            if stage_id not in needed:
                needed.add(stage_id)
                todo.extend(self.stages[stage_id].parents)
        self.stages = {i: stage for i, stage in self.stages.items() if i in needed}
