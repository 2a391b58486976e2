"""ETA: cases E1 to E3 of the compact sheet, empty choices, resuming, what stays."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sfda_bench.adapt.certain import CertainEntropyLoss, certain
from sfda_bench.adapt.entropy import pixel_entropy
from sfda_bench.methods.eta.adapter import average_prediction
from tests.methods.online_cases import flat, frame, online, saved_and_loaded, state

#: Pixels of the sheet, and as images (2, 1, 5).
P1 = torch.tensor([[2, 0], [1.5, 0.5], [0, 2], [0.3, 0.4], [-1, -1]], dtype=torch.float64)
P2 = torch.tensor([[0, -2], [0.5, 1.5], [2, 2], [-0.3, 0.4], [-1, 0]], dtype=torch.float64)
FIRST, SECOND = (pixels.t().unsqueeze(1) for pixels in (P1, P2))
SGD = {'lr': 0.01}


def ready(similarity: float, **changes):
    return online('eta', 2.0, SGD, double=True, similarity=similarity, **changes)


def trained(model) -> list[float]:
    layer = model.student.backbone
    return flat(layer.weight, layer.bias)


def close(found, expected) -> None:
    assert np.allclose(found, expected, rtol=0, atol=2e-9), (found, expected)


def test_case_e1_and_an_image_of_which_nothing_is_left():
    model, wrapper = ready(0.05)
    logits = model.adapt(FIRST[None], None)
    entropy = -(logits.softmax(1) * logits.log_softmax(1)).sum(1)
    assert np.allclose(
        flat(entropy), [0.216460, 0.597566, 0.100924, 0.928846, 0.002193], rtol=0, atol=1e-6
    )
    assert entropy.lt(0.4 * math.log(3)).flatten().tolist() == [True, False, True, False, True]
    loss = CertainEntropyLoss(weighted=True)
    factors = (0.439444915 - entropy[entropy < 0.439444915]).exp()
    assert np.allclose(flat(factors), [1.249802, 1.402871, 1.548446], rtol=0, atol=1e-6)
    close(float(loss(logits)), 0.138503851)
    model.adapt_step(frame(FIRST), wrapper)
    close(float(model.loss_value), 0.138503851)
    close(flat(model.mean), [0.322095580, 0.337346560, 0.340557860])
    close(trained(model), [2.001334948, 2.000941813, 0.000810826, 0.000354178])
    before, mean, moments = state(model), model.mean.clone(), wrapper.state_dict()
    model.adapt_step(frame(SECOND), wrapper)
    entropy = pixel_entropy(model.adapt(SECOND[None], None))
    assert certain(entropy, 3, 0.4).flatten().tolist() == [True, False, False, False, True]
    after = {name: value for name, value in state(model).items() if 'num_batches' not in name}
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    probabilities = model.adapt(SECOND[None], None).softmax(1)[..., [0, 4]]
    alike = torch.cosine_similarity(probabilities, mean.view(1, 3, 1, 1), dim=1)
    assert np.allclose(flat(alike), [0.594168, 0.601085], rtol=0, atol=1e-6)
    assert torch.equal(model.mean, mean)
    assert str(wrapper.state_dict()) == str(moments)


def test_case_e2():
    model, wrapper = ready(0.6)
    expected = (
        (FIRST, 0.138503851, [0.322095580, 0.337346560, 0.340557860],
         [2.001334948, 2.000941813, 0.000810826, 0.000354178]),
        (SECOND, 0.071071018, [0.290643518, 0.303651797, 0.405704685],
         [2.002806023, 2.002872554, 0.000411312, 0.000039464]),
        (FIRST, 0.205228512, [0.309897774, 0.323881557, 0.366220669],
         [2.006093270, 2.005983584, 0.001286399, 0.000306536]),
    )  # fmt: skip
    for image, loss, mean, parameters in expected:
        model.adapt_step(frame(image), wrapper)
        close(float(model.loss_value), loss)
        close(flat(model.mean), mean)
        close(trained(model), parameters)


def test_case_e3_the_average():
    chosen = torch.tensor([[0.5, 0.1], [0.25, 0.1], [0.25, 0.8]]).view(1, 3, 1, 2)
    all_ = torch.ones(1, 1, 2, dtype=torch.bool)
    first = average_prediction(None, chosen, all_)
    assert np.allclose(flat(first), [0.3, 0.175, 0.525])
    old = torch.tensor([0.5, 0.3, 0.2])
    assert np.allclose(flat(average_prediction(old, chosen, all_)), [0.48, 0.2875, 0.2325])


@pytest.mark.parametrize(('classes', 'limit'), [(19, 1.177776), (16, 1.109035), (13, 1.025980)])
def test_the_margin_by_number_of_classes(classes, limit):
    assert abs(0.4 * math.log(classes) - limit) < 1e-6


def test_the_loss_of_nothing_is_nothing_and_has_no_gradient():
    logits = torch.zeros(1, 3, 2, 2, requires_grad=True)
    loss = CertainEntropyLoss()(logits)
    loss.backward()
    assert float(loss.detach()) == 0 and not logits.grad.any()


def test_a_stream_that_is_taken_up_again_goes_on_as_it_would_have():
    model, wrapper = ready(0.6)
    model.adapt_step(frame(FIRST), wrapper)
    again, other = saved_and_loaded(model, wrapper)
    for image in (SECOND, FIRST):
        model.adapt_step(frame(image), wrapper)
        again.adapt_step(frame(image), other)
    assert trained(again) == trained(model) and torch.equal(again.mean, model.mean)


def test_only_norms_move_and_a_reset_forgets_the_average():
    model, wrapper = ready(0.6)
    before = state(model)
    model.adapt_step(frame(FIRST), wrapper)
    moved = {name for name, value in state(model).items() if not torch.equal(value, before[name])}
    assert moved - {'backbone.num_batches_tracked'} == {'backbone.weight', 'backbone.bias'}
    model.reset()
    assert model.mean is None and trained(model) == [2, 2, 0, 0]
