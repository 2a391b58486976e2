"""Flags of ``regression``."""

from __future__ import annotations

import os
from pathlib import Path

from sfda_bench.cli.parsers.suite import add_data_root, add_runs, add_selectors, add_suite
from sfda_bench.cli.parsing import Command, Parser


def _regression(parser: Parser) -> None:
    add_suite(parser)
    parser.add_argument(
        '--against', type=Path, metavar='FILE', help='default: results/baselines/<suite>.yaml'
    )
    add_selectors(parser)
    add_data_root(parser)
    add_runs(parser)
    parser.add_argument(
        '--records', type=Path, metavar='DIR', help='records of this run (default: RUNS/records)'
    )
    parser.add_argument('--jobs', type=int, metavar='N', help='stages at a time (default: cores)')
    parser.add_argument('--update', action='store_true', help='rewrite the baseline')
    parser.add_argument(
        '--from-records',
        action='store_true',
        help='run nothing: take the records as they stand (default: results/records)',
    )
    summary = os.environ.get('GITHUB_STEP_SUMMARY')
    parser.add_argument(
        '--summary', type=Path, default=summary, metavar='FILE.md', help='add the report to a file'
    )
    parser.add_argument('--junit', type=Path, metavar='FILE.xml', help='write a JUnit report')


REGRESSION = Command(
    'regression', 'run a suite and compare every entry with a baseline', 'regression:regression',
    _regression,
    examples=(
        '                               # the pocket suite, all of it',
        '--task gta5_to_cityscapes      # a third of it',
        '--update                       # accept what changed',
        '--seed 0-3 --update            # measure the spread over seeds, too',
        '--suite lab.py --data-root SUBSET --against lab.yaml',
    ),
    description='Run a suite (what is cached is not run again) and compare every entry with a '
    'baseline:\nmIoU, classes, throughput, memory.',
    more='exit code: 0 no alarm, 2 alarm, 1 wrong usage or failure',
    usage=1,
    again='the same command continues',
)  # fmt: skip
