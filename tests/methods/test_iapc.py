"""IAPC: cases A, B, C, F and G of its sheet (values of the authors' functions), and the modes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from PIL import Image

from sfda_bench.adapt.class_weights import RareClassWeights
from sfda_bench.adapt.fused import entropies
from sfda_bench.adapt.hooks import Driver
from sfda_bench.adapt.mean_teacher import update_average
from sfda_bench.adapt.multi_scale import LabelWriter
from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.methods.iapc.adapter import tapped
from sfda_bench.methods.iapc.importance import importance
from sfda_bench.methods.iapc.losses import iapc_losses
from sfda_bench.methods.iapc.prototypes import prototype_terms, sampled
from sfda_bench.plan.configs import schedulers
from sfda_bench.plan.method import Method
from tests.methods.helpers import hooks_of, losses_of, perturb, plain


def maps(values: list) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float32)


CASE_A = {
    'source': maps([[[4, 1], [2, -1]], [[1, 3], [2.5, -2]], [[0, -1], [0.5, -4]]]),
    'student': maps([[[2, 0], [0, 1]], [[0, 1], [2, 0]], [[-1, 3], [1, -1]]]),
    'memory': maps([[[3, 0], [0, 3]], [[0, 3], [3, 0]], [[0, 0], [0, 0]]]),
    'memory_features': maps([[[1, 0], [1, 3]], [[0, 2], [1, 4]]]),
    'features': maps([[[1, 0], [1, 2]], [[1, 1], [3, 0]]]),
    'labels': torch.tensor([[[0, 1], [2, 255]]]),
}
CASE_B = {
    'source': maps([[[3, 1], [1, 2]], [[1, 2], [4, 1]]]),
    'student': maps([[[1, 0], [0, 1]], [[0, 1], [1, 0]]]),
    'memory': maps([[[2, 0], [0, 2]], [[0, 2], [2, 0]]]),
    'memory_features': maps([[[1, 0], [0, 1]], [[0, 1], [1, 0]]]),
    'features': maps([[[1, 0], [1, 1]], [[0, 1], [1, 0]]]),
    'labels': torch.tensor([[[0, 1, 1], [0, 0, 1], [1, 1, 0]]]),
}
LAMBDAS = {
    'importance': 0.2,
    'enhanced': 0.5,
    'prediction': 0.04,
    'feature': 0.04,
    'entropy': 2.0,
}


def parts(terms: dict) -> dict:
    """The losses as they stand in the config: L_PS is the sum of its halves."""
    found = dict(terms)
    found['symmetric'] = found.pop('prediction') + found.pop('feature')
    return found


def up(values: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return torch.nn.functional.interpolate(values, size=size, mode='bilinear', align_corners=True)


def terms_of(case: dict, kind: str = 'logits', legacy: bool = False) -> dict:
    """All terms as the adapter computes them."""
    labels = case['labels']
    size = (labels.shape[1], labels.shape[2])
    memory = up(case['memory'], size)
    nearest, similarity = prototype_terms(
        case['features'], case['memory_features'], memory, size, legacy
    )
    weights = importance(up(case['source'], size), kind)
    classes = RareClassWeights(case['student'].shape[1])(labels)
    student = up(case['student'], size)
    return iapc_losses(student, weights, labels, classes, nearest, up(similarity, size))


def values(terms: dict) -> list[float]:
    order = ('importance', 'prediction', 'feature', 'enhanced', 'entropy')
    return [float(terms[name].detach()) for name in order]


def test_case_a_importance_and_prototype_labels():
    weights = importance(CASE_A['source']).flatten().tolist()
    assert weights == pytest.approx([0.75, 0.666667, 0.2, -1.0], abs=1e-6)
    soft = importance(CASE_A['source'], 'prob').flatten().tolist()
    assert soft == pytest.approx([0.950213, 0.864665, 0.393469, 0.632121], abs=1e-6)
    nearest, _ = prototype_terms(
        CASE_A['features'], CASE_A['memory_features'], CASE_A['memory'], (2, 2)
    )
    assert nearest.tolist() == [[[0, 1], [1, 0]]]
    assert RareClassWeights(3)(CASE_A['labels']).tolist() == [7, 7, 7]


GRADIENT = (
    '-0.592195 0.160817 0.089473 -0.154337 0.425251 -2.758069 '
    '0.078498 0.096375 0.166944 2.597252 -0.167970 0.057962'
)
FEATURES = {
    False: '-0.022182 0.100291 0.013309 0 0.022182 0 -0.004436 -0.010673',
    True: '-0.024978 -0.081984 -0.016513 0 0.024978 0 0.005504 -0.021872',
}


@pytest.mark.parametrize(
    ('legacy', 'feature', 'plain_sum', 'total'),
    [(False, 1.034165, 9.842725, 4.126163), (True, 0.888232, 9.696792, 4.120326)],
)
def test_case_a_losses_and_gradients(legacy, feature, plain_sum, total):
    case = {key: value.clone() for key, value in CASE_A.items()}
    for name in ('student', 'features', 'memory_features', 'memory', 'source'):
        case[name].requires_grad_(True)
    terms = terms_of(case, legacy=legacy)
    expected = [3.247072, 0.788726, feature, 4.094461, 0.678301]
    assert values(terms) == pytest.approx(expected, abs=1e-5)
    weighted = sum(LAMBDAS[name] * float(value.detach()) for name, value in terms.items())
    assert weighted == pytest.approx(total, abs=1e-5)
    whole = sum(terms.values())
    assert float(whole.detach()) == pytest.approx(plain_sum, abs=1e-5)
    whole.backward()
    found = case['student'].grad.flatten().tolist()
    assert found == pytest.approx([float(v) for v in GRADIENT.split()], abs=1e-5)
    found = case['features'].grad.flatten().tolist()
    assert found == pytest.approx([float(v) for v in FEATURES[legacy].split()], abs=1e-5)
    assert case['memory_features'].grad is None and case['memory'].grad is None


def test_case_b_with_resizing():
    terms = terms_of(CASE_B)
    expected = [1.114452, 0.746531, 0.567931, 1.565525, 0.643819]
    assert values(terms) == pytest.approx(expected, abs=1e-5)
    assert sum(values(terms)) == pytest.approx(4.638258, abs=1e-5)
    nearest, similarity = prototype_terms(
        CASE_B['features'], CASE_B['memory_features'], CASE_B['memory'], (3, 3), align_corners=True
    )
    assert not nearest.any()
    assert similarity[0, 0].flatten().tolist() == pytest.approx(
        [0.707107, 0.707107, 1, 0.707107], abs=1e-6
    )
    assert not similarity[0, 1].any()


@pytest.mark.parametrize(
    ('first', 'second', 'logits', 'soft'),
    [
        (5, 4, 0.2, 0.6321),
        (5, -5, 2.0, 1.0),
        (0.5, -3, 7.0, 0.9698),
        (-1, -2, -1.0, 0.6321),
        (0.001, -2, 2000.9999, 0.8648),
    ],
)
def test_case_c_hazards_of_the_importance(first, second, logits, soft):
    source = torch.full((1, 5, 1, 1), -10.0)
    source[0, 3], source[0, 1] = first, second
    assert float(importance(source)) == pytest.approx(logits, rel=1e-6)
    assert float(importance(source, 'prob')) == pytest.approx(soft, abs=5e-5)


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('size', [(3, 4), (24, 32), (17, 41)])
def test_sampled_maps_are_those_of_the_enlarged_ones(align_corners, size):
    maps = torch.rand(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(
        maps, size, mode='bilinear', align_corners=align_corners
    )
    expected = torch.nn.functional.interpolate(large, (3, 4), mode='nearest')
    assert torch.allclose(sampled(maps, size, (3, 4), align_corners), expected, atol=1e-6)


def test_entropies_in_pieces_are_those_of_the_composed_formula(monkeypatch):
    monkeypatch.setattr('sfda_bench.adapt.fused._LOSS_PIECE', 7)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.float64) * 3
    labels = torch.randint(5, (2, 2, 3, 4), generator=generator)
    p = logits.softmax(dim=1)
    losses, entropy = entropies(logits, labels)
    assert torch.allclose(losses, -p.log().gather(1, labels))
    assert torch.allclose(entropy, -(p * (p + 1e-5).log()).sum(dim=1))
    assert torch.autograd.gradcheck(lambda z: entropies(z, labels), logits.requires_grad_())
    half = entropies(logits.detach().bfloat16().requires_grad_(), labels)
    assert half[0].dtype == torch.float32


def test_case_f_entropy_and_memory():
    label = torch.zeros(1, 1, 1, 1, dtype=torch.int64)
    peaked = torch.tensor([2.0, 0, 0]).view(1, 3, 1, 1)
    assert float(entropies(peaked, label)[1]) == pytest.approx(0.665543, abs=1e-6)
    even = torch.zeros(1, 19, 1, 1)
    assert float(entropies(even, label)[1]) == pytest.approx(2.944249, abs=1e-6)
    memory, student = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(memory.weight, 1.0)
    torch.nn.init.constant_(student.weight, 2.0)
    for expected in (1.000100017, 1.000200033):
        update_average(memory, student, 0.9999)
        assert float(memory.weight.detach()) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(('classes', 'least'), [(19, 2.031016), (16, 1.874597)])
def test_bound_of_the_feature_half(classes, least):
    similarity = torch.zeros(1, classes, 1, 1)
    similarity[0, 0] = 1.0
    student = similarity.clone()
    zero = torch.zeros(1, 1, 1)
    labels = torch.zeros(1, 1, 1, dtype=torch.int64)
    terms = iapc_losses(student, zero, labels, torch.ones(classes), labels, similarity)
    assert float(terms['feature']) == pytest.approx(least, abs=1e-6)


# --- the adapter ----------------------------------------------------------------------------------


def batch(classes: int = 19, clean: bool = True) -> dict:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    generator = torch.Generator().manual_seed(1)

    def part(labelled: bool = False) -> dict:
        samples, images = [], []
        for _ in range(2):
            sample = SegDataSample(metainfo={'img_shape': (32, 64), 'ori_shape': (32, 64)})
            if labelled:
                labels = torch.randint(0, classes, (1, 32, 64), generator=generator)
                sample.gt_sem_seg = PixelData(data=labels)
            samples.append(sample)
            pixels = torch.randint(0, 256, (3, 32, 64), generator=generator)
            images.append(pixels.to(torch.uint8))
        return {'inputs': images, 'data_samples': samples}

    parts = {'source': part(), 'student': part(True), 'memory': part()}
    return {**parts, 'clean': part()} if clean else parts


def loaded(**kwargs):
    adapter = plain('IAPC', **{'losses': losses_of('iapc'), **kwargs})
    adapter.load_state_dict(adapter.student.state_dict(), strict=False)
    return adapter.train()


def stepped(adapter, data: dict | None = None, **hooks) -> dict:
    """Log of one iteration with the config's hooks."""
    driver = Driver(adapter, hooks_of('iapc', **hooks))
    return driver.train_step(data or batch(), optimiser(adapter))


