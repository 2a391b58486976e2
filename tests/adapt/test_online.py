"""Adapting while predicting: order, resets, teacher, averaging, restoring."""

from __future__ import annotations

import copy

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from sfda_bench.adapt.averaging import AugmentedAverage, probabilities
from sfda_bench.adapt.online import restore_at_random
from sfda_bench.errors import BenchError
from tests.methods.helpers import losses_of, plain

SIZE = (32, 48)
OPTIM = {'type': 'OptimWrapper', 'optimizer': {'type': 'Adam', 'lr': 1e-2}}


def batch(seed: int, condition: str = '', number: int = 1) -> dict:
    """Images as a loader collates them; files are twice the size of the input."""
    generator = torch.Generator().manual_seed(seed)
    images = [torch.randint(0, 255, (3, *SIZE), generator=generator) for _ in range(number)]
    meta = {
        'img_shape': SIZE, 'pad_shape': SIZE, 'ori_shape': (64, 96), 'condition': condition,
        'sample_id': f'{seed}',
    }  # fmt: skip
    return {'inputs': images, 'data_samples': [SegDataSample(metainfo=meta) for _ in images]}


def ready(kind: str = 'TentOnline', **kwargs):
    """A configured adapter and its optimiser."""
    losses = losses_of('tent_online') if kind == 'TentOnline' else {}
    model = plain(kind, losses=losses, **kwargs)
    wrapper = build_optim_wrapper(model, copy.deepcopy(OPTIM)) if kind == 'TentOnline' else None
    model.configure(wrapper)
    return model, wrapper


def labels(samples) -> torch.Tensor:
    return torch.cat([sample.pred_sem_seg.data for sample in samples])


def state(model) -> dict[str, torch.Tensor]:
    found = model.student.state_dict().items()
    return {name: value.clone() for name, value in found if 'num_batches' not in name}


def changed(before: dict, after: dict) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_only_normalisation_moves_and_running_statistics_stay():
    model, wrapper = ready()
    before = state(model)
    samples = model.adapt_step(batch(0), wrapper)
    moved = changed(before, state(model))
    assert moved and all(name.endswith(('.weight', '.bias')) for name in moved)
    layers = dict(model.student.named_modules())
    assert {type(layers[name.rsplit('.', 1)[0]]).__name__ for name in moved} == {'BatchNorm2d'}
    assert samples[0].pred_sem_seg.data.shape == (1, 64, 96) and 'seg_logits' not in samples[0]


def test_before_predicts_with_the_weights_it_finds_and_after_with_those_it_leaves():
    first, wrapper = ready(predict='before')
    untouched, _ = ready(predict='before')
    expected = labels(untouched.finished(untouched.predicted(_images(untouched)), _samples()))
    assert torch.equal(labels(first.adapt_step(batch(0), wrapper)), expected)
    second, wrapper = ready(predict='after')
    found = labels(second.adapt_step(batch(0), wrapper))
    expected = labels(second.finished(second.predicted(_images(second)), _samples()))
    assert torch.equal(found, expected)
    for network, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(network, other)


def _images(model):
    return model.data_preprocessor(batch(0), False)['inputs']


def _samples():
    return batch(0)['data_samples']


def test_reset_restores_weights_buffers_optimiser_and_random_numbers():
    model, wrapper = ready(norm_mode='train', restore=0.5, teacher={'momentum': 0.5})
    before, optimiser = state(model), copy.deepcopy(wrapper.state_dict())
    model.adapt_step(batch(0), wrapper)
    first = state(model)
    assert any('running_mean' in name for name in changed(before, first))
    assert wrapper.state_dict()['state']
    model.adapt_step(batch(1), wrapper)
    model.reset()
    assert not changed(before, state(model))
    assert wrapper.state_dict() == optimiser
    for own, other in zip(model.teacher.parameters(), model.student.parameters(), strict=True):
        assert torch.equal(own, other)
    model.adapt_step(batch(0), wrapper)
    assert not changed(first, state(model))


@pytest.mark.parametrize('kind', ['TentOnline', 'BNAdaptOnline'])
def test_an_episodic_result_does_not_depend_on_the_order(kind):
    found = []
    for order in ([0, 1, 2], [2, 0, 1]):
        model, wrapper = ready(kind, predict='after', reset_on='image', restore=0.1)
        results = {seed: labels(model.adapt_step(batch(seed), wrapper)) for seed in order}
        found.append(results)
    assert all(torch.equal(found[0][seed], found[1][seed]) for seed in range(3))
    model, wrapper = ready(kind, predict='after')
    drifted = {seed: labels(model.adapt_step(batch(seed), wrapper)) for seed in (2, 0, 1)}
    assert any(not torch.equal(found[0][seed], drifted[seed]) for seed in range(3))


def test_a_change_of_condition_resets_and_its_continuation_does_not():
    model, wrapper = ready(reset_on='condition')
    before = state(model)
    model.adapt_step(batch(0, 'fog'), wrapper)
    model.adapt_step(batch(1, 'fog'), wrapper)
    drifted = state(model)
    model.adapt_step(batch(0, 'night'), wrapper)
    fresh, other = ready()
    fresh.adapt_step(batch(0), other)
    assert not changed(state(fresh), state(model)) and changed(drifted, state(model))
    assert changed(before, state(model))


def test_batches_cannot_straddle_a_reset_and_labels_are_refused():
    model, wrapper = ready(reset_on='image')
    with pytest.raises(BenchError, match='batch_size=1'):
        model.adapt_step(batch(0, number=2), wrapper)
    data = batch(0)
    data['data_samples'][0].gt_sem_seg = PixelData(data=torch.zeros(1, 64, 96))
    with pytest.raises(BenchError, match='a stream with labels'):
        model.adapt_step(data, wrapper)


