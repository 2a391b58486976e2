"""ATP: scalars of its sheet, and what each stage does to a small network."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, DefaultScope
from mmseg.structures import SegDataSample
from torch.nn.functional import cross_entropy

from sfda_bench.adapt.features import encoder_map, pixels
from sfda_bench.adapt.hooks import Driver
from sfda_bench.adapt.ranking import ranking_score, split
from sfda_bench.errors import BenchError
from sfda_bench.labels import IGNORE
from sfda_bench.methods.atp.align import ATPAlign
from sfda_bench.methods.atp.complementary import reliability_map
from sfda_bench.methods.atp.contrast import semantic_contrast
from sfda_bench.methods.atp.curriculum import (
    curriculum_entropy,
    negative_loss,
    weighted_diversity,
)
from sfda_bench.methods.atp.hooks import ContrastStartHook
from sfda_bench.methods.atp.propagate import ATPPropagate
from sfda_bench.methods.atp.rank import ATPRank
from sfda_bench.methods.atp.teach import ATPTeach
from sfda_bench.plan.configs import schedulers
from sfda_bench.plan.expand import Selection, make_plan
from sfda_bench.plan.method import Method
from sfda_bench.plan.selectors import parse_method
from sfda_bench.plan.settings import settings_of
from sfda_bench.store.runs import Store
from tests.harness import linked_root
from tests.methods.helpers import hooks_of, losses_of, perturb

NETWORK = Path(__file__).parents[2] / 'mm_configs' / 'networks' / 'deeplabv2_pocket.py'
SMALL = {'projection': 8, 'ignore_top': 2, 'ignore_bottom': 6}
STAGES = {ATPAlign: 'align', ATPTeach: 'teach', ATPPropagate: 'propagate'}


def build(kind, changes: dict | None = None, **kwargs):
    """An adapter with the losses of the config, with ``changes`` by their names."""
    if kind in STAGES:
        kwargs = {'losses': losses_of('atp', changes, stage=STAGES[kind]), **kwargs}
    model = dict(Config.fromfile(NETWORK).model)
    model['data_preprocessor'] = {**model['data_preprocessor'], 'size_divisor': 1}
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        return kind(segmentor=model, **kwargs).train()


def driven(adapter, **hooks) -> Driver:
    """The adapter with the hooks of the config, with changes by their names."""
    return Driver(adapter, hooks_of('atp', STAGES[type(adapter)], **hooks))


def image(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 3, 48, 96, generator=torch.Generator().manual_seed(seed))


def pair() -> dict:
    images = {'easy': image(0), 'hard': image(1)}
    return {'inputs': images, 'data_samples': {'easy': None, 'hard': None}}


def paper(number: int, task: str = 'gta5_to_cityscapes') -> dict:
    """A stage of the paper profile: 0 align, 1 teach, 2 rank, 3 propagate."""
    return Method('atp').stages('paper', task, {})[number]


def from_config(number: int):
    """The stage's adapter as the paper profile sets it, on the small network."""
    config = dict(paper(number)['adapter'])
    kind = {'ATPAlign': ATPAlign, 'ATPTeach': ATPTeach}[config.pop('type')]
    return build(kind, **config)


def mirrored_colours(images: torch.Tensor, switches=None) -> torch.Tensor:
    """Stands for the strong view: other pixels for the network, the same signs."""
    return images.flip(1)


def floats(losses: dict) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in losses.items()}


def raw(images: dict) -> dict:
    """Batches as a loader gives them."""
    pixels = {k: [(127 + 40 * i).clamp(0, 255).byte() for i in v] for k, v in images.items()}
    samples = [SegDataSample(metainfo={'ori_shape': (48, 96)}) for _ in range(2)]
    return {name: {'inputs': v, 'data_samples': samples} for name, v in pixels.items()}


# --- scalars of the sheet ---------------------------------------------------------------------


def test_share_of_confident_pixels_is_inclusive():
    confidence = torch.tensor([[[0.99, 0.968], [0.5, 0.97]]])
    assert reliability_map(confidence, 0.968, 0, 0).tolist() == [[[0.75, 0.75], [0.75, 0.75]]]
    assert reliability_map(confidence, 0.968, 1, 0).tolist() == [[[0.0, 0.0], [0.75, 0.75]]]
    assert reliability_map(confidence, 0.968, 0, 1).tolist() == [[[0.75, 0.75], [0.0, 0.0]]]


