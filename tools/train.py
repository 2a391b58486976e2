"""Run the resolved config of one training or adapting stage by itself; see ``--help``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sfda_bench import interrupts

interrupts.begin()

from sfda_bench.cli.scripts import train

if __name__ == '__main__':
    sys.exit(train())
