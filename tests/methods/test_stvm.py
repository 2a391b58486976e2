"""STvM's reconstruction: what its parts do on a small network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.methods.stvm.adapter import STvM
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method
from tests.methods.helpers import losses_of, perturb

NETWORK = Path(__file__).parents[2] / 'mm_configs' / 'networks' / 'deeplabv2_pocket.py'


VARIANTS = catalog.load('methods', 'stvm')['presets']['variant']


def build(variant: str = 'mocm', **kwargs) -> STvM:
    implied = {key.removeprefix('adapter.'): v for key, v in VARIANTS[variant].items()}
    kwargs = {**implied, **kwargs}
    model = dict(Config.fromfile(NETWORK).model)
    model['data_preprocessor'] = {**model['data_preprocessor'], 'size_divisor': 1}
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('sfda_bench'):
        losses = kwargs.pop('losses', losses_of('stvm'))
        return STvM(segmentor=model, losses=losses, hidden=8, embedding=6, **kwargs).train()


def image() -> torch.Tensor:
    return torch.randn(3, 3, 48, 96, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('variant', VARIANTS)
def test_every_ablation_trains(variant):
    adapter = build(variant=variant)
    losses = adapter.loss(image())
    assert all(torch.isfinite(value) for value in losses.values())
    assert ('loss_metric' in losses) is adapter.uses_metric
    sum(losses.values()).backward()
    trained = [p.grad is not None for p in adapter.metric_network.parameters()]
    assert all(trained) if adapter.uses_metric else not any(trained)
    assert all(p.grad is None for p in adapter.teacher.parameters())


def test_the_metric_does_not_touch_the_networks():
    adapter = build()
    adapter.loss(image())['loss_metric'].backward()
    assert all(p.grad is None for p in adapter.student.parameters())
    assert all(p.grad is not None for p in adapter.metric_network.parameters())


def test_the_metrics_loss_has_its_weight():
    stated = [losses_of('stvm', metric={'loss_weight': w}) for w in (1, 3)]
    losses = [build(losses=s, per_class=10000).loss(image())['loss_metric'] for s in stated]
    assert float(losses[1].detach()) == pytest.approx(3 * float(losses[0].detach()), rel=1e-5)


def test_the_student_does_not_touch_the_metric():
    adapter = build()
    adapter.loss(image())['loss_seg'].backward()
    assert all(p.grad is not None for p in adapter.student.parameters())
    assert all(p.grad is None for p in adapter.metric_network.parameters())


def test_weights_of_the_labels():
    trust, confidence = torch.tensor([0.2, 0.8]), torch.tensor([0.968, 0.5])
    expected = {
        'posterior': [0.2, 0.8], 'nearest_ratio': [0.2, 0.8], 'one': [1, 1],
        'conf': [0.968, 0.5], 'threshold': [1, 0],
    }  # fmt: skip
    for name, wanted in expected.items():
        adapter = build(reliability=name)
        assert adapter.weights(trust, confidence).tolist() == pytest.approx(wanted)


def test_reliability_is_a_share_and_carries_no_gradient():
    adapter = build()
    features = torch.randn(2, 128, 6, 12)
    for name in ('posterior', 'nearest_ratio'):
        adapter.reliability = name
        losses, trust = adapter.metric(features, torch.randn(2, 19, 6, 12))
        assert trust.shape == (2, 6, 12) and not trust.requires_grad
        assert losses['loss_metric'].requires_grad
        assert float(trust.min()) >= 0.0 and float(trust.max()) <= 1.0


def test_the_metric_learns_to_tell_classes_apart():
    adapter = build()
    labels = torch.arange(4).repeat_interleave(18).view(1, 6, 12)
    features = torch.nn.functional.one_hot(labels, 128).permute(0, 3, 1, 2).float()
    logits = torch.nn.functional.one_hot(labels, 19).permute(0, 3, 1, 2).float()
    optimizer = torch.optim.Adam(adapter.metric_network.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        adapter.metric(features, logits)[0]['loss_metric'].backward()
        optimizer.step()
    assert float(adapter.metric(features, logits)[1].min()) > 0.9
    wrong = logits.roll(1, dims=1)
    assert float(adapter.metric(features, wrong)[1].max()) < 0.1


def test_mixing_moves_images_labels_and_weights_together():
    images = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 3, 8, 8)
    labels = torch.randint(0, 6, (3, 8, 8)) + 6 * torch.arange(3).view(3, 1, 1)
    weight = labels.float() / 100
    for mixing in ('uniform', 'metric'):
        adapter = build(mixing=mixing)
        mixed, found, trust = adapter.mixed(images, labels, weight, weight)
        assert torch.equal(found // 6, mixed[:, 0].long())
        assert torch.allclose(trust, found.float() / 100)
        assert all(len(mixed[i].unique()) == 2 for i in range(3))
    assert build(mixing='none').mixed(images, labels, weight, weight)[0] is images


def apart(**kwargs) -> STvM:
    """An adapter whose student differs from its teacher, and whose strong view turns colours."""
    adapter = build(**kwargs)
    perturb(adapter.student, 1)
    adapter.strong = lambda images, switches=None: images.flip(1)
    return adapter


def judged(adapter: STvM, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Section 3, steps 2 to 5: confidence, labels, reliability, and the metric's loss."""
    teacher, size = adapter.teacher, images.shape[-2:]
    with torch.no_grad():
        features = teacher.extract_feat(images)
        logits = teacher.decode_head(features)
        embedded, proxies = adapter.metric_network(features[0])
        posterior = (20 * torch.einsum('ndhw,kd->nkhw', embedded, proxies)).softmax(dim=1)
        trust = posterior.gather(1, logits.argmax(dim=1, keepdim=True))
        confidence, labels = adapter.resized(logits, size).softmax(dim=1).max(dim=1)
    return confidence, labels, adapter.resized(trust, size)[:, 0], -trust.log().mean()


