"""ATP: scalars of its sheet, and what each stage does to a small network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, DefaultScope
from mmseg.structures import SegDataSample

from sfda_bench.adapt.complementary import reliability_map
from sfda_bench.adapt.curriculum import IGNORE
from sfda_bench.adapt.ranking import ranking_score, split
from sfda_bench.errors import BenchError
from sfda_bench.methods.atp import ATPAlign, ATPPropagate, ATPRank, ATPTeach
from sfda_bench.suite.compose import _schedulers
from sfda_bench.suite.method import Method
from sfda_bench.suite.plan import Selection, make_plan
from sfda_bench.suite.selectors import parse_method
from sfda_bench.suite.store import Store
from tests.suite.conftest import linked_root

NETWORK = Path(__file__).parents[2] / 'mm_configs' / 'networks' / 'deeplabv2_pocket.py'
SMALL = {'projection': 8, 'ignore_top': 2, 'ignore_bottom': 6, 'contrast_start': 0}


def build(kind, **kwargs):
    model = dict(Config.fromfile(NETWORK).model)
    model['data_preprocessor'] = {**model['data_preprocessor'], 'size_divisor': 1}
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        return kind(segmentor=model, **kwargs).train()


def image(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 3, 48, 96, generator=torch.Generator().manual_seed(seed))


def pair() -> dict:
    images = {'easy': image(0), 'hard': image(1)}
    return {'inputs': images, 'data_samples': {'easy': None, 'hard': None}}


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
    stage = Method('atp').stages('paper', 'gta5_to_cityscapes', {})[0]
    adapter = build(ATPAlign)
    wrapper = build_optim_wrapper(adapter, dict(stage['optim_wrapper']))
    schedulers = [
        PARAM_SCHEDULERS.build({**config, 'optimizer': wrapper})
        for config in _schedulers(stage['param_scheduler'], stage['iters'])
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
        for scheduler in schedulers:
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


def test_alignment_keeps_no_teacher_unless_crops_need_one():
    adapter = build(ATPAlign)
    adapter.loss(image())
    assert int(adapter.step) == 0
    adapter = build(ATPAlign, cbc_size=(24, 32))
    adapter.loss(image())
    assert int(adapter.step) == 1 and adapter.chosen_crops(image()).shape[-2:] == (24, 32)


# --- teach ------------------------------------------------------------------------------------


def test_teaching_labels_every_pixel_as_the_code_does():
    adapter = build(ATPTeach)
    losses = adapter.loss(image())
    sum(losses.values()).backward()
    assert set(losses) == {'loss_positive', 'loss_negative'}
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
    losses = adapter.loss(**pair())
    assert set(losses) == {
        'loss_easy_positive', 'loss_easy_negative', 'loss_mixed_positive', 'loss_mixed_negative',
        'loss_contrast', 'loss_regulariser',
    }  # fmt: skip
    assert float(adapter.prototypes.count.sum()) > 0
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in adapter.student.parameters())
    assert all(p.grad is None for p in adapter.teacher_projection_head.parameters())


def test_contrast_starts_late():
    adapter = build(ATPPropagate, **{**SMALL, 'contrast_start': 1})
    assert 'loss_contrast' not in adapter.loss(**pair())
    assert 'loss_contrast' in adapter.loss(**pair())


def test_parts_sum_to_the_whole_and_step_once():
    def run(by_parts: bool):
        adapter = build(ATPPropagate, **SMALL)
        wrapper = build_optim_wrapper(
            adapter, {'type': 'OptimWrapper', 'optimizer': {'type': 'SGD', 'lr': 0.1}}
        )
        torch.manual_seed(1)
        data = raw(pair()['inputs'])
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
