"""ATP's losses: registered, in a plain head, and alone what they are from a shared pass."""

from __future__ import annotations

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.nn.functional import cross_entropy

from sfda_bench.adapt.fused import CrossEntropyAndMass
from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.methods.atp.black_box import distillation_loss
from sfda_bench.methods.atp.contrast import semantic_contrast
from sfda_bench.methods.atp.curriculum import (
    curriculum_entropy,
    entropy_and_probability,
    negative_loss,
    weighted_diversity,
)
from sfda_bench.plan import catalog
from sfda_bench.registry import MODELS
from tests.methods.helpers import losses_of

STAGES = {'align': 'atp', 'teach': 'atp', 'propagate': 'atp', 'distil': 'atp_blackbox'}
#: What each loss of logits and labels is.
FORMULAS = {
    'CurriculumEntropyLoss': lambda logits, labels: curriculum_entropy(logits),
    'DiversityLoss': lambda logits, labels: -weighted_diversity(logits),
    'NegativeLoss': lambda logits, labels: negative_loss(logits),
    'DistillationLoss': lambda logits, labels: cross_entropy(logits, labels, ignore_index=255),
}


def built(kind: str, **options):
    init_default_scope('sfda_bench')
    return MODELS.build({'type': kind, **options})


def case(classes: int = 19) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, labels of which a quarter is ignored, weights."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, classes, 8, 6, generator=generator) * 2
    labels = torch.randint(classes, (2, 8, 6), generator=generator)
    labels[:, :2] = 255
    return logits, labels, torch.rand(2, 8, 6, generator=generator)


def pixel_case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features (n, D), labels with ignored ones, prototypes (K, D)."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(12, 6, generator=generator)
    labels = torch.randint(4, (12,), generator=generator)
    labels[::3] = 255
    return features, labels, torch.randn(4, 6, generator=generator)


@pytest.mark.parametrize('stage', STAGES)
def test_every_loss_of_a_config_is_registered_under_its_name(stage):
    for name, config in losses_of(STAGES[stage], stage=stage).items():
        loss = built(config.pop('type'), **config)
        assert loss.loss_weight == config['loss_weight']
        assert loss.loss_name == f'loss_{"seg" if name == "positive" else name}'


@pytest.mark.parametrize('kind', FORMULAS)
def test_in_a_plain_heads_config(kind):
    init_default_scope('sfda_bench')
    network = catalog.load('networks', 'deeplabv2_pocket')['model']
    network['decode_head']['loss_decode'] = {'type': kind, 'loss_weight': 0.5}
    head = MODELS.build(network).decode_head
    logits, labels, _ = case()
    logits.requires_grad_()
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
    found = head.loss_by_feat(logits, samples)[head.loss_decode.loss_name]
    assert torch.allclose(found, 0.5 * FORMULAS[kind](logits, labels))
    assert float(found.detach()) != 0
    found.backward()
    assert bool(logits.grad.abs().sum() > 0)


def same_as_alone(alone, shared, logits: torch.Tensor) -> None:
    """Equal values, and equal gradients by the logits."""
    values, grads = [], []
    for loss in (alone, shared):
        variable = logits.clone().requires_grad_()
        value = loss(variable)
        values.append(value.detach())
        grads.append(torch.autograd.grad(value, variable)[0])
    assert torch.equal(*values) and torch.equal(*grads)
    assert float(values[0]) != 0


@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize(
    ('kind', 'options'),
    [
        ('CurriculumEntropyLoss', {'gamma': 2.0}),
        ('CurriculumEntropyLoss', {'detach': True}),
        ('DiversityLoss', {'alpha': 1.0}),
    ],
)
def test_alignment_alone_and_from_the_shared_pass(kind, options, weighted):
    logits, _, weight = case()
    weight = weight if weighted else None
    loss = built(kind, loss_weight=0.3, **options)

    def shared(z):
        entropy, probability = entropy_and_probability(z)
        maps = {'entropy': entropy, 'probability': probability}
        if kind == 'CurriculumEntropyLoss':
            del maps['probability']
        return loss(z, None, weight, **maps)

    same_as_alone(lambda z: loss(z, None, weight), shared, logits)


@pytest.mark.parametrize('weighted', [False, True])
def test_negative_labels_alone_and_from_the_shared_pass(weighted):
    logits, labels, _ = case()
    weight = labels == 255 if weighted else None
    loss = built('NegativeLoss', threshold=0.1, loss_weight=0.3)
    shared = lambda z: loss(z, None, weight, mass=CrossEntropyAndMass.apply(z, labels, 0.1)[1])  # noqa: E731
    same_as_alone(lambda z: loss(z, None, weight), shared, logits)
    expected = 0.3 * negative_loss(logits, 0.1, where=weight)
    assert torch.equal(loss(logits, labels, weight), expected)


def test_positive_labels_alone_and_from_the_shared_pass():
    logits, labels, weight = case()
    loss = built('WeightedCrossEntropyLoss')
    pixel_loss, _ = CrossEntropyAndMass.apply(logits, labels, 0.04)
    assert torch.allclose(loss(logits, labels, weight, pixel_loss=pixel_loss),
                          loss(logits, labels, weight))  # fmt: skip


def test_forms_of_the_negative_loss():
    logits, labels, _ = case()
    found = built('NegativeLoss', form='sum')(logits, labels)
    assert torch.equal(found, negative_loss(logits, form='sum'))
    assert not torch.equal(found, built('NegativeLoss')(logits, labels))
    with pytest.raises(UnknownNameError, match='joint'):
        built('NegativeLoss', form='jiont')


def test_contrast_and_its_regulariser():
    features, labels, means = pixel_case()
    expected = semantic_contrast(features, labels, means, 0.5)
    contrast = built('SemanticContrastLoss', temperature=0.5)
    regulariser = built('ContrastRegulariserLoss', loss_weight=2.0)
    assert torch.equal(contrast(features, labels, prototypes=means), expected[0])
    second = regulariser(features, labels, temperature=0.5, prototypes=means)
    assert torch.equal(second, 2.0 * expected[1])
    kept = labels != 255
    for found, alone in zip(
        expected, semantic_contrast(features[kept], labels[kept], means, 0.5), strict=True
    ):
        assert float(found) == pytest.approx(float(alone), abs=1e-6)
    for loss in (contrast, regulariser):
        with pytest.raises(BenchError, match='without prototypes'):
            loss(features, labels)
        with pytest.raises(BenchError, match='with weights of pixels'):
            loss(features, labels, torch.ones(12), prototypes=means)


def test_distillation_takes_confidences_and_weights():
    logits, labels, weight = case()
    confidence = torch.rand(labels.shape, generator=torch.Generator().manual_seed(1))
    loss = built('DistillationLoss')
    expected = distillation_loss(logits, labels, confidence)
    assert torch.equal(loss(logits, labels, confidence=confidence), expected)
    alone = loss(logits, labels, confidence=confidence, weight=torch.zeros_like(weight))
    assert float(alone) == 0.0
    with pytest.raises(BenchError, match='DistillationLoss without labels'):
        loss(logits)