@pytest.mark.parametrize(('number', 'easy'), [(2975, 892), (400, 120), (10, 3), (7, 2)])
def test_sizes_of_the_split(number, easy):
    first, second = split({str(i): float(i) for i in range(number)}, 0.3)
    assert (len(first), len(second)) == (easy, number - easy)


def test_image_score():
    logits = torch.tensor([[4, 0.5, 0, -1], [1, 0.9, -2.5, -3]], dtype=torch.float64)
    probabilities = logits.softmax(dim=1).t()[:, None, :]
    assert ranking_score(probabilities) == pytest.approx(0.09582832, abs=5e-9)


def test_learning_rate_of_the_sheet():
    stage = paper(0)
    adapter = build(ATPAlign)
    wrapper = build_optim_wrapper(adapter, dict(stage['optim_wrapper']))
    built = [
        PARAM_SCHEDULERS.build({**config, 'optimizer': wrapper})
        for config in schedulers(stage['param_scheduler'], stage['iters'])
    ]
    expected = {
        0: 6.0e-11, 1: 4.00589585e-08, 750: 2.94375294e-05, 1499: 5.7712999e-05, 1500: 5.775e-05,
        20000: 3.0e-05, 39999: 1.5e-09,
    }  # fmt: skip
    groups = wrapper.optimizer.param_groups
    backbone = min(range(len(groups)), key=lambda i: groups[i]['lr'])
    head = max(range(len(groups)), key=lambda i: groups[i]['lr'])
    for iteration in range(40000):
        if iteration in expected:
            lr = groups[backbone]['lr']
            assert lr == pytest.approx(expected[iteration], rel=2e-8, abs=1e-14), iteration
            assert groups[head]['lr'] == pytest.approx(10 * lr)
        for scheduler in built:
            scheduler.step()


# --- align ------------------------------------------------------------------------------------


def test_alignment_is_tiny_and_moves_everything_unless_frozen():
    for frozen in (False, True):
        adapter = build(ATPAlign, freeze_classifier=frozen)
        losses = adapter.loss(image())
        assert set(losses) == {'loss_entropy', 'loss_diversity'}
        sum(losses.values()).backward()
        head = [p.grad is not None for p in adapter.student.decode_head.parameters()]
        assert all(head) is not frozen and any(head) is not frozen
        assert all(p.grad is not None for p in adapter.student.backbone.parameters())
        assert abs(float(sum(losses.values()).detach())) < 1e-3


def test_alignment_of_known_logits_on_the_strong_view():
    """Section 5 and case 10.2: gamma 5, alpha 3, 1e-3 and 1e-4, two pixels of 19 classes."""
    adapter = from_config(0)
    z = [[3 * math.sin(1 + 19 * i + c) for i in range(2)] for c in range(19)]
    known = torch.tensor(z).view(1, 19, 1, 2)
    weak, seen = torch.randn(1, 3, 1, 2), []
    adapter.strong = mirrored_colours
    adapter.logits = lambda images, size: (seen.append((images, size)), known)[1]
    losses = floats(adapter.losses({'image': weak}))
    [(images, size)] = seen
    assert torch.equal(images, weak.flip(1)) and size == (1, 2)
    entropy = float(curriculum_entropy(known, 5.0))
    diversity = float(weighted_diversity(known, 3.0))
    assert losses['loss_entropy'] == pytest.approx(1e-3 * entropy)
    assert losses['loss_diversity'] == pytest.approx(-1e-4 * diversity)
    assert sum(losses.values()) == pytest.approx(-1.557611437e-05, rel=1e-5)


def test_alignment_keeps_no_teacher_unless_crops_need_one():
    for size in (None, (24, 32)):
        adapter = build(ATPAlign, cbc_size=size)
        perturb(adapter.student, 1)
        before = [p.clone() for p in adapter.teacher.parameters()]
        driven(adapter).loss(image())
        pairs = zip(before, adapter.teacher.parameters(), strict=True)
        moved = [not torch.equal(old, new) for old, new in pairs]
        assert all(moved) if size else not any(moved)
        assert adapter.chosen_crops(image()).shape[-2:] == (size or (48, 96))


# --- teach ------------------------------------------------------------------------------------


