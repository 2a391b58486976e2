"""UBNA and UBNA+: cases U1 to U3 of the compact sheet, scope, resuming, and what stays as it is."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from sfda_bench.adapt.hooks import Driver
from sfda_bench.adapt.norm import statistics_layers
from sfda_bench.errors import BenchError
from sfda_bench.methods.ubna.colour_jitter import ColourJitter, turned
from sfda_bench.methods.ubna.hooks import FadingMomentumHook, fading_momentum
from tests.methods.helpers import hooks_of, plain
from tests.methods.two_norms import X0, X1, statistics, two_norms

WRAPPER = None


def adapted(method: str, start: int = 0, batches=(X0, X1), adapter=None, **fading):
    """The statistics after each batch, and the adapter."""
    adapter = adapter or two_norms('UBNA')
    driver = Driver(adapter.train(), hooks_of(method, 'adapt', fading=fading), start)
    seen = []
    for batch in batches:
        driver.train_step({'inputs': batch}, WRAPPER)
        seen.append(statistics(adapter.student))
    return seen, adapter


def close(found, expected, digits=1e-8):
    assert np.allclose(found, expected, rtol=0, atol=digits), found


def test_case_u1_ubna():
    (first, second), adapter = adapted('ubna')
    close(first, [(1.2, 4.266666667), (0.04, 2.0999976)])
    close(second, [(1.181537673, 4.118968051), (0.073232188, 3.013877466)])
    found = adapter.export_module().eval()(X0).flatten().tolist()
    close(found, (-0.817804843, 0.885110253, 2.588025349, 4.290940444))


def test_case_u2_ubna_plus():
    (_, second), adapter = adapted('ubna_plus')
    close(second, [(1.176701942, 4.116158038), (0.069169988, 2.902167383)])
    found = adapter.export_module().eval()(X0).flatten().tolist()
    close(found, (-0.827163652, 0.908808386, 2.644780425, 4.380752464))


@pytest.mark.parametrize(
    ('batch', 'layer', 'decay', 'expected'),
    [
        (0, 1, 0.0, 0.1),
        (1, 5, 0.0, 0.092311635),
        (10, 1, 0.0, 0.044932896),
        (25, 1, 0.0, 0.013533528),
        (49, 1, 0.0, 0.001984109),
        (0, 1, 0.03, 0.097044553),
        (0, 2, 0.03, 0.094176453),
        (1, 1, 0.03, 0.089583414),
        (1, 2, 0.03, 0.086935824),
    ],
)
def test_cases_u2_and_u3_the_momentum(batch, layer, decay, expected):
    assert fading_momentum(batch, layer, layer_decay=decay) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ('layer', 'decay', 'batch_decay', 'share'),
    [
        (1, 0.0, 0.08, 0.269198),
        (1, 0.03, 0.08, 0.280142),
        (7, 0.03, 0.08, 0.347123),
        (13, 0.03, 0.08, 0.414577),
        (1, 0.3, 0.08, 0.380935),
        (7, 0.3, 0.08, 0.854817),
        (13, 0.3, 0.08, 0.974472),
        (1, 0.0, 0.0, 0.005154),
    ],
)
def test_the_share_of_the_source_after_50_batches(layer, decay, batch_decay, share):
    etas = [fading_momentum(k, layer, 0.1, batch_decay, decay) for k in range(50)]
    assert math.prod(1 - eta for eta in etas) == pytest.approx(share, abs=1e-6)


def test_50_batches_of_constant_statistics_leave_that_share_in_the_network():
    (*_, last), _ = adapted('ubna', batches=[X0] * 50)
    share = (last[0][0] - 3.0) / (1.0 - 3.0)
    assert share == pytest.approx(0.269198, abs=1e-6)


def test_only_statistics_change():
    adapter = two_norms('UBNA')
    before = {name: value.clone() for name, value in adapter.student.state_dict().items()}
    adapted('ubna', adapter=adapter)
    after = adapter.student.state_dict()
    moved = {name.split('.')[-1] for name in after if not torch.equal(before[name], after[name])}
    assert moved == {'running_mean', 'running_var', 'num_batches_tracked'}
    assert not [p for p in adapter.parameters() if p.requires_grad]


def test_a_resumed_run_goes_on_with_its_own_momentum():
    (_, whole), _ = adapted('ubna_plus')
    (_,), half = adapted('ubna_plus', batches=[X0])
    (resumed,), _ = adapted('ubna_plus', start=1, batches=[X1], adapter=half)
    assert resumed == whole


def test_the_head_may_keep_its_statistics():
    (_, second), _ = adapted('ubna', scope='backbone')
    close(second[0], (1.181537673, 4.118968051))
    assert second[1] == (0.0, 1.0)


def test_layers_are_counted_depth_first_and_on_into_the_head():
    adapter = plain('UBNA')
    driver = Driver(adapter.train(), hooks_of('ubna_plus', 'adapt'))
    driver.before()
    layers = statistics_layers(adapter.student)
    found = [layer.momentum for layer in layers]
    assert len(layers) > 10
    assert found == [0.1 * math.exp(-0.03 * place) for place in range(1, len(layers) + 1)]
    block = [name for name, _ in adapter.student.named_modules() if 'layer2.0' in name]
    norms = [name for name in block if name.endswith(('bn1', 'bn2', 'downsample.1'))]
    assert norms[-1].endswith('downsample.1')


def test_the_hook_alone_moves_a_plain_network():
    network = two_norms('UBNA').student.train()
    driver = Driver(network, [{'type': 'FadingMomentumHook', 'layer_decay': 0.03}])
    for batch in (X0, X1):
        driver.before()
        network(batch)
        driver.after()
    close(statistics(network), [(1.176701942, 4.116158038), (0.069169988, 2.902167383)])


@pytest.mark.parametrize('wrong', [{'momentum': 1.5}, {'batch_decay': -0.1}, {'layer_decay': -1}])
def test_what_would_leave_the_range_is_refused(wrong):
    with pytest.raises(BenchError):
        FadingMomentumHook(**wrong)


def test_colours_change_and_nothing_else_does():
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 3)).astype(np.uint8)
    np.random.seed(1)
    changed = ColourJitter().transform({'img': image})['img']
    assert changed.shape == image.shape and changed.dtype == np.uint8
    assert (changed != image).mean() > 0.5
    assert np.array_equal(
        ColourJitter(0.0, 0.0).transform({'img': image[:, :, :1].repeat(3, 2)})['img'],
        image[:, :, :1].repeat(3, 2),
    )


def test_a_third_of_the_circle_turns_red_into_green():
    red = Image.new('RGB', (2, 2), (255, 0, 0))
    r, g, b = np.asarray(turned(red, 1 / 3)).reshape(-1, 3)[0].tolist()
    assert g == 255 and b == 0 and r < 8
