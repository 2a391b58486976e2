"""DAT: case H of its sheet, what is chosen, what moves, rounds, resuming."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfda_bench.methods.cotta import adapter as module
from sfda_bench.methods.cotta.dat import largest
from tests.methods.online_cases import flat, frame, online, saved_and_loaded

X1 = torch.tensor([[[2, 0.2], [0.1, -1]], [[0, 1.5], [0.3, -0.5]]])
X2 = torch.tensor([[[0.4, -0.3], [1.2, 0]], [[0.6, 0.9], [-0.2, -2]]])
XC = X1.clone()
XC[0, 0, 0] = 9.0
RATE = 2.5e-4
NAMES = ['norm weight', 'norm bias', 'W', 'b']


@pytest.fixture(autouse=True)
def views(monkeypatch):
    """The views of the cases: pixels shifted and scaled, not resized."""

    def shifted(images, scale, mirrored):
        found = scale * images + 0.1 * (scale - 1.0)
        return found.flip(3) if mirrored else found

    monkeypatch.setattr(module, 'view_of', shifted)


def ready(**changes):
    model, wrapper = online('dat', **changes)
    model._round = 1
    return model, wrapper


def chosen(model) -> set[str]:
    return {NAMES[index] for index in model.chosen}


def values(model) -> dict[str, np.ndarray]:
    return {name: np.array(flat(p)) for name, p in zip(NAMES, model._trained, strict=True)}


def test_case_h_how_sure_pixels_are_and_both_losses():
    model, _ = ready()
    model.label_size = (2, 2)
    labels = model.predicted(XC[None])
    np.testing.assert_allclose(
        flat(model.sureness), [0.999954, 0.809790, 0.413310, 0.919417], atol=1e-6
    )
    losses = model.objective(XC[None], model.logits(XC[None]))
    assert labels.shape == (1, 2, 2)
    assert float(losses['unsure']) == pytest.approx(0.315573, abs=1e-6)
    assert float(losses['sure']) == pytest.approx(3.08435e-5, abs=1e-9)
    for name, expected in (
        ('unsure', [0.191414, 0.347070, 0.339717, 0.437217]),
        ('sure', [0.000278, 0.000062, 0.000555, 0.000062]),
    ):
        found = model._gradients(losses[name], keep=True, every=True)
        np.testing.assert_allclose([float(g.abs().sum()) for g in found], expected, atol=1e-6)


def test_case_h_one_image_moves_what_both_losses_chose():
    model, wrapper = ready()
    model.adapt_step(frame(XC), wrapper)
    assert chosen(model) == {'b', 'W'}
    found = values(model)
    np.testing.assert_allclose(found['b'], [0.0002499, -0.0002499, 0.4999036], atol=1e-6)
    np.testing.assert_allclose(
        found['W'], [1.00025, 0.0, -0.00025, 1.0, -1.0002124, -1.0], atol=1e-6
    )
    assert found['norm weight'].tolist() == [1.0, 1.0]
    assert found['norm bias'].tolist() == [0.0, 0.0]


def test_case_h_a_second_image_steps_along_what_was_left():
    model, wrapper = ready()
    model.adapt_step(frame(XC), wrapper)
    before = values(model)
    model.adapt_step(frame(X2), wrapper)
    found = values(model)
    assert chosen(model) == {'b', 'W', 'norm bias'}
    for name in ('b', 'W', 'norm weight'):
        assert found[name].tolist() == before[name].tolist(), name
    np.testing.assert_allclose(found['norm bias'], [RATE, RATE], atol=1e-6)


def test_the_choice_begins_again_with_a_condition_and_ends_with_the_search():
    model, wrapper = ready(search=1)
    model.adapt_step(frame(XC, 'fog'), wrapper)
    model.adapt_step(frame(X2, 'fog'), wrapper)
    assert chosen(model) == {'b', 'W'}, 'the search was over'
    model.adapt_step(frame(X2, 'night'), wrapper)
    assert chosen(model) != {'b', 'W'}


def test_the_rate_halves_from_round_to_round():
    steps = []
    for number in (1, 2, 3):
        model, wrapper = ready()
        model.adapt_step(frame(XC, 'fog', number), wrapper)
        steps.append(values(model)['W'][0] - 1.0)
    np.testing.assert_allclose(steps, [RATE, RATE / 2, RATE / 4], rtol=1e-3)


def test_each_image_has_an_optimiser_of_its_own():
    """The sum of moments of one optimiser would not give twice the same step."""
    model, wrapper = ready(search=1)
    for _ in range(3):
        before = values(model)['W'][0]
        model.adapt_step(frame(XC), wrapper)
        assert values(model)['W'][0] - before == pytest.approx(RATE, rel=0.01)


def test_the_source_stays_and_the_teacher_follows():
    model, wrapper = ready()
    source = [p.clone() for p in model.source.parameters()]
    model.adapt_step(frame(XC), wrapper)
    assert all(torch.equal(a, b) for a, b in zip(source, model.source.parameters(), strict=True))
    teacher = dict(zip(NAMES, model.teacher.parameters(), strict=True))
    expected = 0.999 * 1.0 + 0.001 * values(model)['W'][0]
    assert float(teacher['W'].flatten()[0]) == pytest.approx(expected, abs=1e-7)


def test_a_stream_goes_on_where_it_was_saved():
    whole, wrapper = ready()
    for image in (XC, X2, X1):
        whole.adapt_step(frame(image), wrapper)
    parts, wrapper = ready()
    parts.adapt_step(frame(XC), wrapper)
    parts, wrapper = saved_and_loaded(parts, wrapper)
    for image in (X2, X1):
        parts.adapt_step(frame(image), wrapper)
    for name, value in values(whole).items():
        assert value.tolist() == values(parts)[name].tolist(), name


def test_of_equal_sums_the_first_is_taken():
    assert largest(torch.tensor([1.0, 3.0, 3.0, 2.0]), 3).tolist() == [1, 2, 3]
