"""Flags of the commands that plan, run and look at suites."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from sfda_bench.cli.parsers.execution import add_computing, add_execution
from sfda_bench.cli.parsing import Command, Parser, completed

#: Whose names a shell completes, and of what else ``list KIND`` tells.
KINDS = ('tasks', 'networks', 'methods', 'suites')
PARTS = ('losses', 'hooks')
AGAIN = 'continue with: {call}'


def add_selectors(group: argparse._ActionsContainer) -> None:
    """``--task``, ``--network``, ``--method``, ``--seed``."""
    chain = "; with settings, and a method to start from: 'cbst[iters=9,init=bn_adapt]'"
    for name in ('task', 'network', 'method'):
        told = f'only these {name}s (globs allowed)' + (chain if name == 'method' else '')
        flag = group.add_argument(f'--{name}', nargs='+', metavar='NAME', help=told)
        completed(flag, f'{name}s')
    group.add_argument(
        '--seed', nargs='+', metavar='N', help='seeds, e.g. 0-2 (default: the suite)'
    )


def add_suite(group: argparse._ActionsContainer) -> None:
    """``--suite``."""
    help_ = 'pocket (default), camvid, paper, FILE.py'
    completed(group.add_argument('--suite', default='pocket', help=help_), 'suites')


def _selection(parser: Parser) -> None:
    what = parser.add_argument_group('what')
    add_suite(what)
    what.add_argument(
        '--all',
        action='store_true',
        help='every method of the suite, also those that it leaves out by default',
    )
    add_selectors(what)
    add_computing(parser)


def add_data_root(group: argparse._ActionsContainer) -> None:
    """``--data-root``."""
    group.add_argument(
        '--data-root',
        type=Path,
        metavar='DIR',
        help='folder of all data sets (default: SFDA_DATA_ROOT; the pocket suite renders its own)',
    )


def add_runs(group: argparse._ActionsContainer) -> None:
    """``--runs``."""
    group.add_argument(
        '--runs',
        type=Path,
        metavar='DIR',
        default=Path(os.environ.get('SFDA_RUNS') or 'runs'),
        help='the store of stages (default: SFDA_RUNS, or runs)',
    )


def _places(parser: Parser) -> None:
    where = parser.add_argument_group('where')
    add_data_root(where)
    add_runs(where)
    where.add_argument(
        '--records',
        type=Path,
        metavar='DIR',
        default=Path('results/records'),
        help='the records (default: %(default)s)',
    )


def _json(parser: Parser) -> None:
    parser.add_argument('--json', action='store_true', help='plain data on standard output')


def _execution(parser: Parser) -> None:
    add_execution(parser)
    parser.add_argument(
        '--force',
        nargs='*',
        metavar='STAGE',
        help="run again: the entries' own stages, or those named (source, adapt, score, all)",
    )


def _looks(parser: Parser) -> None:
    """Flags of a command that reads a suite's plan and starts nothing."""
    _selection(parser)
    _places(parser)
    parser.set_defaults(loader_workers=0, only_missing=False)


def _run(parser: Parser) -> None:
    _selection(parser)
    _places(parser)
    _execution(parser)
    parser.add_argument(
        '--only-missing', action='store_true', help='leave entries that have a record, even stale'
    )
    parser.add_argument('--dry-run', action='store_true', help='the same as the command plan')
    _json(parser)


def _plan(parser: Parser) -> None:
    _run(parser)
    ahead = parser.add_argument_group('forecast')
    ahead.add_argument(
        '--device',
        metavar='NAME',
        help='memory and hours on it, e.g. rtx3090, a100-40gb',
    )
    ahead.add_argument(
        '--utilisation',
        type=float,
        default=0.3,
        metavar='SHARE',
        help="of the device's dense rate (default 0.3, an assumption)",
    )


def _with_json(parser: Parser) -> None:
    _looks(parser)
    _json(parser)


def _explain(parser: Parser) -> None:
    parser.add_argument(
        'entry', nargs='?', metavar='ENTRY', help='its name, as `plan --json` and records have it'
    )
    _with_json(parser)


def _clean(parser: Parser) -> None:
    _looks(parser)
    parser.add_argument('--yes', action='store_true', help='remove, do not only list')


def _list(parser: Parser) -> None:
    kinds = (*KINDS, *PARTS)
    kind = parser.add_argument('kind', nargs='?', metavar='KIND', help=f'one of {", ".join(kinds)}')
    setattr(kind, 'completer', lambda **_: kinds)  # noqa: B010
    _json(parser)


