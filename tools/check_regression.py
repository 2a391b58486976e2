"""Compare a suite's results with a committed baseline; see ``--help``."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

from sfda_bench.board.regression.cli import main

if __name__ == '__main__':
    sys.exit(main())
