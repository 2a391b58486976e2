"""Pack predictions for the Cityscapes or ACDC test server; see --help."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sfda_bench import interrupts

interrupts.begin()

from sfda_bench.cli.scripts import export_submission

if __name__ == '__main__':
    sys.exit(export_submission())
