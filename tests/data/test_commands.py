"""Subsets, fingerprints, the CBST rule, the overview and the benchmark."""

import json

import numpy as np
import pytest

from sfda_bench.benchmarks.decoding import measure
from sfda_bench.cli.benchmark import decoding_table
from sfda_bench.cli.scripts import prepare_data as main
from sfda_bench.data import cbst, fingerprint, markers, subset
from sfda_bench.data.doctor.examine import examine
from sfda_bench.data.layout import list_split
from sfda_bench.data.overview import overview, overview_text
from sfda_bench.data.tasks import load_task, splits_of, task_names
from sfda_bench.errors import BenchError, DataError, UnknownNameError


def test_fingerprint_follows_names_sizes_and_bytes(pocket_root, tmp_path):
    folder = tmp_path / 'leftImg8bit/train/city'
    folder.mkdir(parents=True)
    path = folder / 'a_leftImg8bit.png'
    path.write_bytes(b'12345')

    def mark(deep=False):
        return fingerprint.split_fingerprint('cityscapes', tmp_path, 'train', None, False, deep)

    quick, deep = mark(), mark(deep=True)
    assert len(quick) == 16 and quick != deep
    path.write_bytes(b'54321')
    assert mark() == quick and mark(deep=True) != deep
    path.write_bytes(b'123456')
    assert mark() != quick
    path.rename(folder / 'b_leftImg8bit.png')
    assert mark() not in (quick, deep)


def test_fingerprint_is_pinned():
    """Records of earlier runs carry these: a change of the rule must be deliberate."""
    assert fingerprint.manifest_fingerprint('/nowhere', []) == 'e3b0c44298fc1c14'


def test_equal_sizes_of_another_seed_are_told_by_the_marker(pocket_root, tmp_path):
    own = fingerprint.split_fingerprint('gta5', pocket_root / 'gta5', 'train')
    (tmp_path / 'gta5').symlink_to(pocket_root / 'gta5')
    linked = fingerprint.split_fingerprint('gta5', tmp_path / 'gta5', 'train')
    assert linked == own
    marker = json.loads((pocket_root / markers.POCKET).read_text())
    (tmp_path / markers.POCKET).write_text(json.dumps({**marker, 'seed': 99}))
    assert fingerprint.split_fingerprint('gta5', tmp_path / 'gta5', 'train') != own


def test_known_variants():
    name = fingerprint.variant_name
    assert '24 941' in name('gta5', 'train', 24941) and '24 966' in name('gta5', 'train', 24966)
    assert 'CBST' in name('cityscapes', 'train', 505)
    assert name('gta5', 'train', 12) == 'custom (12 images)'


def test_class_balanced_score_is_a_mean_over_predicted_classes():
    prediction = np.array([[0, 0, 0], [3, 255, 3]])
    confidence = np.array([[0.9, 0.9, 0.6], [0.2, 0.9, 0.4]])
    assert cbst.class_balanced_score(prediction, confidence) == pytest.approx((0.8 + 0.3) / 2)
    assert cbst.class_balanced_score(np.full((2, 2), 255), np.ones((2, 2))) == 0


def test_selection_keeps_the_best_and_breaks_ties_by_name():
    scores = {'d': 0.5, 'a': 0.5, 'c': 0.9, 'b': 0.5}
    assert cbst.select_by_score(scores, 2) == ['a', 'c']
    with pytest.raises(BenchError, match='505 of 4'):
        cbst.select_by_score(scores)


def test_cbst_list_feeds_a_sample_list(pocket_root, tmp_path, capsys):
    samples = list_split('cityscapes', pocket_root / 'cityscapes', 'train', labelled=False)
    for number, sample in enumerate(samples):
        confidence = np.full((2, 2), number / 10, np.float32)
        np.savez(
            tmp_path / sample.sample_id, label=np.zeros((2, 2), np.uint8), confidence=confidence
        )
    out = tmp_path / 'list.txt'
    args = ['cbst-list', '--predictions', str(tmp_path), '--images', '2', '--out', str(out)]
    assert main(args) == 0 and 'threshold 0.4' in capsys.readouterr().out
    assert out.read_text().split() == sorted(s.sample_id for s in samples[-2:])
    with pytest.raises(DataError, match=r'no \.npz'):
        cbst.scores_of_folder(tmp_path / 'none')


def test_balanced_order_covers_classes_first():
    counts = np.array([[90, 10, 0], [95, 5, 0], [99, 0, 1], [50, 50, 0]])
    assert set(subset.balanced_order(counts, 2)) == {2, 3}
    assert subset.balanced_order(counts, 9) == subset.balanced_order(counts, 4)


