"""Executors run the stages of a plan; they share one small interface.

A third party adds one in a file of its own: a module ``sfda_bench/run/executors/<name>.py`` or an
entry point of the group ``sfda_bench.executors``. Its function ``make(arguments, devices)`` returns
an :class:`Executor`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Any, Protocol

from sfda_bench.errors import require_known
from sfda_bench.plan.model import Stage
from sfda_bench.store.runs import Store

Report = Callable[[Stage, str, str], None]


class Executor(Protocol):
    """Runs stages."""

    def run(self, stages: Sequence[Stage], store: Store, report: Report) -> None:
        """Run ``stages`` in an order that respects their parents.

        Args:
            stages: Stages to run, parents first; parents that are not among them are done.
            store: Holds their configs and states.
            report: Called as ``report(stage, state, reason)`` at each change.
        """
        ...


def make_executor(name: str, arguments: Any, devices: Sequence[str]) -> Executor:
    """The executor of that name.

    Args:
        name: ``'local'``, ``'slurm'``, or one that was added.
        arguments: The parsed command line.
        devices: Slots of this machine.

    Raises:
        UnknownNameError: There is no such executor.
    """
    ours = {module.name for module in pkgutil.iter_modules(__path__)}
    added = {point.name: point for point in entry_points(group='sfda_bench.executors')}
    require_known('executor', name, ours | set(added))
    if name in added:
        return added[name].load()(arguments, devices)
    return importlib.import_module(f'{__name__}.{name}').make(arguments, devices)
