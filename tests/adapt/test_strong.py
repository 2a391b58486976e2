from __future__ import annotations

import math

import pytest
import torch

from sfda_bench.adapt.branches import BranchPreprocessor
from sfda_bench.adapt.strong import StrongView, blur_kernel, input_convention
from sfda_bench.errors import BenchError

MEAN, STD = torch.tensor([104.0, 117.0, 123.0]).view(3, 1, 1), torch.full((3, 1, 1), 57.0)


def images() -> torch.Tensor:
    pixels = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    return (pixels * 255 - MEAN) / STD


def test_without_changes_the_view_is_a_copy():
    weak = images()
    strong = StrongView(jitter_probability=0.0, blur_probability=0.0)(weak, MEAN, STD, True)
    assert torch.equal(weak, strong) and strong is not weak


@pytest.mark.parametrize('rgb', [True, False])
def test_the_input_stays_and_the_view_is_a_valid_image(rgb):
    weak = images()
    kept = weak.clone()
    torch.manual_seed(1)
    strong = StrongView(jitter_probability=1.0, blur_probability=1.0)(weak, MEAN, STD, rgb)
    assert torch.equal(weak, kept) and not torch.allclose(strong, weak, atol=0.1)
    pixels = (strong * STD + MEAN) / 255
    assert float(pixels.min()) > -1e-5 and float(pixels.max()) < 1 + 1e-5


def test_equal_random_states_give_equal_views():
    view = StrongView()
    torch.manual_seed(3)
    first = [view(images(), MEAN, STD, True) for _ in range(4)]
    torch.manual_seed(3)
    second = [view(images(), MEAN, STD, True) for _ in range(4)]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_channel_order_is_respected():
    weak = images()
    view = StrongView(jitter_probability=1.0, blur_probability=0.0)
    torch.manual_seed(5)
    rgb = view(weak, MEAN, STD, True)
    torch.manual_seed(5)
    bgr = view(weak.flip(1), MEAN.flip(0), STD.flip(0), False)
    assert torch.allclose(rgb, bgr.flip(1), atol=1e-5)


def test_blur_smooths_and_keeps_the_mean():
    weak = images()
    view = StrongView(
        jitter_probability=0.0, blur_probability=1.0, blur_sigma=(2.0, 2.0), kernel_share=0.5
    )
    strong = view(weak, MEAN, STD, True)
    assert float(strong.std()) < 0.6 * float(weak.std())


@pytest.mark.parametrize(('side', 'kernel'), [(640, 63), (650, 65), (96, 9), (5, 1)])
def test_kernels_are_odd_and_about_a_tenth(side, kernel):
    assert blur_kernel(side) == kernel


def test_the_convention_comes_from_the_preprocessor():
    norm = {'mean': [1.0, 2.0, 3.0], 'std': [4.0, 5.0, 6.0], 'bgr_to_rgb': True}
    wrapped = BranchPreprocessor({'type': 'mmseg.SegDataPreProcessor', 'size_divisor': 1, **norm})
    mean, std, rgb = input_convention(wrapped)
    assert mean.flatten().tolist() == [1, 2, 3] and std.flatten().tolist() == [4, 5, 6] and rgb
    with pytest.raises(BenchError, match='normalises'):
        input_convention(torch.nn.Identity())


# --- the defaults: atp.md section 4 -----------------------------------------------------------


def test_how_often_views_are_jittered_and_blurred():
    torch.manual_seed(0)
    draws = torch.tensor([StrongView().draw() for _ in range(4000)]).float()
    assert draws.mean(dim=0).tolist() == pytest.approx([0.8, 0.5], abs=0.03)
    assert float(draws.prod(dim=1).mean()) == pytest.approx(0.4, abs=0.03)


@pytest.fixture
def drawn(monkeypatch) -> dict[str, list]:
    """What kornia's functions are asked for; they change nothing."""
    seen: dict[str, list] = {}

    def spy(name):
        def record(pixels, *arguments):
            seen.setdefault(name, []).append(arguments)
            return pixels

        return record

    for name in ('brightness', 'contrast', 'saturation', 'hue'):
        monkeypatch.setattr(f'kornia.enhance.adjust_{name}', spy(name))
    monkeypatch.setattr('kornia.filters.gaussian_blur2d', spy('blur'))
    return seen


def test_each_view_draws_anew(drawn):
    torch.manual_seed(1)
    view, weak = StrongView(), images()
    for _ in range(1000):
        view(weak, MEAN, STD, True)
    shares = {name: len(calls) / 1000 for name, calls in drawn.items()}
    jitter = dict.fromkeys(('brightness', 'contrast', 'saturation', 'hue'), 0.8)
    assert shares == pytest.approx({**jitter, 'blur': 0.5}, abs=0.05)
    assert view(weak, MEAN, STD, True, (False, True)) is not weak
    assert len(drawn['hue']) == round(1000 * shares['hue'])


def test_ranges_of_the_jitter(drawn):
    """0.2 each: an added brightness, factors, and an angle in parts of the full circle."""
    torch.manual_seed(2)
    StrongView()(torch.zeros(1000, 3, 1, 1), MEAN, STD, True, (True, False))
    angle = 0.2 * 2 * math.pi
    ranges = {
        'brightness': (-0.2, 0.2), 'contrast': (0.8, 1.2), 'saturation': (0.8, 1.2),
        'hue': (-angle, angle),
    }  # fmt: skip
    assert set(drawn) == set(ranges)
    for name, (low, high) in ranges.items():
        [(values,)] = drawn[name]
        assert values.shape == (1000,)
        reach = high - low
        assert low <= float(values.min()) < low + 0.02 * reach, name
        assert high >= float(values.max()) > high - 0.02 * reach, name
        assert float(values.mean()) == pytest.approx((low + high) / 2, abs=0.05 * reach)


def test_ranges_of_the_blur(drawn):
    torch.manual_seed(3)
    view = StrongView()
    for _ in range(500):
        view(torch.zeros(1, 3, 64, 96), MEAN, STD, True, (False, True))
    assert {kernel for kernel, _ in drawn['blur']} == {(7, 9)}
    sigmas = [sigma for _, (sigma, other) in drawn['blur'] if sigma == other]
    assert len(sigmas) == 500
    assert 0.15 <= min(sigmas) < 0.17 and 1.13 < max(sigmas) <= 1.15
    assert sum(sigmas) / 500 == pytest.approx(0.65, abs=0.05)
