"""Run the resolved config of one score stage by itself: confusion counts of a checkpoint.

example:
  python tools/score.py runs/<id>/config.py my.pth
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sfda_bench.suite.single import main

if __name__ == '__main__':
    sys.exit(main('score', __doc__))
