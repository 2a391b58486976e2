"""Flags of ``sweep``."""

from __future__ import annotations

from pathlib import Path

from sfda_bench.cli.parsers.execution import add_execution
from sfda_bench.cli.parsers.suite import AGAIN, add_data_root, add_runs, add_suite
from sfda_bench.cli.parsing import Command, Parser, completed


def _sweep(parser: Parser) -> None:
    methods = parser.add_argument(
        'methods', nargs='+', metavar='METHOD', help="such as tent or 'tent[...]'"
    )
    completed(methods, 'methods')
    what = parser.add_argument_group('what to search')
    add_suite(what)
    for name in ('task', 'network'):
        flag = what.add_argument(f'--{name}', nargs='+', metavar='NAME', help=f'only these {name}s')
        completed(flag, f'{name}s')
    what.add_argument('--budget', type=int, default=8, metavar='N', help='trials (default 8)')
    what.add_argument(
        '--axes',
        nargs='+',
        metavar='AXIS',
        help="NAME, 'NAME=log(0.1, 10)', 'NAME=times(0.5, 1, 2)' or 'NAME=[0.9, 0.95]'",
    )
    what.add_argument(
        '--select',
        nargs='+',
        default=['bnm'],
        metavar='VALIDATOR',
        help='whose choices run on fresh seeds (default bnm)',
    )
    what.add_argument(
        '--seed', nargs='+', default=['1-3'], metavar='N', help='fresh seeds (default 1-3), or none'
    )
    where = parser.add_argument_group('where')
    add_data_root(where)
    add_runs(where)
    where.add_argument(
        '--out',
        type=Path,
        metavar='DIR',
        default=Path('results/sweeps'),
        help='pages and results (default: %(default)s)',
    )
    where.add_argument(
        '--records', type=Path, metavar='DIR', help='records of the trials (default: OUT/records)'
    )
    add_execution(parser)
    parser.add_argument('--dry-run', action='store_true', help='only print what would run')


SWEEP = Command(
    'sweep', 'choose settings without labels: equal numbers of trials a method', 'sweep:run',
    _sweep,
    examples=(
        'tent stvm --budget 8 --task gta5_to_cityscapes',
        "tent --axes 'lr=log(0.01, 100)' iters --select bnm infomax",
        "'stvm[reliability=conf]' --budget 4 --dry-run",
    ),
    description='The same number of trials of each method, chosen without labels.\nTrial 0 has the '
    'published settings, the others are drawn; a smaller budget is the start of a\nlarger one, so '
    'nothing is repeated. What was chosen runs again on fresh seeds, and so does trial 0.',
    again=AGAIN,
)  # fmt: skip
