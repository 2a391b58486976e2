"""Command lines of the board room; the scripts in tools/ call these."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sfda_bench.board.build import RESULTS, build, check, write
from sfda_bench.board.reported import REPORTED, lint, load_all
from sfda_bench.errors import BenchError


def leaderboard_parser() -> argparse.ArgumentParser:
    """Options of ``make_leaderboard``."""
    parser = argparse.ArgumentParser(
        prog='make_leaderboard', description='Write results/README.md and its pages from records.'
    )
    parser.add_argument('--records', type=Path, default=RESULTS / 'records', metavar='DIR')
    parser.add_argument('--out', type=Path, default=RESULTS, metavar='DIR')
    parser.add_argument(
        '--check', action='store_true', help='write nothing; exit 1 if a committed page differs'
    )
    parser.add_argument(
        '--lint', action='store_true', help='only check the reported numbers; exit 1 on a problem'
    )
    return parser


def lint_reported() -> None:
    """Raise if a reported number has a problem."""
    found = lint()
    if found:
        raise BenchError('\n'.join(found), 'typed rows with their origin', f'edit {REPORTED}')
    rows = sum(len(file.rows) for file in load_all().values())
    print(f'{rows} reported rows of {len(load_all())} methods are in order')


def make_leaderboard(argv: Sequence[str] | None = None) -> int:
    """Run ``make_leaderboard``; returns the exit status."""
    args = leaderboard_parser().parse_args(argv)
    try:
        if args.lint:
            lint_reported()
            return 0
        files = build(args.records)
        if args.check:
            check(files, args.out)
            print(f'{len(files)} pages are up to date')
        else:
            write(files, args.out)
            print(f'{args.out / "README.md"} ({len(files)} pages)')
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
