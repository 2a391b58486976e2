"""Write the leaderboard from committed records; ``--check`` fails if it is not up to date."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sfda_bench.board.cli import make_leaderboard

if __name__ == '__main__':
    sys.exit(make_leaderboard())
