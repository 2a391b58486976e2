"""The regression check: real tiny runs, and real records whose counts are then altered."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from sfda_bench.board.build import RESULTS
from sfda_bench.cli import regression as cli
from sfda_bench.cli.parsers.regression import REGRESSION
from sfda_bench.cli.scripts import check_regression as main
from sfda_bench.data.subset import cut_subset
from sfda_bench.plan import catalog
from sfda_bench.regression import baseline as files
from sfda_bench.regression import judge
from sfda_bench.regression.check import check
from sfda_bench.regression.limits import Limits
from sfda_bench.regression.provenance import differences
from sfda_bench.scoring.protocols import load_scoring
from sfda_bench.scoring.scores import score
from sfda_bench.scoring.statistics import Parts, miou
from sfda_bench.store.record import (
    EntryKey,
    Record,
    Scores,
    counts_digest,
    load_counts,
    save_record,
)
from tests.harness import Bench

PARSER = REGRESSION.alone('check_regression')

METHODS = ('source_only', 'bn_adapt[iters=2]', 'tent[iters=3,batch_size=2]')
TENT = 'gta5_to_cityscapes__deeplabv2_pocket__tent'
LIMITS = Limits()


# --- real records, altered ------------------------------------------------------------------------


class Archive:
    """Copies of committed records; altered ones are written over them."""

    def __init__(self, folder: Path, data_root: Path) -> None:
        self.folder, self.data_root = folder, data_root
        self.against = folder / 'baseline.yaml'
        self.records = folder / 'records'
        (self.records / 'pocket').mkdir(parents=True)
        for path in (RESULTS / 'records' / 'pocket').glob('gta5_*__deeplabv2_pocket__*__s0.*'):
            if path.stem.split('__')[2] in ('source_only', 'bn_adapt', 'tent', 'oracle'):
                shutil.copy(path, self.records / 'pocket')

    def path(self, method: str) -> Path:
        return self.records / 'pocket' / f'gta5_to_cityscapes__deeplabv2_pocket__{method}__s0.json'

    def call(self, *extra: str) -> int:
        return main([
            '--from-records', '--records', str(self.records), '--against', str(self.against),
            '--data-root', str(self.data_root), '--runs', str(self.folder / 'runs'), *extra,
        ])  # fmt: skip

    def alter(self, method: str, change=lambda counts: counts, seed: int = 0, **fields) -> float:
        """Rewrite a record with other counts or fields; returns its mIoU."""
        path = self.path(method)
        record = Record.model_validate_json(path.read_text()).model_copy(update=fields)
        counts, ids, conditions = load_counts(path.parent / record.counts_file)
        counts = change(counts.astype(np.int64)).astype(np.uint32)
        found = score(counts, conditions, load_scoring(record.scoring_protocol))
        record.entry.seed, record.counts_file = seed, f'{record.entry.slug[:-1]}{seed}.npz'
        record.counts_sha256 = counts_digest(counts, ids, conditions)
        record.scores = Scores(**found.record_fields())
        save_record(record, counts, ids, conditions, self.records)
        return found.miou


def worse(share: float):
    """Turns a share of the right pixels of every class and image into the next class."""

    def change(counts: np.ndarray) -> np.ndarray:
        out = counts.copy()
        for c in range(19):
            moved = (counts[:, c, c] * share).round().astype(np.int64)
            out[:, c, c] -= moved
            out[:, c, (c + 1) % 19] += moved
        return out

    return change


def better(share: float):
    """Turns a share of the wrong pixels of every class and image into right ones."""

    def change(counts: np.ndarray) -> np.ndarray:
        out = counts.copy()
        moved = (counts * share).round().astype(np.int64)
        out -= moved
        for c in range(19):
            out[:, c, c] += moved[:, c].sum(axis=1)
        return out

    return change


def forget(index: int):
    """Turns every prediction of a class into class 0."""

    def change(counts: np.ndarray) -> np.ndarray:
        out = counts.copy()
        out[:, :, 0] += out[:, :, index]
        out[:, :, index] = 0
        return out

    return change


@pytest.fixture
def archive(tmp_path, pocket_root) -> Archive:
    found = Archive(tmp_path, pocket_root)
    assert found.call('--update') == 0
    return found


def test_equal_records_raise_no_alarm(archive, capsys):
    assert archive.call() == 0
    assert '4 entries compared, no alarm' in capsys.readouterr().out


def test_a_large_drop_is_an_alarm_and_a_small_one_is_not(archive, capsys):
    before = archive.alter('tent')
    assert before - archive.alter('tent', worse(0.01)) < 1
    assert archive.call() == 0
    archive.alter('tent', worse(0.02))
    assert archive.call() == 0
    assert 'within noise' in capsys.readouterr().out
    archive.alter('tent', worse(0.2))
    assert archive.call() == 2
    out = capsys.readouterr().out
    assert f'ALARM: {TENT}__s0' in out and 'first difference: none' in out


def test_a_rise_is_an_alarm_too_until_it_is_accepted(archive, capsys):
    archive.alter('bn_adapt', better(0.2))
    assert archive.call() == 2
    assert archive.call('--update') == 0
    assert 'bn_adapt' in capsys.readouterr().out
    assert archive.call() == 0
    archive.alter('bn_adapt', worse(0.25))
    assert archive.call() == 2


def test_a_shift_that_all_entries_share_stands_out_in_their_mean(archive, capsys):
    for method in ('source_only', 'bn_adapt', 'tent', 'oracle'):
        archive.alter(method, worse(0.025))
    assert archive.call() == 2
    assert 'ALARM: mean of 4 entries\n' in capsys.readouterr().out


def test_a_lost_class_is_named(archive, capsys):
    before = archive.alter('tent')
    assert before - archive.alter('tent', forget(17)) < 2
    assert archive.call() == 2
    assert 'classes no longer recognised: motorcycle' in capsys.readouterr().out


def test_other_labels_are_not_compared(archive, capsys):
    def relabel(counts):
        return counts[:, [1, 0, *range(2, 19)]]

    archive.alter('tent', relabel)
    assert archive.call() == 2
    assert 'other labels: not comparable' in capsys.readouterr().out


def test_slow_drift_does_not_pass_by_small_updates(archive, capsys):
    for step in range(1, 8):
        archive.alter('tent', worse(0.03), created=f'2027-01-0{step}T00:00:00+00:00')
        code = archive.call()
        said = capsys.readouterr().out
        if code:
            break
        assert archive.call('--update') == 0
        assert 'within noise' in capsys.readouterr().out
    assert code == 2 and step > 2 and 'in steps within noise' in said
    assert archive.call('--update') == 0 and archive.call() == 0


def test_another_result_from_equal_stages_is_a_notice(archive, capsys):
    record = Record.model_validate_json(archive.path('tent').read_text())
    archive.alter('tent', worse(0.01), hardware={**record.hardware, 'cpu': 'another'})
    assert archive.call() == 0
    out = capsys.readouterr().out
    assert 'another result from equal stages' in out
    assert f'difference: hardware cpu: {record.hardware["cpu"]} -> another' in out


def test_memory_and_missing_and_new_entries(archive, capsys):
    record = Record.model_validate_json(archive.path('tent').read_text())
    cost = record.cost.model_copy(update={'peak_memory_mb': 2 * record.cost.peak_memory_mb})
    archive.alter('tent', cost=cost)
    archive.path('bn_adapt').unlink()
    assert archive.call('--method', 'tent') == 2
    out = capsys.readouterr().out
    assert 'peak memory' in out and 'bn_adapt' not in out
    assert archive.call() == 2
    assert 'in the baseline, but not in this run' in capsys.readouterr().out
    assert archive.call('--update') == 0
    assert 'removed' in capsys.readouterr().out
    shutil.copy(
        RESULTS / 'records/pocket' / archive.path('bn_adapt').name, archive.path('bn_adapt')
    )
    assert archive.call() == 0
    assert 'accept it with --update' in capsys.readouterr().out


def test_several_seeds_give_the_spread_that_one_seed_keeps(archive, capsys):
    scores = [archive.alter('tent', worse(0.01 * s), seed=s) for s in (0, 1, 2)]
    assert archive.call('--update') == 0
    cell = files.load(archive.against).sheet.cells[TENT]
    # each call alters what the one before it wrote, and seed 0 is altered twice
    assert cell.spread.seeds == 3
    assert cell.spread.std == pytest.approx(np.std(scores, ddof=1), abs=1e-3)
    archive.alter('tent', worse(0.02), seed=7)
    assert archive.call('--seed', '7', '--method', 'tent') == 0
    assert archive.call('--seed', '0', '--update') == 0
    cell = files.load(archive.against).sheet.cells[TENT]
    assert list(cell.seeds) == [0] and cell.spread.seeds == 3


def test_a_baseline_leaves_out_what_the_suite_does_not_run_unless_it_is_named(archive, capsys):
    for path in (RESULTS / 'records' / 'pocket').glob('gta5_*__advent__s0.*'):
        shutil.copy(path, archive.records / 'pocket')
    cells = []
    for extra in ((), ('--method', 'advent')):
        assert archive.call(*extra, '--update') == 0
        cells.append(set(files.load(archive.against).sheet.cells))
    assert cells[1] - cells[0] == {TENT.replace('tent', 'advent')}
    assert TENT in cells[0]


def test_a_baseline_leaves_out_what_a_network_does_not_run_by_default(archive):
    """The second network of the suite runs some of the default methods, on one task."""
    for method in ('tent', 'tent_episodic'):
        for path in (RESULTS / 'records' / 'pocket').glob(f'gta5_*__segformer_*__{method}__s0.*'):
            shutil.copy(path, archive.records / 'pocket')
    assert archive.call('--update') == 0
    cells = [name for name in files.load(archive.against).sheet.cells if 'segformer' in name]
    assert cells == [TENT.replace('deeplabv2', 'segformer')]


def test_a_baseline_whose_counts_were_exchanged_is_refused(archive, capsys):
    sheet = yaml.safe_load(archive.against.read_text())
    sheet['cells'][TENT]['seeds'][0]['miou'] += 1
    archive.against.write_text(yaml.safe_dump(sheet))
    assert archive.call() == 1
    assert 'do not fit' in capsys.readouterr().err


def test_wrong_usage_is_not_an_alarm(archive, tmp_path, capsys):
    with pytest.raises(SystemExit) as wrong:
        main(['--no-such-option'])
    assert wrong.value.code == 1
    assert archive.call('--against', str(tmp_path / 'none.yaml')) == 1
    assert 'run the same with --update' in capsys.readouterr().err
    assert archive.call('--suite', 'camvid') == 1
    with pytest.raises(SystemExit) as helped:
        main(['--help'])
    assert helped.value.code == 0


# --- real runs ------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def ran(pocket_root, tmp_path_factory) -> tuple[Bench, list[str]]:
    """A tiny suite, run and anchored through the command line."""
    bench = Bench(pocket_root, tmp_path_factory.mktemp('regression'))
    common = [
        '--suite', bench.suite, '--data-root', str(pocket_root), '--runs', str(bench.store.root),
        '--against', str(bench.folder / 'tiny.yaml'), '--task', 'gta5_to_cityscapes',
    ]  # fmt: skip
    assert main([*common, '--method', *METHODS, '--update']) == 0
    return bench, common


def test_a_second_run_is_cached_and_its_reports_are_written(ran, capsys, tmp_path):
    _, common = ran
    junit, summary = tmp_path / 'j.xml', tmp_path / 's.md'
    extra = ['--junit', str(junit), '--summary', str(summary)]
    assert main([*common, '--method', *METHODS, *extra]) == 0
    assert 'Nothing to run' in capsys.readouterr().out
    suite = ElementTree.parse(junit).getroot()[0]
    assert (suite.get('tests'), suite.get('failures')) == ('4', '0')
    assert summary.read_text().startswith('### tiny: 3 entries compared, no alarm')


def test_the_first_differing_field_is_named(ran, tmp_path):
    bench, common = ran
    changed = Path(bench.suite).read_text().replace('batch_size=2', 'batch_size=3')
    (tmp_path / 'tiny.py').write_text(changed)
    arguments = [*common, '--suite', str(tmp_path / 'tiny.py'), '--method', 'source_only']
    (found,), _ = cli._run(PARSER.parse_args(arguments))
    row = check(files.load(bench.folder / 'tiny.yaml'), [found], [], []).rows[0]
    assert row.differs == ['config source.train_dataloader.batch_size: 2 -> 3']


def test_a_failed_entry_is_an_alarm(ran, capsys, tmp_path):
    _, common = ran
    junit = tmp_path / 'j.xml'
    config = tmp_path / 'tent.py'
    text = (catalog.CONFIG_ROOT / 'methods/tent.py').read_text()
    config.write_text(text.replace('lr=1e-4', 'lr=1e25'))
    method = f'{config}[iters=3,batch_size=2]'
    assert main([*common, '--method', method, '--junit', str(junit)]) == 2
    out = capsys.readouterr().out
    assert 'no result: adapt diverged' in out
    assert 'first difference: config adapt.optim_wrapper.optimizer.lr: 0.0001 -> 1e+25' in out
    assert ElementTree.parse(junit).getroot().find('.//failure') is not None


def test_throughput_is_relative_to_the_source_model_of_the_same_run(ran):
    bench, _ = ran
    baseline = files.load(bench.folder / 'tiny.yaml')
    speeds = {c.method: a.speed for c in baseline.sheet.cells.values() for a in c.seeds.values()}
    assert speeds['source_only'] is None and speeds['tent'] > 0 and speeds['bn_adapt'] > 0


def test_a_labs_own_subset_is_checked_in_the_same_way(ran, pocket_root, tmp_path, capsys):
    bench, _ = ran
    root, suite, against = tmp_path / 'subset', tmp_path / 'lab.py', tmp_path / 'lab.yaml'
    wanted = {'gta5': ('train',), 'cityscapes': ('train', 'val')}
    cut_subset(pocket_root, wanted, root, images=3, size=(96, 48), workers=1)
    suite.write_text(Path(bench.suite).read_text().replace("name='tiny'", "name='lab'"))
    common = ['--suite', str(suite), '--data-root', str(root), '--runs', str(tmp_path / 'runs')]
    common += ['--task', 'gta5_to_cityscapes', '--method', 'source_only', 'bn_adapt[iters=2]']
    assert main([*common, '--against', str(against)]) == 1
    assert main([*common, '--against', str(against), '--update']) == 0
    assert main([*common, '--against', str(against)]) == 0
    assert 'lab: 2 entries compared, no alarm' in capsys.readouterr().out


# --- judgement ------------------------------------------------------------------------------------


def some_parts(quality: float, seed: int = 0, images: int = 40) -> Parts:
    rng = np.random.default_rng(seed)
    union = rng.integers(50, 400, (images, 19))
    share = np.clip(quality + rng.normal(0, 0.1, union.shape), 0, 1)
    return Parts((union * share).astype(int), union)


def test_both_magnitude_and_significance_are_needed():
    base, noise = some_parts(0.5), judge.Noise(0.5, 9)
    small = judge.change(some_parts(0.494), [base], noise)
    assert not small.alarms(LIMITS)
    certain = judge.change(some_parts(0.494), [base], judge.Noise(0.0, 9))
    assert certain.p < LIMITS.alpha and not certain.alarms(LIMITS)
    assert judge.change(some_parts(0.44), [base], noise).alarms(LIMITS)
    unsure = judge.change(some_parts(0.44), [base], judge.Noise(8.0, 9))
    assert abs(unsure.difference) > LIMITS.miou and not unsure.alarms(LIMITS)


def test_seeds_of_an_unchanged_entry_stay_below_the_error_rate():
    rng = np.random.default_rng(0)
    spread, alarms = 0.8, 0
    for _ in range(200):
        a, b = (some_parts(0.5 + rng.normal(0, spread / 100)) for _ in range(2))
        alarms += judge.change(a, [b], judge.Noise(spread, 9)).alarms(LIMITS)
    assert alarms <= 2


def test_more_anchors_make_a_sharper_test():
    now = some_parts(0.48)
    one = judge.change(now, [some_parts(0.5)], judge.Noise(0.8, 9))
    four = judge.change(now, [some_parts(0.5)] * 4, judge.Noise(0.8, 9))
    assert four.difference == pytest.approx(one.difference) and four.p < one.p


def test_a_measured_spread_is_drawn_towards_the_expected_one():
    assert judge.moderated(None, 0, LIMITS) == judge.Noise(LIMITS.spread, LIMITS.spread_df)
    low, high = judge.moderated(0.0, 3, LIMITS), judge.moderated(3.0, 3, LIMITS)
    assert 0 < low.std < LIMITS.spread < high.std < 3.0 and low.df == LIMITS.spread_df + 2
    many = judge.moderated(3.0, 1000, LIMITS)
    assert many.std == pytest.approx(3.0, abs=0.02)


def test_another_source_model_widens_the_tolerance():
    now, base, noise = some_parts(0.46), some_parts(0.5), judge.Noise(0.3, 9)
    assert judge.change(now, [base], noise).alarms(LIMITS)
    assert not judge.change(now, [base], noise, source_std=2.0).alarms(LIMITS)


def test_a_slow_entry_stands_out_of_the_runs_scatter():
    assert judge.slow([1.0, 0.9, 1.1, 1.05, 0.4, None], LIMITS) == [False] * 4 + [True, False]
    noisy = [1.0, 0.5, 2.0, 0.45, 1.8, 0.6]
    assert judge.slow(noisy, LIMITS) == [False] * 6
    assert judge.slow([0.4], LIMITS) == [True]


def test_memory_that_all_entries_gained_elsewhere_is_the_libraries():
    pairs = [(400.0, 600.0), (450.0, 680.0), (500.0, 750.0), (400.0, 1000.0), (None, 5.0)]
    assert judge.large(pairs, True, LIMITS) == [False, False, False, True, False]
    assert judge.large(pairs, False, LIMITS) == [True, True, True, True, False]
    assert judge.large([(50.0, 100.0)], False, LIMITS) == [False]


def test_a_class_that_few_lucky_images_had_is_not_lost():
    union = np.full((40, 2), 100)
    base = Parts(np.stack([np.full(40, 50), np.r_[np.full(3, 90), np.zeros(37)]], 1), union)
    now = Parts(np.stack([np.full(40, 50), np.zeros(40)], 1), union)
    assert judge.lost_classes(now, [base], ['road', 'train'], LIMITS) == []
    solid = Parts(np.full((40, 2), 50), union)
    assert judge.lost_classes(now, [solid], ['road', 'train'], LIMITS) == ['train']
    # not expected if one of the seeds never had it
    assert judge.lost_classes(now, [solid, now], ['road', 'train'], LIMITS) == []


def test_differences_are_ranked_config_code_data_libraries_hardware():
    old = {'a': {'config': {'lr': 1}, 'code': {'m': '1', 'n': '1'}, 'data': {'adapt': 'x'}}}
    new = {'b': {'config': {'lr': 2}, 'code': {'m': '2', 'n': '1'}, 'data': {'adapt': 'y'}}}
    machines = (
        {'versions': {'torch': '1'}, 'hardware': {'cpu': 'A'}},
        {'versions': {'torch': '2'}, 'hardware': {'cpu': 'B'}},
    )
    stages = [['adapt', 'a']], [('adapt', 'b')]
    assert differences(*stages, old, new, machines) == [
        'config adapt.lr: 1 -> 2', 'code m changed', 'data adapt: x -> y',
        'library torch: 1 -> 2', 'hardware cpu: A -> B',
    ]  # fmt: skip
    assert 'no more is known' in differences(*stages, {}, new, machines)[0]
    assert differences([['adapt', 'a']], [('adapt', 'a')], old, old, (machines[0],) * 2) == []


def test_the_check_needs_no_torch_to_compare():
    code = 'import sys, sfda_bench.cli.regression; sys.exit("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


def test_a_mean_of_scores_is_that_of_the_entries():
    changes = [
        judge.change(some_parts(q), [some_parts(0.5)], judge.Noise(0.5, 9)) for q in (0.4, 0.5)
    ]
    mean = judge.mean_change(changes, tasks=1)
    expected = (miou(some_parts(0.4)) - miou(some_parts(0.5))) / 2
    assert mean.difference == pytest.approx(expected) and math.isfinite(mean.p)


def test_selectors_choose_cells_as_they_choose_entries():
    key = EntryKey(
        suite='s', task='gta5_to_cityscapes', network='n', method='tent', params={'lr': 1}, seed=0
    )
    arguments = PARSER.parse_args(['--task', 'gta5*', '--method', 'tent', 'iapc'])
    assert cli._selected(key, arguments)
    arguments = PARSER.parse_args(['--method', 'tent[lr=2]'])
    assert not cli._selected(key, arguments)
