"""SHOT-IM and SHOT: cases S1 to S4 of the compact sheet, the streamed centroids, what is frozen."""

import math

import numpy as np
import pytest
import torch
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmengine.structures import BaseDataElement
from mmseg.structures import SegDataSample
from PIL import Image
from torch.nn.functional import cross_entropy

from sfda_bench.errors import BenchError, DataError
from sfda_bench.methods.shot.adapter import nearest
from sfda_bench.methods.shot.centroids import Centroids, first_pass, second_pass, with_one
from sfda_bench.methods.shot.classifier import classifier_of, features_and_logits
from sfda_bench.methods.shot.losses import BatchDiversityLoss
from sfda_bench.methods.shot.writers import CentroidLabelWriter, CentroidWriter
from sfda_bench.plan import catalog
from sfda_bench.plan.configs import schedulers
from sfda_bench.plan.method import Method
from sfda_bench.registry import MODELS
from tests.methods.helpers import losses_of, plain

FEATURES = torch.tensor(
    [[0.9, -0.5], [1.3, -3], [2.1, 1.8], [-1.5, 0], [-1.6, -2.2], [0.8, 1.2]], dtype=torch.float64
).t()
WEIGHT = torch.tensor([[1, 0], [0, 1], [-1, -1]], dtype=torch.float64)
BIAS = torch.tensor([0, 0, 0.5], dtype=torch.float64)
LOGITS = (WEIGHT @ FEATURES + BIAS[:, None]).t().contiguous()
#: As an image of one row: (1, C, 1, P).
MAPS = LOGITS.t().reshape(1, 3, 1, 6)
FIRST = [
    (0.558266, 0.082794, 0.495972),
    (0.442552, 0.472092, 0.504864),
    (-0.282053, -0.502689, 0.430299),
]
SECOND = [
    (0.627060, -0.348367, 0.696733),
    (0.584932, 0.647891, 0.454907),
    (-0.334627, -0.545502, 0.397404),
]


def labelled(min_count: int = 0, pieces=((0, 6),)):
    """Centroids of both passes and the final labels, the pixels arriving in pieces."""
    features, p = with_one(FEATURES), LOGITS.t().softmax(dim=0)
    first, second = Centroids.empty(3, 3), Centroids.empty(3, 3)
    for a, b in pieces:
        first_pass(first, features[:, a:b], p[:, a:b])
    for a, b in pieces:
        second_pass(second, features[:, a:b], first, min_count)
    return first, second, second.nearest(features, min_count)


def test_case_s1_labels_and_centroids():
    assert LOGITS.argmax(dim=1).tolist() == [0, 2, 0, 2, 2, 1]
    first, second, labels = labelled()
    assert first.counts.tolist() == [2, 1, 3]
    assert first.nearest(with_one(FEATURES)).tolist() == [0, 2, 1, 2, 2, 1]
    assert np.allclose(first.means, FIRST, rtol=0, atol=1e-6)
    assert second.counts.tolist() == [1, 2, 3]
    assert np.allclose(second.means, SECOND, rtol=0, atol=1e-6)
    assert labels.tolist() == [0, 0, 1, 2, 2, 1]


def test_case_s1_classes_with_few_pixels_get_no_label():
    first, _, labels = labelled(min_count=1)
    assert first.nearest(with_one(FEATURES), 1).tolist()[-1] != 1
    assert labels.tolist() == [0, 2, 0, 2, 2, 0]
    with pytest.raises(BenchError, match='min_count'):
        first.require(3)


def test_pieces_give_what_the_whole_gives():
    whole, pieces = labelled(), labelled(pieces=((0, 1), (1, 4), (4, 6)))
    assert torch.allclose(whole[1].sums, pieces[1].sums, atol=1e-12)
    assert torch.equal(whole[2], pieces[2])


def test_a_class_that_is_never_predicted_is_never_assigned():
    features = with_one(torch.randn(4, 50, generator=torch.Generator().manual_seed(0)))
    p = torch.rand(3, 50, generator=torch.Generator().manual_seed(1))
    p[1] = 0.9 * p[0]
    first = Centroids.empty(3, 5)
    first_pass(first, features, p / p.sum(dim=0))
    assert first.counts[1] == 0 and first.mass[1] > 0
    assert 1 not in first.nearest(features).tolist()


