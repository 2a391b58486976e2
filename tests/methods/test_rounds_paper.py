"""The published recipes, two iterations a stage on the tiny world (slow: crops of 512 x 1024)."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sfda_bench.suite.method import Method
from tests.suite.conftest import Bench

METHODS = ('cbst', 'crst_lrent', 'cbst_uda', 'crst_mrkld_uda', 'intrada', 'intrada_uda')


@pytest.mark.slow
@pytest.mark.parametrize('name', METHODS)
def test_every_stage_of_the_paper_profile_runs(pocket_root: Path, tmp_path: Path, name: str):
    bench = Bench(pocket_root, tmp_path)
    suite = Path(bench.suite)
    suite.write_text(suite.read_text().replace("profile='pocket'", "profile='paper'"))
    stages = Method(name).stages('paper', 'gta5_to_cityscapes', {})
    changes = ','.join(f'{s["name"]}.iters=2' for s in stages if 'iters' in s)
    plan = bench.plan(f'{name}[{changes}]')
    summary = bench.run(plan, workers=1)
    assert summary.failures == [], bench.lines
    for stage_id in plan.entries[0].stages:
        loss = (bench.store.progress(stage_id) or {}).get('loss')
        assert loss is None or math.isfinite(loss)
