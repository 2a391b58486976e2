# PYTHON_ARGCOMPLETE_OK
"""The command ``sfda-bench``, of which the scripts in ``tools/`` are parts.

Exit codes: 0 fine, 1 failure or bad input, 2 wrong usage, 128 + the signal that stopped it (130 for
Ctrl-C); ``regression`` (1 for wrong usage, 2 for an alarm) and ``data`` (2 for bad input) have
codes of their own.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shlex
import sys
from collections.abc import Sequence

from sfda_bench import __version__, interrupts
from sfda_bench.cli import boundary
from sfda_bench.cli.parsers.benchmark import BENCHMARK
from sfda_bench.cli.parsers.board import BOARD, CAPSULE, SUBMIT
from sfda_bench.cli.parsers.checkpoint import CHECKPOINT
from sfda_bench.cli.parsers.data import DATA
from sfda_bench.cli.parsers.regression import REGRESSION
from sfda_bench.cli.parsers.stage import SCORE, TRAIN
from sfda_bench.cli.parsers.suite import COMMANDS as OF_A_SUITE
from sfda_bench.cli.parsers.suite import RUN
from sfda_bench.cli.parsers.sweep import SWEEP
from sfda_bench.cli.parsing import Command, Parser, add_commands, complete
from sfda_bench.environment import check_environment

#: Those that tools/run_suite.py has.
SUITE = (*OF_A_SUITE, SWEEP)
COMMANDS = (
    *SUITE, BOARD, REGRESSION, DATA, CHECKPOINT, CAPSULE, SUBMIT, TRAIN, SCORE, BENCHMARK,
)  # fmt: skip
#: Many small products: a second thread gains little and loses much on a busy machine.
ONE_THREAD = {
    'board': 'OPENBLAS_NUM_THREADS',
    'regression': 'OPENBLAS_NUM_THREADS',
    'benchmark': 'OMP_NUM_THREADS',
}
#: Modules of commands that import MMSegmentation, or plan stages that do.
NEED_STACK = ('suite', 'sweep', 'stage', 'checkpoint', 'regression', 'benchmark')
ABOUT = 'Run, compare and check methods of source-free domain adaptive semantic segmentation.'
EPILOG = """\
A flag in place of a command is one of run: %(prog)s --suite pocket
Flags of a command: %(prog)s COMMAND --help"""


def console(argv: Sequence[str] | None = None) -> int:
    """The console command ``sfda-bench``: :func:`main` in a process of its own."""
    interrupts.begin()
    words = list(sys.argv[1:] if argv is None else argv)
    if words:
        _limit_threads(words[0])
    return main(words)


def main(
    argv: Sequence[str] | None = None,
    program: str = 'sfda-bench',
    commands: Sequence[Command] = COMMANDS,
) -> int:
    """Parse the arguments and run the command that they name; returns its exit code.

    Args:
        argv: Arguments; ``None`` = the command line's. Flags in front are those of ``run``, or of
            a command of suites that follows them.
        program: What was typed to start it.
        commands: What it offers.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser(program, commands)
    complete(parser)
    if not words:
        parser.print_help()
        return 0
    arguments = parser.parse_args(_command_first(words, program, commands))
    return _run(arguments, f'{program} {shlex.join(words)}')


def _command_first(words: list[str], program: str, commands: Sequence[Command]) -> list[str]:
    """The arguments with the command in front, ``run`` if there is none."""
    if not words[0].startswith('-') or words[0] in ('-h', '--help', '--version'):
        return words
    _, left = RUN.alone(f'{program} {RUN.name}').parse_all(words)
    if not left or left[0] not in [command.name for command in commands]:
        return [RUN.name, *words]
    flags = list(words)
    for word in left:
        flags.remove(word)
    return [*left, *flags]


def build_parser(program: str = 'sfda-bench', commands: Sequence[Command] = COMMANDS) -> Parser:
    """The parser of all commands."""
    parser = Parser(prog=program, description=ABOUT, epilog=EPILOG)
    parser.add_argument('--version', action='version', version=f'sfda-bench {__version__}')
    add_commands(parser, commands)
    return parser


def alone(command: Command, argv: Sequence[str] | None = None, program: str | None = None) -> int:
    """One command as a program of its own; returns its exit code.

    Args:
        command: The command.
        argv: Arguments; ``None`` = the command line's.
        program: What was typed to start it; by default as part of ``sfda-bench``.
    """
    program = program or f'sfda-bench {command.name}'
    words = list(sys.argv[1:] if argv is None else argv)
    parser = command.alone(program)
    complete(parser)
    return _run(parser.parse_args(words), f'{program} {shlex.join(words)}'.strip())


def _run(arguments: argparse.Namespace, call: str) -> int:
    """Import the code of a command and run it."""
    arguments.call = call

    def run() -> int | None:
        module, _, name = arguments.run.partition(':')
        if module in NEED_STACK:
            check_environment()
        return getattr(importlib.import_module(f'sfda_bench.cli.{module}'), name)(arguments)

    return boundary.run(run, arguments.again.format(call=call), arguments.failure)


def _limit_threads(name: str) -> None:
    """Before NumPy is imported, in a process of our own."""
    if name in ONE_THREAD:
        os.environ.setdefault(ONE_THREAD[name], '1')


if __name__ == '__main__':
    sys.exit(console())