def test_the_teacher_follows_after_the_step_and_predicts_on_request():
    model, wrapper = ready(teacher={'momentum': 0.75}, predict_on='teacher', predict='after')
    source = [p.clone() for p in model.student.parameters()]
    samples = model.adapt_step(batch(0), wrapper)
    triples = zip(model.teacher.parameters(), source, model.student.parameters(), strict=True)
    for own, start, student in triples:
        assert torch.allclose(own, 0.75 * start + 0.25 * student, atol=1e-6)
    assert model.export_module() is model.teacher
    images = model.data_preprocessor(batch(0), False)['inputs']
    expected = model.finished(model.predicted(images), _samples())
    assert torch.equal(labels(samples), labels(expected))
    with pytest.raises(BenchError, match='without a teacher'):
        plain('TentOnline', predict_on='teacher')


def test_restoring_takes_the_share_it_was_given_and_nothing_else():
    source = [torch.zeros(200, 100), torch.zeros(50)]
    moved = [torch.ones(200, 100), torch.ones(50)]
    restore_at_random(moved, source, 0.3, torch.Generator().manual_seed(0))
    assert abs(float((moved[0] == 0).float().mean()) - 0.3) < 0.01
    assert set(torch.cat([m.flatten() for m in moved]).tolist()) == {0.0, 1.0}
    again = [torch.ones(200, 100), torch.ones(50)]
    restore_at_random(again, source, 0.3, torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(moved, again, strict=True))
    restore_at_random(again, source, 1.0, torch.Generator())
    assert all(float(value.abs().max()) == 0 for value in again)


def test_full_restoring_leaves_the_source_model():
    model, wrapper = ready(restore=1.0)
    before = state(model)
    model.adapt_step(batch(0), wrapper)
    assert not changed(before, state(model))


def test_the_average_is_that_of_all_views_and_mirrors_them_back():
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(3, 5, 3, padding=1).requires_grad_(False)
    images = torch.randn(2, 3, *SIZE)
    resize = torch.nn.functional.interpolate
    expected = torch.zeros(2, 5, *SIZE)
    for side in ((16, 24), (32, 48)):
        view = resize(images, size=side, mode='bilinear') if side != SIZE else images
        for mirror in (False, True):
            shown = view.flip(3) if mirror else view
            maps = conv(shown).softmax(1)
            maps = maps.flip(3) if mirror else maps
            expected += resize(maps, size=SIZE, mode='bilinear') / 4
    found = AugmentedAverage(scales=(0.5, 1.0))(conv, images)
    assert torch.allclose(found, expected, atol=1e-6)


def test_confident_pixels_and_images_keep_the_plain_prediction():
    conv = torch.nn.Conv2d(3, 5, 3, padding=1).requires_grad_(False)
    images = torch.randn(2, 3, *SIZE)
    plain_maps = conv(images).softmax(1)
    mean = AugmentedAverage(scales=(0.5, 1.0))(conv, images)
    confidence = torch.rand(2, *SIZE)
    pixel = AugmentedAverage(scales=(0.5, 1.0), threshold=0.5)
    found = pixel(conv, images, confidence=confidence)
    sure = (confidence >= 0.5)[:, None]
    assert torch.allclose(found, torch.where(sure, plain_maps, mean))
    image = AugmentedAverage(scales=(0.5, 1.0), threshold=0.5, level='image')
    confidence = torch.stack([torch.full(SIZE, 0.4), torch.full(SIZE, 0.6)])
    found = image(conv, images, confidence=confidence)
    assert torch.allclose(found[0], mean[0]) and torch.allclose(found[1], plain_maps[1])


def test_an_adapter_averages_with_the_confidence_of_the_source():
    model, wrapper = ready(averaging={'scales': (0.5, 1.0), 'threshold': 1.1})
    always, other = ready(averaging={'scales': (0.5, 1.0)})
    assert torch.equal(
        labels(model.adapt_step(batch(0), wrapper)), labels(always.adapt_step(batch(0), other))
    )
    assert not model.source.training
    never, wrapper = ready(averaging={'scales': (0.5, 1.0), 'threshold': 0.0})
    images = _images(never)
    plain_maps = probabilities(
        lambda x: never.logits_of(never.student, x), images, 1.0, False, never.align_corners
    )
    assert torch.equal(never.predicted(images), plain_maps)
    assert not torch.equal(always.predicted(images), plain_maps)


def test_statistics_of_the_image_alone_equal_batch_normalisation():
    model, _ = ready('BNAdaptOnline', momentum=1.0)
    other, _ = ready('TentOnline', trainable='none')
    images = _images(model)
    assert torch.allclose(model.adapt(images, None), other.adapt(images, None), atol=1e-4)


def test_statistics_mix_layer_by_layer_with_what_arrives():
    model, _ = ready('BNAdaptOnline', momentum=0.25)
    layer = model.student.backbone.bn1
    seen = []
    layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    before = layer.running_mean.clone(), layer.running_var.clone()
    model.adapt_step(batch(3))
    mean, variance = seen[0].mean((0, 2, 3)), seen[0].var((0, 2, 3), unbiased=False)
    assert torch.allclose(layer.running_mean, 0.75 * before[0] + 0.25 * mean, atol=1e-5)
    assert torch.allclose(layer.running_var, 0.75 * before[1] + 0.25 * variance, rtol=1e-4)


def test_momentum_zero_is_the_source_model():
    model, _ = ready('BNAdaptOnline', momentum=0.0)
    reference = copy.deepcopy(model.student).eval()
    images = _images(model)
    maps = reference.encode_decode(images, [sample.metainfo for sample in _samples()])
    expected = labels(reference.postprocess_result(maps, _samples()))
    assert torch.equal(labels(model.adapt_step(batch(0))), expected)