def optimiser(adapter, lr: float = 1e-2):
    config = {
        'type': 'OptimWrapper',
        'constructor': 'RepeatOptimWrapperConstructor',
        'optimizer': {'type': 'SGD', 'lr': lr, 'momentum': 0.9, 'nesterov': True},
        'paramwise_cfg': {
            'backbone_repeat': 3,
            'custom_keys': {'decode_head': {'lr_mult': 10.0}},
        },
    }
    return build_optim_wrapper(adapter, config)


def snapshot(module: torch.nn.Module) -> dict:
    return {key: value.clone() for key, value in module.state_dict().items()}


def test_two_iterations_source_fixed_student_moved_memory_an_average():
    adapter = loaded()
    wrapper = optimiser(adapter)
    driver = Driver(adapter, hooks_of('iapc'))
    source = snapshot(adapter.source)
    log = driver.train_step(batch(), wrapper)
    assert all(bool(torch.isfinite(value)) for value in log.values())
    student, memory = snapshot(adapter.student), snapshot(adapter.teacher)
    driver.before()
    assert all(torch.equal(value, source[key]) for key, value in snapshot(adapter.source).items())
    names = [key for key, _ in adapter.student.named_parameters()]
    assert all(not torch.equal(student[key], source[key]) for key in names)
    now = snapshot(adapter.teacher)
    for key in names:
        # At iteration 0 the memory was a copy of the source; now it is one average further.
        assert torch.equal(memory[key], source[key])
        expected = 0.9999 * source[key] + 0.0001 * student[key]
        assert torch.allclose(now[key], expected, atol=1e-7)
    buffers = [key for key in now if 'running' in key]
    assert buffers and all(torch.equal(now[key], student[key]) for key in buffers)


