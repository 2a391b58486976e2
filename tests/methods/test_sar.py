"""SAR: cases R1 to R3 of the compact sheet, both forms, resuming, what stays."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sfda_bench.adapt.certain import certain, mean_over
from sfda_bench.errors import BenchError
from sfda_bench.methods.sar.adapter import ascent
from tests.methods.helpers import losses_of, plain
from tests.methods.online_cases import flat, frame, online, saved_and_loaded, state
from tests.methods.test_eta import FIRST, SECOND

SGD = {'lr': 0.01}
AFTER_P1 = [1.002823507, 1.003325887, 0.001240299, 0.001229438]
SAME = torch.tensor([[1, -1], [-1, 1], [1, -1], [-1, 1]], dtype=torch.float64).t().unsqueeze(1)


def ready(limit: float, scale: float = 1.0, **changes):
    """SAR whose margin is ``limit`` nats."""
    losses = losses_of('sar', entropy={'margin': limit / math.log(3)})
    options = {'reset_below': 0.2, 'form': 'official', **changes}
    return online('sar', scale, SGD, double=True, losses=losses, **options)


def trained(model) -> list[float]:
    layer = model.student.backbone
    return flat(layer.weight, layer.bias)


def close(found, expected) -> None:
    assert np.allclose(found, expected, rtol=0, atol=2e-9), (found, expected)


def entropy_of(model, image):
    logits = model.logits(image[None])
    return -(logits.softmax(1) * logits.log_softmax(1)).sum(1)


def test_case_r1_the_ascent():
    model, _ = ready(0.9)
    entropy = entropy_of(model, FIRST)
    assert np.allclose(
        flat(entropy), [0.746190, 0.952311, 0.580237, 1.011069, 0.092867], rtol=0, atol=1e-6
    )
    kept = certain(entropy.detach(), 3, 0.9 / math.log(3))
    assert kept.flatten().tolist() == [True, False, True, False, True]
    gradients = torch.autograd.grad(mean_over(entropy, kept), model._trained)
    length = torch.stack([g.norm() for g in gradients]).norm()
    close(float(length), 0.461157199)
    with torch.no_grad():
        torch._foreach_add_(model._trained, ascent(gradients, 0.05))
    there = entropy_of(model, FIRST)
    assert np.allclose(
        flat(there), [0.773428, 0.968161, 0.614958, 1.004939, 0.100764], rtol=0, atol=1e-6
    )
    loss = mean_over(there, kept & certain(there.detach(), 3, 0.9 / math.log(3)))
    close(float(loss.detach()), 0.496383186)
    found = torch.autograd.grad(loss, model._trained)
    close(flat(*found), [-0.282350732, -0.332588707, -0.124029907, -0.122943756])


def test_case_r1_two_images():
    model, wrapper = ready(0.9)
    model.adapt_step(frame(FIRST), wrapper)
    close(float(model.loss_value), 0.496383186)
    close(float(model.average), 0.496383186)
    close(trained(model), AFTER_P1)
    model.adapt_step(frame(SECOND), wrapper)
    close(float(model.loss_value), 0.508727530)
    close(float(model.average), 0.497617620)
    close(trained(model), [1.008406971, 1.008089297, 0.000376363, -0.000426478])


def test_case_r2_the_released_return_repeats_itself():
    model, wrapper = ready(0.4 * math.log(3), 2.0)
    model.adapt_step(frame(FIRST), wrapper)
    close(float(model.average), 0.113982662)
    assert trained(model) == [2, 2, 0, 0]
    model.adapt_step(frame(SECOND), wrapper)
    close(float(model.loss_value), 0.083847582)
    close(float(model.average), 0.110969154)
    assert trained(model) == [2, 2, 0, 0]
    moments = [wrapper.optimizer.state[p]['momentum_buffer'] for p in model._trained]
    close(flat(*moments), [-0.177999806, -0.126682450, 0.030597007, 0.081324037])


def test_case_r2_the_fixed_return_forgets():
    model, wrapper = ready(0.4 * math.log(3), 2.0, form='fixed')
    model.adapt_step(frame(FIRST), wrapper)
    assert trained(model) == [2, 2, 0, 0] and model.average is None
    assert not wrapper.state_dict()['state']
    seen = []
    model._return = lambda: seen.append(float(model.average))
    model.adapt_step(frame(SECOND), wrapper)
    close(seen, [0.083847582])


@pytest.mark.parametrize(
    ('form', 'expected'),
    [('official', [1.005364664, 1.006319185, 0.002356568, 0.002335931]), ('fixed', AFTER_P1)],
)
def test_case_r3_an_image_without_certain_pixels(form, expected):
    model, wrapper = ready(0.85, form=form)
    model.adapt_step(frame(FIRST), wrapper)
    close(trained(model), AFTER_P1)
    average = float(model.average)
    model.adapt_step(frame(SAME), wrapper)
    close(trained(model), expected)
    assert float(model.average) == average


@pytest.mark.parametrize('form', ['official', 'fixed'])
def test_a_stream_that_is_taken_up_again_goes_on_as_it_would_have(form):
    model, wrapper = ready(0.9, form=form)
    model.adapt_step(frame(FIRST), wrapper)
    again, other = saved_and_loaded(model, wrapper)
    for image in (SECOND, FIRST):
        model.adapt_step(frame(image), wrapper)
        again.adapt_step(frame(image), other)
    assert trained(again) == trained(model) and torch.equal(again.average, model.average)


def test_only_norms_move():
    model, wrapper = ready(0.9)
    before = state(model)
    model.adapt_step(frame(FIRST), wrapper)
    moved = {name for name, value in state(model).items() if not torch.equal(value, before[name])}
    assert moved - {'backbone.num_batches_tracked'} == {'backbone.weight', 'backbone.bias'}


def test_the_last_stage_is_left_out():
    model = plain('SAR', losses=losses_of('sar'))
    names = [name for name, p in model.student.named_parameters() if p.requires_grad]
    assert any('backbone.layer3' in name for name in names)
    assert not any('backbone.layer4' in name for name in names)
    with pytest.raises(BenchError, match='left to train'):
        plain('SAR', losses=losses_of('sar'), exclude=[''])
