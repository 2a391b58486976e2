"""Command lines of the board room; the scripts in tools/ call these."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sfda_bench.board.build import RESULTS, build, check, write
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
    return parser


def make_leaderboard(argv: Sequence[str] | None = None) -> int:
    """Run ``make_leaderboard``; returns the exit status."""
    args = leaderboard_parser().parse_args(argv)
    try:
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