def test_subset_is_native_deterministic_and_clean(pocket_root, tmp_path):
    wanted = {'gta5': ('train',), 'synthia': ('train',), 'cityscapes': ('train', 'val'),
              'acdc': ('val',)}  # fmt: skip
    hashes = []
    for name in ('one', 'two'):
        counts = subset.cut_subset(pocket_root, wanted, tmp_path / name, 3, (64, 32), workers=1)
        assert counts == {'gta5/train': 3, 'synthia/train': 3, 'cityscapes/train': 3,
                          'cityscapes/val': 3, 'acdc/val': 3}  # fmt: skip
        files = sorted(p for p in (tmp_path / name).rglob('*.png'))
        hashes.append([(str(p.relative_to(tmp_path / name)), p.read_bytes()) for p in files])
    assert hashes[0] == hashes[1]
    kept = {p for p, _ in hashes[0]}
    assert kept < {str(p.relative_to(pocket_root)) for p in pocket_root.rglob('*.png')}
    names = {k: v for k, v in wanted.items() if k != 'acdc'}
    result = examine(tmp_path / 'one', names, workers=1)
    assert result.ok and all(s.variant.startswith('subset') for s in result.splits)
    with pytest.raises(BenchError, match='holds images of 64x32'):
        subset.cut_subset(pocket_root, wanted, tmp_path / 'one', 3, (32, 16))


def test_subset_refuses_a_folder_with_other_things(pocket_root, tmp_path):
    (tmp_path / 'thesis.tex').touch()
    with pytest.raises(BenchError, match='not a subset'):
        subset.cut_subset(pocket_root, {'gta5': ('train',)}, tmp_path, 1, (32, 16))


def test_subset_command(pocket_root, tmp_path, capsys):
    args = ['subset', '--task', 'gta5_to_cityscapes', '--images', '2', '--size', '32x16',
            '--workers', '1', '--out', str(tmp_path / 's')]  # fmt: skip
    assert main([*args, '--data-root', str(pocket_root)]) == 0
    assert 'cityscapes/val 2 images' in capsys.readouterr().out
    assert main([*args, '--data-root', str(tmp_path)]) == 2
    assert 'missing data: gta5, cityscapes' in capsys.readouterr().err


def test_overview(pocket_root, tmp_path):
    told = overview(pocket_root)
    states = {t['task']: t['state'] for t in told['tasks']}
    assert states['gta5_to_cityscapes'] == states['cityscapes_to_acdc'] == 'ready'
    assert 'camvid' in states['cityscapes_to_camvid']
    text = overview_text(None)
    assert 'none given' in text and 'from_games' in text
    assert 'pocket world' in overview_text(pocket_root)


def test_list_and_fingerprint_commands(pocket_root, capsys):
    assert main(['list', '--data-root', str(pocket_root), '--json']) == 0
    assert json.loads(capsys.readouterr().out)['data_root'] == str(pocket_root)
    assert main(['fingerprint', '--data-root', str(pocket_root), '--deep']) == 0
    assert 'acdc/val  pocket world' in capsys.readouterr().out


def test_tasks_name_their_splits():
    assert {'gta5_to_cityscapes', 'cityscapes_to_camvid'} <= set(task_names())
    assert splits_of(load_task('gta5_to_cityscapes')) == {
        'gta5': ('train',), 'cityscapes': ('train', 'val')}  # fmt: skip
    with pytest.raises(UnknownNameError, match='did you mean gta5_to_cityscapes'):
        load_task('gta_to_cityscapes')


def test_every_reader_is_measured(pocket_root):
    results = []
    for dataset in ('gta5', 'synthia', 'cityscapes', 'acdc'):
        samples = list_split(dataset, pocket_root / dataset, 'train')
        results.append(measure(dataset, pocket_root / dataset, samples, repeats=1))
    assert all(r.plain > 0 and r.reader > 0 for r in results)
    assert 'ratio' in decoding_table(results)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, -0.5])
def test_a_confidence_that_is_no_number_is_refused(tmp_path, value):
    confidence = np.ones((4, 4))
    confidence[1, 2] = value
    np.savez(tmp_path / 'a.npz', label=np.zeros((4, 4), int), confidence=confidence)
    with pytest.raises(DataError, match=r'a\.npz'):
        cbst.scores_of_folder(tmp_path)


@pytest.mark.parametrize('kind', ['cut', 'empty', 'text', 'sizes', 'objects'])
def test_a_damaged_prediction_is_named(tmp_path, kind):
    path = tmp_path / 'bad.npz'
    shape = (4, 5) if kind == 'sizes' else (4, 4)
    values = np.full((4, 4), 'x', dtype=object) if kind == 'objects' else np.ones(shape)
    np.savez(path, label=np.zeros((4, 4), int), confidence=values)
    whole = path.read_bytes()
    path.write_bytes({'cut': whole[:100], 'empty': b'', 'text': b'label'}.get(kind, whole))
    with pytest.raises(DataError, match=r'bad\.npz'):
        cbst.scores_of_folder(tmp_path)