def apart(**kwargs):
    """An adapter whose three networks differ."""
    adapter = loaded(**kwargs)
    perturb(adapter.student, 1)
    perturb(adapter.teacher, 2)
    return adapter


def test_each_network_sees_its_crop():
    """Section 6.1: S the plain crop, T the recoloured one, M that of the unscaled image."""
    adapter, seen = apart(), {}
    for name in ('source', 'student', 'teacher'):
        getattr(adapter, name).backbone.register_forward_pre_hook(
            lambda _, inputs, name=name: seen.setdefault(name, []).append(inputs[0].unique().item())
        )
    names = ('source', 'student', 'memory', 'clean')
    views = {name: torch.full((1, 3, 32, 64), float(i)) for i, name in enumerate(names)}
    adapter.losses({**views, 'student_label': torch.zeros(1, 32, 64, dtype=torch.int64)})
    assert seen == {'source': [0.0], 'student': [1.0], 'teacher': [2.0]}


def test_losses_of_three_networks():
    """Section 6.3: S weighs, M gives prototypes, T learns; the factors are those of the config."""
    config = dict(paper()[1]['adapter'])
    assert config.pop('type') == 'IAPC'
    adapter = apart(**{**config, 'small_pixels': 100})
    generator = torch.Generator().manual_seed(5)
    names = ('source', 'student', 'memory')
    views = {name: torch.randn(2, 3, 32, 64, generator=generator) for name in names}
    labels = (torch.rand(2, 32, 64, generator=generator) ** 2 * 19).long()
    labels[:, :4] = 255
    size = (32, 64)
    source = adapter.logits_of(adapter.source, views['source'], size)
    memory, memory_features = tapped(adapter.teacher, views['memory'], 'layer3')
    logits, features = tapped(adapter.student, views['student'], 'layer3')
    nearest, similarity = prototype_terms(
        features, memory_features, memory, size, align_corners=True
    )
    classes = RareClassWeights(19, 7.0, 100)(labels)
    assert len(classes.unique()) > 1 and len(nearest.unique()) > 1
    weights = importance(source)
    terms = iapc_losses(up(logits, size), weights, labels, classes, nearest, up(similarity, size))
    losses = adapter.losses({**views, 'student_label': labels})
    assert {name.removeprefix('loss_') for name in losses} == set(parts(LAMBDAS))
    weighted = {name: factor * float(terms[name].detach()) for name, factor in LAMBDAS.items()}
    for name, expected in parts(weighted).items():
        assert float(losses[f'loss_{name}'].detach()) == pytest.approx(expected, rel=1e-5), name


