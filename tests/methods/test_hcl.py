"""HCL: the cases of its sheet (values of the authors' functions), its models of the past."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch.nn.functional import interpolate

from sfda_bench.adapt.class_weights import RareClassWeights
from sfda_bench.adapt.crops import mapped_corner
from sfda_bench.adapt.hooks import Driver
from sfda_bench.adapt.losses import WeightedCrossEntropyLoss
from sfda_bench.adapt.mean_teacher import update_average
from sfda_bench.errors import BenchError
from sfda_bench.methods.hcl import adapter as module
from sfda_bench.methods.hcl.adapter import Outputs, outputs_of
from sfda_bench.methods.hcl.crops import ChannelAlias, HistoricalCrops, alias_channels
from sfda_bench.methods.hcl.losses import (
    HistoricalCategoryLoss,
    InstanceContrastLoss,
    agreement,
    at_grid,
    instance_contrast,
    reliability,
)
from sfda_bench.plan.configs import schedulers
from sfda_bench.plan.method import Method
from tests.methods.helpers import hooks_of, losses_of, perturb, plain


def maps(values: list) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float32)


CURRENT = maps([[[2, 0], [0, 1]], [[0, 1], [2, 0]], [[-1, 3], [1, -1]]])
AVERAGE = maps([[[3, 0], [0, 3]], [[0, 3], [3, 0]], [[0, 0], [0, 0]]])
HISTORY = maps([[[4, 1], [2, -1]], [[1, 3], [2.5, -2]], [[0, -1], [0.5, -4]]])
LABELS = torch.tensor([[[0, 1], [2, 255]]])


# --- case A -------------------------------------------------------------------------------------


def test_case_a_class_weights():
    labels = torch.zeros(2, 128, 128, dtype=torch.int64)
    labels[0].view(-1)[:3000] = 1
    weights = RareClassWeights(4)
    for last in (11.2, 14.98, 18.382):
        assert weights(labels).tolist() == pytest.approx([1, 7, last, last], rel=1e-5)


# --- case B -------------------------------------------------------------------------------------


def test_case_b_agreement_of_past_models():
    found = agreement(HISTORY, AVERAGE).flatten()
    assert (-found.log()).tolist() == pytest.approx(
        [0.011891, 0.053425, 0.488180, 0.264904], abs=1e-5
    )
    assert found.tolist() == pytest.approx([0.988179, 0.947977, 0.613742, 0.767280], abs=1e-5)
    printed = agreement(HISTORY, AVERAGE, 'paper').flatten().tolist()
    assert printed == pytest.approx([0.485938, 0.464046, 0.338342, 0.394500], abs=1e-5)


def test_case_b_category_loss():
    loss = HistoricalCategoryLoss()
    past = dict(historical=HISTORY, average=AVERAGE)
    assert float(loss(CURRENT, LABELS, **past)) == pytest.approx(0.772177, abs=1e-5)
    weights = RareClassWeights(3)(LABELS)
    assert weights.tolist() == [7, 7, 7]
    value = float(loss(CURRENT, LABELS, class_weights=weights, **past))
    assert value == pytest.approx(5.405241, abs=1e-5)


def test_the_losses_in_a_plain_head():
    plain_loss = WeightedCrossEntropyLoss()(CURRENT, LABELS)
    assert torch.allclose(HistoricalCategoryLoss()(CURRENT, LABELS), plain_loss)
    weight = torch.ones(1, 2, 2)
    assert torch.allclose(HistoricalCategoryLoss()(CURRENT, LABELS, weight=weight), plain_loss)
    assert bool(torch.isfinite(InstanceContrastLoss()(CURRENT, LABELS, ignore_index=255)))
    with pytest.raises(BenchError, match='weights of pixels'):
        InstanceContrastLoss()(CURRENT, LABELS, weight=weight)


# --- case C -------------------------------------------------------------------------------------

ANCHORS = torch.tensor([[3.0, 4], [0, 1], [1, 0], [-1, 1]])
KEYS = torch.tensor([[1.0, 1], [0, 2], [2, 0], [-3, 1]])
OF_ANCHORS, OF_KEYS = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 1, 1, 0]])
TRUST = torch.tensor([[1.1, 0.9, 1.0, 1.05]])
GRADIENT = [0.061809, -0.046357, 1.467836, 0, 0, -0.261503, 0.000013, 0.000013]


def grid(values: torch.Tensor) -> torch.Tensor:
    return values.t().reshape(1, 2, 1, 4)


@pytest.mark.parametrize(
    ('tau', 'trust', 'expected'),
    [(0.07, TRUST, 3.243224), (1.0, TRUST, 0.477463), (1.0, torch.ones(1, 4), 0.472858)],
)
def test_case_c_contrast(tau, trust, expected):
    value = instance_contrast(grid(ANCHORS), grid(KEYS), OF_ANCHORS, OF_KEYS, trust, tau)
    assert float(value) == pytest.approx(expected, abs=1e-5)


def test_case_c_no_positive_and_gradient():
    nothing = instance_contrast(grid(ANCHORS), grid(KEYS), OF_ANCHORS, OF_KEYS + 5, TRUST)
    assert float(nothing) == 0.0
    anchors = ANCHORS.clone().requires_grad_(True)
    instance_contrast(grid(anchors), grid(KEYS), OF_ANCHORS, OF_KEYS, TRUST).backward()
    assert anchors.grad.flatten().tolist() == pytest.approx(GRADIENT, abs=1e-5)


def test_contrast_is_the_formula_written_out():
    generator = torch.Generator().manual_seed(0)
    features, keys = (torch.randn(2, 5, 2, 3, generator=generator) for _ in range(2))
    labels, others = (torch.randint(3, (2, 6), generator=generator) for _ in range(2))
    trust = 0.9 + 0.2 * torch.rand(2, 6, generator=generator)
    total = 0.0
    for n in range(2):
        u = torch.nn.functional.normalize(features[n].flatten(1), dim=0)
        v = torch.nn.functional.normalize(keys[n].flatten(1), dim=0)
        for i in range(6):
            parts = [trust[n, j] * torch.exp(u[:, i] @ v[:, j] / 0.07) for j in range(6)]
            whole = sum(part for j, part in enumerate(parts) if j != i)
            for j in range(6):
                if j != i and labels[n, i] == others[n, j]:
                    total -= float((parts[j] / whole).log()) / 36 / 2
    found = instance_contrast(features, keys, labels, others, trust)
    assert float(found) == pytest.approx(total, rel=1e-4)


# --- case D -------------------------------------------------------------------------------------

FEATURES = maps([[[1, 0], [2, 1]], [[0, 1], [1, -1]]])
KEY_MAP = maps([[[1, 1], [0, 2]], [[1, 0], [1, -1]]])
YA = torch.tensor([[[0, 1, 1], [0, 0, 1], [2, 1, 1]]])
YO = torch.tensor([[[0, 0, 1], [0, 2, 1], [2, 2, 1]]])
FIRST = maps(
    [
        [[4, 2, 0], [1, 0, 0], [0, 0, 0]],
        [[0, 0, 3], [0, 0, 2], [0, 0, 6]],
        [[0, 0, 0], [0, 1, 0], [5, 1, 0]],
    ]
)


def test_case_d_reliability_and_resizing():
    assert at_grid(YA, (2, 2)).tolist() == [[0, 1, 0, 0]]
    assert at_grid(YO, (2, 2)).tolist() == [[0, 0, 0, 2]]
    found = reliability(FIRST, (2, 2)).flatten().tolist()
    assert found == pytest.approx([0.938593, 0.9, 1.027300, 1.068557], abs=1e-5)
    value = InstanceContrastLoss()(FEATURES, YA, keys=KEY_MAP, key_labels=YO, key_logits=FIRST)
    assert float(value) == pytest.approx(2.894376, abs=1e-5)


# --- case E: a whole step -----------------------------------------------------------------------


class Constant(torch.nn.Module):
    """A network that returns its parameters."""

    align_corners = True

    def __init__(self, main: torch.Tensor, auxiliary: torch.Tensor, features: torch.Tensor):
        super().__init__()
        self.main, self.auxiliary, self.features = (
            torch.nn.Parameter(v.clone()) for v in (main, auxiliary, features)
        )


@pytest.fixture
def fake(monkeypatch):
    """An adapter whose three networks return constants."""
    model = plain('HCL', losses=losses_of('hcl'), hidden=4, projection=4)
    first = maps([[[1, 0], [0, 2]], [[0, 2], [1, 0]], [[0, 1], [2, 0]]])
    model.student = Constant(CURRENT, first, FEATURES)
    model.teacher = Constant(AVERAGE, AVERAGE / 2, KEY_MAP).requires_grad_(False)
    model.history = Constant(HISTORY, HISTORY / 2, KEY_MAP).requires_grad_(False)
    model.projector = model.teacher_projector = torch.nn.Identity()
    model.class_weights = RareClassWeights(3)
    monkeypatch.setattr(
        module, 'outputs_of', lambda net, *_: Outputs(net.main, net.auxiliary, net.features)
    )
    return model


def views() -> dict[str, torch.Tensor]:
    image = torch.zeros(1, 3, 2, 2)
    plain_labels = torch.tensor([[[0, 1], [2, 1]]])
    return {
        'student': image, 'student_label': LABELS, 'plain': image, 'plain_label': plain_labels
    }  # fmt: skip


def test_case_e_a_whole_step(fake):
    driver = Driver(fake, [hooks_of('hcl')['history']], iteration=1)
    driver.before()
    assert fake.teacher.main[0, 0].flatten().tolist() == pytest.approx([2.996, 0, 0, 2.992])
    found = {k: float(v.detach()) for k, v in fake.losses(views()).items()}
    assert found['loss_auxiliary'] == pytest.approx(0.5 * 2.256520, abs=1e-5)
    assert found['loss_category'] == pytest.approx(5.407388, abs=1e-5)
    assert found['loss_instance'] == pytest.approx(0.5 * 1.293693, abs=1e-5)
    assert sum(found.values()) == pytest.approx(7.182494, abs=1e-5)


def test_case_e_the_past_is_the_student_after_300_iterations(fake):
    hook = hooks_of('hcl')['history']
    driver = Driver(fake, [hook], iteration=299)
    history = fake.history.main.clone()
    driver.before()
    driver.after()
    assert torch.equal(fake.history.main, history)
    driver.before()  # iteration 300
    met = {k: v.clone() for k, v in fake.student.state_dict().items()}
    with torch.no_grad():
        fake.student.main += 1.0  # the step of iteration 300, which comes after
    driver.after()
    for past in (fake.teacher, fake.history):
        assert all(torch.equal(met[k], v) for k, v in past.state_dict().items())
    again = Driver(fake, [{**hook, 'restart': None}], iteration=600)
    again.before()
    again.after()
    assert torch.equal(fake.history.main, met['main'])


# --- case F -------------------------------------------------------------------------------------


def test_case_f_rates_of_the_schedule():
    stage = Method('hcl').stages('paper', 'gta5_to_cityscapes', {})[1]
    expected = {
        0: 1e-5, 300: 1.54e-5, 4999: 9.9982e-5, 5000: 9.548854e-5, 10000: 9.095326e-5,
    }  # fmt: skip
    model = torch.nn.ModuleDict(
        {'backbone': torch.nn.Linear(1, 1), 'decode_head': torch.nn.Linear(1, 1)}
    )
    wrapper = {**stage['optim_wrapper']}
    wrapper.pop('constructor')
    wrapper['paramwise_cfg'] = {'custom_keys': wrapper['paramwise_cfg']['custom_keys']}
    optim = build_optim_wrapper(model, wrapper)
    [config] = schedulers(stage['param_scheduler'], stage['iters'])
    schedule = PARAM_SCHEDULERS.build({**config, 'optimizer': optim})
    found = {}
    for step in range(10001):
        if step in expected:
            rates = sorted({round(g['lr'], 12) for g in optim.optimizer.param_groups})
            found[step] = rates[0]
            assert rates[-1] == pytest.approx(10 * rates[0], rel=1e-6)
        optim.optimizer.step()
        schedule.step()
    assert found == pytest.approx(expected, rel=1e-5)


def test_case_f_average():
    average, student = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(average.weight, 1.0)
    torch.nn.init.constant_(student.weight, 2.0)
    update_average(average, student, 0.996)
    assert float(average.weight.detach()) == pytest.approx(1.004, abs=1e-6)


# --- cases G and J: two heads -------------------------------------------------------------------


def test_case_g_fusion():
    """Per scale soft-max of half the auxiliary and the main logits; then the sum."""
    one = (0.5 * torch.tensor([2.0, 0, -1]) + torch.tensor([0.0, 1, 0])).softmax(dim=0)
    two = (0.5 * torch.tensor([0.0, 4, 0]) + torch.tensor([1.5, 0, 0])).softmax(dim=0)
    assert one.tolist() == pytest.approx([0.449816, 0.449816, 0.100368], abs=1e-5)
    assert two.tolist() == pytest.approx([0.348207, 0.574097, 0.077696], abs=1e-5)
    assert (one + two).tolist() == pytest.approx([0.798024, 1.023913, 0.178063], abs=1e-5)


@pytest.mark.parametrize('auxiliary', [True, False])
def test_labels_are_of_the_fused_heads(auxiliary):
    predictor = plain('FusedPredictor', auxiliary, flip=False).eval()
    image = torch.randn(1, 3, 48, 96)
    with torch.no_grad():
        features = predictor.student.extract_feat(image)
        fused = predictor.student.decode_head(features)
        if auxiliary:
            head = module.auxiliary_head(predictor.student)
            fused = fused + 0.5 * head(features)
        expected = interpolate(fused.softmax(dim=1), (96, 192), mode='bilinear', align_corners=True)
        assert torch.allclose(predictor.scores([image], (96, 192)), expected, atol=1e-6)


def test_case_j_shapes():
    """Output stride 8 with ceiling: 33x65 for 256x512, for both logits and the features."""
    from sfda_bench.plan import catalog
    from sfda_bench.registry import MODELS

    network = catalog.load('networks', 'deeplabv2_r101_multi')['model']
    network['backbone'].update(depth=50)
    network['data_preprocessor']['size_divisor'] = 1
    student = MODELS.build(network).eval()
    with torch.no_grad():
        found = outputs_of(student, torch.zeros(1, 3, 256, 512), 'layer3')
    assert found.main.shape == found.auxiliary.shape == (1, 19, 33, 65)
    assert found.features.shape == (1, 1024, 33, 65)


# --- case I and the crops -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ('scaled', 'corner', 'expected'),
    [
        ((512, 1024), (128, 170), (192, 255)),
        ((512, 1024), (256, 512), (384, 768)),
        ((640, 1280), (192, 256), (192, 256)),
        ((768, 1536), (256, 341), (192, 255)),
        ((768, 1536), (512, 1024), (384, 768)),
    ],
)
def test_case_i_crop_mapping(scaled, corner, expected):
    assert mapped_corner(corner, scaled, (640, 1280), (256, 512)) == expected


def test_case_h_channels_of_the_source_training():
    pixel = np.array([[[10.0, 20.0, 30.0]]])
    found = [alias_channels(pixel, kind).ravel().tolist() for kind in range(3)]
    assert found == [[10, 20, 30], [30, 30, 30], [20, 30, 20]]
    step = ChannelAlias(mean=(1.0, 2.0, 3.0))
    np.random.seed(0)
    seen = {tuple(step.transform({'img': pixel.copy()})['img'].ravel()) for _ in range(30)}
    assert seen == {(10.0, 20.0, 30.0), (28.0, 29.0, 30.0), (19.0, 29.0, 21.0)}
    assert ChannelAlias('none').transform({'img': pixel})['img'] is pixel


def test_the_plain_crop_has_labels_of_its_own():
    image = np.random.default_rng(0).integers(0, 255, (60, 120, 3)).astype(np.uint8)
    labels = image[..., 0] % 19
    step = HistoricalCrops(
        base_size=None, crop_size=(20, 40), scale=(1.2, 1.2), colour=False, clean_size=None,
        flip=0.0,
    )  # fmt: skip
    np.random.seed(0)
    item = step.transform({'img': image, 'gt_seg_map': labels, 'ori_shape': (60, 120)})
    assert set(item) == {'student', 'plain'}
    shown = item['plain']['inputs'][0] % 19
    assert torch.equal(shown.long(), item['plain']['data_samples'].gt_sem_seg.data[0].long())


# --- the adapter --------------------------------------------------------------------------------


def batch(generator: torch.Generator) -> dict[str, torch.Tensor]:
    images = torch.randn(2, 2, 3, 48, 96, generator=generator)
    labels = torch.randint(4, (2, 2, 3, 6), generator=generator)
    large = labels.repeat_interleave(16, dim=2).repeat_interleave(16, dim=3)
    return {
        'student': images[0], 'student_label': large[0], 'plain': images[1], 'plain_label': large[1]
    }  # fmt: skip


def build(auxiliary: bool = True, **kwargs):
    return plain('HCL', auxiliary, losses=losses_of('hcl'), hidden=8, projection=6, **kwargs)


@pytest.mark.parametrize('auxiliary', [True, False])
def test_what_learns_and_what_does_not(auxiliary):
    model = build(auxiliary).train()
    perturb(model.student, 1)
    losses = model.losses(batch(torch.Generator().manual_seed(0)))
    assert ('loss_auxiliary' in losses) is auxiliary
    assert {'loss_category', 'loss_instance'} <= set(losses)
    sum(losses.values()).backward()
    own = [*model.student.parameters(), *model.projector.parameters()]
    assert all(p.grad is not None for p in own if p.requires_grad)
    past = [*model.teacher.parameters(), *model.history.parameters()]
    assert all(p.grad is None for p in [*past, *model.teacher_projector.parameters()])


def test_all_three_networks_use_the_statistics_of_their_batch():
    model = build().train()
    for name in ('student', 'teacher', 'history'):
        norms = [m for m in getattr(model, name).modules() if 'BatchNorm' in type(m).__name__]
        assert norms and all(layer.training for layer in norms)
    assert not build(teacher_mode='eval').train().history.training
    assert model.export_module() is model.student


def test_two_iterations_keep_the_history_and_average_the_rest():
    model = build().train()
    driver = Driver(model, [hooks_of('hcl')['history']])
    driver.before()
    driver.after()
    start = {k: v.clone() for k, v in model.history.named_parameters()}
    perturb(model.student, 2)
    perturb(model.projector, 3)
    driver.before()
    driver.after()
    for name, value in model.student.named_parameters():
        expected = 0.996 * start[name] + 0.004 * value
        assert torch.allclose(dict(model.teacher.named_parameters())[name], expected, atol=1e-6)
        assert torch.equal(dict(model.history.named_parameters())[name], start[name])
    assert not torch.equal(model.teacher_projector[0].weight, model.projector[0].weight)


def test_layers_and_options_are_checked():
    with pytest.raises(BenchError, match='no layer'):
        build(feature_layer='layer9')
    assert build(feature_layer='head_input', auxiliary=False).projector[0].in_channels == 128
    with pytest.raises(BenchError, match='restart'):
        Driver(build(), [{'type': 'HistoricalModelHook', 'restart': 0}])


def test_numbers_of_the_sheet():
    label, adapt = Method('hcl').stages('paper', 'gta5_to_cityscapes', {})
    assert label['pack']['sizes'] == [(1024, 512), (1280, 640)]
    losses = adapt['adapter']['losses']
    weights = {name: loss['loss_weight'] for name, loss in losses.items()}
    assert weights == {'category': 1.0, 'auxiliary': 0.5, 'instance': 0.5}
    assert (adapt['batch_size'], adapt['hooks']['history']['restart']) == (9, 300)
    assert adapt['optim_wrapper']['optimizer']['nesterov'] is True