def test_teaching_labels_every_pixel_as_the_code_does():
    """Section 6: the teacher labels the plain view, the student learns on the strong one."""
    adapter = from_config(1)
    perturb(adapter.student, 1)
    adapter.strong = mirrored_colours
    weak, strong = image(), image().flip(1)
    student, teacher = adapter.student, adapter.teacher
    labels = adapter.logits_of(teacher, weak, (48, 96)).argmax(dim=1)
    for other in ((teacher, strong), (student, weak), (student, strong)):
        wrong = adapter.logits_of(*other, (48, 96)).argmax(dim=1)
        assert float((wrong != labels).float().mean()) > 0.1
    logits = adapter.logits_of(student, strong, (48, 96)).detach()
    assert float(logits.softmax(dim=1).amin()) < 0.04
    losses = adapter.losses({'image': weak})
    expected = {
        'loss_positive': float(cross_entropy(logits, labels)),
        'loss_negative': float(negative_loss(logits, 0.04)),
    }
    assert floats(losses) == pytest.approx(expected, rel=1e-5)
    sum(losses.values()).backward()
    assert all(p.grad is None for p in adapter.teacher.parameters())


def test_thresholds_of_the_paper():
    labels = torch.full((1, 4, 4), IGNORE)
    labels[0, 0] = 1
    logits = torch.randn(1, 19, 4, 4)
    everywhere = build(ATPTeach).complementary(logits, labels)
    some = build(ATPTeach, negatives_on='uncertain').complementary(logits, labels)
    assert torch.equal(everywhere['loss_positive'], some['loss_positive'])
    assert 0 < float(some['loss_negative']) < float(everywhere['loss_negative'])
    strict = build(ATPTeach, positive_threshold=1.1).loss(image())
    assert float(strict['loss_positive'].detach()) == 0.0


# --- rank -------------------------------------------------------------------------------------


def test_ranking_in_training_mode_is_a_switch():
    quiet, noisy = (build(ATPRank, replicate_train_mode=flag).eval() for flag in (False, True))
    first, second = (model.probabilities(image(), (48, 96)) for model in (quiet, noisy))
    assert not torch.allclose(first, second, atol=1e-3)
    assert not quiet.student.training and noisy.student.training


# --- propagate --------------------------------------------------------------------------------


def test_propagation_has_three_parts():
    adapter = build(ATPPropagate, **SMALL, confident=0.0)
    losses = driven(adapter, contrast={'begin': 0}).loss(**pair())
    assert set(losses) == {
        'loss_easy_positive', 'loss_easy_negative', 'loss_mixed_positive', 'loss_mixed_negative',
        'loss_contrast', 'loss_regulariser',
    }  # fmt: skip
    assert float(adapter.prototypes.count.sum()) > 0
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in adapter.student.parameters())
    assert all(p.grad is None for p in adapter.teacher_projection_head.parameters())


