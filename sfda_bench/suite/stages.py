"""The words of a plan: a stage, an entry, a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sfda_bench.scoring.protocols import InferenceProtocol, ScoringProtocol
from sfda_bench.suite.method import Method
from sfda_bench.suite.record import EntryKey


@dataclass
class Stage:
    """One cached step of work.

    Attributes:
        id: Its identity.
        name: Name inside its method (``source``, ``adapt``, ``score``, ...).
        kind: ``source``, ``adapt``, ``train`` or ``score``.
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
        source_score: Id of the stage that scores the source model.
        curve: (iteration, id of the stage that scores its checkpoint), of the last adapt stage.
        skip: Why the entry cannot run; '' if it can.
    """

    key: EntryKey
    method: Method
    task: Mapping[str, Any]
    profile: str
    inference: InferenceProtocol
    scoring: ScoringProtocol
    stages: list[str] = field(default_factory=list)
    source_score: str = ''
    curve: list[tuple[int, str]] = field(default_factory=list)
    skip: str = ''

    @property
    def needs(self) -> list[str]:
        """Ids of all stages the record rests on."""
        return [*self.stages, self.source_score, *(i for _, i in self.curve)]


@dataclass
class Plan:
    """Entries and their stages; ``stages`` is in an order in which parents come first."""

    suite: str
    data_root: Path
    entries: list[Entry]
    stages: dict[str, Stage]

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