def test_each_weight_multiplies_its_term():
    names = ('importance', 'enhanced', 'symmetric', 'entropy')
    plainly = loaded(losses=losses_of('iapc', {name: {'loss_weight': 1.0} for name in names}))
    ours, ones = (stepped(adapter) for adapter in (loaded(), plainly))
    for name in names:
        factor = LAMBDAS['prediction' if name == 'symmetric' else name]
        expected = factor * float(ones[f'loss_{name}'])
        assert expected != 0 and float(ours[f'loss_{name}']) == pytest.approx(expected, rel=1e-4)


def test_case_g_a_backbone_weight_is_stepped_three_times():
    adapter = loaded()
    step = optimiser(adapter, lr=0.1).optimizer.step
    named = dict(adapter.student.named_parameters())
    weight = named['backbone.layer3.0.conv1.weight']
    head = named['decode_head.conv2d_list.0.weight']
    torch.nn.init.ones_(weight)
    torch.nn.init.ones_(head)
    for listed, once in ((0.43, -0.9), (-0.594410, -3.61), (-2.154205, -7.049)):
        weight.grad, head.grad = torch.ones_like(weight), torch.ones_like(head)
        step()
        assert weight.detach().unique().tolist() == pytest.approx([listed], abs=1e-5)
        # The head is listed once, at ten times the rate: 0.81, 0.539, 0.1951 of the sheet.
        assert head.detach().unique().tolist() == pytest.approx([once], abs=1e-5)


