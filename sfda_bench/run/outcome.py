"""How a stage ended: its state and reason, from the error that ended it, in whichever process."""

from __future__ import annotations

from sfda_bench.errors import BenchError
from sfda_bench.run.reasons import reason_of
from sfda_bench.store.runs import State

_STATES: tuple[State, ...] = ('failed', 'diverged', 'interrupted')


class ToldError(BenchError):
    """A stage failed in another process, which told how.

    Args:
        state: State of the stage that follows, as far as it is one.
        reason: What the process said.
    """

    def __init__(self, state: str, reason: str) -> None:
        self.state: State = next((known for known in _STATES if known == state), 'failed')
        self.reason = reason
        super().__init__(reason)

    def __str__(self) -> str:
        return self.reason

    def __reduce__(self) -> tuple:
        return type(self), (self.state, self.reason)


class SealedStageError(ToldError):
    """What happened inside the seal failed."""


class RankError(ToldError):
    """One of the processes that share a stage failed."""


def judge(error: BaseException) -> tuple[State, str]:
    """State and reason of a stage that ended with ``error``."""
    from sfda_bench.engine.watch import DivergedError

    if isinstance(error, ToldError):
        return error.state, error.reason
    if isinstance(error, DivergedError):
        return 'diverged', str(error)
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return 'interrupted', str(error) or type(error).__name__
    return 'failed', reason_of(error)
