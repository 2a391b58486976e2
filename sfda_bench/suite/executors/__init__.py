"""Executors run the stages of a plan; they share one small interface.

``Executor.run(stages, store, report)`` runs stages in any order that respects their parents and
calls ``report(stage, state, reason)`` at each change. A third party adds one in a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from sfda_bench.suite.stages import Stage
from sfda_bench.suite.store import Store

Report = Callable[[Stage, str, str], None]


class Executor(Protocol):
    """Runs stages."""

    def run(self, stages: Sequence[Stage], store: Store, report: Report) -> None:
        """Run ``stages``; those that are done already are not among them."""
        ...
