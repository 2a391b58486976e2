#!/usr/bin/env python3
"""Render, check, cut and list the data sets of the benchmark; see --help."""

import sys

from sfda_bench.data.cli import main

if __name__ == '__main__':
    sys.exit(main())
