"""Archive the entry behind a row, or verify such an archive offline; see --help."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sfda_bench import interrupts

interrupts.begin()

from sfda_bench.cli.scripts import capsule

if __name__ == '__main__':
    sys.exit(capsule())
