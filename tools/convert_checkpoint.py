#!/usr/bin/env python3
"""Inspect foreign checkpoints and convert them to plain mmseg ones; see --help."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sfda_bench import interrupts

interrupts.begin()

from sfda_bench.cli.scripts import convert_checkpoint

if __name__ == '__main__':
    sys.exit(convert_checkpoint())
