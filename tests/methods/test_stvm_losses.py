"""STvM's losses: registered, weighted, and in a plain head where their inputs fit."""

from __future__ import annotations

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.nn.functional import cross_entropy, normalize

from sfda_bench.errors import BenchError, UnknownNameError
from sfda_bench.methods.stvm.metric import proxy_loss
from sfda_bench.plan import catalog
from sfda_bench.plan.method import Method
from sfda_bench.registry import MODELS
from tests.methods.helpers import losses_of


def built(kind: str, **options):
    init_default_scope('sfda_bench')
    return MODELS.build({'type': kind, **options})


def case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, labels of which a quarter is ignored, weights."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 4, 6, generator=generator)
    labels = torch.randint(5, (2, 4, 6), generator=generator)
    labels[:, 0] = 255
    return logits, labels, torch.rand(2, 4, 6, generator=generator)


def metric_case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Embeddings (N, D, h, w), labels and proxies."""
    generator = torch.Generator().manual_seed(0)
    embeddings = normalize(torch.randn(2, 6, 4, 5, generator=generator), dim=1)
    labels = torch.randint(3, (2, 4, 5), generator=generator)
    return embeddings, labels, normalize(torch.randn(3, 6, generator=generator), dim=1)


def test_names_of_the_config():
    losses = losses_of('stvm')
    assert {name: loss['type'] for name, loss in losses.items()} == {
        'seg': 'WeightedCrossEntropyLoss', 'metric': 'ProxyLoss'
    }  # fmt: skip
    for name, loss in losses.items():
        assert built(**{**loss, 'kind': loss.pop('type')}).loss_name == f'loss_{name}'


def test_settings_by_their_short_names():
    params = {
        'weight_metric': 0.5,
        'scale': 3.0,
        'proxy_form': 'strict_nca',
        'adapter.momentum': 0.9,
    }
    stage = Method('stvm').stages('paper', 'gta5_to_cityscapes', params)[0]
    metric = stage['adapter']['losses']['metric']
    assert (metric['loss_weight'], metric['scale'], metric['proxy_form']) == (
        0.5,
        3.0,
        'strict_nca',
    )
    assert stage['hooks']['teacher']['momentum'] == 0.9


def test_labels_are_weighted_and_the_mean_is_over_all_pixels():
    logits, labels, weight = case()
    each = cross_entropy(logits, labels, ignore_index=255, reduction='none')
    for given in (None, weight):
        expected = float((each if given is None else each * given).sum()) / labels.numel()
        loss = built('WeightedCrossEntropyLoss')
        assert float(loss(logits, labels, given)) == pytest.approx(expected, rel=1e-6)
        assert torch.equal(
            loss(logits, labels, given), loss(logits, labels, given, pixel_loss=each)
        )
        triple = built('WeightedCrossEntropyLoss', loss_weight=3.0)
        assert float(triple(logits, labels, given)) == pytest.approx(3 * expected, rel=1e-6)
        other = torch.where(labels == 255, 77, labels)
        assert torch.equal(loss(logits, other, given, ignore_index=77), loss(logits, labels, given))
    with pytest.raises(BenchError, match='without labels'):
        built('WeightedCrossEntropyLoss')(logits)


def test_in_a_plain_heads_config():
    init_default_scope('sfda_bench')
    network = catalog.load('networks', 'deeplabv2_pocket')['model']
    network['decode_head']['loss_decode'] = {'type': 'WeightedCrossEntropyLoss', 'loss_weight': 0.5}
    head = MODELS.build(network).decode_head
    labels = torch.randint(19, (2, 1, 32, 64), generator=torch.Generator().manual_seed(0))
    labels[:, :, :8] = 255
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]
    logits = torch.randn(2, 19, 32, 64)
    each = cross_entropy(logits, labels[:, 0], ignore_index=255, reduction='none')
    found = head.loss_by_feat(logits, samples)['loss_seg']
    assert float(found) == pytest.approx(0.5 * float(each.mean()), rel=1e-5)


@pytest.mark.parametrize('form', ['softmax', 'strict_nca', 'proxy_anchor'])
def test_embeddings_learn_their_proxies(form):
    embeddings, labels, proxies = metric_case()
    flat, index = embeddings.permute(0, 2, 3, 1).flatten(0, 2), labels.flatten()
    expected = proxy_loss(flat, proxies, index, 4.0, form)
    loss = built('ProxyLoss', proxy_form=form, scale=4.0)
    assert torch.equal(loss(flat, index, proxies=proxies), expected)
    assert torch.equal(loss(embeddings, labels, proxies=proxies), expected)
    double = built('ProxyLoss', proxy_form=form, scale=4.0, loss_weight=2.0)
    assert torch.equal(double(embeddings, labels, proxies=proxies), 2.0 * expected)


def test_ignored_pixels_of_maps_are_left_out():
    embeddings, labels, proxies = metric_case()
    ignored = labels.clone()
    ignored[:, :2] = 255
    found = built('ProxyLoss')(embeddings, ignored, proxies=proxies)
    expected = built('ProxyLoss')(embeddings[:, :, 2:], labels[:, 2:], proxies=proxies)
    assert torch.allclose(found, expected)


def test_what_is_missing_or_wrong_is_named():
    embeddings, labels, proxies = metric_case()
    with pytest.raises(BenchError, match='ProxyLoss without proxies'):
        built('ProxyLoss')(embeddings, labels)
    with pytest.raises(BenchError, match='weights of pixels'):
        built('ProxyLoss')(embeddings, labels, torch.ones(2, 4, 5), proxies=proxies)
    with pytest.raises(UnknownNameError):
        built('ProxyLoss', proxy_form='soft')
