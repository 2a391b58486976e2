"""Rounds of CBST as stages: what is shared, what is written, what a warning says (M9, M11)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sfda_bench.adapt.predictor import ProbabilityPredictor
from sfda_bench.adapt.pseudo_label import PseudoLabelWriter, ThresholdWriter, read_thresholds
from sfda_bench.data.cbst import class_balanced_score
from sfda_bench.data.layout import get_layout
from sfda_bench.errors import BenchError, DataError, UnknownNameError
from sfda_bench.methods.self_training.source_subset import BalancedScoreWriter, RandomSubset
from sfda_bench.plan.method import Method
from sfda_bench.scoring.confusion import confusion_counts, iou
from tests.harness import Bench
from tests.methods.helpers import plain


@pytest.fixture(scope='module')
def bench(pocket_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(pocket_root, tmp_path_factory.mktemp('cbst'))


def by_name(plan) -> dict[str, str]:
    return {plan.stages[i].name: i for i in plan.entries[0].stages}


def test_round_0_is_shared_by_id_with_crst(bench):
    plans = {m: by_name(bench.plan(m)) for m in ('cbst', 'crst_mrkld', 'crst_lrent')}
    cbst, mrkld, lrent = plans['cbst'], plans['crst_mrkld'], plans['crst_lrent']
    for name in ('threshold0', 'label0'):
        assert cbst[name] == mrkld[name]
    assert cbst['threshold0'] == lrent['threshold0'] and cbst['label0'] != lrent['label0']
    for name in ('train0', 'threshold1', 'label1'):
        assert len({plan[name] for plan in plans.values()}) == 3


def test_a_change_in_round_2_reruns_nothing_of_the_rounds_before(bench):
    first = by_name(bench.plan('cbst'))
    second = by_name(bench.plan('cbst[train2.iters=3]'))
    different = {name for name in first if first[name] != second[name]}
    assert different == {'train2', 'score'}
    portions = bench.plan('cbst[threshold2.portion=0.4]')
    assert {n for n in first if first[n] != by_name(portions)[n]} == {
        'threshold2', 'label2', 'train2', 'score'
    }  # fmt: skip


def test_self_training_has_one_threshold(bench):
    plan = bench.plan('self_training')
    for name, stage_id in by_name(plan).items():
        if name.startswith('threshold'):
            assert plan.stages[stage_id].config['test_evaluator']['policy'] == 'global'


def maps(name: str, logits: torch.Tensor) -> dict:
    return {'sample_id': name, 'probabilities': logits.softmax(dim=0)}


def test_writers_label_requested_portions_and_warn(tmp_path):
    torch.manual_seed(0)
    logits = [torch.randn(4, 30, 40) * 2 for _ in range(3)]
    for each in logits:
        each[3] -= 100  # never predicted
    folder = tmp_path / 'one' / 'artifacts'
    writer = ThresholdWriter(str(folder), portion=0.2)
    writer.process(None, [maps(f'i{k}', x) for k, x in enumerate(logits)])
    assert writer.evaluate(3) == {'images': 3, 'never_predicted': 1}
    found = read_thresholds(folder / 'thresholds.json')
    assert found['theta'][3] == 1.0 and found['never_predicted'] == [3]
    assert found['obtained_portion'][:3] == pytest.approx([0.2] * 3, abs=0.01)
    assert 'never predicted' in json.loads((tmp_path / 'one' / 'warnings.json').read_text())[0]
    second = tmp_path / 'two' / 'artifacts'
    labeller = PseudoLabelWriter(str(second), thresholds=str(folder / 'thresholds.json'))
    labeller.process(None, [maps(f'i{k}', x) for k, x in enumerate(logits)])
    labeller.process(None, [maps('flat', torch.zeros(4, 30, 40))])
    labeller.evaluate(4)
    stats = json.loads((second / 'stats.json').read_text())
    assert stats['kept'][3] == 0 and 0.1 < stats['labelled_portion'] < 0.25
    label = np.asarray(Image.open(second / 'labels' / 'i0.png'))
    assert label.dtype == np.uint8 and set(np.unique(label)) <= {0, 1, 2, 255}
    warnings = json.loads((tmp_path / 'two' / 'warnings.json').read_text())
    assert any('1 of 4 target images kept no' in text for text in warnings)


def test_unreadable_thresholds_are_named(tmp_path):
    with pytest.raises(DataError, match=r'cannot read thresholds from .*none\.json'):
        PseudoLabelWriter(str(tmp_path), thresholds=str(tmp_path / 'none.json'))


def test_the_predictor_averages_probabilities_of_both_flips():
    predictor = plain('ProbabilityPredictor', flip=True).eval()
    assert isinstance(predictor, ProbabilityPredictor)
    images = torch.randn(1, 3, 32, 64)
    both = predictor.probabilities(images, (32, 64))
    mirrored = predictor.probabilities(images.flip(dims=(3,)), (32, 64)).flip(dims=(3,))
    assert torch.allclose(both, mirrored, atol=1e-6)
    assert torch.allclose(both.sum(dim=1), torch.ones(1, 32, 64), atol=1e-5)


def test_m9_class_balanced_score_and_subset(tmp_path):
    confidence = np.array([[0.9, 0.8, 0.7, 0.6, 0.5]])
    assert class_balanced_score(np.array([[0, 0, 0, 1, 2]]), confidence) == pytest.approx(0.633333)
    writer = BalancedScoreWriter(str(tmp_path / 'artifacts'), portion=0.5)
    flat, sharp = torch.zeros(3, 4, 4), torch.zeros(3, 4, 4)
    sharp[0] = 9
    writer.process(None, [maps('flat', flat), maps('sharp', sharp)])
    writer.evaluate(2)
    assert (tmp_path / 'artifacts' / 'subset.txt').read_text() == 'sharp\n'


def test_m11_metric():
    truth, found = np.array([[0, 0, 1, 1, 255, 255]]), np.array([[0, 0, 1, 2, 2, 1]])
    counts = confusion_counts(found, truth, 3)
    assert list(iou(counts)) == pytest.approx([1, 0.5, 0])


def test_source_subsets_are_random_parts_and_nest_for_one_seed(pocket_root):
    config = {'type': 'GTA5Dataset', 'data_root': str(pocket_root / 'gta5'), 'pipeline': []}
    small, large = (RandomSubset(config, portion) for portion in (0.4, 0.7))
    assert len(small) == 2 and len(large) == 4
    assert small.indices == large.indices[:2]
    assert small[0]['sample_id'] == small.dataset[small.indices[0]]['sample_id']
    assert len(RandomSubset(config, 0.03)) == 1
    with pytest.raises(BenchError, match='portion 3'):
        RandomSubset(config, 3)


def test_a_profile_may_leave_out_late_rounds():
    names = [s['name'] for s in Method('cbst').stages('camvid', 'cityscapes_to_camvid', {})]
    assert names == ['threshold0', 'label0', 'train0']
    assert len(Method('crst_lrent').stages('pocket', 'gta5_to_cityscapes', {})) == 9


def test_published_values_of_the_paper_profile():
    for name in ('cbst', 'cbst_uda'):
        stages = {s['name']: s for s in Method(name).stages('paper', 'gta5_to_cityscapes', {})}
        portions = [stages[f'threshold{i}']['writer']['portion'] for i in range(3)]
        assert portions == pytest.approx([0.20, 0.25, 0.30])
        assert {stages[f'threshold{i}']['writer']['stride'] for i in range(3)} == {4}
        optimizer = stages['train1']['optim_wrapper']['optimizer']
        assert (optimizer['type'], optimizer['lr'], optimizer['weight_decay']) == (
            'SGD',
            5e-5,
            5e-4,
        )
        assert stages['label2']['adapter']['scale'] == 0.9 and stages['label2']['adapter']['flip']
        factors, crop = stages['train0']['augment']
        assert factors['factors'][0] == 0.5 and factors['factors'][-1] == pytest.approx(1.5)
        assert tuple(crop['crop_size']) == (512, 1024)
    # 599 + 505, 649 + 505, 699 + 505 images in batches of two, two epochs: 3 462 iterations
    assert [stages[f'train{i}']['iters'] for i in range(3)] == [1104, 1154, 1204]
    assert source_images(stages, 'gta5', 3) == [599, 649, 699]
    assert [source_of(stages, i)['subset']['seed'] for i in range(3)] == [3, 4, 5]
    assert source_of(stages, 0)['input_size'] is None  # 1914 x 1052, as they are
    assert round(2975 * stages['subset']['writer']['portion']) == 505


def source_of(stages, index):
    return stages[f'train{index}']['data']['pair']['source']


def source_images(stages, name, rounds):
    """How many images ``RandomSubset`` takes of the published number."""
    total = get_layout(name).counts['train']
    return [int(total * source_of(stages, i)['subset']['portion']) for i in range(rounds)]


def test_published_values_on_synthia():
    stages = {s['name']: s for s in Method('cbst_uda').stages('paper', 'synthia_to_cityscapes', {})}
    assert [n for n in stages if n.startswith('train')] == ['train0', 'train1', 'train2', 'train3']
    assert stages['threshold3']['writer']['portion'] == pytest.approx(0.35)
    assert source_images(stages, 'synthia', 4) == [188, 211, 235, 258]
    assert [source_of(stages, i)['subset']['seed'] for i in range(4)] == [0, 1, 2, 3]
    assert [stages[f'train{i}']['iters'] for i in range(4)] == [694, 716, 740, 764]
    scale, crop = source_of(stages, 1)['augment']
    assert (scale['factors'], tuple(crop['crop_size'])) == ([0.8, 0.9, 1.0, 1.1], (600, 900))
    scale, crop = stages['train1']['augment']
    assert scale['factors'] == pytest.approx([0.1 * k for k in range(6, 16)])
    assert crop['stats'] == 'stage://label1/artifacts/stats.json'


def test_two_epochs_of_acdc():
    def iters(name, task):
        stages = Method(name).stages('paper', task, {})
        return [s['iters'] for s in stages if s['name'].startswith('train')]

    assert iters('cbst', 'cityscapes_to_acdc') == [1600] * 3
    assert iters('crst_mrkld', 'cityscapes_to_acdc_fog') == [400] * 3
    # 3 % of 2975 source images beside 505 / 2975 of 1600 or 400
    assert iters('cbst_uda', 'cityscapes_to_acdc') == [362, 368, 376]
    assert iters('cbst_uda', 'cityscapes_to_acdc_night') == [158, 164, 172]


def test_no_spatial_prior_for_soft_labels():
    with pytest.raises(UnknownNameError, match='prior'):
        Method('crst_lrent_uda').stages('pocket', 'gta5_to_cityscapes', {'prior': 'prior.npy'})
    stages = Method('crst_mrkld_uda').stages('pocket', 'gta5_to_cityscapes', {'prior': 'p.npy'})
    assert [s['writer']['prior'] for s in stages if s['name'].startswith('label')] == ['p.npy'] * 3
