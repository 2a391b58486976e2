"""Render, check, cut and list the data sets of the benchmark; see ``--help``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sfda_bench import interrupts

interrupts.begin()

from sfda_bench.cli.scripts import prepare_data

if __name__ == '__main__':
    sys.exit(prepare_data())
