"""Write the leaderboard from committed records; ``--check`` fails if it is not up to date."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# Many small matrix products: a second BLAS thread gains little and loses much on a busy machine.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

from sfda_bench import interrupts

interrupts.begin()

from sfda_bench.cli.scripts import make_leaderboard

if __name__ == '__main__':
    sys.exit(make_leaderboard())
