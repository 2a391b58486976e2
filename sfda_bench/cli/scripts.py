"""The scripts in ``tools/``: each is a part of ``sfda-bench`` under the name that users know."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from sfda_bench.cli import main as entry
from sfda_bench.cli.parsing import Command


@dataclass(frozen=True)
class Script:
    """One command as a program of its own.

    Attributes:
        name: The file ``tools/<name>.py``.
        command: What it runs.
    """

    name: str
    command: Command

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        """Run it; returns its exit code.

        Args:
            argv: Arguments; ``None`` = the command line's.
        """
        return entry.alone(self.command, argv, f'python tools/{self.name}.py')


make_leaderboard = Script('make_leaderboard', entry.BOARD)
check_regression = Script('check_regression', entry.REGRESSION)
prepare_data = Script('prepare_data', entry.DATA)
convert_checkpoint = Script('convert_checkpoint', entry.CHECKPOINT)
capsule = Script('capsule', entry.CAPSULE)
export_submission = Script('export_submission', entry.SUBMIT)
train = Script('train', entry.TRAIN)
score = Script('score', entry.SCORE)
benchmark = Script('benchmark', entry.BENCHMARK)


def run_suite(argv: Sequence[str] | None = None) -> int:
    """The commands of suites; without one it runs.

    Args:
        argv: Arguments; ``None`` = the command line's.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    return entry.main(words or ['run'], 'python tools/run_suite.py', entry.SUITE)
