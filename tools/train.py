"""Run the resolved config of one stage by itself: source training or adaptation.

example:
  python tools/train.py runs/<id>/config.py --work-dir work_dirs/again
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sfda_bench.suite.single import main

if __name__ == '__main__':
    sys.exit(main('train', __doc__))
