"""The stages of one method of an entry while they are planned, and what a chain must hand on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sfda_bench.errors import BenchError
from sfda_bench.plan.composition import Link
from sfda_bench.plan.model import StageDraft
from sfda_bench.plan.references import files_of
from sfda_bench.store.filenames import FINAL_NAME


@dataclass(frozen=True)
class Start:
    """What every method on a task and network starts from.

    Attributes:
        source: Id of the source model's stage.
        scored: Id of the stage that scores it.
        gate: Id of the stage that checks a foreign checkpoint, ``None`` without one.
    """

    source: str
    scored: str
    gate: str | None


@dataclass
class Chain:
    """Stages of one method of an entry so far.

    Attributes:
        weights: Id of the stage whose checkpoint the next one starts from.
        named: Stage ids by name; ``source`` is the source model, or what stands for it.
        trained: (id, draft) of each stage that kept checkpoints, in order.
        stream: Draft of the stage whose predictions are scored instead of a checkpoint.
    """

    weights: str
    named: dict[str, str]
    trained: list[tuple[str, StageDraft]] = field(default_factory=list)
    stream: StageDraft | None = None

    def curve(self, every_stage: bool) -> list[tuple[str, str, int | None]]:
        """(stage name, stage id, iteration) of the checkpoints to score for a curve.

        Args:
            every_stage: Also those of earlier stages, and their last ones (``None``).
        """
        found: list[tuple[str, str, int | None]] = []
        last = self.trained[-1][0] if self.trained else ''
        for stage, draft in self.trained if every_stage else self.trained[-1:]:
            ends = [None] if draft.keep and stage != last else []
            found += [(draft.name, stage, iteration) for iteration in [*draft.keep, *ends]]
        return found

    def check(
        self, links: Sequence[Link], last: bool, parents: Iterable[Sequence[str]], profile: str
    ) -> None:
        """Refuse a method that hands on nothing, or does not take what it is handed.

        Args:
            links: The methods so far; these stages are the last one's.
            last: Whether no other method follows.
            parents: Ids of what each of these stages starts from or reads.
            profile: The suite's, for the message.

        Raises:
            BenchError: It does.
        """
        name, first = links[-1].method.name, self.named['source']
        if not last and self.weights == first:
            raise BenchError(
                f'{name} trains nothing, so it leaves no checkpoint to start from',
                'an init that ends with a checkpoint',
                'python tools/run_suite.py list methods',
            )
        if links[1:] and not any(first in found for found in parents):
            before = links[-2].method.name
            raise BenchError(
                f'no stage of {name} starts from the source model in profile {profile}, so nothing '
                f'would start from {before} either',
                'a method that starts from an adapted network',
                f"where a stage has the setting: --method '{name}[init={before},stage.init=last]'",
            )


def check_files(name: str, draft: StageDraft) -> None:
    """Refuse a stage that reads of the source model what another method's result does not have.

    Args:
        name: Of its method, which starts from another one.
        draft: The stage.

    Raises:
        BenchError: It does.
    """
    other = sorted(files_of(draft.config, 'source') - {FINAL_NAME})
    if other:
        raise BenchError(
            f'stage {draft.name} of {name} reads {", ".join(other)} of the source model, which '
            'no other method makes',
            f'a method that reads its weights alone ({FINAL_NAME})',
            f'start {name} from the source model: leave init out',
        )
