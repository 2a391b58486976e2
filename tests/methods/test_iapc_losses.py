"""IAPC's losses: registered, weighted, alone and from the shared pass, and in a plain head."""

from __future__ import annotations

import pytest
import torch
from mmengine.registry import init_default_scope
from torch import Tensor

from sfda_bench.errors import BenchError
from sfda_bench.methods.iapc.losses import iapc_losses, pixel_terms
from sfda_bench.plan import catalog
from sfda_bench.registry import MODELS
from tests.methods.helpers import losses_of, plain

TYPES = {
    'importance': 'ImportanceLoss',
    'enhanced': 'PrototypeEnhancedLoss',
    'symmetric': 'PrototypeSymmetricLoss',
    'entropy': 'OffsetEntropyLoss',
}


def case() -> dict[str, Tensor]:
    """Logits, labels with ignored pixels, and what the networks beside the student give."""
    generator = torch.Generator().manual_seed(0)
    size = (2, 5, 6, 7)
    maps = {
        name: torch.randn(size, generator=generator, dtype=torch.float64)
        for name in ('logits', 'source', 'similarity')
    }
    labels = torch.randint(5, (2, 6, 7), generator=generator)
    labels[:, :2] = 255
    nearest = torch.randint(5, (2, 6, 7), generator=generator)
    weights = torch.tensor([1.0, 7.0, 2.0, 1.5, 3.0], dtype=torch.float64)
    return {**maps, 'labels': labels, 'nearest': nearest, 'class_weights': weights}


def built(name: str, **options):
    init_default_scope('sfda_bench')
    return MODELS.build({'type': TYPES[name], **options})


def alone(name: str, given: dict[str, Tensor], **options) -> Tensor:
    """A loss that computes its own maps."""
    shared = {
        'importance': ('source', 'class_weights'),
        'enhanced': ('nearest', 'class_weights'),
        'symmetric': ('nearest', 'similarity'),
        'entropy': (),
    }[name]
    keywords = {key: given[key] for key in shared}
    return built(name, **options)(given['logits'], given['labels'], **keywords)


def fused(name: str, given: dict[str, Tensor]) -> Tensor:
    """A loss of the maps of the shared pass."""
    weighted, of_nearest, entropy = pixel_terms(
        given['logits'], given['labels'], given['class_weights'], given['nearest']
    )
    shared = {
        'importance': {'source': given['source'], 'weighted': weighted},
        'enhanced': {'nearest': given['nearest'], 'weighted': weighted},
        'symmetric': {'similarity': given['similarity'], 'of_nearest': of_nearest},
        'entropy': {'entropy': entropy},
    }[name]
    return built(name)(given['logits'], given['labels'], **shared)


@pytest.mark.parametrize('name', TYPES)
def test_registered_under_the_configs_names(name):
    assert losses_of('iapc')[name]['type'] == TYPES[name]
    assert built(name).loss_name == f'loss_{name}'
    assert built(name, loss_name='loss_other').loss_name == 'loss_other'
    assert not list(built(name).parameters())


@pytest.mark.parametrize('name', TYPES)
def test_the_weight_multiplies(name):
    once = float(alone(name, case()))
    assert once != 0.0
    assert float(alone(name, case(), loss_weight=0.3)) == pytest.approx(0.3 * once, rel=1e-12)
    assert float(alone(name, case(), loss_weight=0.0)) == 0.0


@pytest.mark.parametrize('name', TYPES)
def test_fused_and_alone_are_equal_with_their_gradients(name):
    found = []
    for way in (alone, fused):
        given = case()
        for key in ('logits', 'similarity', 'source'):
            given[key].requires_grad_()
        loss = way(name, given)
        loss.backward()
        assert given['source'].grad is None
        found.append((loss.detach(), given['logits'].grad, given['similarity'].grad))
    for one, other in zip(*found, strict=True):
        assert (one is None) is (other is None)
        assert one is None or torch.allclose(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize('kind', ['logits', 'prob'])
def test_the_plain_formulas(kind):
    from sfda_bench.methods.iapc.importance import importance

    given = case()
    terms = iapc_losses(
        given['logits'],
        importance(given['source'], kind),
        given['labels'],
        given['class_weights'],
        given['nearest'],
        given['similarity'],
    )
    found = {name: alone(name, given) for name in TYPES if name != 'importance'}
    found['importance'] = alone('importance', given, importance_input=kind)
    terms['symmetric'] = terms['prediction'] + terms['feature']
    for name, value in found.items():
        assert float(value) == pytest.approx(float(terms[name]), rel=1e-12), name


def test_the_mean_is_over_ignored_pixels_too():
    """A weight of each pixel, as mmseg's losses take it, and another label to ignore."""
    given = case()
    logits, labels = given['logits'], given['labels']
    loss = torch.nn.functional.cross_entropy(logits, labels, ignore_index=255, reduction='none')
    weight = torch.rand(labels.shape, generator=torch.Generator().manual_seed(1)).double()
    expected = float((weight * loss).sum()) / labels.numel()
    assert float(built('importance')(logits, labels, weight=weight)) == pytest.approx(expected)
    other = torch.where(labels == 255, 99, labels)
    found = built('importance')(logits, other, weight=weight, ignore_index=99)
    assert float(found) == pytest.approx(expected)


def test_what_is_missing_is_named():
    given = case()
    with pytest.raises(BenchError, match='PrototypeEnhancedLoss without nearest'):
        built('enhanced')(given['logits'], given['labels'])
    with pytest.raises(BenchError, match='PrototypeSymmetricLoss without similarity'):
        built('symmetric')(given['logits'], nearest=given['nearest'])
    with pytest.raises(BenchError, match='ImportanceLoss without labels'):
        built('importance')(given['logits'])


def test_an_adapter_without_a_loss_says_which():
    adapter = plain('IAPC')
    with pytest.raises(BenchError, match="IAPC without a loss 'importance'"):
        adapter.term('importance')


@pytest.mark.parametrize('kind', ['ImportanceLoss', 'OffsetEntropyLoss'])
def test_in_a_plain_heads_config(kind):
    """Those that need logits and labels only."""
    init_default_scope('sfda_bench')
    network = catalog.load('networks', 'deeplabv2_pocket')['model']
    ce = {'type': 'mmseg.CrossEntropyLoss', 'loss_name': 'loss_ce', 'loss_weight': 1.0}
    network['decode_head']['loss_decode'] = [ce, {'type': kind, 'loss_weight': 0.5}]
    head = MODELS.build(network).decode_head
    logits = torch.randn(2, 19, 8, 16, requires_grad=True)
    losses = head.loss_by_feat(logits, samples())
    name = MODELS.build({'type': kind}).loss_name
    assert {'loss_ce', name} <= set(losses) and float(losses[name].detach()) > 0.0
    losses[name].backward()
    assert logits.grad is not None and bool(logits.grad.any())


def samples() -> list:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    found = []
    for seed in (0, 1):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(19, (1, 32, 64), generator=generator)
        labels[:, :4] = 255
        found.append(SegDataSample(gt_sem_seg=PixelData(data=labels)))
    return found
