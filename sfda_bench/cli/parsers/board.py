"""Flags of the commands about boards: ``board``, ``capsule``, ``submit``."""

from __future__ import annotations

from pathlib import Path

from sfda_bench.cli.parsing import Command, Parser, completed
from sfda_bench.paths import RESULTS, WORK

#: Test servers that :mod:`sfda_bench.board.submission` knows.
SERVERS = ('acdc', 'cityscapes')


def _board(parser: Parser) -> None:
    parser.add_argument(
        '--records',
        type=Path,
        nargs='+',
        default=[RESULTS / 'records', RESULTS / 'community'],
        metavar='DIR',
        help='folders of records; of an entry in several, the last counts; in a folder called '
        '`community` lie those of others',
    )
    parser.add_argument(
        '--method',
        nargs='+',
        default=[],
        metavar='FILE.py',
        help='configs of methods outside the repository: their titles, cards and <name>.yaml',
    )
    parser.add_argument('--out', type=Path, default=RESULTS, metavar='DIR')
    parser.add_argument(
        '--allow-empty', action='store_true', help='accept folders of records that are not there'
    )
    parser.add_argument(
        '--check', action='store_true', help='write nothing; exit 1 if a committed page differs'
    )
    parser.add_argument(
        '--lint', action='store_true', help='only check the reported numbers; exit 1 on a problem'
    )
    parser.add_argument(
        '--validate',
        nargs='+',
        type=Path,
        metavar='RECORD',
        help='only examine records to be submitted, or folders of them, against those here',
    )
    gallery = parser.add_argument(
        '--gallery', metavar='SUITE', help='first choose and copy pictures of a rendered suite'
    )
    completed(gallery, 'suites')
    parser.add_argument(
        '--compare', nargs=2, type=Path, metavar='RECORD', help='only compare two records in detail'
    )
    explain = parser.add_argument(
        '--explain', metavar='METHOD', help='only list why reported and measured may differ'
    )
    completed(explain, 'methods')
    parser.add_argument('--runs', type=Path, default=WORK / 'runs', metavar='DIR')
    parser.add_argument('--data-root', type=Path, default=WORK / 'data' / 'pocket', metavar='DIR')


def _make(parser: Parser) -> None:
    parser.add_argument('record', type=Path, help='results/records/<suite>/<entry>.json')
    parser.add_argument('--out', type=Path, required=True, metavar='ZIP')
    parser.add_argument('--runs', type=Path, default=WORK / 'runs', metavar='DIR')


def _verify(parser: Parser) -> None:
    parser.add_argument('capsule', type=Path)
    parser.add_argument('--id', help='the id its maker told you')


def _submit(parser: Parser) -> None:
    parser.add_argument('--server', required=True, choices=SERVERS)
    parser.add_argument(
        '--predictions', type=Path, metavar='DIR', help='<sample id>.png, train ids'
    )
    parser.add_argument('--out', type=Path, required=True, metavar='ZIP')
    parser.add_argument('--split', default='test', choices=['test', 'val'])
    parser.add_argument('--check', action='store_true', help='only check the archive --out')


BOARD = Command(
    'board', 'write the leaderboards, results/README.md and its pages, from records',
    'board:leaderboard', _board,
    examples=(
        '', '--check', '--explain tent', '--records results/records own/records',
        '--validate results/community',
    ),
)  # fmt: skip
CAPSULE = Command(
    'capsule', 'archive the entry behind a row, or verify such an archive offline',
    examples=('verify entry.zip',),
    parts=(
        Command(
            'make', 'archive the entry of a record', 'board:make_capsule', _make,
            examples=('results/records/camvid/ENTRY.json --out entry.zip',),
        ),
        Command(
            'verify', 'recompute the row of a capsule, offline', 'board:verify_capsule', _verify,
            examples=('entry.zip',),
        ),
    ),
)  # fmt: skip
SUBMIT = Command(
    'submit', 'pack predictions for the Cityscapes or ACDC test server and check them',
    'board:submit', _submit,
    examples=(
        '--server acdc --predictions DIR --out acdc.zip',
        '--server acdc --check --out acdc.zip',
    ),
)  # fmt: skip
