"""LD against the micro-cases of its spec sheet (obtained by running the authors' functions)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from sfda_bench.adapt.losses import PseudoLabelLoss, build_losses
from sfda_bench.adapt.pseudo_label import read_thresholds
from sfda_bench.adapt.selection import select_labels
from sfda_bench.adapt.thresholds import ConfidenceHistogram
from sfda_bench.methods.ld.labels import (
    SortedThresholdWriter,
    UnionLabelWriter,
    every_nth_sorted,
    exceeding,
)
from sfda_bench.methods.ld.losses import DoubleSoftmaxEntropyLoss, MiddleClassLoss
from sfda_bench.methods.ld.views import ScaledSquare
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method
from sfda_bench.registry import MODELS
from tests.methods.helpers import plain, stage_of

PIXELS = [
    (0.60, 0.30, 0.10), (0.50, 0.42, 0.08), (0.85, 0.10, 0.05), (0.45, 0.30, 0.25),
    (0.79, 0.16, 0.05), (0.70, 0.28, 0.02), (0.55, 0.05, 0.40), (0.34, 0.33, 0.33),
]  # fmt: skip
THETA = (0.8, 0.4, 0.2)
CASE_B = (
    (0.95, 0.99, 0.90, 0.80, 0.85, 0.70, 0.97, 0.60, 0.55, 0.92, 0.40, 0.30),
    (0.98, 0.65, 0.62, 0.57, 0.52, 0.25, 0.10, 0.20, 0.35, 0.45, 0.15, 0.05),
)
LOGITS = [
    [[2, 0], [0, 1]], [[0, 1], [2, 0]], [[-1, 3], [1, -1]],
    [[0.5, -2], [-0.5, 0.25]], [[-0.5, 0.5], [-1, 0]], [[1, -1], [0.25, -0.25]],
]  # fmt: skip


def image(pixels=PIXELS, height: int = 2) -> torch.Tensor:
    """(C, h, w) probabilities of pixels in raster order."""
    return torch.tensor(pixels).T.reshape(len(pixels[0]), height, -1)


def test_selection_of_case_a():
    theta = torch.tensor(THETA)
    by_class, by_image = exceeding(image(), theta, 0.5)
    assert by_class.flatten().tolist() == [False, True, True, True, False, False, True, True]
    assert by_image.flatten().tolist() == [False, False, True, False, True, True, False, False]
    _, quarter = exceeding(image(), theta, 0.25)
    assert quarter.flatten().nonzero().flatten().tolist() == [2]
    # a rank of 0: all but the least in the code, none here
    _, legacy = exceeding(image(), theta, 0.1, legacy_zero_index=True)
    assert legacy.flatten().tolist() == [True] * 7 + [False]
    assert not exceeding(image(), theta, 0.1)[1].any()
    assert select_labels(image(), theta).flatten().tolist() == [255, 1, 0, 2, 255, 255, 2, 2]
    strict, _ = exceeding(image(), theta, 0.5, selection='argmax')
    assert strict.flatten().nonzero().flatten().tolist() == [2]


def test_labels_of_case_a(tmp_path):
    writer = SortedThresholdWriter(str(tmp_path / 'artifacts'), portion=0.5)
    writer.process(None, [{'sample_id': 'a', 'probabilities': image()}])
    writer.evaluate(1)
    labeller = UnionLabelWriter(
        str(tmp_path / 'artifacts'), str(tmp_path / 'artifacts/thresholds.json')
    )
    labeller.theta = torch.tensor(THETA)
    assert labeller.label(image(), 0).flatten().tolist() == [255, 0, 0, 0, 0, 0, 0, 0]


def test_saturated_probabilities_select_nothing():
    sure = torch.stack([torch.ones(2, 4), torch.zeros(2, 4)])
    clipped = torch.tensor([0.999999999, 0.999999999])
    for mask in exceeding(sure, clipped, 0.5):
        assert not mask.any()


def case_b(tmp_path, portion: float, legacy: bool) -> list[float]:
    folder = tmp_path / f'{portion}_{legacy}' / 'artifacts'
    writer = SortedThresholdWriter(str(folder), portion=portion, legacy_zero_index=legacy)
    for index, first in enumerate(CASE_B):
        p = torch.tensor([first, [1 - value for value in first]])[:, None]
        writer.process(None, [{'sample_id': str(index), 'probabilities': p}])
    writer.evaluate(2)
    reference = ConfidenceHistogram(2)
    for label, kept in enumerate(([0.55, 0.90, 0.52], [0.60, 0.55, 0.90])):
        # 1 - p of the test's own pixels, as the maps have it
        one = torch.tensor(kept if label == 0 else [1 - 0.40, 1 - 0.45, 1 - 0.10])
        reference.add(one, torch.full((len(one),), label))
    assert torch.equal(writer.histogram.counts, reference.counts)
    return read_thresholds(folder / 'thresholds.json')['theta']


def test_thresholds_of_case_b(tmp_path):
    for portion in (0.1, 0.2):
        assert case_b(tmp_path, portion, True) == pytest.approx([0.52, 0.55], abs=7e-5)
        assert case_b(tmp_path, portion, False) == pytest.approx([0.90, 0.90], abs=7e-5)
    for portion in (0.4, 0.5):
        for legacy in (True, False):
            assert case_b(tmp_path, portion, legacy) == pytest.approx([0.90, 0.90], abs=7e-5)


def test_every_fifth_from_the_least():
    generator = torch.Generator().manual_seed(0)
    confidence = torch.rand(999, generator=generator)
    labels = torch.randint(0, 4, (999,), generator=generator)
    values, classes, kept = every_nth_sorted(confidence, labels)
    values, classes = values[kept], classes[kept]
    for index in range(4):
        expected = confidence[labels == index].sort().values[::5]
        assert torch.equal(values[classes == index], expected)


def test_a_class_never_predicted_selects_nothing(tmp_path):
    writer = SortedThresholdWriter(str(tmp_path / 'artifacts'), portion=0.5)
    writer.process(None, [{'sample_id': 'a', 'probabilities': image()}])
    writer.evaluate(1)
    found = read_thresholds(tmp_path / 'artifacts/thresholds.json')
    assert found['theta'][1:] == [1.0, 1.0] and found['never_predicted'] == [1, 2]


def case_c() -> tuple[torch.Tensor, torch.Tensor]:
    logits = torch.tensor([LOGITS], dtype=torch.float32, requires_grad=True)
    return logits, torch.tensor([[[0, 1], [2, 255]]])


def test_losses_of_case_c():
    logits, labels = case_c()
    assert PseudoLabelLoss()(logits, labels).item() == pytest.approx(1.489569, abs=1e-5)
    for name, mean, by_pixel in (
        ('double_softmax', 1.588861, [1.623891, 1.386324, 1.611747, 1.733482]),
        ('shannon', 1.271889, [1.334184, 0.822994, 1.309849, 1.620529]),
    ):
        loss = DoubleSoftmaxEntropyLoss(entropy=name)
        assert loss(logits).item() == pytest.approx(mean, abs=1e-5)
        for index, expected in enumerate(by_pixel):
            one = torch.zeros(1, 2, 2)
            one.view(-1)[index] = 4.0
            assert loss(logits, weight=one).item() == pytest.approx(expected, abs=1e-5)
    negative = MiddleClassLoss()
    for rank, expected in ((1, 0.885564), (3, 0.111308), (6, 0.028282)):
        assert negative(logits, rank=rank).item() == pytest.approx(expected, abs=1e-5)
    nothing = torch.full_like(labels, 255)
    assert PseudoLabelLoss()(logits, nothing).item() == 0  # released: 0/0
    sure = torch.tensor([200.0, 0.0]).view(1, 2, 1, 1)
    assert negative(sure, rank=1).item() == pytest.approx(11.512925, abs=1e-5)


def test_gradient_of_case_c():
    logits, labels = case_c()
    terms = build_losses(stage_of('ld', 'train0')['adapter']['losses'])
    total = terms['label'](logits, labels) + terms['entropy'](logits)
    total = total + terms['negative'](logits, rank=3)
    assert total.item() == pytest.approx(3.189739, abs=1e-5)
    total.backward()
    expected = torch.tensor(
        [
            -0.217718, 0.022157, 0.032770, -0.041340, 0.030982, -0.276320, 0.122658, 0.000069,
            0.011969, 0.190022, -0.256286, 0.002125, 0.082576, 0.003079, 0.020495, -0.003186,
            0.019378, 0.052750, 0.012659, 0.040726, 0.072814, 0.008312, 0.067704, 0.001605,
        ]
    ).view(6, 4)  # fmt: skip
    found = logits.grad.flatten(2)[0].clone()
    if not torch.allclose(found[1, 3], expected[1, 3], atol=1e-5):
        found[[1, 4], 3] = found[[4, 1], 3]  # classes 1 and 4 tie at the fourth pixel
    assert torch.allclose(found, expected, atol=1e-5)


def test_entropy_gradients_of_case_c():
    expected = {
        'double_softmax': [-0.004940, -0.100784, -0.164172],
        'shannon': [-0.038434, -0.412666, -0.482325],
    }
    for name, values in expected.items():
        for top, value in zip((0.5, 2.0, 5.0), values, strict=True):
            logits = torch.zeros(1, 19, 1, 1)
            logits[0, 0] = top
            logits.requires_grad_(True)
            DoubleSoftmaxEntropyLoss(entropy=name)(logits).backward()
            assert logits.grad[0, 0].item() == pytest.approx(value, abs=1e-5)


def test_ranges_of_the_entropy_and_of_k():
    for classes, low, high in ((19, 2.0310, 2.9444), (16, 1.8746, 2.7726)):
        sure = torch.zeros(1, classes, 1, 1)
        sure[0, 0] = 100
        assert DoubleSoftmaxEntropyLoss()(sure).item() == pytest.approx(low, abs=1e-4)
        flat = DoubleSoftmaxEntropyLoss()(torch.zeros(1, classes, 1, 1))
        assert flat.item() == pytest.approx(high, abs=1e-4)
    negative = MiddleClassLoss()
    for classes, low, high in ((19, 6, 12), (16, 5, 11), (4, 1, 4)):
        drawn = {negative.draw(classes) for _ in range(300)}
        assert drawn == set(range(low, high + 1))


@pytest.mark.parametrize(
    ('name', 'values'),
    [
        ('train0', {0: 1e-4, 1: 9.998200e-5, 500: 9.095326e-5, 990: 8.198925e-5}),
        ('train1', {0: 7.071068e-5, 1: 7.069795e-5, 500: 6.431367e-5, 990: 5.797516e-5}),
    ],
)
def test_schedule_of_case_g(name, values):
    from mmengine.optim import PolyLR

    stage = next(s for s in Method('ld').stages('paper', 'gta5_to_cityscapes', {})
                 if s['name'] == name)  # fmt: skip
    assert stage['iters'] == 991
    wrapper = build_optim_wrapper(adapted(), stage['optim_wrapper'])
    (schedule,) = stage['param_scheduler']
    schedule = {'by_epoch': False, **{k: v for k, v in schedule.items() if k != 'type'}}
    scheduler = PolyLR(wrapper, **schedule)
    heads = []
    for step in range(991):
        if step in values:
            rates = sorted({round(g['lr'], 14) for g in wrapper.optimizer.param_groups})
            assert rates == pytest.approx([values[step], 10 * values[step]], rel=1e-6)
            heads.append(rates[-1])
        scheduler.step()
    assert len(heads) == len(values)


def test_the_head_and_the_input_of_cases_h_and_i():
    assert Method('ld').networks('paper') == ['deeplabv2_r101']
    config = catalog.load('networks', 'deeplabv2_r101')['model']
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        head = MODELS.build({**config['decode_head'], 'in_channels': 4})
        read = MODELS.build(config['data_preprocessor'])
    for conv, bias in zip(head.conv2d_list, (1.0, 10.0, 100.0, 1000.0), strict=True):
        torch.nn.init.zeros_(conv.weight)
        torch.nn.init.constant_(conv.bias, bias)
    assert torch.equal(head([torch.rand(1, 4, 3, 3)]), torch.full((1, 19, 3, 3), 1111.0))
    pixel = torch.tensor([30, 20, 10], dtype=torch.uint8).view(3, 1, 1)  # BGR, as loaded
    (found,) = read({'inputs': [pixel]}, training=False)['inputs']
    assert found.flatten().tolist() == pytest.approx([-74.00699, -96.66877, -112.67892], abs=1e-4)


@pytest.mark.parametrize(
    ('factor', 'zoom'), [(0.5, 0.586), (0.75, 0.586), (1, 0.703), (1.25, 0.879), (1.5, 1.055)]
)
def test_views_are_squares_of_one_size_and_unpadded(factor, zoom):
    ramp = np.tile(np.arange(2048) // 8, (1024, 1)).astype(np.uint8)
    results = {
        'img': np.stack([ramp] * 3, axis=-1), 'gt_seg_map': ramp, 'seg_fields': ['gt_seg_map']
    }  # fmt: skip
    results = ScaledSquare(720, [factor], 600).transform(results)
    assert results['img'].shape == (600, 600, 3) and results['img_shape'] == (600, 600)
    label = results['gt_seg_map'].astype(float)
    assert label.shape == (600, 600)
    # eight pixels of the file a grey level: 600 pixels of the view see 600 / zoom of the file
    seen = (label[0, -1] - label[0, 0]) * 8
    assert seen * zoom == pytest.approx(600, abs=10)
    assert np.abs(label - results['img'][..., 0]).max() <= 2


def adapted(**changes):
    config = {**stage_of('ld', 'train0')['adapter'], **changes}
    return plain(config.pop('type'), **config)


def test_what_is_trained_of_batch_norm():
    """Frozen by the network, but in the projections."""
    config = catalog.load('networks', 'deeplabv2_pocket')['model']
    config['backbone']['norm_cfg'] = {'type': 'BN', 'requires_grad': False}
    stage = stage_of('ld', 'train0')['adapter']
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        adapter = MODELS.build({**stage, 'segmentor': config})
    norms = {
        f'{name}.weight'
        for name, module in adapter.student.named_modules()
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
    }
    names = {n for n, p in adapter.student.named_parameters() if p.requires_grad}
    assert names & norms == {n for n in norms if 'downsample' in n} != set()


def test_labels_by_the_image_itself_leave_the_network_alone():
    images = torch.randn(2, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    predictor = plain('OwnStatisticsPredictor', at='input').eval()
    before = {
        name: value.clone()
        for name, value in predictor.state_dict().items()
        if not name.endswith('num_batches_tracked')
    }
    alone = [predictor.probabilities(one[None], (32, 64)) for one in images]
    together = predictor.probabilities(images, (32, 64))
    assert torch.allclose(torch.cat(alone), together, atol=1e-6)
    assert all(torch.equal(predictor.state_dict()[name], value) for name, value in before.items())
    running = plain('OwnStatisticsPredictor', at='input', label_bn='eval').eval()
    assert not torch.allclose(running.probabilities(images, (32, 64)), together, atol=1e-3)


def test_two_steps_are_the_same_with_the_same_seed():
    stage = stage_of('ld', 'train0')
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 19, (2, 32, 64), generator=generator)
    labels[:, ::3] = 255
    views = {'image': torch.randn(2, 3, 32, 64, generator=generator), 'image_label': labels}
    states = []
    for _ in range(2):
        adapter = adapted()
        wrapper = build_optim_wrapper(adapter, stage['optim_wrapper'])
        torch.manual_seed(3)
        for _ in range(2):
            adapter.train()
            losses = adapter.losses(views)
            wrapper.update_params(sum(v for k, v in losses.items() if k.startswith('loss')))
        states.append(adapter.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert set(losses) == {'loss_label', 'loss_entropy', 'loss_negative', 'labelled'}
