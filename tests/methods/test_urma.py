"""URMA against the micro-cases of its spec sheet (obtained by running the authors' functions)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from sfda_bench.adapt.losses import PseudoLabelLoss, build_losses
from sfda_bench.adapt.pseudo_label import ThresholdWriter, read_thresholds
from sfda_bench.adapt.selection import rare_classes, rarest, select_labels
from sfda_bench.adapt.thresholds import ConfidenceHistogram, exact_thresholds
from sfda_bench.errors import BenchError
from sfda_bench.methods.shot.losses import BatchDiversityLoss
from sfda_bench.methods.urma.losses import DecoderDisagreementLoss, NormalisedEntropyLoss
from sfda_bench.methods.urma.views import PADDING, MarkedCrop, RandomShortSide
from sfda_bench.methods.urma.writers import BatchThresholdWriter
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method
from sfda_bench.registry import MODELS
from sfda_bench.scoring.confusion import confusion_counts, intersection_union, ratio
from tests.methods.helpers import plain, stage_of

LOGITS = [[[2, 0], [0, 1]], [[0, 1], [2, 0]], [[-1, 3], [1, -1]]]
DECODERS = ([[[1, 0], [0, 2]], [[0, 0], [1, 0]], [[0, 2], [1, -1]]], torch.zeros(3, 2, 2).tolist())
LABELS = [[0, 1], [2, 255]]
CASE_B = [
    [0.95, 0.99, 0.90, 0.80, 0.85, 0.70, 0.97, 0.60, 0.55, 0.92],
    [0.70, 0.50, 0.60, 0.40, 0.65],
    [0.45, 0.30],
    [],
]
CASE_D = (
    (0.90, 0.80, 0.70, 0.60, 0.55, 0.20, 0.30),
    (0.99, 0.65, 0.62, 0.57, 0.52, 0.25, 0.10),
    (0.95, 0.85, 0.75, 0.58, 0.40, 0.35, 0.15),
)


@pytest.fixture
def case():
    logits = torch.tensor([LOGITS], dtype=torch.float32, requires_grad=True)
    decoders = [torch.tensor([a], dtype=torch.float32, requires_grad=True) for a in DECODERS]
    return logits, decoders, torch.tensor([LABELS])


def flat(gradient: torch.Tensor) -> list[float]:
    return pytest.approx(gradient.flatten().tolist(), abs=1e-5)


def test_losses_of_case_a(case):
    logits, decoders, labels = case
    label, entropy, uncertainty = (
        PseudoLabelLoss(), NormalisedEntropyLoss(), DecoderDisagreementLoss()
    )  # fmt: skip
    assert label(logits, labels).item() == pytest.approx(1.249099, abs=1e-5)
    assert entropy(logits).item() == pytest.approx(0.617444, abs=1e-5)
    by_pixel = [0.477208, 0.477208, 0.757679, 0.757679]
    one = torch.zeros(4, 1, 2, 2)
    for index, expected in enumerate(by_pixel):
        one[index].view(-1)[index] = 1.0
        assert entropy(logits, weight=one[index]).item() == pytest.approx(expected, abs=1e-5)
    for decoder, expected in zip(decoders, (0.021964, 0.095112), strict=True):
        assert uncertainty(logits, decoders=[decoder]).item() == pytest.approx(expected, abs=1e-5)
    assert uncertainty(logits, decoders=decoders).item() == pytest.approx(0.117076, abs=1e-5)
    diversity = BatchDiversityLoss(loss_weight=1 / math.log(2))
    assert diversity(logits).item() == pytest.approx(-1.565856, abs=1e-4)  # + 1e-5 in its log


def test_gradients_of_case_a(case):
    logits, decoders, labels = case
    terms = build_losses(stage_of('urma', 'train0')['adapter']['losses'])
    disagreement = terms['uncertainty'](logits, decoders=decoders)
    total = terms['label'](logits, labels) + terms['entropy'](logits) + disagreement
    assert total.item() == pytest.approx(1.878251, abs=1e-5)
    (gradient,) = torch.autograd.grad(total, logits, retain_graph=True)
    assert flat(gradient) == [
        -0.120122, 0.039295, 0.062282, -0.064306, 0.080827, -0.252506,
        0.157441, 0.032034, 0.039295, 0.213211, -0.219724, 0.032272,
    ]  # fmt: skip
    plain_sum = DecoderDisagreementLoss()(logits, decoders=decoders)
    first, second, main = torch.autograd.grad(
        plain_sum, (*decoders, logits), allow_unused=True, retain_graph=True
    )
    assert main is None  # exactly none: the main prediction is a target
    assert flat(first) == [
        -0.016342, 0.001831, 0.002143, 0.006302, 0.006896, 0.000550,
        -0.015871, -0.005030, 0.009446, -0.002381, 0.013728, -0.001273,
    ]  # fmt: skip
    assert flat(second) == [
        -0.028359, 0.016185, 0.013517, -0.018439, 0.012174, 0.012174,
        -0.018439, 0.004922, 0.016185, -0.028359, 0.004922, 0.013517,
    ]  # fmt: skip


def test_limits_of_the_losses(case):
    logits, _, labels = case
    for classes in (2, 3, 19):
        uniform = NormalisedEntropyLoss()(torch.zeros(1, classes, 2, 2))
        assert uniform.item() == pytest.approx(1.0, abs=1e-6)
    nothing = PseudoLabelLoss()(logits, torch.full_like(labels, 255))
    assert nothing.item() == 0  # released: 0/0
    sure = torch.tensor([100.0, 0, 0]).view(1, 3, 1, 1)
    other = torch.tensor([0, 100.0, 0]).view(1, 3, 1, 1)
    most = DecoderDisagreementLoss()(sure, decoders=[other])
    assert most.item() == pytest.approx(2 / 3, abs=1e-6)
    with pytest.raises(BenchError, match='decoders'):
        DecoderDisagreementLoss()(logits)
    outside = torch.zeros(1, 2, 2)
    assert NormalisedEntropyLoss()(logits, weight=outside).item() == 0


def test_thresholds_of_case_b():
    for portion, theta in ((0.2, [0.97, 0.70, 1, 1]), (0.4, [0.92, 0.65, 1, 1])):
        values = [np.array(v) for v in CASE_B]
        assert exact_thresholds(values, portion).tolist() == pytest.approx(theta)
        histogram = ConfidenceHistogram(4)
        for index, confidences in enumerate(CASE_B):
            one = torch.tensor(confidences)
            histogram.add(one, torch.full((len(one),), index))
        assert histogram.thresholds(portion).theta == pytest.approx(theta, abs=7e-5)
    counts = [4000, 2000, 3, 0]
    assert rarest(counts, 3) == [3, 2, 1] and rare_classes(counts) == [3, 2]


def test_labels_of_case_c():
    pixels = torch.tensor(
        [
            (0.60, 0.30, 0.10), (0.50, 0.35, 0.15), (0.85, 0.10, 0.05),
            (0.45, 0.40, 0.15), (0.34, 0.33, 0.33), (0.20, 0.20, 0.60),
        ]
    ).T  # fmt: skip
    found = select_labels(pixels, torch.tensor([0.80, 0.40, 0.20]))
    assert found.tolist() == [255, 255, 0, 1, 2, 2]


@pytest.mark.parametrize('batch', [12, 1])
def test_the_stride_goes_through_a_batch_in_case_d(batch, tmp_path):
    writer = BatchThresholdWriter(str(tmp_path / 'artifacts'), stride=4)
    samples = []
    for index, first in enumerate(CASE_D):
        p = torch.tensor([first, [1 - value for value in first]])[:, None]
        samples.append({'sample_id': str(index), 'probabilities': p})
    for start in range(0, len(samples), batch):
        writer.process(None, samples[start : start + batch])
    expected = {
        12: ([0.90, 0.55, 0.57, 0.75], [0.80, 0.60]),
        1: ([0.90, 0.55, 0.99, 0.52, 0.95], [0.80, 0.75, 0.60]),
    }[batch]
    reference = ConfidenceHistogram(2)
    for label, confidences in enumerate(expected):
        one = torch.tensor(confidences)
        reference.add(one, torch.full((len(one),), label))
    assert torch.equal(writer.histogram.counts, reference.counts)
    assert writer.evaluate(3)['images'] == 3
    found = read_thresholds(tmp_path / 'artifacts' / 'thresholds.json')
    assert found['pixels'] == [14, 7]
    assert isinstance(writer, ThresholdWriter)


def test_the_head_and_the_input_of_cases_e_and_f():
    for network, expected in (('deeplabv2_r101_2branch', 11.0), ('deeplabv2_r101', 1111.0)):
        config = catalog.load('networks', network)['model']
        with DefaultScope.overwrite_default_scope('sfda_bench'):
            head = MODELS.build({**config['decode_head'], 'in_channels': 4})
            read = MODELS.build(config['data_preprocessor'])
        for conv, bias in zip(head.conv2d_list, (1.0, 10.0, 100.0, 1000.0), strict=True):
            torch.nn.init.zeros_(conv.weight)
            torch.nn.init.constant_(conv.bias, bias)
        assert torch.equal(head([torch.rand(1, 4, 3, 3)]), torch.full((1, 19, 3, 3), expected))
        image = torch.tensor([30, 20, 10], dtype=torch.uint8).view(3, 1, 1)  # BGR, as loaded
        (pixel,) = read({'inputs': [image]}, training=False)['inputs']
        assert pixel.flatten().tolist() == pytest.approx([-74.0070, -96.6688, -112.6789], abs=1e-4)
    assert Method('urma').networks('paper') == ['deeplabv2_r101_2branch']


def view(side: int, label: int = 7) -> dict:
    results = {
        'img': np.full((1024, 2048, 3), 9, np.uint8),
        'gt_seg_map': np.full((1024, 2048), label, np.uint8),
        'seg_fields': ['gt_seg_map'],
    }
    return MarkedCrop((512, 1024)).transform(RandomShortSide(side, side).transform(results))


@pytest.mark.parametrize(('side', 'share'), [(256, 0.75), (400, 0.3896), (512, 0), (768, 0)])
def test_padding_of_case_g(side, share):
    results = view(side)
    padded = results['gt_seg_map'] == PADDING
    assert results['img'].shape == (512, 1024, 3) and results['img_shape'] == (512, 1024)
    assert padded.mean() == pytest.approx(share, abs=1e-4)
    assert (results['img'][padded] == 0).all() and (results['img'][~padded] == 9).all()


def test_padding_is_a_fifth_of_all_pixels_on_average():
    step = stage_of('urma', 'train0')['augment'][0]
    sides = np.arange(step['low'], step['high'] + 1)
    share = np.clip(1 - 2 * sides**2 / (512 * 1024), 0, None).mean()
    assert share == pytest.approx(0.208658, abs=1e-5)


@pytest.mark.parametrize('frozen', [True, False])
def test_rates_of_case_h(frozen):
    """No schedule: the released power is 0."""
    stage = stage_of('urma', 'train0')
    assert 'param_scheduler' not in stage
    wrapper = stage['optim_wrapper']
    adapter = adapted(freeze_classifier=frozen)
    rates: dict[str, set[float]] = {}
    optimizer = build_optim_wrapper(adapter, wrapper).optimizer
    names = {id(p): n for n, p in adapter.named_parameters()}
    for group in optimizer.param_groups:
        (parameter,) = group['params']
        if parameter.requires_grad:
            part = names[id(parameter)].removeprefix('student.').split('.')[0]
            rates.setdefault(part, set()).add(round(group['lr'], 12))
    expected = {'backbone': {5e-5}, 'decode_head': {5e-4}, 'decoders': {5e-4}}
    if frozen:
        expected.pop('decode_head')
    assert rates == expected


def test_the_mean_of_case_i_is_not_ours():
    """The released tester counts an absent class as 0; here it is left out."""
    truth, found = np.array([[0, 0, 1, 1, 2, 255]]), np.array([[0, 1, 1, 1, 0, 2]])
    values = ratio(*intersection_union(confusion_counts(found, truth, 4)))
    assert values[:3].tolist() == pytest.approx([1 / 3, 2 / 3, 0]) and np.isnan(values[3])
    assert np.nan_to_num(values).mean() == pytest.approx(0.25)


def adapted(**changes):
    config = {**stage_of('urma', 'train0')['adapter'], **changes}
    return plain(config.pop('type'), **config)


def views(padding: bool = False) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 19, (2, 32, 64), generator=generator)
    labels[:, :8] = 255
    if padding:
        labels[:, 16:] = PADDING
    return {'image': torch.randn(2, 3, 32, 64, generator=generator), 'image_label': labels}


@pytest.mark.parametrize('frozen', [True, False])
def test_what_a_step_moves(frozen):
    adapter = adapted(freeze_classifier=frozen)
    before = {name: value.clone() for name, value in adapter.state_dict().items()}
    wrapper = build_optim_wrapper(adapter, stage_of('urma', 'train0')['optim_wrapper'])
    adapter.train()
    losses = adapter.losses(views())
    wrapper.update_params(sum(v for k, v in losses.items() if k.startswith('loss')))
    after = adapter.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    head = {name for name in before if name.startswith('student.decode_head')}
    assert moved & head == (set() if frozen else head)
    assert {n for n in before if n.startswith('decoders')} <= moved
    statistics = {n for n in before if n.endswith(('running_mean', 'running_var'))}
    assert statistics <= moved
    rest = {n for n in before if n.startswith('student.backbone')} - statistics
    stem = {'student.backbone.bn1.weight', 'student.backbone.bn1.bias'}
    assert {n for n in rest if n not in moved} == stem
    assert not any('decoder' in name for name in adapter.export_module().state_dict())


def test_decoders_start_apart_and_drop_channels():
    adapter = adapted()
    weights = [d.head.conv2d_list[0].weight for d in adapter.decoders]
    assert len(weights) == 4 and not torch.equal(weights[0], weights[1])
    assert float(weights[0].detach().std()) == pytest.approx(0.01, rel=0.1)
    dropped = adapter.decoders[0].train().dropout(torch.ones(2, 400, 3, 3))
    values = dropped.flatten(2)
    assert torch.equal(values[..., 0], values[..., -1])  # whole channels
    assert set(values.unique().tolist()) == {0.0, 2.0}
    assert float(values.mean()) == pytest.approx(1.0, abs=0.1)


def test_padding_is_left_out_or_is_road():
    out, road = adapted(), adapted(pad_label=0)
    full, padded = views(), views(padding=True)
    for adapter in (out, road):
        adapter.train()
    torch.manual_seed(0)
    labelled = {name: adapter.losses(padded) for name, adapter in (('out', out), ('road', road))}
    assert labelled['out']['labelled'].item() == pytest.approx(0.25)
    assert labelled['road']['labelled'].item() == pytest.approx(0.75)
    entropy = [labelled[name]['loss_entropy'].item() for name in ('out', 'road')]
    assert entropy[1] == pytest.approx(adapted().losses(full)['loss_entropy'].item(), abs=1e-6)
    assert entropy[0] != pytest.approx(entropy[1], abs=1e-6)
    with pytest.raises(BenchError, match='pad_label'):
        adapted(pad_label=PADDING)
