"""The gate as a stage: a checkpoint that does not score what its card says stops the run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sfda_bench.errors import BenchError
from sfda_bench.plan import catalog
from sfda_bench.plan.expand import Selection, make_plan
from sfda_bench.plan.selectors import parse_method
from sfda_bench.store.runs import sha256_file
from tests.harness import Bench

NETWORK = (catalog.CONFIG_ROOT / 'networks' / 'deeplabv2_pocket.py').read_text()


@pytest.fixture(scope='module')
def foreign(pocket_root, tmp_path_factory) -> tuple[Bench, Path]:
    """A pocket model trained here, handed on as a checkpoint from elsewhere with a card."""
    tmp_path = tmp_path_factory.mktemp('foreign')
    bench = Bench(pocket_root, tmp_path)
    text = Path(bench.suite).read_text().replace('iters=6, batch_size=2', 'iters=60, batch_size=4')
    Path(bench.suite).write_text(text)
    plan = bench.plan('oracle')
    bench.run(plan)
    entry = plan.entries[0]
    root = tmp_path / 'data'
    shutil.copytree(bench.data_root, root)
    (root / 'weights').mkdir()
    shutil.copy(bench.store.path(entry.stages[1]) / 'final.pth', root / 'weights/model.pth')
    bench.data_root = root
    record = next(bench.records.rglob('*.json'))
    return bench, record


def plan_with(bench: Bench, expected: float, *changes: tuple[str, str]):
    """A plan whose network loads the checkpoint and states a score for it."""
    sha = sha256_file(bench.data_root / 'weights/model.pth')
    start = NETWORK.index('    source=dict(')
    end = NETWORK.index('\n)\n', start)
    source = (
        f"    source=dict(checkpoint='weights/model.pth', sha256='{sha}', converter='mmseg', "
        f'expected=dict(gta5_to_cityscapes=dict(expected={expected}, tolerance=0.5))),'
    )
    text = NETWORK[:start] + source + NETWORK[end:]
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = bench.folder / 'foreign_net.py'
    path.write_text(text)
    suite = Path(bench.suite).read_text().replace("'deeplabv2_pocket'", repr(str(path)))
    suite = suite.replace('source=dict(iters=60, batch_size=4),', '')
    (bench.folder / 'foreign.py').write_text(suite)
    selection = Selection(['gta5_to_cityscapes'], None, [parse_method('tent[iters=2]')], None)
    return make_plan(str(bench.folder / 'foreign.py'), selection, bench.data_root, bench.store)


def oracle_miou(record: Path) -> float:
    from sfda_bench.store.record import Record

    return Record.model_validate_json(record.read_text()).scores.miou


def test_a_checkpoint_that_keeps_its_promise_passes(foreign):
    bench, record = foreign
    plan = plan_with(bench, oracle_miou(record))
    assert bench.run(plan).failures == []
    assert [s.kind for s in plan.stages.values()] == ['source', 'score', 'gate', 'adapt', 'score']


WRONG = {
    'channel order': [("'bgr'", "'rgb'"), ('bgr_to_rgb=False', 'bgr_to_rgb=True')],
    'branches': [('num_branches=4', 'num_branches=2')],
}


@pytest.mark.parametrize('cause', WRONG)
def test_a_wrong_convention_stops_the_run_and_is_named(foreign, cause):
    bench, record = foreign
    summary = bench.run(plan_with(bench, oracle_miou(record), *WRONG[cause]))
    states = {stage.kind: state for stage, state, _ in summary.failures}
    assert states['gate'] == 'failed' and states['adapt'] == 'skipped'
    reason = next(reason for stage, _, reason in summary.failures if stage.kind == 'gate')
    assert 'source-only' in reason and cause in reason


def test_a_network_that_contradicts_itself_is_refused_at_planning(foreign):
    bench, record = foreign
    with pytest.raises(BenchError, match='channel_order: declared bgr, model rgb'):
        plan_with(bench, oracle_miou(record), ('bgr_to_rgb=False', 'bgr_to_rgb=True'))