def _show(parser: Parser) -> None:
    told = "a method, perhaps with settings: 'iapc[iters=50]', 'cbst[init=bn_adapt]'"
    method = parser.add_argument('method', metavar='METHOD', help=told)
    completed(method, 'methods')
    for name, default in (('profile', 'paper'), ('against', None)):
        flag = parser.add_argument(
            f'--{name}',
            default=default,
            metavar='PROFILE',
            help=f'paper, pocket, camvid (default {default})'
            if default
            else 'mark what differs there',
        )
        setattr(flag, 'completer', lambda **_: ('paper', 'pocket', 'camvid'))  # noqa: B010
    task = parser.add_argument(
        '--task', default='gta5_to_cityscapes', metavar='TASK', help='default %(default)s'
    )
    completed(task, 'tasks')
    _json(parser)


def _reproduce(parser: Parser) -> None:
    parser.add_argument(
        'entry', nargs='?', metavar='ROW|METHOD', help='a reported row, e.g. cgnet:0, or a method'
    )
    parser.add_argument('--all', action='store_true', help='every row that can be judged')
    parser.add_argument('--list', action='store_true', help='show reported numbers, run nothing')
    parser.add_argument('--seed', nargs='+', metavar='N', help='seeds (default: 0-2)')
    _places(parser)
    _execution(parser)
    parser.add_argument('--dry-run', action='store_true', help='only print the plan')
    _json(parser)


def _new_method(parser: Parser) -> None:
    parser.add_argument('name', metavar='NAME', help='the new method, a Python name')
    like = parser.add_argument(
        '--like', default='tent', metavar='METHOD', help='start from it (default tent)'
    )
    completed(like, 'methods')
    parser.add_argument('--outside', type=Path, metavar='DIR', help='write into DIR, not here')


RUN = Command(
    'run', 'plan, run what is missing, write records', 'suite:run', _run,
    examples=(
        '--suite pocket',
        '--task gta5_to_cityscapes --method tent --seed 0-2',
        '--suite camvid --all --data-root DIR',
        "--method 'tent[lr=1e-4]' 'atp[teach.adapter.weight_negative=0.5]'",
        "--method bn_adapt 'cbst[init=bn_adapt[source_weight=0.5]]'",
        '--method ~/mine/mine.py source_only',
        '--suite paper --all --data-root DIR --executor slurm --slurm-partition gpu --slurm-gpus 1',
    ),
    description='Run a suite: every entry is planned, its missing stages run, its record '
    'written.\nWhat is done already is never run twice.',
    again=AGAIN,
)  # fmt: skip
COMMANDS = (
    RUN,
    Command(
        'plan', 'print entries and stages, cached or to run, and what they will cost',
        'suite:plan', _plan,
        examples=(
            "--task gta5_to_cityscapes --method 'tent[lr=1e-3,iters=20]'",
            '--method tent --device a100-40gb',
        ),
        description='Print entries and stages, cached or to run, and what they will cost.\n'
        'Takes the flags of run, so that a call can be looked at first; nothing starts.',
        again=AGAIN,
    ),
    Command(
        'status', 'print the state of every entry', 'questions:status', _with_json,
        examples=('--suite camvid --data-root DIR',), again=AGAIN,
    ),
    Command(
        'explain', 'explain an entry: its stages, ids, what each depends on, and what moved',
        'questions:explain', _explain,
        examples=(
            'tent --task gta5_to_cityscapes', 'gta5_to_cityscapes__deeplabv2_pocket__tent__s0',
        ),
        again=AGAIN,
    ),
    Command(
        'show', 'show the recipe of a method: every setting of its stages, on one screen',
        'show:show', _show,
        examples=(
            'iapc --profile paper --task synthia_to_cityscapes --against pocket',
            "'iapc[adapter.momentum=0.5]' --json",
        ),
        description='Show the recipe of a method: every stage with all its settings as a profile, '
        'a task and\nthe user leave them. Needs no data set.', again=AGAIN,
    ),
    Command(
        'list', 'list the tasks, networks, methods (ours and installed) and suites there are',
        'questions:members', _list, examples=('methods',), again=AGAIN,
    ),
    Command(
        'collect', 'write the records of finished entries without running anything',
        'questions:collect', _with_json, examples=('--suite pocket',), again=AGAIN,
    ),
    Command(
        'clean', 'list stages that no entry of the suite and no record needs; --yes removes them',
        'questions:clean', _clean, examples=('--suite pocket --yes',), again=AGAIN,
    ),
    Command(
        'reproduce', 'measure reported numbers, or list them', 'suite:reproduce', _reproduce,
        examples=('--list', 'cgnet:0 --data-root DIR'), again=AGAIN,
    ),
    Command(
        'new-method', 'write the files of a method of your own', 'suite:new_method', _new_method,
        examples=('mine --like tent', 'mine --like tent --outside ~/mine'), again=AGAIN,
    ),
)  # fmt: skip
