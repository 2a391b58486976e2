"""Benchmark harness for source-free domain adaptive semantic segmentation.

Importing this package is cheap: torch and mmseg are imported only by the rooms that need them.
"""

__version__ = '0.1.0'
