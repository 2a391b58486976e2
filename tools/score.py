"""Run the resolved config of one score stage by itself; see ``--help``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sfda_bench import interrupts

interrupts.begin()

from sfda_bench.cli.scripts import score

if __name__ == '__main__':
    sys.exit(score())
