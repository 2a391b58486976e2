"""Benchmark harness for source-free domain adaptive semantic segmentation.

Importing this package is cheap: what :mod:`sfda_bench.api` offers is imported when it is asked for,
torch and mmseg only by the rooms that need them.
"""

from typing import Any

__version__ = '0.1.0'
__all__ = ['Records', 'load_records', 'make_plan', 'run_plan']


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from sfda_bench import api

    return getattr(api, name)
