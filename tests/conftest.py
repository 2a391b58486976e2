"""Fixtures shared by all rooms."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from sfda_bench.plan import catalog
from sfda_bench.pocket.world import WorldSpec, ensure_pocket
from tests.harness import Bench

# A shell starts what it puts in the background deaf to Ctrl-C, nohup deaf to a closed terminal;
# tests of stopping need both heard.
for _signum, _usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_signum) == signal.SIG_IGN:
        signal.signal(_signum, _usual)

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


@pytest.fixture(autouse=True)
def _no_added_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test made known by a path is unknown to the next."""
    monkeypatch.setattr(catalog, '_added', {})


@pytest.fixture
def bench(pocket_root: Path, tmp_path: Path) -> Bench:
    """A small suite of one's own on the tiny pocket world."""
    return Bench(pocket_root, tmp_path)
