"""Losses of CBST, CRST, ADVENT and Tent in plain decode heads, where logits and labels suffice."""

from __future__ import annotations

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from sfda_bench.adapt.discriminator import discrimination_loss, domain_loss
from sfda_bench.adapt.entropy import pixel_entropy
from sfda_bench.adapt.losses import label_loss
from sfda_bench.errors import BenchError
from sfda_bench.methods.advent.losses import normalised_entropy
from sfda_bench.methods.self_training.losses import regularity_loss, soft_label_loss
from sfda_bench.plan import catalog
from sfda_bench.registry import MODELS

EXPECTED = {
    'PseudoLabelLoss': label_loss,
    'SoftLabelLoss': label_loss,
    'RegularityLoss': lambda logits, labels: regularity_loss(logits, labels, 'mrkld'),
    'PixelEntropyLoss': lambda logits, labels: pixel_entropy(logits).mean(),
    'SelfInformationLoss': lambda logits, labels: normalised_entropy(logits),
    'DomainLoss': lambda logits, labels: domain_loss(logits, 0.0),
}


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('sfda_bench')
    torch.manual_seed(0)


def labels() -> torch.Tensor:
    found = torch.randint(0, 19, (2, 32, 64))
    found[:, :10] = 255
    return found


@pytest.mark.parametrize('kind', EXPECTED)
def test_a_decode_head_trains_with_it(kind):
    network = catalog.load('networks', 'deeplabv2_pocket')['model']
    network['data_preprocessor']['size_divisor'] = 1
    network['decode_head']['loss_decode'] = {'type': kind, 'loss_weight': 0.5}
    model, truth = MODELS.build(network).train(), labels()
    samples = [
        SegDataSample(metainfo={'img_shape': (32, 64)}, gt_sem_seg=PixelData(data=each[None]))
        for each in truth
    ]
    head = model.decode_head
    logits = head(model.extract_feat(torch.randn(2, 3, 32, 64)))
    found = head.loss_by_feat(logits, samples)
    (name,) = (key for key in found if key.startswith('loss_'))
    assert name == head.loss_decode.loss_name
    enlarged = torch.nn.functional.interpolate(
        logits, size=(32, 64), mode='bilinear', align_corners=head.align_corners
    )
    assert torch.equal(found[name], 0.5 * EXPECTED[kind](enlarged, truth))
    found[name].backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters())


def built(kind: str, **kwargs):
    return MODELS.build({'type': kind, **kwargs})


def test_soft_labels_and_the_other_domain_come_by_keyword():
    logits, soft = torch.randn(2, 19, 4, 8), torch.rand(2, 19, 4, 8)
    assert torch.equal(
        built('SoftLabelLoss', loss_weight=2.0)(logits, soft=soft),
        2.0 * soft_label_loss(logits, soft),
    )
    source, target = torch.randn(2, 1, 3, 3), torch.randn(2, 1, 3, 3)
    loss = built('DiscriminationLoss')
    assert torch.equal(loss(source, on_target=target), discrimination_loss(source, target))
    with pytest.raises(BenchError, match='DiscriminationLoss without on_target'):
        loss(source)
    with pytest.raises(BenchError, match='PseudoLabelLoss without labels'):
        built('PseudoLabelLoss')(logits)
    assert torch.equal(built('DomainLoss', domain='target')(target), domain_loss(target, 1.0))


def test_weights_of_pixels_and_another_ignored_label():
    logits, truth = torch.randn(2, 19, 32, 64), labels()
    loss = built('PseudoLabelLoss')
    torch.testing.assert_close(
        loss(logits, truth, weight=torch.ones(2, 32, 64)), loss(logits, truth)
    )
    half = torch.zeros(2, 32, 64)
    half[1] = 1
    kept = (truth != 255).sum()
    one = label_loss(logits[1:], truth[1:]) * (truth[1:] != 255).sum() / kept
    torch.testing.assert_close(loss(logits, truth, weight=half), one)
    other = torch.where(truth == 255, 18, truth.clamp(max=17))
    expected = label_loss(logits, torch.where(other == 18, 255, other))
    assert torch.equal(loss(logits, other, ignore_index=18), expected)
    entropy = built('PixelEntropyLoss')
    torch.testing.assert_close(entropy(logits, weight=half), pixel_entropy(logits[1:]).mean() / 2)


@pytest.mark.parametrize('change', [{'regulariser': 'none'}, {'loss_weight': 0.0}])
def test_a_regulariser_that_is_off_is_zero(change):
    loss = built('RegularityLoss', **change)
    assert not loss.active and float(loss(torch.randn(2, 19, 4, 4), labels()[:, :4, :4])) == 0.0
