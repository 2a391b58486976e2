"""CBNA and UBNA on a stream: cases U1, U2 and U4 of the compact sheet, scope, resuming."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sfda_bench.errors import BenchError
from tests.methods.helpers import stage_of
from tests.methods.online_cases import saved_and_loaded
from tests.methods.two_norms import X0, X1, TwoNorms, statistics, two_norms

IMAGE = torch.tensor([0.0, 2.0, 4.0, 6.0], dtype=torch.float64).view(1, 1, 1, 4)
SOURCE = [(1.0, 4.0), (0.0, 1.0)]


@pytest.fixture(autouse=True)
def _whole(monkeypatch):
    """What a stream asks of a segmentor."""
    monkeypatch.setattr(TwoNorms, 'test_cfg', {}, raising=False)
    monkeypatch.setattr(TwoNorms, 'align_corners', False, raising=False)


def stream(method: str, **changes):
    """A method's adapter on two norms, configured."""
    adapter = {**stage_of(method, 'stream')['adapter'], **changes}
    model = two_norms(adapter.pop('type'), **adapter)
    model.configure()
    return model


def close(found, expected) -> None:
    assert np.allclose(found, expected, rtol=0, atol=1e-8), (found, expected)


def test_case_u4_one_image():
    model = stream('cbna')
    close(
        model.predicted(IMAGE).flatten().tolist(),
        (-1.132960787, 0.384848952, 1.902658691, 3.420468430),
    )
    close(statistics(model.student), [(1.4, 4.533333333), (0.530880992, 3.447052984)])


def test_case_u4_a_second_pass_with_and_without_the_source():
    model = stream('cbna')
    model.adapt(IMAGE, None)
    model.adapt(IMAGE, None)
    close(statistics(model.student), [(1.72, 4.96), (0.849546626, 5.176992349)])
    model.reset()
    close(statistics(model.student), SOURCE)
    assert model.reset_on == 'image'


def test_case_u4_a_share_of_nothing_is_the_source_model():
    model = stream('cbna', momentum=0.0)
    close(
        model.adapt(IMAGE, None).flatten().tolist(),
        (-1.099992625, 1.899988625, 4.899969875, 7.899951125),
    )


def test_a_single_value_leaves_the_statistics():
    model = stream('cbna')
    model.adapt(IMAGE[..., :1], None)
    close(statistics(model.student), SOURCE)


@pytest.mark.parametrize(
    ('decay', 'first', 'second', 'output'),
    [
        (
            0.0,
            [(1.2, 4.266666667), (0.04, 2.0999976)],
            [(1.181537673, 4.118968051), (0.073232188, 3.013877466)],
            (-0.817804843, 0.885110253, 2.588025349, 4.290940444),
        ),
        (
            0.03,
            None,
            [(1.176701942, 4.116158038), (0.069169988, 2.902167383)],
            (-0.827163652, 0.908808386, 2.644780425, 4.380752464),
        ),
    ],
)
def test_cases_u1_and_u2_on_a_stream(decay, first, second, output):
    model = stream('ubna_online', layer_decay=decay)
    model.adapt(X0, None)
    if first:
        close(statistics(model.student), first)
    model.adapt(X1, None)
    close(statistics(model.student), second)
    close(model.predicted(X0).flatten().tolist(), output)
    close(statistics(model.student), second)
    model.reset()
    assert model.seen == 0
    close(statistics(model.student), SOURCE)


def test_predicting_before_uses_the_statistics_that_an_image_finds():
    model = stream('ubna_online', predict='before')
    found = model.adapt(IMAGE, None).flatten().tolist()
    close(found, (-1.099992625, 1.899988625, 4.899969875, 7.899951125))
    assert statistics(model.student) != SOURCE


@pytest.mark.parametrize('method', ['cbna', 'ubna_online'])
def test_the_backbone_alone(method):
    model = stream(method, scope='backbone')
    model.adapt(IMAGE, None)
    first, second = statistics(model.student)
    assert first != SOURCE[0] and second == SOURCE[1]


@pytest.mark.parametrize('method', ['cbna', 'ubna_online'])
def test_a_stream_that_is_taken_up_again_goes_on_as_it_would_have(method):
    model = stream(method, reset_on='never')
    model.adapt(X0, None)
    again, _ = saved_and_loaded(model, None)
    for images in (X1, IMAGE):
        assert torch.equal(model.adapt(images, None), again.adapt(images, None))
    assert statistics(again.student) == statistics(model.student) != SOURCE


@pytest.mark.parametrize('method', ['cbna', 'ubna_online'])
def test_only_statistics_move(method):
    model = stream(method)
    before = [parameter.clone() for parameter in model.parameters()]
    model.adapt(X0, None)
    assert all(map(torch.equal, before, model.parameters()))
    assert not any(m.training for m in model.student.modules() if isinstance(m, nn.BatchNorm2d))


def test_what_they_cannot_do():
    for method, change in (
        ('cbna', {'momentum': 1.1}),
        ('ubna_online', {'momentum': -0.1}),
        ('ubna_online', {'batch_decay': -1.0}),
    ):
        with pytest.raises(BenchError):
            stream(method, **change)
