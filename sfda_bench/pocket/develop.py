"""Turns a painted scene into the picture its camera takes: light, weather, lens, sensor."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfda_bench.pocket.canvas import Camera, Canvas
from sfda_bench.pocket.looks import Look, Sensor
from sfda_bench.pocket.noise import Draws, blur, hash01, value_noise

_GROUND = (7, 8, 9, 10, 22)
_ROAD, _SIDEWALK, _VEGETATION, _TERRAIN, _SKY = 7, 8, 21, 22, 23
Picture = NDArray[np.float32]


def develop(canvas: Canvas, camera: Camera, look: Look, draws: Draws, ss: int) -> NDArray[np.uint8]:
    """Return the picture uint8 (H / ss, W / ss, 3) of a scene painted ``ss`` times larger."""
    rgb = canvas.rgb
    weather = {'fog': _fog, 'night': _night, 'rain': _rain, 'snow': _snow}.get(look.weather)
    if weather is not None:
        rgb = weather(canvas, camera, draws, rgb)
    small = _shrink(rgb, ss)
    if look.weather in ('rain', 'snow'):
        small = _streaks(small, draws, look.weather)
    return _expose(small, look.sensor, draws)


def shrink_labels(labels: NDArray[Any], ss: int) -> NDArray[Any]:
    """Return one label of every ``ss`` x ``ss`` block (the pixel right of and below the middle)."""
    return np.ascontiguousarray(labels[ss // 2 :: ss, ss // 2 :: ss])


def _shrink(rgb: Picture, ss: int) -> Picture:
    if ss == 1:
        return rgb
    total = rgb[0::ss, 0::ss].copy()
    for dy in range(ss):
        for dx in range(ss):
            if dy or dx:
                total += rgb[dy::ss, dx::ss]
    return total * np.float32(1 / (ss * ss))


@lru_cache(maxsize=64)
def _transmission(beta_milli: int) -> NDArray[np.float32]:
    """Return exp(-beta z) for z = 0..511 metres, rounded to 1/65536 to be the same everywhere."""
    step = 1 - beta_milli / 1000
    value, table = 1.0, []
    for _ in range(512):
        table.append(round(value * 65536) / 65536)
        value *= step
    return np.array(table, np.float32)


def _haze(canvas: Canvas, rgb: Picture, beta_milli: int, air: tuple[int, int, int]) -> Picture:
    index = np.clip(canvas.depth, 0, 511).astype(np.int32)
    t = _transmission(beta_milli)[index][..., None]
    return rgb * t + np.array(air, np.float32) * (1 - t)


def _fog(canvas: Canvas, camera: Camera, draws: Draws, rgb: Picture) -> Picture:
    level = draws.integer(172, 206)
    return _haze(canvas, rgb, draws.integer(14, 34), (level, level + 2, level + 4))


def _night(canvas: Canvas, camera: Camera, draws: Draws, rgb: Picture) -> Picture:
    """Dim everything, light the road ahead and under lamps, add what glows and its halo."""
    ambient = draws.uniform(0.34, 0.5)
    h, w = canvas.ids.shape
    rows = (np.arange(h, dtype=np.float32)[:, None] + 0.5 - np.float32(camera.horizon)) / h
    cols = (np.arange(w, dtype=np.float32)[None] + 0.5 - np.float32(camera.cx)) / w
    beam = np.clip(1 - np.abs(cols) * 2.4, 0, 1) * np.clip(1.0 - rows * 1.2, 0, 1)
    beam = beam * np.clip(30 / np.maximum(canvas.depth, 4) - 0.4, 0, 1)
    light = np.float32(ambient) + beam * np.float32(0.45)
    u, v = cols * np.float32(5.0) + 0 * rows, rows * np.float32(4.0) + 0 * cols
    light = light + np.clip(value_noise(u, v, draws.integer(0, 1 << 20)) - 0.5, 0, 1) * 0.5
    sky = canvas.ids == _SKY
    warm = np.array((1.06, 0.98, 0.86), np.float32)
    dark = rgb * light[..., None] * warm
    dark[sky] = np.array((26, 24, 30), np.float32) + rgb[sky] * np.float32(0.05)
    lit = canvas.emit.max(axis=2) > 0
    dark[lit] = canvas.emit[lit] * np.float32(0.94)
    glow = canvas.emit.astype(np.int32) * 4
    near, far = blur(glow, max(h // 64, 1)), blur(glow, max(h // 16, 1))
    return (
        dark
        + near.astype(np.float32) * np.float32(0.12)
        + far.astype(np.float32) * (np.float32(0.17))
    )


def _rain(canvas: Canvas, camera: Camera, draws: Draws, rgb: Picture) -> Picture:
    """Wet ground mirrors what stands on it; everything is greyer and a little hazy."""
    h, _ = canvas.ids.shape
    ground = np.isin(canvas.ids, _GROUND)
    horizon = int(camera.horizon)
    rows = np.arange(h)
    source = np.clip(2 * horizon - rows - h // 24, 0, h - 1)
    mirror = rgb[np.where(rows > horizon, source, rows)]
    wet = value_noise(
        np.arange(canvas.width, dtype=np.float32)[None] * np.float32(8 / canvas.width)
        + 0 * rows[:, None],
        rows[:, None] * np.float32(16 / h) + np.zeros((1, canvas.width), np.float32),
        draws.integer(0, 1 << 20),
    )
    share = (np.float32(0.05) + wet * np.float32(0.3))[..., None] * ground[..., None]
    out = rgb * np.where(ground, np.float32(0.86), np.float32(0.97))[..., None]
    out = out * (1 - share) + mirror * share
    return _haze(canvas, out, draws.integer(4, 11), (160, 164, 166))


def _snow(canvas: Canvas, camera: Camera, draws: Draws, rgb: Picture) -> Picture:
    """Cover the ground (the road in patches) and the crowns of plants, under a white sky."""
    salt = draws.integer(0, 1 << 20)
    h, w = canvas.ids.shape
    rows = np.arange(h, dtype=np.float32)[:, None]
    cols = np.arange(w, dtype=np.float32)[None]
    down = np.float32(60 / w)
    patch = value_noise(cols * down * 0.35 + 0 * rows, rows * down * 1.4 + 0 * cols, salt)
    fine = hash01(np.floor(cols / 2) + 0 * rows, np.floor(rows / 2) + 0 * cols, salt + 1)
    cover = np.zeros((h, w), np.float32)
    level = np.float32(draws.uniform(-0.1, 0.2))
    cover = np.where(canvas.ids == _ROAD, np.clip((patch - 0.62 + level) * 3, 0, 0.8), cover)
    flat = (canvas.ids == _SIDEWALK) | (canvas.ids == _TERRAIN)
    cover = np.where(flat, np.clip(0.34 + (patch - 0.4) * 1.1, 0, 0.85), cover)
    plant = canvas.ids == _VEGETATION
    cover = np.where(plant, np.clip((patch + fine - 1.0) * 1.1, 0, 0.7), cover)
    white = np.array((226, 230, 236), np.float32) * (np.float32(0.9) + fine * 0.1)[..., None]
    out = rgb + (white - rgb) * cover[..., None].astype(np.float32)
    out = np.where((canvas.ids == _SKY)[..., None], rgb * np.float32(0.4) + 128, out)
    return _haze(canvas, out.astype(np.float32), draws.integer(5, 13), (196, 200, 204))


def _streaks(rgb: Picture, draws: Draws, weather: str) -> Picture:
    """Add falling rain (long thin lines) or snow (flakes), and drops on the lens."""
    h, w = rgb.shape[:2]
    out = rgb.copy()
    count, level = (h * w // 600, 20) if weather == 'rain' else (h * w // 400, 90)
    length = max(h // 9, 2) if weather == 'rain' else max(h // 90, 1)
    slant = draws.integer(-2, 3)
    for _ in range(count):
        y, x = draws.integer(0, h), draws.integer(0, w)
        part = min(length, h - y)
        steps = np.arange(part)
        columns = np.clip(x + steps * slant // 6, 0, w - 1)
        out[y + steps, columns] += np.float32(level)
    if weather == 'snow':
        return out
    smeared = blur(rgb.astype(np.int32), max(h // 24, 1), 1).astype(np.float32)
    for _ in range(draws.integer(1, 5)):
        y, x, r = draws.integer(0, h), draws.integer(0, w), draws.integer(h // 24 + 1, h // 10 + 2)
        box = (slice(max(y - r, 0), y + r), slice(max(x - r, 0), x + r))
        out[box] = out[box] * np.float32(0.45) + smeared[box] * np.float32(0.55)
    return out


@lru_cache(maxsize=64)
def _tone(gamma_milli: int) -> NDArray[np.float32]:
    """Return the tone curve 255 (v / 255) ** gamma at 0..255, rounded to 1/256."""
    curve = [255 * (v / 255) ** (gamma_milli / 1000) for v in range(256)]
    return np.array([round(v * 256) / 256 for v in curve], np.float32)


def _expose(rgb: Picture, sensor: Sensor, draws: Draws) -> NDArray[np.uint8]:
    """Apply lens blur, vignetting, colour, tone curve and noise; round to 8 bits."""
    h, w = rgb.shape[:2]
    if sensor.blur > 0:
        rgb = _lens(rgb, sensor.blur * h / 96)
    grey = (rgb[..., :1] * 77 + rgb[..., 1:2] * 150 + rgb[..., 2:] * 29) * np.float32(1 / 256)
    rgb = grey + (rgb - grey) * np.float32(sensor.saturation)
    rgb = (rgb - 118) * np.float32(sensor.contrast) + 118
    exposure = draws.uniform(1 - sensor.jitter, 1 + sensor.jitter)
    rgb = rgb * (np.array(sensor.gain, np.float32) * np.float32(exposure))
    if sensor.vignette:
        y = (np.arange(h, dtype=np.float32)[:, None] + 0.5) * np.float32(2 / h) - 1
        x = (np.arange(w, dtype=np.float32)[None] + 0.5) * np.float32(2 / w) - 1
        falloff = 1 - (x * x * np.float32(0.6) + y * y * np.float32(0.4)) * np.float32(
            sensor.vignette
        )
        rgb = rgb * falloff[..., None]
    level = np.clip(np.floor(rgb + np.float32(0.5)), 0, 255).astype(np.int32)
    rgb = _tone(round(sensor.gamma * 1000))[level] + np.float32(sensor.lift)
    if sensor.noise:
        rgb = rgb + draws.grain((h, w, 3)).astype(np.float32) * np.float32(sensor.noise / 148)
        rgb = rgb + draws.grain((h, w, 1)).astype(np.float32) * np.float32(sensor.noise / 148)
    return np.clip(np.floor(rgb + np.float32(0.5)), 0, 255).astype(np.uint8)


def _lens(rgb: Picture, radius: float) -> Picture:
    """Return the picture blurred by ``radius`` pixels; below 1, part of a 3x3 box is mixed in."""
    whole = max(int(radius), 1)
    level = (rgb * 16).astype(np.int32)
    soft = blur(level, whole, 1).astype(np.float32) * np.float32(1 / 16)
    share = np.float32(min(radius, 1.0))
    return rgb + (soft - rgb) * share