def weighted(adapter: STvM, images: torch.Tensor, labels, weight) -> float:
    """Step 7: r CE of the student, summed and divided by the number of pixels."""
    logits = adapter.logits_of(adapter.student, images, labels.shape[-2:]).detach()
    loss = torch.nn.functional.cross_entropy(logits, labels, reduction='none')
    return float((weight * loss).sum()) / labels.numel()


def test_the_student_learns_the_teachers_labels_on_the_strong_view():
    adapter, weak = apart(variant='reliability', per_class=10000), image()
    _, labels, trust, metric = judged(adapter, weak)
    assert 0.0 < float(trust.mean()) < 0.9 and float(trust.std()) > 0.01
    expected = weighted(adapter, weak.flip(1), labels, trust)
    losses = adapter.losses({'image': weak})
    assert float(losses['loss_seg'].detach()) == pytest.approx(expected, rel=1e-4)
    assert float(losses['loss_metric'].detach()) == pytest.approx(float(metric), rel=1e-4)


@pytest.mark.parametrize('variant', ['mocm', 'threshold'])
def test_the_strong_view_is_of_the_mixed_images(variant):
    """Classes are chosen by the metric whatever the weights of the labels are."""
    adapter, weak = apart(variant=variant), image()
    confidence, labels, trust, _ = judged(adapter, weak)
    adapter.threshold = float(confidence.median())
    sure = (confidence >= adapter.threshold).float()
    seen, mixed = [], adapter.mixed

    def spy(*arguments):
        seen[:] = arguments, mixed(*arguments)
        return seen[1]

    adapter.mixed = spy
    loss = float(adapter.losses({'image': weak})['loss_seg'].detach())
    given, (images, mixed_labels, weight) = seen
    wanted = (weak, labels, trust if variant == 'mocm' else sure, trust)
    assert all(torch.allclose(*two, atol=1e-5) for two in zip(given, wanted, strict=True))
    assert not torch.equal(images, weak)
    assert loss == pytest.approx(weighted(adapter, images.flip(1), mixed_labels, weight), rel=1e-4)


def test_reliable_classes_are_pasted_over_the_next_image():
    """Step 6: half of six classes, those with all the metric's trust; the weights do not matter."""
    adapter = build(variant='mocm')
    images = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 3, 8, 12)
    labels = torch.arange(12).div(2, rounding_mode='floor').expand(3, 8, 12)
    labels = torch.stack([label.roll(2 * i, dims=1) for i, label in enumerate(labels)])
    trust = (labels % 2 == 0).float()
    expected = torch.where(labels % 2 == 0, images[:, 0], images.roll(-1, dims=0)[:, 0])
    for _ in range(5):
        found = adapter.mixed(images, labels, 1.0 - trust, trust)[0]
        assert torch.equal(found[:, 0], expected)


def test_numbers_of_the_sheet():
    """Section 3 (ours): steps 1, 3, 4 and 7."""
    stage = Method('stvm').stages('paper', 'gta5_to_cityscapes', {})[0]
    adapter = stage['adapter']
    expected = {
        'reliability': 'posterior', 'mixing': 'metric', 'momentum': 0.999, 'warmup': 'none',
        'scale': 10.0, 'per_class': 256,
        'hidden': 256, 'embedding': 128, 'proxy_form': 'softmax', 'predict_on': 'student',
    }  # fmt: skip
    found = {**adapter, **stage['hooks']['teacher'], **adapter['losses']['metric']}
    assert {key: found[key] for key in expected} == expected


def stages(**params):
    return Method('stvm').stages('pocket', 'gta5_to_cityscapes', params)


def test_variants_are_checked_and_set_by_name():
    with pytest.raises(UnknownNameError, match='mocm'):
        stages(variant='mocn')
    adapter = stages(variant='threshold')[0]['adapter']
    assert (adapter['reliability'], adapter['mixing']) == ('threshold', 'metric')
    assert 'variant' not in adapter
    assert Method('stvm').card.fidelity == 'reconstructed'
    assert len(Method('stvm').card.choices) >= 8


def test_what_is_typed_is_what_is_built():
    """`none` is a choice here, not the absence of one; nothing overrides what stands beside it."""
    adapter = stages(reliability='conf', mixing=None)[0]['adapter']
    assert (adapter['reliability'], adapter['mixing']) == ('conf', 'none')
    with pytest.raises(BenchError, match=r'variant=mocm .* sets adapter\.mixing=metric'):
        stages(variant='mocm', mixing='none')
    adapter = stages(**{'variant': 'mocm', 'adapter.mixing': 'metric'})[0]['adapter']
    assert adapter['mixing'] == 'metric'
    with pytest.raises(BenchError, match='one of: metric, none, uniform'):
        stages(mixing='nothing')