def labelled_losses():
    """Of a round with labels."""
    init_default_scope('sfda_bench')
    return Method('shot').stages('pocket', 'gta5_to_cityscapes', {})[3]['adapter']['losses']


def test_case_s2_information_maximisation():
    init_default_scope('sfda_bench')
    built = {n: MODELS.build(c) for n, c in losses_of('shot_im').items()}
    logits = MAPS.clone().requires_grad_(True)
    entropy, diversity = built['entropy'](logits), built['diversity'](logits)
    assert float(entropy) == pytest.approx(0.597065587, abs=1e-8)
    assert float(diversity) == pytest.approx(-1.044407062, abs=1e-8)
    assert float(entropy + diversity) == pytest.approx(-0.447341475, abs=1e-8)
    (entropy + diversity).backward()
    expected = (-0.046513555, 0.013087754, 0.033425801)
    assert logits.grad[0, :, 0, 0].tolist() == pytest.approx(expected, abs=1e-8)


def test_the_offset_stands_inside_the_logarithm():
    entropy = MODELS.build({'type': 'OffsetEntropyLoss'})
    sure = torch.tensor([800.0, 0.0, 0.0], dtype=torch.float64).view(1, 3, 1, 1)
    assert float(entropy(sure)) == pytest.approx(-1e-5, abs=1e-9)
    assert float(entropy(0 * sure)) == pytest.approx(1.098582289, abs=1e-8)
    assert float(BatchDiversityLoss()(0 * sure)) == pytest.approx(-1.098582289, abs=1e-8)


def test_case_s3_with_labels():
    configs = labelled_losses()
    built = {name: MODELS.build(config) for name, config in configs.items()}
    *_, labels = labelled()
    assert float(cross_entropy(LOGITS, labels)) == pytest.approx(0.556645216, abs=1e-8)
    total = built['label'](MAPS, labels.view(1, 1, 6))
    assert float(total) == pytest.approx(0.3 * 0.556645216, abs=1e-8)
    total = total + built['entropy'](MAPS) + built['diversity'](MAPS)
    assert float(total) == pytest.approx(-0.280347910, abs=1e-8)


def rates(iterations: int, **kwargs) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=1e-3)
    (config,) = schedulers([dict(type='InversePowerLR', **kwargs)], iterations)
    schedule = PARAM_SCHEDULERS.build(config, default_args={'optimizer': optimizer})
    found = []
    for _ in range(iterations):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        schedule.step()
    return found


def test_case_s4_the_rate():
    found = rates(100)
    for t, expected in ((1, 9.310124446e-4), (50, 2.608474300e-4), (100, 1.655600261e-4)):
        assert found[t - 1] == pytest.approx(expected, abs=1e-12)


def test_the_rate_goes_on_from_round_to_round():
    parts = [rate for part in range(4) for rate in rates(25, part=part, parts=4)]
    assert parts == pytest.approx(rates(100), abs=1e-12)
    stages = Method('shot').stages('paper', 'gta5_to_cityscapes', {})
    trained = [stage['param_scheduler'][0] for stage in stages if stage['name'][:5] == 'train']
    assert [each['part'] for each in trained] == list(range(15))
    assert {each['parts'] for each in trained} == {15}


def segformer():
    network = catalog.load('networks', 'segformer_b0')['model']
    network['data_preprocessor']['size'] = None
    network['data_preprocessor']['size_divisor'] = 1
    return network


@pytest.mark.parametrize('network', ['deeplabv2_pocket', 'segformer_b0'])
def test_the_classifier_is_frozen_and_all_else_is_trained(network):
    if network == 'deeplabv2_pocket':
        adapter = plain('SHOT', losses=losses_of('shot_im'), dropout=False)
    else:
        init_default_scope('sfda_bench')
        config = dict(type='SHOT', segmentor=segformer(), losses=losses_of('shot_im'))
        adapter = MODELS.build(config)
    adapter.train()
    head = adapter.student.decode_head
    whole = network == 'deeplabv2_pocket'
    classifier = classifier_of(head)
    assert classifier is (head if whole else head.conv_seg) and not classifier.training
    before = {name: value.clone() for name, value in adapter.student.state_dict().items()}
    parameters = [p for p in adapter.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.1, weight_decay=0.1)
    sum(adapter.losses({'image': torch.randn(2, 3, 64, 64)}).values()).backward()
    optimizer.step()
    after = adapter.student.state_dict()
    same = {name for name in after if torch.equal(before[name], after[name])}
    prefix = 'decode_head.' if whole else 'decode_head.conv_seg.'
    frozen = {name for name in after if name.startswith(prefix)}
    trained = {name for name, _ in adapter.student.named_parameters()} - frozen
    assert frozen <= same and not trained & same


