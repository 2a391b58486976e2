"""Looks: what the same street is made of and seen through in each data set.

A look changes materials, light, weather and the camera, never what is a car: that is the domain
gap, and it comes from appearance alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sfda_bench.pocket.canvas import Colour

Palette = dict[str, tuple[Colour, ...]]

_MUTED: Palette = {
    'road': ((92, 90, 92), (84, 84, 88), (100, 97, 96)),
    'lane': ((176, 176, 172),),
    'kerb': ((128, 126, 124),),
    'sidewalk': ((134, 126, 124), (122, 118, 118), (142, 134, 128)),
    'parking': ((108, 104, 102),),
    'terrain': ((86, 108, 62), (104, 112, 70), (92, 98, 60)),
    'rail': ((70, 66, 66),),
    'sky': ((206, 214, 220), (218, 222, 224), (190, 204, 216)),
    'cloud': ((228, 230, 230),),
    'building': (
        (138, 126, 112), (116, 108, 104), (150, 140, 124), (126, 112, 100), (104, 100, 100),
        (160, 152, 140), (122, 98, 84),
    ),
    'window': ((62, 68, 76), (78, 86, 94), (50, 54, 60)),
    'roof': ((96, 74, 66), (84, 82, 82)),
    'wall': ((140, 134, 122), (120, 112, 104)),
    'fence': ((84, 88, 84), (104, 98, 88)),
    'pole': ((108, 110, 108), (84, 88, 88)),
    'lamp_box': ((42, 44, 42),),
    'sign_blue': ((38, 74, 150),),
    'sign_red': ((176, 44, 44),),
    'sign_yellow': ((212, 176, 40),),
    'sign_white': ((206, 206, 200),),
    'leaf': ((66, 84, 50), (56, 74, 46), (80, 94, 56), (72, 80, 54)),
    'trunk': ((74, 62, 52),),
    'skin': ((190, 150, 126), (150, 112, 90)),
    'cloth': ((50, 50, 66), (96, 52, 50), (58, 72, 88), (108, 100, 92), (42, 42, 44), (84, 88, 60)),
    'trousers': ((44, 48, 62), (56, 52, 50), (36, 36, 40)),
    'helmet': ((180, 60, 50), (200, 200, 196), (60, 90, 160)),
    'car': (
        (48, 50, 54), (140, 142, 146), (178, 180, 180), (66, 78, 104), (112, 40, 42), (94, 96, 98),
        (30, 32, 36),
    ),
    'glass': ((52, 60, 68),),
    'tyre': ((28, 28, 30),),
    'cab': ((150, 60, 50), (60, 92, 140), (190, 188, 180)),
    'cargo': ((196, 194, 188), (168, 172, 176), (176, 168, 150)),
    'bus': ((186, 150, 50), (170, 60, 54), (96, 120, 140)),
    'train': ((176, 178, 176), (190, 186, 170)),
    'train_stripe': ((160, 44, 46),),
    'moto': ((120, 40, 40), (50, 60, 90), (60, 60, 62)),
    'bike': ((60, 60, 64), (100, 44, 44), (46, 72, 96)),
    'static': ((96, 84, 60), (70, 84, 74)),
    'bonnet': ((26, 28, 32),),
}  # fmt: skip

_GAME: Palette = {
    **_MUTED,
    'road': ((124, 116, 110), (112, 106, 104), (134, 124, 112)),
    'lane': ((226, 190, 60), (224, 220, 206)),
    'kerb': ((180, 172, 156),),
    'sidewalk': ((188, 174, 152), (176, 166, 150), (198, 184, 160)),
    'terrain': ((158, 146, 76), (132, 142, 62), (172, 150, 90)),
    'sky': ((92, 152, 226), (120, 170, 230), (232, 176, 130)),
    'cloud': ((240, 238, 232),),
    'building': (
        (206, 168, 126), (188, 122, 92), (214, 196, 158), (150, 128, 116), (172, 178, 186),
        (226, 210, 176), (134, 92, 78),
    ),
    'window': ((52, 84, 118), (74, 108, 140), (34, 46, 62)),
    'wall': ((204, 186, 150), (184, 150, 120)),
    'fence': ((138, 112, 82), (120, 124, 128)),
    'pole': ((134, 122, 104), (160, 160, 158)),
    'sign_blue': ((28, 128, 74),),
    'sign_yellow': ((246, 196, 26),),
    'leaf': ((74, 124, 34), (104, 140, 44), (58, 104, 40), (124, 144, 60)),
    'trunk': ((128, 98, 66),),
    'cloth': ((220, 66, 54), (64, 120, 210), (240, 236, 226), (60, 60, 60), (226, 180, 60)),
    'trousers': ((70, 96, 150), (150, 130, 100), (50, 50, 56)),
    'car': (
        (196, 34, 34), (36, 84, 176), (236, 236, 232), (236, 184, 40), (40, 44, 50), (70, 130, 80),
        (176, 180, 186),
    ),
    'glass': ((40, 62, 86),),
    'cab': ((208, 52, 40), (44, 110, 190), (238, 232, 214)),
    'cargo': ((236, 232, 220), (214, 170, 90), (180, 190, 200)),
    'bus': ((236, 240, 240), (60, 140, 190), (230, 130, 40)),
    'train': ((200, 204, 210), (150, 156, 166)),
    'train_stripe': ((40, 90, 170),),
    'moto': ((214, 44, 40), (40, 42, 46), (240, 150, 30)),
    'bike': ((206, 60, 50), (50, 130, 180), (60, 60, 60)),
}  # fmt: skip

_FLAT: Palette = {
    **_MUTED,
    'road': ((74, 70, 84), (66, 66, 78)),
    'lane': ((236, 236, 240),),
    'kerb': ((170, 166, 176),),
    'sidewalk': ((164, 150, 160), (150, 142, 166), (176, 160, 160)),
    'sky': ((122, 160, 210), (150, 170, 206), (196, 186, 196), (84, 100, 150)),
    'cloud': ((206, 214, 230),),
    'building': (
        (176, 120, 100), (150, 146, 164), (198, 178, 140), (120, 124, 150), (186, 150, 150),
        (110, 90, 86),
    ),
    'window': ((92, 116, 150), (120, 140, 170), (60, 70, 100)),
    'wall': ((150, 120, 110), (134, 134, 140)),
    'fence': ((112, 120, 150), (134, 134, 134)),
    'pole': ((150, 150, 162), (96, 100, 112)),
    'leaf': ((54, 120, 62), (84, 140, 70), (44, 98, 66)),
    'trunk': ((110, 80, 60),),
    'cloth': ((200, 80, 70), (80, 110, 190), (210, 200, 90), (90, 160, 110), (190, 190, 200)),
    'trousers': ((70, 70, 130), (110, 80, 70), (60, 60, 70)),
    'car': (
        (190, 50, 60), (70, 90, 190), (200, 204, 214), (60, 150, 110), (60, 60, 74),
        (220, 200, 80),
    ),
    'glass': ((84, 104, 140),),
    'bus': ((60, 160, 120), (200, 70, 60), (70, 90, 200)),
    'moto': ((190, 60, 60), (60, 60, 130)),
    'bike': ((190, 70, 80), (70, 80, 180)),
}  # fmt: skip


def _blend(palette: Palette, share: float) -> Palette:
    """Return ``palette`` moved towards the muted one: 1 keeps it, 0 gives the muted colours."""

    def towards(name: str, colour: Colour, number: int) -> Colour:
        base = _MUTED[name][number % len(_MUTED[name])]
        r, g, b = (int(o + (c - o) * share + 0.5) for c, o in zip(colour, base, strict=True))
        return r, g, b

    return {k: tuple(towards(k, c, i) for i, c in enumerate(v)) for k, v in palette.items()}


@dataclass(frozen=True)
class Sensor:
    """How the camera turns light into numbers.

    Attributes:
        saturation, contrast: Factors, 1 leaves the colours as they are.
        gain: Factor of each channel (colour cast and exposure).
        gamma: Exponent of the tone curve.
        lift: Added at the end (haze, black level), 0-255.
        noise: Standard deviation of the sensor noise, 0-255.
        blur: Radius of the lens blur in final pixels at 96x192 (scaled with the size).
        vignette: Darkening of the corners, 0-1.
        jitter: Spread of exposure between images.
    """

    saturation: float = 1.0
    contrast: float = 1.0
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    lift: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    vignette: float = 0.0
    jitter: float = 0.06


@dataclass(frozen=True)
class Look:
    """Materials, light, weather and camera of a data set.

    Attributes:
        texture: Strength of surface texture.
        sun: Contrast between lit and shaded sides, 0 for an overcast sky.
        camera_height, horizon, focal: Ranges (metres; fraction of height; fraction of width).
        weather: '', 'fog', 'night', 'rain' or 'snow'.
        left_out: Classes that this data set does not have.
        bonnet: Whether the own car's bonnet is in view.
        clouds: Strength of clouds.
    """

    name: str
    palette: Palette
    sensor: Sensor
    texture: float = 1.0
    sun: float = 0.0
    camera_height: tuple[float, float] = (1.3, 1.6)
    horizon: tuple[float, float] = (0.38, 0.44)
    focal: tuple[float, float] = (0.56, 0.66)
    weather: str = ''
    left_out: frozenset[str] = field(default_factory=frozenset)
    bonnet: bool = False
    clouds: float = 0.3


_REAL = Look(
    name='cityscapes',
    palette=_MUTED,
    sensor=Sensor(
        saturation=0.72,
        contrast=0.9,
        gain=(1.0, 1.06, 1.0),
        gamma=1.06,
        lift=6,
        noise=2.2,
        blur=0.35,
        vignette=0.25,
        jitter=0.2,
    ),
    texture=1.0,
    sun=0.14,
    bonnet=True,
)

LOOKS: dict[str, Look] = {
    'cityscapes': _REAL,
    'gta5': Look(
        name='gta5',
        palette=_blend(_GAME, 0.5),
        sensor=Sensor(
            saturation=1.15, contrast=1.08, gain=(1.04, 1.0, 0.96), gamma=0.96, jitter=0.2
        ),
        texture=0.8,
        sun=0.28,
        camera_height=(1.2, 2.0),
        horizon=(0.36, 0.47),
        clouds=0.8,
    ),
    'synthia': Look(
        name='synthia',
        palette=_blend(_FLAT, 0.4),
        sensor=Sensor(saturation=1.1, contrast=1.0, gain=(0.98, 0.98, 1.04), jitter=0.24),
        texture=0.5,
        sun=0.24,
        camera_height=(1.4, 3.4),
        horizon=(0.28, 0.44),
        focal=(0.5, 0.7),
        left_out=frozenset({'terrain', 'truck', 'train'}),
        clouds=0.6,
    ),
    'fog': replace(
        _REAL, name='fog', weather='fog', bonnet=False, sun=0.0, clouds=0.0,
        sensor=replace(_REAL.sensor, saturation=0.5, contrast=0.9, noise=3.0, vignette=0.15),
    ),
    'night': replace(
        _REAL, name='night', weather='night', bonnet=False, sun=0.0, clouds=0.2,
        sensor=replace(
            _REAL.sensor, saturation=0.8, contrast=1.0, gain=(1.05, 0.96, 0.84), noise=4.0,
            lift=4, gamma=1.0, jitter=0.12,
        ),
    ),
    'rain': replace(
        _REAL, name='rain', weather='rain', bonnet=False, sun=0.0, clouds=0.9,
        sensor=replace(
            _REAL.sensor, saturation=0.5, gain=(0.94, 1.0, 1.02), contrast=0.9, blur=0.45,
            noise=3.5,
        ),
    ),
    'snow': replace(
        _REAL, name='snow', weather='snow', bonnet=False, sun=0.0, clouds=0.3,
        sensor=replace(
            _REAL.sensor, saturation=0.45, gain=(0.96, 1.0, 1.0), contrast=0.88, lift=10,
        ),
    ),
}  # fmt: skip
"""The looks: three data sets and the four conditions of ACDC."""
