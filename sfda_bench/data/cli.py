"""The command line of ``tools/prepare_data.py``: one function a sub-command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sfda_bench.data.commands import (
    add_cbst_parser,
    add_fingerprint_parser,
    add_list_parser,
    add_subset_parser,
)
from sfda_bench.data.doctor.cli import add_doctor_parser
from sfda_bench.data.pocket.cli import add_pocket_parser
from sfda_bench.data.prior import add_prior_parser
from sfda_bench.errors import BenchError

_EPILOG = """examples:
  python tools/prepare_data.py pocket
      render the default pocket world into data/pocket (about half a minute on two cores)
  python tools/prepare_data.py pocket --out /tmp/big --size 1024x2048 --scale 10
      a larger one for GPU work
  python tools/prepare_data.py doctor --data-root data/pocket
      check what is there
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with all sub-commands."""
    parser = argparse.ArgumentParser(
        prog='prepare_data.py',
        description='Render, check, cut and list the data sets of the benchmark.',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    add_doctor_parser(commands)
    add_pocket_parser(commands)
    add_list_parser(commands)
    add_subset_parser(commands)
    add_fingerprint_parser(commands)
    add_cbst_parser(commands)
    add_prior_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sub-command; return the exit code (1 on errors found, 2 on wrong input)."""
    args = build_parser().parse_args(argv)
    try:
        return args.run(args)
    except BenchError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return 130
