"""Measure the claims of speed, each as a ratio in one run; see ``--help``."""

import argparse
import importlib.util
import os
import pkgutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault('OMP_NUM_THREADS', '1')

import sfda_bench
from sfda_bench.errors import BenchError


def main() -> int:
    """Offer every room's ``benchmark`` module as a sub-command."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for room in pkgutil.iter_modules(sfda_bench.__path__):
        name = f'sfda_bench.{room.name}.benchmark'
        if room.ispkg and importlib.util.find_spec(name):
            importlib.import_module(name).add_parser(commands)
    arguments = parser.parse_args()
    try:
        return arguments.run(arguments) or 0
    except BenchError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
