"""Paper profiles of test-time and black-box methods on the tiny world (slow: large crops)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sfda_bench.suite import catalog
from sfda_bench.suite.method import Method
from tests.suite.conftest import Bench

METHODS = [
    name
    for name in catalog.names('methods')
    if Method(name).card.track in ('test-time', 'black-box')
]


@pytest.mark.slow
@pytest.mark.parametrize('name', METHODS)
def test_every_stage_of_the_paper_profile_runs(pocket_root: Path, tmp_path: Path, name: str):
    bench = Bench(pocket_root, tmp_path)
    suite = Path(bench.suite)
    suite.write_text(suite.read_text().replace("profile='pocket'", "profile='paper'"))
    stages = Method(name).stages('paper', 'cityscapes_to_acdc', {})
    changes = ','.join(f'{s["name"]}.iters=2' for s in stages if 'iters' in s)
    plan = bench.plan(f'{name}[{changes}]' if changes else name, tasks=['cityscapes_to_acdc'])
    summary = bench.run(plan, workers=1)
    assert summary.failures == [], bench.lines
    entry = plan.entries[0]
    record = json.loads((bench.records / 'tiny' / f'{entry.key.slug}.json').read_text())
    rounds = stages[-1].get('rounds', 1)
    assert record['scores']['images'] == 8 * rounds
    assert len(record['scores']['per_round']) == (rounds if rounds > 1 else 0)