def propagating(changes: dict | None = None, **kwargs):
    """An adapter whose networks differ and whose labels are known: ``(adapter, views, known)``.

    Easy images are positive, with classes 0 to 4 in upright strips of five cells of the features;
    hard ones are negative, with classes 5 to 8 in lying strips of three.
    """
    kwargs = {**SMALL, 'ignore_top': 4, 'ignore_bottom': 8, **kwargs}
    adapter = build(ATPPropagate, changes, **kwargs)
    perturb(adapter.student, 1)
    perturb(adapter.projection_head, 2)
    views = {'easy': image(0).abs() + 0.1, 'hard': -image(1).abs() - 0.1}
    columns, rows = torch.arange(96).expand(48, 96), torch.arange(48)[:, None].expand(48, 96)
    strips, layers = (columns // 20).clamp(max=4), rows // 12
    easy = torch.stack([strips, (strips + 2) % 5])
    hard = 5 + torch.stack([layers, (layers + 1) % 4])
    confidence = torch.where(columns < 48, 0.968, 0.5).expand(2, 48, 96)
    known = {'easy': (views['easy'], easy, confidence), 'hard': (views['hard'], hard, confidence)}
    adapter.labelled = lambda images: known['easy' if images is views['easy'] else 'hard']
    adapter.strong = mirrored_colours
    return adapter, views, known


def test_easy_classes_are_pasted_over_hard_images_with_their_weights():
    """Section 7.2: labels and weights of what is seen; the negative loss has no weights."""
    adapter, views, known = propagating()
    seen, logits = [], adapter.logits
    adapter.logits = lambda images, size: (seen.append(images), logits(images, size))[1]
    losses = floats(adapter.losses(views))
    strong, mixed = seen
    assert torch.equal(strong, views['easy'].flip(1))
    pasted = mixed[:, 0] > 0
    shown = torch.where(pasted[:, None], views['easy'], views['hard'])
    assert torch.equal(mixed, shown.flip(1))
    easy, hard = known['easy'][1], known['hard'][1]
    for mask, label in zip(pasted, easy, strict=True):
        classes = label[mask].unique()
        assert len(classes) == 3 and torch.equal(mask, torch.isin(label, classes))
    weight = torch.full((2, 48, 96), 0.5)
    weight[:, :4] = weight[:, -8:] = 0.0
    weight[pasted] = 1.0
    labels = torch.where(pasted, easy, hard)
    easy_logits, mixed_logits = (
        adapter.logits_of(adapter.student, images, (48, 96)).detach() for images in seen
    )
    expected = {
        'loss_easy_positive': cross_entropy(easy_logits, easy),
        'loss_easy_negative': negative_loss(easy_logits, 0.04),
        'loss_mixed_positive': (
            weight * cross_entropy(mixed_logits, labels, reduction='none')
        ).mean(),
        'loss_mixed_negative': negative_loss(mixed_logits, 0.04),
    }
    assert all(float(value) > 0 for value in expected.values())
    for name, value in expected.items():
        assert losses[name] == pytest.approx(float(value), rel=1e-5), name


def embedded(network, projector, images: torch.Tensor) -> torch.Tensor:
    features = encoder_map(network.decode_head, network.extract_feat(images))
    return pixels(projector(features)).detach()


def test_prototypes_are_the_teachers_of_plain_easy_images():
    """Section 7.2, step 3: means of the teacher's features under the labels of easy pixels."""
    adapter, views, known = propagating()
    adapter.losses(views)
    features = embedded(adapter.teacher, adapter.teacher_projection_head, views['easy'])
    labels = known['easy'][1][:, ::4, ::4].flatten()
    counts = torch.bincount(labels, minlength=19)
    assert torch.equal(adapter.prototypes.count, counts.float())
    means = torch.stack([features[labels == c].mean(dim=0) for c in range(5)])
    assert torch.allclose(adapter.prototypes.mean[:5], means, atol=1e-5)
    assert not adapter.prototypes.mean[5:].any()
    assert float(torch.pdist(means).min()) > 1e-3


def test_contrast_is_of_strong_hard_features_with_their_labels():
    """Section 7.2, step 4: labels without weight are left out; here the temperature is 0.1."""
    adapter, views, known = propagating({'contrast': {'temperature': 0.1}})
    losses = floats(adapter.losses(views))
    labels = known['hard'][1][:, ::4, ::4].clone()
    labels[:, :1] = labels[:, -2:] = IGNORE
    features = embedded(adapter.student, adapter.projection_head, views['hard'].flip(1))
    means = adapter.prototypes.mean
    contrast, regulariser = semantic_contrast(features, labels.flatten(), means, 0.1)
    assert losses['loss_contrast'] == pytest.approx(float(contrast), rel=1e-5)
    assert losses['loss_regulariser'] == pytest.approx(float(regulariser), rel=1e-5)
    assert float(contrast) != pytest.approx(math.log(19), abs=0.01)


def test_contrast_starts_late():
    driver = driven(build(ATPPropagate, **SMALL), contrast={'begin': 1})
    assert 'loss_contrast' not in driver.loss(**pair())
    assert 'loss_contrast' in driver.loss(**pair())
    for iteration, on in ((0, False), (1, True), (7, True)):
        adapter = build(ATPPropagate, **SMALL)
        hooks = [{'type': 'ContrastStartHook', 'begin': 1}]
        Driver(adapter, hooks, iteration).before()
        assert adapter.contrasts is on, 'a resumed run goes on as it would have'


def test_only_a_contrast_can_be_started():
    with pytest.raises(BenchError, match='ContrastStartHook on ATPTeach'):
        Driver(build(ATPTeach), [{'type': 'ContrastStartHook'}])
    with pytest.raises(BenchError, match='contrast from iteration -1'):
        ContrastStartHook(-1)


def test_parts_sum_to_the_whole_and_step_once():
    def run(by_parts: bool):
        adapter = build(ATPPropagate, **SMALL)
        wrapper = build_optim_wrapper(
            adapter, {'type': 'OptimWrapper', 'optimizer': {'type': 'SGD', 'lr': 0.1}}
        )
        torch.manual_seed(1)
        data = raw(pair()['inputs'])
        driven(adapter, contrast={'begin': 0}).before()
        if by_parts:
            logged = adapter.train_step(data, wrapper)
        else:
            logged = super(ATPPropagate, adapter).train_step(data, wrapper)
        return adapter, logged

    (first, one), (second, other) = run(True), run(False)
    assert float(one['loss']) == pytest.approx(float(other['loss']), rel=1e-5)
    assert set(one) == set(other)
    for a, b in zip(first.student.parameters(), second.student.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_projectors_are_averaged_and_not_exported():
    adapter = build(ATPPropagate, **SMALL)
    names = [name for name, _ in adapter.projection_head.named_parameters()]
    assert len(adapter.averaged()) == 2 and names
    assert adapter.export_module() is adapter.student
    prior = build(ATPPropagate, **SMALL, class_prior_rescale=True)
    before = prior.student.decode_head.conv2d_list[0].bias
    after = prior.export_module().decode_head.conv2d_list[0].bias
    assert not torch.equal(before, after)


def test_switches_of_the_bugs_change_the_prototypes_and_the_mix():
    view = {'jitter_probability': 1.0}
    plain, bug, twice = (
        build(ATPPropagate, **SMALL, strong=view, **extra)
        for extra in ({}, {'replicate_inplace_bug': True}, {'augment_twice': True})
    )
    losses = []
    for adapter in (plain, bug, twice):
        torch.manual_seed(1)
        losses.append(adapter.loss(**pair()))
    assert not torch.allclose(plain.prototypes.mean, bug.prototypes.mean)
    mixed = [float(loss['loss_mixed_positive'].detach()) for loss in losses]
    assert mixed[0] == pytest.approx(mixed[1]) and mixed[0] != pytest.approx(mixed[2])


def test_images_of_different_sizes_cannot_be_mixed():
    adapter = build(ATPPropagate, **SMALL)
    with pytest.raises(BenchError, match='cannot mix'):
        adapter.loss({'easy': image(), 'hard': image()[..., :64]}, {'easy': None, 'hard': None})


# --- configs ----------------------------------------------------------------------------------


@pytest.mark.parametrize('task', ['gta5_to_cityscapes', 'synthia_to_cityscapes'])
@pytest.mark.parametrize('number', [0, 1, 3])
def test_training_of_the_sheet(number, task):
    """Section 4; of the batch in stage P, two easy and two hard images."""
    stage = paper(number, task)
    assert (stage['iters'], stage['batch_size'], stage['flip']) == (40000, 2, True)
    assert tuple(stage['input_size']) == (1280, 640) and tuple(stage['crop_size']) == (640, 640)
    optimizer = stage['optim_wrapper']['optimizer']
    assert optimizer['type'] == 'AdamW' and tuple(optimizer['betas']) == (0.9, 0.999)
    assert (optimizer['lr'], optimizer['weight_decay']) == (6e-5, 0.01)
    keys = stage['optim_wrapper']['paramwise_cfg']['custom_keys']
    assert keys['head'] == {'lr_mult': 10.0}
    norms = ['norm', *(f'backbone.layers.{level}.2.' for level in range(4))]
    assert all(keys[name] == {'decay_mult': 0.0} for name in norms)
    hook = stage['hooks']['teacher']
    assert hook['type'] == 'MeanTeacherHook'
    assert [hook[key] for key in ('momentum', 'warmup', 'buffers')] == [0.999, 'dacs', 'skip']
    adapter = stage['adapter']
    teacher = ('teacher_mode', 'predict_on', 'cbc_size', 'strong')
    expected = ['train', 'student', None, None]
    assert [adapter.get(key) for key in teacher] == expected


@pytest.mark.parametrize('number', [0, 1, 3])
def test_training_on_acdc_of_the_sheet(number):
    """Sections 4 and 8: larger images, whose crops are balanced."""
    stage = paper(number, 'cityscapes_to_acdc')
    assert tuple(stage['input_size']) == (1280, 720) and stage['crop_size'] is None
    assert tuple(stage['adapter']['cbc_size']) == (640, 640)


CONSTANTS = [
    ('section 5', 0, 'losses.entropy.loss_weight', 1e-3),
    ('section 5', 0, 'losses.diversity.loss_weight', 1e-4),
    ('section 5', 0, 'losses.entropy.gamma', 5.0),
    ('section 5', 0, 'losses.diversity.alpha', 3.0),
    ('section 5', 0, 'losses.entropy.detach', False),
    ('section 5', 0, 'adapter.freeze_classifier', False),
    ('section 6', 1, 'losses.negative.threshold', 0.04),
    ('section 6', 1, 'losses.negative.form', 'joint'),
    ('section 6', 1, 'adapter.negatives_on', 'all'),
    ('section 6', 1, 'adapter.positive_threshold', None),
    ('section 6', 3, 'losses.negative.threshold', 0.04),
    ('section 6', 3, 'losses.negative.form', 'joint'),
    ('section 6', 3, 'adapter.negatives_on', 'all'),
    ('section 6', 3, 'adapter.positive_threshold', None),
    ('section 7.2', 3, 'adapter.confident', 0.968),
    ('section 7.2', 3, 'adapter.ignore_top', 15),
    ('section 7.2', 3, 'adapter.ignore_bottom', 120),
    ('section 7.2', 3, 'hooks.contrast.begin', 1500),
    ('section 7.2', 3, 'losses.contrast.loss_weight', 1.0),
    ('section 7.2', 3, 'adapter.replicate_inplace_bug', False),
    ('section 7.3', 3, 'adapter.min_share', 0.75),
    ('section 7.4', 3, 'losses.contrast.temperature', 100.0),
    ('section 7.4', 3, 'losses.regulariser.loss_weight', 1.0),
    ('section 2', 3, 'adapter.projection', 512),
]


@pytest.mark.parametrize(('section', 'number', 'name', 'value'), CONSTANTS)
@pytest.mark.parametrize('task', ['gta5_to_cityscapes', 'cityscapes_to_acdc'])
def test_constants_of_the_sheet(section, number, name, value, task):
    """The same for all tasks (section 8)."""
    found = settings_of([paper(number, task)])
    assert [setting.value for setting in found if setting.full == name] == [value], section


@pytest.mark.parametrize(
    ('name', 'value', 'number', 'full'),
    [
        ('weight_entropy', 0.5, 0, 'losses.entropy.loss_weight'),
        ('weight_diversity', 0.5, 0, 'losses.diversity.loss_weight'),
        ('gamma', 2.0, 0, 'losses.entropy.gamma'),
        ('alpha', 2.0, 0, 'losses.diversity.alpha'),
        ('curriculum_detach', True, 0, 'losses.entropy.detach'),
        ('weight_positive', 0.5, 1, 'losses.positive.loss_weight'),
        ('teach.adapter.weight_negative', 0.5, 1, 'losses.negative.loss_weight'),
        ('teach.adapter.negative_threshold', 0.5, 1, 'losses.negative.threshold'),
        ('negative_form', 'sum', 3, 'losses.negative.form'),
        ('weight_contrast', 0.5, 3, 'losses.contrast.loss_weight'),
        ('weight_regulariser', 0.5, 3, 'losses.regulariser.loss_weight'),
        ('temperature', 0.5, 3, 'losses.contrast.temperature'),
        ('contrast_start', 5, 3, 'hooks.contrast.begin'),
        ('adapter.momentum', 0.5, 3, 'hooks.teacher.momentum'),
    ],
)
def test_settings_keep_their_short_names(name, value, number, full):
    stage = Method('atp').stages('paper', 'gta5_to_cityscapes', {name: value})[number]
    assert [s.value for s in settings_of([stage]) if s.full == full] == [value]


def test_split_of_the_sheet():
    """Section 7.1: three tenths, by the plain entropy."""
    writer = paper(2)['writer']
    assert (writer['easy_portion'], writer['normalisation']) == (0.3, 'none')
    assert paper(2)['adapter']['replicate_train_mode'] is False


def test_acdc_has_one_model_a_condition(pocket_root, tmp_path):
    """The suite plans a chain a condition; the class prior changes the last stage only."""
    store = Store(tmp_path / 'runs')
    methods = [parse_method('atp'), parse_method('atp[class_prior_rescale=true]')]
    root = linked_root(pocket_root, tmp_path)
    (root / 'weights' / 'mit_b5.pth').write_bytes(b'planning hashes it')
    plan = make_plan('acdc_conditions', Selection([], None, methods, None), root, store)
    assert len(plan.entries) == 8
    night = [e for e in plan.entries if e.key.task == 'cityscapes_to_acdc_night']
    plain, prior = (entry.stages for entry in night)
    # source, align, teach and rank are shared
    assert plain[:4] == prior[:4] and plain[4] != prior[4]
    config = plan.stages[plain[1]].config
    assert config['train_dataloader']['dataset']['dataset']['conditions'] == ['night']
    assert list(config['model']['cbc_size']) == [640, 640]
