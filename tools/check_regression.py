"""Compare a suite's results with a committed baseline; see ``--help``."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

from sfda_bench import interrupts

interrupts.begin()

from sfda_bench.cli.scripts import check_regression

if __name__ == '__main__':
    sys.exit(check_regression())
