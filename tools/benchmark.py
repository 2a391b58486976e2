"""Measure the claims of speed, each as a ratio in one run; see ``--help``."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault('OMP_NUM_THREADS', '1')

from sfda_bench import interrupts

interrupts.begin()

from sfda_bench.cli.scripts import benchmark

if __name__ == '__main__':
    sys.exit(benchmark())
