"""The suite end to end: real training, real checkpoints, real records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from sfda_bench.errors import BenchError, DataError, UnknownNameError
from sfda_bench.plan.kinds.adapt import kept_iterations
from sfda_bench.store.filenames import FINAL_NAME
from sfda_bench.store.record import load_counts, load_records

METHODS = ('source_only', 'bn_adapt[iters=2]', 'tent[iters=3,batch_size=2]', 'oracle')


def test_from_nothing_to_records_and_then_nothing_to_run(bench):
    plan = bench.plan(*METHODS)
    summary = bench.run(plan)
    assert summary.failures == [] and len(summary.written) == 4
    records = {record.entry.method: record for _, record in load_records(bench.records)}
    assert set(records) == {'source_only', 'bn_adapt', 'tent', 'oracle'}
    for record in records.values():
        path = bench.records / 'tiny' / record.counts_file
        counts, ids, _ = load_counts(path)
        assert counts.shape == (3, 19, 20) and len(set(ids)) == 3
        assert record.source.miou == records['source_only'].scores.miou
        assert record.scores.images == 3
    assert records['tent'].guard.verdict == 'sealed'
    assert records['bn_adapt'].guard.verdict == 'sealed'
    assert records['oracle'].guard.verdict == 'open'
    assert records['source_only'].guard.verdict == 'none'
    assert records['tent'].cost.wall_seconds > 0

    again = bench.run(bench.plan(*METHODS))
    assert again.ran == [] and again.written == [] and again.unchanged == 4


def test_equal_stages_are_merged(bench):
    plan = bench.plan('source_only', 'oracle', tasks=['gta5_to_cityscapes', 'cityscapes_to_acdc'])
    entries = {(e.key.task, e.key.method): e for e in plan.entries}
    oracle = entries['gta5_to_cityscapes', 'oracle'].stages[1]
    acdc_source = entries['cityscapes_to_acdc', 'source_only'].stages[0]
    assert oracle == acdc_source
    # gta5, cityscapes and acdc are trained once; two models are scored on two targets each.
    assert sorted(s.kind for s in plan.stages.values()) == ['score'] * 4 + ['train'] * 3


def test_a_seed_changes_the_method_and_not_the_source(bench):
    plan = bench.plan('tent', seeds=[0, 1])
    first, second = plan.entries
    assert first.stages[0] == second.stages[0] and first.source_score == second.source_score
    assert first.stages[1] != second.stages[1]


def test_a_diverged_stage_is_data_and_what_rests_on_it_is_skipped(bench):
    plan = bench.plan('tent[iters=4,batch_size=2,lr=1e25]')
    summary = bench.run(plan)
    adapt, score = plan.entries[0].stages[1:]
    states = {stage.id: state for stage, state, _ in summary.failures}
    assert states == {adapt: 'diverged', score: 'skipped'}
    assert 'at iteration' in bench.store.status(adapt).reason
    assert summary.incomplete and not summary.written
    again = bench.run(bench.plan('tent[iters=4,batch_size=2,lr=1e25]'))
    assert [stage.id for stage, _, _ in again.ran] == [adapt, score]


def test_a_killed_stage_continues_and_ends_with_the_same_bytes(bench, tmp_path, capfd):
    """Interrupted after its first checkpoint and resumed: bit-identical to the run in one go."""
    from sfda_bench.run.execute import prepare
    from sfda_bench.run.stage import run_stage

    plan = bench.plan('tent[iters=10,batch_size=2]')
    bench.run(bench.plan('source_only'))
    stage = plan.stages[plan.entries[0].stages[1]]
    prepare(stage, bench.store)
    config = bench.store.path(stage.id) / 'config.py'

    def variant(name: str, iters_before_stop: int | None) -> Path:
        from mmengine.config import Config

        folder = tmp_path / name
        cfg = Config.fromfile(str(config), import_custom_modules=False)
        cfg.work_dir = str(folder)
        cfg.custom_hooks = []
        if iters_before_stop:
            cfg.custom_hooks = [dict(type='StopHook', at=iters_before_stop)]
        folder.mkdir(exist_ok=True)
        cfg.dump(str(folder / 'config.py'))
        return folder / 'config.py'

    from mmengine.hooks import Hook

    from sfda_bench.registry import HOOKS

    @HOOKS.register_module(force=True)
    class StopHook(Hook):
        priority = 'LOWEST'

        def __init__(self, at: int) -> None:
            self.at = at

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter + 1 == self.at:
                raise KeyboardInterrupt

    run_stage(variant('whole', None), guard=False)
    with pytest.raises(KeyboardInterrupt):
        run_stage(variant('parts', 7), guard=False)
    assert (tmp_path / 'parts' / 'resume.pth').is_file()
    run_stage(variant('parts', None), guard=False)
    assert not (tmp_path / 'parts' / 'resume.pth').exists()
    whole = torch.load(tmp_path / 'whole' / FINAL_NAME)['state_dict']
    parts = torch.load(tmp_path / 'parts' / FINAL_NAME)['state_dict']
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    files = [(tmp_path / kind / FINAL_NAME).read_bytes() for kind in ('whole', 'parts')]
    assert files[0] == files[1]

    with pytest.raises(KeyboardInterrupt):
        run_stage(variant('damaged', 7), guard=False)
    saved = tmp_path / 'damaged' / 'resume.pth'
    content = bytearray(saved.read_bytes())
    for kind, bad in damages(content).items():
        saved.write_bytes(bad)
        run_stage(variant('damaged', None), guard=False)
        assert 'starting from the beginning' in capfd.readouterr().out, kind
        assert (tmp_path / 'damaged' / FINAL_NAME).read_bytes() == files[0], kind
        assert saved.with_suffix('.damaged').read_bytes() == bad, kind


def damages(content: bytearray) -> dict[str, bytes]:
    """What a full disk, a bad sector or a proxy makes of a checkpoint."""
    flipped = bytearray(content)
    flipped[len(flipped) // 2] ^= 1
    return {
        'a flipped bit': bytes(flipped),
        'cut': bytes(content[: len(content) // 2]),
        'empty': b'',
        'a page': b'<html>404</html>',
    }


def test_the_final_checkpoint_is_a_plain_mmseg_one(bench):
    from sfda_bench.plan import catalog
    from sfda_bench.registry import MODELS

    plan = bench.plan('tent[iters=2]')
    bench.run(plan)
    path = bench.store.path(plan.entries[0].stages[1]) / FINAL_NAME
    state = torch.load(path, weights_only=True)['state_dict']
    MODELS.build(catalog.load('networks', 'deeplabv2_pocket')['model']).load_state_dict(state)


def test_a_resolved_config_runs_by_itself(bench, tmp_path, capsys):
    from sfda_bench.cli import scripts

    plan = bench.plan('source_only')
    bench.run(plan)
    score = bench.store.path(plan.entries[0].stages[-1])
    arguments = [str(score / 'config.py'), '--work-dir', str(tmp_path / 'again')]
    assert scripts.score(arguments) == 0
    first, second = load_counts(score / 'counts.npz'), load_counts(tmp_path / 'again/counts.npz')
    assert (first[0] == second[0]).all() and first[1:] == second[1:]
    assert scripts.train(arguments) == 1
    assert 'tools/score.py' in capsys.readouterr().err


def test_missing_data_are_all_named_at_once(bench, tmp_path):
    bench.data_root = tmp_path / 'nothing'
    with pytest.raises(DataError) as caught:
        bench.plan('tent', tasks=['gta5_to_cityscapes', 'cityscapes_to_acdc'])
    for word in ('gta5', 'cityscapes', 'acdc', 'leftImg8bit', 'https://'):
        assert word in str(caught.value)


def test_a_protocol_the_network_cannot_be_scored_under_is_an_error(bench):
    text = Path(bench.suite).read_text().replace("inference='pocket'", "inference='dlv2_caffe'")
    Path(bench.suite).write_text(text.replace("name='tiny'", "name='tiny2'"))
    bench.suite = bench.suite.replace('tiny.py', 'tiny2.py')
    Path(bench.suite).write_text(text)
    with pytest.raises(BenchError, match='cannot be scored under'):
        bench.plan('source_only')


def test_unknown_names_get_a_hint(bench):
    with pytest.raises(UnknownNameError, match='did you mean tent'):
        bench.plan('tend')
    with pytest.raises(UnknownNameError, match='did you mean gta5_to_cityscapes'):
        bench.plan('tent', tasks=['gta_to_cityscapes'])


def test_the_command_line_from_plan_to_records(bench, capsys):
    from sfda_bench.cli.main import main

    common = ['--suite', bench.suite, '--data-root', str(bench.data_root), '--method']
    where = ['--runs', str(bench.store.root), '--records', str(bench.records)]
    task = ['--task', 'gta5_to_cityscapes']
    assert main([*common, 'source_only', *where, *task, '--dry-run', '--json']) == 0
    planned = json.loads(capsys.readouterr().out)
    assert [stage['state'] for stage in planned['stages']] == ['to run', 'to run']
    assert not bench.store.root.exists()
    assert main([*common, 'source_only', *where, *task]) == 0
    assert 'Ran 2 stages' in capsys.readouterr().out
    assert main([*common, 'source_only', *where, *task]) == 0
    assert 'Nothing to run' in capsys.readouterr().out
    assert main([*common, 'tend', *where]) == 1
    assert 'did you mean tent' in capsys.readouterr().err


def test_kept_checkpoints_are_scored_into_a_curve(bench):
    text = (
        Path(bench.suite)
        .read_text()
        .replace("profile='pocket'", "profile='pocket', curve_points=2")
    )
    Path(bench.suite).write_text(text)
    bench.run(bench.plan('tent[iters=6,batch_size=2]'))
    ((_, record),) = load_records(bench.records)
    assert [point.iteration for point in record.curve] == [0, 2, 4, 6]
    assert record.curve[0].miou == record.source.miou
    assert record.curve[-1].miou == record.scores.miou


def test_every_stage_of_a_method_may_have_its_part_of_a_curve(bench):
    """Rounds of labelling and training: the best of all that was kept is a bound."""
    text = Path(bench.suite).read_text()
    changed = "profile='pocket', curve_points=1, curve_stages='all'"
    Path(bench.suite).write_text(text.replace("profile='pocket'", changed))
    bench.run(bench.plan('atp_teach[iters=2]'))
    ((_, record),) = load_records(bench.records)
    points = [(point.stage, point.iteration) for point in record.curve]
    assert points == [('align', 1), ('align', 2), ('teach', 1), ('teach', 2)]
    assert record.curve[-1].miou == record.scores.miou
    others = record.curve[0].conventions
    assert set(others) > {'synthia16_avg@1', 'synthia13_masked16@1'}
    assert record.scoring_protocol not in others and all(0 <= v <= 100 for v in others.values())


@pytest.mark.parametrize(
    ('every', 'points', 'kept'),
    [(None, 2, [4, 8]), (3, 9, [3, 6, 9]), (1, 3, [3, 6, 9]), (20, 3, [3, 6, 9]), (5, 0, [])],
)
def test_kept_checkpoints_are_those_the_published_code_scores_thinned(every, points, kept):
    assert kept_iterations(12, points, every) == kept


def test_only_missing_leaves_what_has_a_record_and_force_runs_it_again(bench, capsys):
    from sfda_bench.cli.main import main

    common = ['--suite', bench.suite, '--data-root', str(bench.data_root), '--json']
    common += ['--runs', str(bench.store.root), '--records', str(bench.records)]
    common += ['--task', 'gta5_to_cityscapes', '--method', 'bn_adapt[iters=2]', 'source_only']

    def call(*extra: str) -> dict:
        assert main([*extra, *common]) == 0
        return json.loads(capsys.readouterr().out)

    bench.run(bench.plan('source_only'))
    assert len(call('run', '--only-missing')['ran']) == 2
    assert call('run', '--only-missing')['ran'] == []
    forced = call('run', '--force', 'adapt')
    assert [item['title'].split()[:2] for item in forced['ran']] == [['bn_adapt[iters=2]', 'adapt']]
    assert {row['state'] for row in call('status')} == {'done'}
    facts = json.loads(_explained(main, capsys, common))
    assert facts['stages'][1]['parents'] == [facts['stages'][0]['id']]
    assert 'sfda_bench.methods.bn_adapt.adapter' in facts['stages'][1]['modules']


def _explained(main, capsys, common) -> str:
    slug = next(p.stem for p in _records(common) if 'bn_adapt' in p.stem)
    assert main(['explain', slug, *common]) == 0
    return capsys.readouterr().out


def _records(common) -> list[Path]:
    return sorted(Path(common[common.index('--records') + 1]).rglob('*.json'))


def test_a_deleted_source_runs_again_only_for_what_is_unfinished(bench, capsys):
    """Whole folder or weights alone; the plan says so; --force still means it."""
    import shutil

    from sfda_bench.cli.main import main

    common = ['--suite', bench.suite, '--data-root', str(bench.data_root), '--json']
    common += ['--runs', str(bench.store.root), '--records', str(bench.records)]
    common += ['--task', 'gta5_to_cityscapes', '--method', 'source_only', 'bn_adapt[iters=2]']

    def call(command: str, *more: str) -> dict:
        assert main([command, *common, *more]) == 0
        return json.loads(capsys.readouterr().out)

    assert len(call('run')['ran']) == 4
    plan = bench.plan('source_only', 'bn_adapt[iters=2]')
    source = bench.store.path(plan.entries[0].stages[0])
    (source / 'final.pth').unlink()
    states = {stage['id']: stage['state'] for stage in call('plan')['stages']}
    assert states.pop(source.name) == 'not needed' and set(states.values()) == {'cached'}
    # The facts of the source are still known, so even lost records are written without it.
    shutil.rmtree(bench.records)
    again = call('run')
    assert again['ran'] == [] and len(again['written']) == 2
    # Without its folder, the records that stand are enough ...
    shutil.rmtree(source)
    again = call('run')
    assert again['ran'] == [] and again['unchanged'] == 2 and again['incomplete'] == []
    # ... but an unfinished child is not, nor a record that is not there.
    more = call('run', '--method', 'bn_adapt[iters=3]')
    assert [item['title'].split()[0] for item in more['ran']] == [
        'train', 'bn_adapt[iters=3]', 'score',
    ]  # fmt: skip
    shutil.rmtree(source)
    shutil.rmtree(bench.records)
    assert [item['id'] for item in call('run')['ran']] == [source.name]
    assert [item['id'] for item in call('run', '--force', 'source')['ran']] == [source.name]