def test_the_clean_forward_moves_statistics_only():
    with_, without = loaded(), loaded()
    stepped(with_)
    stepped(without, clean={'interval': None})
    one, other = snapshot(with_.student), snapshot(without.student)
    different = {key.rsplit('.', 1)[1] for key in one if not torch.equal(one[key], other[key])}
    assert different == {'running_mean', 'running_var', 'num_batches_tracked'}
    adapter = loaded()
    assert torch.isfinite(stepped(adapter, batch(clean=False))['loss'])


def test_modes_and_the_memory_of_class_weights():
    adapter = loaded()
    layers = {
        name: {m.training for m in getattr(adapter, name).modules() if hasattr(m, 'running_mean')}
        for name in ('student', 'teacher', 'source')
    }
    assert layers == {'student': {True}, 'teacher': {True}, 'source': {False}}
    assert 'class_weights.often' in adapter.state_dict()
    stepped(adapter, batch(classes=5))
    assert float(adapter.class_weights.often[-1]) == pytest.approx(1.6)


def test_sixteen_classes_other_layers_and_options():
    losses = losses_of('iapc', importance={'importance_input': 'prob'})
    adapter = loaded(losses=losses, legacy_view=True, feature_layer='head_input')
    assert torch.isfinite(stepped(adapter)['loss'])
    logits, features = tapped(adapter.student, torch.zeros(1, 3, 32, 64), 'layer3')
    assert logits.shape[1] == 19 and features.shape[:2] == (1, 64)
    assert float(features.detach().min()) >= 0.0
    with pytest.raises(BenchError, match="no layer 'layer9'"):
        tapped(adapter.student, torch.zeros(1, 3, 32, 64), 'layer9')
    with pytest.raises(UnknownNameError):
        loaded(losses=losses_of('iapc', importance={'importance_input': 'logit'}))


def test_sixteen_outputs():
    from sfda_bench.plan import catalog

    network = catalog.load('networks', 'deeplabv2_pocket')['model']
    network['decode_head']['num_classes'] = 16
    adapter = plain('IAPC')
    segmentor = {**network, 'data_preprocessor': adapter_preprocessor(network)}
    adapter = type(adapter)(segmentor, losses=losses_of('iapc')).train()
    log = stepped(adapter, batch(classes=16))
    assert adapter.class_weights.often.shape == (16,) and torch.isfinite(log['loss'])


def adapter_preprocessor(network: dict) -> dict:
    return {**network['data_preprocessor'], 'size_divisor': 1}


# --- the offline labels ---------------------------------------------------------------------------


def test_six_passes_added_after_resizing():
    predictor = plain('MultiScalePredictor').eval()
    generator = torch.Generator().manual_seed(0)
    views = [torch.randn(1, 3, *size, generator=generator) for size in ((32, 64), (40, 80))]
    found = predictor.scores(views, (48, 96))
    expected = torch.zeros_like(found)
    for view in views:
        for mirrored in (False, True):
            images = view.flip(3) if mirrored else view
            logits = predictor.logits(images)
            p = (logits.flip(3) if mirrored else logits).softmax(dim=1).detach()
            expected += up(p, (48, 96))
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(found.sum(dim=1), torch.full((1, 48, 96), 4.0), atol=1e-4)


def test_the_writer_keeps_every_pixel(tmp_path):
    writer = LabelWriter(str(tmp_path / 'artifacts'), num_classes=3)
    labels = torch.tensor([[[0, 2], [2, 2]]])
    sample = {'sample_id': 'city/a', 'pred_sem_seg': {'data': labels}}
    writer.process(None, [sample])
    assert writer.evaluate(1) == {'images': 1, 'never_predicted': 1}
    written = Image.open(tmp_path / 'artifacts' / 'labels' / 'city' / 'a.png')
    assert np.asarray(written).tolist() == [[0, 2], [2, 2]]
    assert '1' in (tmp_path / 'warnings.json').read_text()


# --- the config -----------------------------------------------------------------------------------


def paper(task: str = 'gta5_to_cityscapes') -> list[dict]:
    """The stages of the paper profile: label, adapt."""
    return Method('iapc').stages('paper', task, {})


