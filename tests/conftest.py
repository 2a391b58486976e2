"""Fixtures shared by all rooms."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sfda_bench.data.pocket.world import WorldSpec, ensure_pocket

TINY_COUNTS = {
    'gta5/train': 6,
    'synthia/train': 6,
    'cityscapes/train': 6,
    'cityscapes/val': 3,
    **{f'acdc/train/{c}': 2 for c in ('fog', 'night', 'rain', 'snow')},
    **{f'acdc/val/{c}': 2 for c in ('fog', 'night', 'rain', 'snow')},
}
TINY = WorldSpec(size=(48, 96), seed=7, counts=TINY_COUNTS)


@pytest.fixture(scope='session')
def pocket_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete pocket world of tiny images (48x96), rendered once a session. Read only."""
    root = tmp_path_factory.mktemp('pocket')
    ensure_pocket(root, TINY, workers=1)
    return root


@pytest.fixture(scope='session')
def real_root() -> Path:
    """The folder of real data; tests that use it carry the marker ``data``."""
    root = Path(os.environ.get('SFDA_DATA_ROOT', Path(__file__).parents[2] / 'shared' / 'data'))
    if not root.is_dir():
        pytest.skip(f'no real data at {root}; set SFDA_DATA_ROOT')
    return root
