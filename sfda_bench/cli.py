"""The console command ``sfda-bench``; ``tools/run_suite.py`` calls the same functions."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from sfda_bench.errors import BenchError

REPOSITORY = Path(__file__).resolve().parents[1]
COMMANDS = {
    'run': 'plan, run what is missing, write records (the default)',
    'plan': 'print entries and stages, cached or to run, and what they will cost',
    'status': 'state of every entry',
    'collect': 'write the records of finished entries without running anything',
    'explain': 'explain ENTRY: its stages, ids, what each depends on, and what moved',
    'list': 'list [KIND]: tasks, networks, methods (ours and installed), suites there are',
    'new-method': 'new-method NAME --like tent [--outside DIR]: files of a method of your own',
    'clean': 'list stages that no entry of the suite and no record needs; --yes removes them',
}
TAKES_NAME = ('explain', 'list', 'new-method')
EPILOG = """
commands:
{commands}

examples:
  python tools/run_suite.py                                     the pocket suite
  python tools/run_suite.py --suite camvid --all --data-root DIR
  python tools/run_suite.py --task gta5_to_cityscapes --method tent --seed 0-2
  python tools/run_suite.py plan --method 'tent[lr=1e-4]'
  python tools/run_suite.py status --suite camvid --data-root DIR
  python tools/run_suite.py explain gta5_to_cityscapes__deeplabv2_pocket__tent__s0
  python tools/run_suite.py --suite paper --all --data-root DIR --executor slurm \\
      --slurm-partition gpu --slurm-gpus 1
  python tools/run_suite.py new-method mine --like tent
  python tools/run_suite.py new-method mine --like tent --outside ~/mine
  python tools/run_suite.py --method ~/mine/mine.py source_only
"""


def build_parser(program: str = 'sfda-bench') -> argparse.ArgumentParser:
    """The arguments of ``run_suite``."""
    lines = '\n'.join(f'  {name:<11} {text}' for name, text in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog=program,
        usage='%(prog)s [command] [options]',
        description='Run a suite: every entry is planned, its missing stages run, its record '
        'written. What is done already is never run twice.',
        epilog=EPILOG.format(commands=lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('command', nargs='?', default='run', help=argparse.SUPPRESS)
    parser.add_argument('entry', nargs='?', help=argparse.SUPPRESS)
    _add_selection(parser)
    _add_places(parser)
    _add_execution(parser)
    new = parser.add_argument_group('new-method')
    new.add_argument(
        '--like', default='tent', metavar='METHOD', help='start from it (default tent)'
    )
    new.add_argument('--outside', type=Path, metavar='DIR', help='write into DIR, not here')
    return parser


def _add_selection(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group('what to run')
    what.add_argument('--suite', default='pocket', help='pocket (default), camvid, paper, FILE.py')
    what.add_argument(
        '--all', action='store_true', help='every entry of the suite (the default when no selector)'
    )
    for name in ('task', 'network', 'method'):
        what.add_argument(
            f'--{name}', nargs='+', metavar='NAME', help=f'only these {name}s (globs allowed)'
        )
    what.add_argument('--seed', nargs='+', metavar='N', help='seeds, e.g. 0-2 (default: the suite)')


def _add_places(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group('where')
    where.add_argument(
        '--data-root',
        type=Path,
        default=_path('SFDA_DATA_ROOT'),
        help='folder of all data sets (or SFDA_DATA_ROOT; the pocket suite renders its own)',
    )
    where.add_argument('--runs', type=Path, default=_path('SFDA_RUNS') or Path('runs'))
    where.add_argument('--records', type=Path, default=Path('results/records'))


def _add_execution(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group('how')
    how.add_argument('--dry-run', action='store_true', help='the same as the command plan')
    how.add_argument('--workers', type=int, default=None, help='stages at a time (default: cores)')
    how.add_argument('--gpus-per-stage', type=int, default=1, metavar='N', help='GPUs a stage')
    how.add_argument('--loader-workers', type=int, default=0, help='loader workers of each stage')
    how.add_argument(
        '--force',
        nargs='*',
        metavar='STAGE',
        help="run again: the entries' own stages, or those named (source, adapt, score, all)",
    )
    how.add_argument(
        '--only-missing', action='store_true', help='leave entries that have a record, even stale'
    )
    how.add_argument(
        '--no-guard', action='store_true', help='do not seal stages; their records say `unguarded`'
    )
    how.add_argument('--yes', action='store_true', help='with clean: remove, do not only list')
    how.add_argument('--json', action='store_true', help='plain data on standard output')
    how.add_argument('--executor', default='local', help='local (default) or slurm')
    slurm = parser.add_argument_group('slurm')
    slurm.add_argument('--slurm-partition', metavar='NAME')
    slurm.add_argument('--slurm-account', metavar='NAME')
    slurm.add_argument('--slurm-qos', metavar='NAME')
    slurm.add_argument('--slurm-time', type=int, default=1440, metavar='MINUTES')
    slurm.add_argument('--slurm-gpus', type=int, default=0, metavar='N', help='GPUs a stage')
    slurm.add_argument('--slurm-cpus', type=int, default=2, metavar='N', help='cores a stage')
    slurm.add_argument('--slurm-mem', type=int, default=None, metavar='GB', help='memory a stage')
    slurm.add_argument(
        '--slurm-option', nargs='+', default=[], metavar='KEY=VALUE', help='further sbatch options'
    )


def _path(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


def main(argv: Sequence[str] | None = None, program: str = 'sfda-bench') -> int:
    """Run the command; returns the exit code: 0 fine, 1 failure or bad input, 130 interrupted."""
    arguments = build_parser(program).parse_args(argv)
    arguments.argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(arguments)
    except BenchError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        again = f'python tools/run_suite.py {shlex.join(arguments.argv)}'.strip()
        print(f'\ninterrupted; continue with: {again}', file=sys.stderr)
        return 130


def _dispatch(arguments: argparse.Namespace) -> int:
    from sfda_bench.errors import require_known
    from sfda_bench.suite import commands

    require_known('command', arguments.command, COMMANDS)
    if arguments.entry and arguments.command not in TAKES_NAME:
        raise BenchError(
            f'{arguments.command} {arguments.entry}',
            'selectors as flags: --task, --network, --method, --seed',
        )
    if arguments.all and (arguments.task or arguments.network or arguments.method):
        raise BenchError('--all together with --task, --network or --method', 'one of the two')
    name = 'plan' if arguments.dry_run else arguments.command
    return getattr(commands, {'list': 'members'}.get(name, name.replace('-', '_')))(arguments)


if __name__ == '__main__':
    sys.exit(main())