ADAPTER = [
    ('section 6.3', 'losses.importance.loss_weight', 0.2),
    ('section 6.3', 'losses.enhanced.loss_weight', 0.5),
    ('section 6.3', 'losses.symmetric.loss_weight', 0.04),
    ('section 6.3', 'losses.entropy.loss_weight', 2.0),
    ('section 6.3', 'max_value', 7.0),
    ('section 6.3', 'small_pixels', 4096),
    ('section 8.1', 'legacy_view', False),
    ('section 8.2', 'losses.importance.importance_input', 'logits'),
    ('section 2', 'feature_layer', 'layer3'),
    ('section 6.4', 'teacher_mode', 'train'),
    ('section 6.4', 'norm_mode', 'train'),
]
HOOKS = [
    ('section 6.2', 'teacher.momentum', 0.9999),
    ('section 6.4', 'clean.interval', 1),
]
CROPS = [
    ('section 6.1', 'crop_size', (256, 512)),
    ('section 6.1', 'scale', (0.8, 1.2)),
    ('section 6.1', 'min_classes', 10),
    ('section 6.1', 'tries', 10),
    ('section 6.1', 'flip', 0.5),
    ('section 6.1', 'colour', True),
    ('section 6.1', 'mode', 'bicubic'),
]
TASKS = ('gta5_to_cityscapes', 'synthia_to_cityscapes', 'cityscapes_to_acdc')


@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize(
    ('part', 'section', 'name', 'value'),
    [
        *(('adapter', *row) for row in ADAPTER),
        *(('hooks', *row) for row in HOOKS),
        *(('pack', *row) for row in CROPS),
    ],
)
def test_constants_of_the_sheet(task, part, section, name, value):
    """The same for all tasks (section 6.6)."""
    place = paper(task)[1][part]
    for key in name.split('.'):
        place = place[key]
    assert place == value, section


def test_clean_crops_of_the_sheet():
    """Section 6.4: of images at half size."""
    assert tuple(paper()[1]['pack']['clean_size']) == (1024, 512)


@pytest.mark.parametrize('task', TASKS)
def test_optimiser_of_the_sheet(task):
    """Section 6.5."""
    wrapper = paper(task)[1]['optim_wrapper']
    assert wrapper['optimizer'] == {
        'type': 'SGD', 'lr': 1e-4, 'momentum': 0.9, 'nesterov': True, 'weight_decay': 5e-4
    }  # fmt: skip
    assert wrapper['paramwise_cfg']['custom_keys'] == {'decode_head': {'lr_mult': 10.0}}


def test_learning_rate_of_the_sheet():
    """Case F: 5000 iterations of warm-up, then a decay that would reach 0 at 100,000."""
    stage = paper()[1]
    adapter = loaded()
    wrapper = build_optim_wrapper(adapter, dict(stage['optim_wrapper']))
    [scheduler] = [
        PARAM_SCHEDULERS.build({**config, 'optimizer': wrapper})
        for config in schedulers(stage['param_scheduler'], stage['iters'])
    ]
    expected = {
        0: 1e-5, 1: 1.0018e-5, 2500: 5.5e-5, 4999: 9.9982e-5, 5000: 9.548854e-5, 8999: 9.186320e-5
    }  # fmt: skip
    for iteration in range(9000):
        if iteration in expected:
            rates = sorted({group['lr'] for group in wrapper.optimizer.param_groups})
            lr = expected[iteration]
            assert rates == pytest.approx([lr, 10 * lr], rel=1e-6), iteration
        scheduler.step()


@pytest.mark.parametrize(
    ('task', 'iters', 'base', 'labels'),
    [
        ('gta5_to_cityscapes', 9000, (1280, 640), (1024, 512)),
        ('synthia_to_cityscapes', 5000, (1280, 640), (1024, 512)),
        ('cityscapes_to_acdc', 5000, (960, 540), (960, 540)),
        ('cityscapes_to_acdc_night', 5000, (960, 540), (960, 540)),
    ],
)
def test_paper_profile(task, iters, base, labels):
    label, adapt = paper(task)
    assert (adapt['iters'], adapt['batch_size']) == (iters, 6)
    assert tuple(adapt['pack']['base_size']) == base
    assert tuple(adapt['pack']['crop_size']) == (256, 512)
    assert tuple(label['pack']['sizes'][0]) == labels and len(label['pack']['sizes']) == 3
    assert adapt['hooks']['teacher']['momentum'] == 0.9999
    assert adapt['adapter']['small_pixels'] == 4096
    assert adapt['optim_wrapper']['paramwise_cfg']['backbone_repeat'] == 3
