"""Archive the entry behind a row, or verify such an archive offline; see --help."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sfda_bench.board.cli import capsule_main

if __name__ == '__main__':
    sys.exit(capsule_main())
