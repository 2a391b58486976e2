"""What every command's parser has: its own flags alone, an example, and a did-you-mean.

Everything here and in :mod:`sfda_bench.cli.parsers` is imported for ``--help`` and for completion,
so it imports nothing heavy; the code of a command is imported when it is called.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from sfda_bench.errors import UnknownNameError
from sfda_bench.paths import CONFIGS

Commands = argparse._SubParsersAction


class Parser(argparse.ArgumentParser):
    """A parser that answers for itself: what it does not know ends here, with what is near.

    Attributes:
        usage_code: Exit code for wrong usage.
    """

    usage_code = 2

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)

    def parse_known_args(self, args=None, namespace=None):
        """As of argparse, but of a sub-command's flags none is left to the parser above it."""
        found, unknown = self.parse_all(args, namespace)
        if unknown:
            self.error(
                f'unrecognized arguments: {" ".join(unknown)}\n  fix:      {self._near(unknown)}'
            )
        return found, unknown

    def parse_all(self, args=None, namespace=None):
        """What is known, and all that is not."""
        return super().parse_known_args(args, namespace)

    def _near(self, unknown: Sequence[str]) -> str:
        """The flags that misspelt ones may mean, or where those there are stand."""
        known = [name for name in self._option_string_actions if name.startswith('--')]
        flags = [word.partition('=')[0] for word in unknown if word.startswith('--')]
        near = [n for flag in flags for n in difflib.get_close_matches(flag, known, 1, 0.75)]
        return f'did you mean {" ".join(near)}?' if near else f'see {self.prog} --help'

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, Commands) and value not in action.choices:
            self.error(str(UnknownNameError('command', value, action.choices)))
        super()._check_value(action, value)

    def error(self, message: str) -> NoReturn:
        """End with the usage, the message and :attr:`usage_code`."""
        self.print_usage(sys.stderr)
        self.exit(self.usage_code, f'error: {message}\n')


@dataclass(frozen=True)
class Command:
    """A command, or a group of them.

    Attributes:
        name: What is typed.
        help: One line.
        run: ``module:function`` of :mod:`sfda_bench.cli`, called with the parsed arguments.
        fill: Adds its flags.
        examples: Arguments that are worth typing, each perhaps with a comment.
        description: More than ``help`` says.
        more: Lines below the examples.
        parts: The commands of a group.
        failure: Exit code for bad input.
        usage: Exit code for wrong usage.
        again: What continues it after Ctrl-C; ``{call}`` is what was typed.
    """

    name: str
    help: str
    run: str = ''
    fill: Callable[[Parser], None] = lambda parser: None
    examples: Sequence[str] = ()
    description: str = ''
    more: str = ''
    parts: tuple[Command, ...] = ()
    failure: int = 1
    usage: int = 2
    again: str = 'start it again'

    def add(self, commands: Commands) -> Parser:
        """Its parser among the commands of another one."""
        return self._filled(commands.add_parser(self.name, help=self.help, **self._texts()))

    def alone(self, program: str) -> Parser:
        """Its parser as that of a program of its own, such as the scripts in ``tools/``."""
        return self._filled(Parser(prog=program, **self._texts()))

    def _texts(self) -> dict[str, Any]:
        lines = [f'  %(prog)s {text}'.rstrip() for text in self.examples]
        head = ['example:' if len(lines) == 1 else 'examples:'] if lines else []
        capital = f'{self.help[:1].upper()}{self.help[1:]}.'
        return {
            'description': self.description or capital,
            'epilog': '\n'.join([*head, *lines, *(['', self.more] if self.more else [])]),
        }

    def _filled(self, parser: Parser) -> Parser:
        parser.usage_code = self.usage
        self.fill(parser)
        if self.run:
            parser.set_defaults(run=self.run, failure=self.failure, again=self.again)
        if self.parts:
            add_commands(parser, self.parts)
        return parser


def add_commands(parser: Parser, commands: Sequence[Command]) -> None:
    """Add sub-commands, listed one a line below the options."""
    choices = parser.add_subparsers(metavar='COMMAND', required=True, help=argparse.SUPPRESS)
    for command in commands:
        command.add(choices)
    width = max(len(command.name) for command in commands)
    lines = [f'  {command.name:{width}}  {command.help}' for command in commands]
    parser.epilog = '\n'.join(['commands:', *lines, '', parser.epilog or ''])
    flags = ' '.join(f'[{action.option_strings[-1]}]' for action in parser._get_optional_actions())
    parser.usage = f'%(prog)s {flags} COMMAND ...'


def completed(action: argparse.Action, kind: str) -> argparse.Action:
    """Let a shell complete the value of a flag with the names of ``kind``, a folder of configs."""

    def names(**_: Any) -> list[str]:
        found = (CONFIGS / kind).glob('*.py')
        return sorted(path.stem for path in found if not path.stem.startswith('_'))

    setattr(action, 'completer', names)  # noqa: B010  (argcomplete's way)
    return action


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks for completions; without argcomplete, with nothing."""
    try:
        import argcomplete
    except ImportError:
        if '_ARGCOMPLETE' in os.environ:  # the shell wants an answer, not a run
            sys.exit(1)
        return
    argcomplete.autocomplete(parser)
