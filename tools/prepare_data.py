"""Render, check, cut and list the data sets of the benchmark; see ``--help``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sfda_bench.data.cli import main

if __name__ == '__main__':
    sys.exit(main())