@pytest.mark.parametrize('network', ['deeplabv2_pocket', 'segformer_b0'])
def test_features_are_what_the_classifier_reads(network):
    if network == 'deeplabv2_pocket':
        student = plain('SHOT').eval().student
    else:
        init_default_scope('sfda_bench')
        student = MODELS.build(dict(type='SHOT', segmentor=segformer())).eval().student
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        features, logits = features_and_logits(student, images)
        plainly = student.decode_head(student.extract_feat(images))
        head = student.decode_head
        again = head([features]) if network == 'deeplabv2_pocket' else head.conv_seg(features)
    assert torch.equal(logits, plainly)
    assert torch.allclose(again, plainly, atol=1e-5)
    assert features.shape[-2:] == logits.shape[-2:]


def test_labels_are_compared_where_the_features_are():
    losses = labelled_losses()
    adapter = plain('SHOT', losses=losses, norm_mode='eval', dropout=False).train()
    images = torch.randn(2, 3, 32, 64)
    logits = adapter.logits(images)
    small = torch.randint(19, (2, *logits.shape[-2:]))
    large = nearest(small, (96, 192))
    found = adapter.losses({'image': images, 'image_label': nearest(large, (32, 64))})
    expected = 0.3 * cross_entropy(logits, small)
    assert float(found['loss_label']) == pytest.approx(float(expected), abs=1e-5)
    with pytest.raises(BenchError, match='labels'):
        adapter.losses({'image': images})


@pytest.mark.parametrize('size', [(65, 129), (24, 48), (45, 60), (33, 97)])
def test_enlarged_labels_are_found_again(size):
    small = torch.randint(19, (2, *size), generator=torch.Generator().manual_seed(0))
    large = nearest(small, (720, 960))
    assert torch.equal(nearest(large, size), small)
    assert torch.equal(nearest(large.flip(2), size), small.flip(2))


def test_the_three_passes_write_the_labels_of_the_sheet(tmp_path):
    """Six pixels as two images of three."""

    def samples() -> list[dict]:
        found = []
        for index in range(2):
            part = slice(3 * index, 3 * index + 3)
            sample = SegDataSample(metainfo={'sample_id': f'city/{index}', 'ori_shape': (2, 6)})
            p = LOGITS.t().softmax(dim=0)[:, None, part]
            sample.set_data({'features': FEATURES[:, None, part], 'probabilities': p})
            found.append(sample.to_dict())
        assert not isinstance(found[0], BaseDataElement)
        return found

    def run(writer) -> dict:
        writer.process(None, samples())
        return writer.evaluate(2)

    soft, hard, label = (str(tmp_path / name) for name in ('soft', 'hard', 'label'))
    run(CentroidWriter(soft))
    run(CentroidWriter(hard, centroids=f'{soft}/centroids.npz'))
    run(CentroidLabelWriter(f'{label}/artifacts', centroids=f'{hard}/centroids.npz'))
    assert np.allclose(Centroids.load(f'{hard}/centroids.npz').means, SECOND, rtol=0, atol=1e-6)
    for index, expected in ((0, [0, 0, 1]), (1, [2, 2, 1])):
        found = np.asarray(Image.open(f'{label}/artifacts/labels/city/{index}.png'))
        assert found.shape == (2, 6)
        assert found[0, ::2].tolist() == expected and (found[0] == found[1]).all()
    with pytest.raises(DataError):
        Centroids.load(f'{label}/none.npz')


def test_a_flat_prediction_has_a_finite_gradient():
    logits = torch.zeros(1, 19, 2, 2, requires_grad=True)
    BatchDiversityLoss()(logits).backward()
    assert math.isfinite(float(logits.grad.abs().sum()))
