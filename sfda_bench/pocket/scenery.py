"""Paints what stands still around the street: sky, ground, facades, walls, fences, hedges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfda_bench.pocket.canvas import Camera, Canvas, Colour
from sfda_bench.pocket.looks import Look
from sfda_bench.pocket.noise import Draws, hash01, value_noise

ROAD, SIDEWALK, PARKING, BUILDING, WALL, FENCE = 7, 8, 9, 11, 12, 13
VEGETATION, TERRAIN, SKY = 21, 22, 23
_WHOLE = (slice(None), slice(None))


@dataclass(frozen=True)
class Street:
    """The plan of a street seen from above, metres.

    Attributes:
        left, right: Road edges (X).
        walk_left, walk_right: Widths of the sidewalks.
        strip_left, strip_right: Widths of the grass between sidewalk and facades (0: none).
        end: Where the street ends (Z).
        junctions: Side streets as (side, near Z, far Z).
        crossing: Z of a zebra crossing, or 0.
        parking: Side of a parking lane, or 0.
        rails: Whether a tram track runs in the road.
        sun_side: The side whose facades are lit.
    """

    left: float
    right: float
    walk_left: float
    walk_right: float
    strip_left: float
    strip_right: float
    end: float
    junctions: tuple[tuple[int, float, float], ...]
    crossing: float
    parking: int
    rails: bool
    sun_side: int

    def edge(self, side: int) -> float:
        """Return the distance of the road edge on a side."""
        return -self.left if side < 0 else self.right

    def walk(self, side: int) -> float:
        """Return the width of the sidewalk on a side."""
        return self.walk_left if side < 0 else self.walk_right

    def facade(self, side: int) -> float:
        """Return the distance of the facades on a side."""
        strip = self.strip_left if side < 0 else self.strip_right
        return self.edge(side) + self.walk(side) + strip


@dataclass(frozen=True)
class Segment:
    """A piece of what lines the street: from ``start`` along Z, ``height`` metres high."""

    start: float
    height: float
    label: int
    colour: Colour
    bay: float = 3.0
    storey: float = 3.1
    salt: int = 0


def jittered(draws: Draws, colour: Colour, spread: int) -> Colour:
    """Return a colour with its brightness and hue moved a little."""
    shift = draws.integer(-spread, spread + 1)
    r, g, b = (
        min(255, max(0, c + shift + draws.integer(-spread // 3, spread // 3 + 1))) for c in colour
    )
    return r, g, b


def paint_sky(canvas: Canvas, camera: Camera, look: Look, draws: Draws) -> None:
    """Fill the canvas with sky: a gradient to the horizon, with clouds."""
    base = np.array(jittered(draws, draws.pick(look.palette['sky']), 8), np.float32)
    cloud = np.array(look.palette['cloud'][0], np.float32)
    rows = np.arange(canvas.height, dtype=np.float32)[:, None]
    cols = np.arange(canvas.width, dtype=np.float32)[None]
    low = np.clip(rows / np.float32(max(camera.horizon, 1.0)), 0, 1)[..., None]
    colour = base + (cloud - base) * (low * low * np.float32(0.7))
    u, v = cols * np.float32(6.0 / canvas.width), rows * np.float32(14.0 / canvas.width)
    salt = draws.integer(0, 1 << 20)
    puff = value_noise(u + 0 * v, v + 0 * u, salt) * np.float32(0.65)
    puff = puff + value_noise(u * 2.7 + 0 * v, v * 2.7 + 0 * u, salt + 1) * np.float32(0.35)
    cover = np.clip((puff - np.float32(0.45)) * np.float32(4 * look.clouds), 0, 1)[..., None]
    colour = np.broadcast_to(colour, (canvas.height, canvas.width, 3))
    colour = (colour + (cloud - colour) * cover).astype(np.float32)
    canvas.put(_WHOLE, np.ones(canvas.ids.shape, bool), SKY, colour, 10000.0)


def ground_grid(canvas: Canvas, camera: Camera) -> tuple[slice, NDArray, NDArray]:
    """Return (rows below the horizon, X, Z) of the ground at every pixel of those rows."""
    first = min(max(int(camera.horizon) + 1, 0), canvas.height)
    rows = np.arange(first, canvas.height, dtype=np.float64)[:, None] + 0.5
    z = camera.focal * camera.height / np.maximum(rows - camera.horizon, 0.25)
    cols = np.arange(canvas.width, dtype=np.float64)[None] + 0.5
    x = (cols - camera.cx) * z / camera.focal
    return slice(first, canvas.height), x, np.broadcast_to(z, x.shape)


def paint_ground(canvas: Canvas, camera: Camera, look: Look, street: Street, draws: Draws) -> None:
    """Paint road, lane markings, kerbs, sidewalks, grass strips, tracks and cast shadows."""
    rows, x, z = ground_grid(canvas, camera)
    if x.size == 0:
        return
    box = (rows, slice(None))
    salt = draws.integer(0, 1 << 20)
    pal = look.palette
    lawn = 'terrain' not in look.left_out
    areas = _ground_areas(street, x, z, lawn)
    side_colour = jittered(draws, draws.pick(pal['sidewalk']), 8)
    colours = {
        ROAD: jittered(draws, draws.pick(pal['road']), 8),
        SIDEWALK: side_colour,
        TERRAIN: jittered(draws, draws.pick(pal['terrain']), 10),
        PARKING: jittered(draws, pal['parking'][0], 6),
    }
    for label, mask in areas.items():
        texture = _ground_texture(label, x, z, salt) * np.float32(look.texture)
        colour = np.array(colours[label], np.float32) * (1 + texture)[..., None]
        canvas.put(box, mask, label, colour.astype(np.float32), z.astype(np.float32))
    _paint_kerbs(canvas, box, look, street, x, z, areas[SIDEWALK])
    _paint_markings(canvas, box, look, street, x, z, areas[ROAD], draws)
    _paint_sunshade(canvas, box, look, street, x, z)


def _ground_areas(
    street: Street, x: NDArray, z: NDArray, lawn: bool
) -> dict[int, NDArray[np.bool_]]:
    road = (x >= street.left) & (x <= street.right)
    parking = np.zeros_like(road)
    if street.parking:
        reach = street.edge(street.parking)
        away = x * street.parking
        parking = road & (away > reach - 2.2)
    for side, near, far in street.junctions:
        road = road | ((z > near + 1.5) & (z < far - 1.5) & (x * side > 0))
    grass = np.zeros_like(road)
    for side in (-1, 1):
        inner = street.edge(side) + street.walk(side)
        grass |= (x * side > inner) & ~road
    if not lawn:
        grass[:] = False
    walk = ~road & ~grass
    return {ROAD: road & ~parking, SIDEWALK: walk, TERRAIN: grass, PARKING: parking & road}


def _ground_texture(label: int, x: NDArray, z: NDArray, salt: int) -> NDArray[np.float32]:
    """Return the relative brightness of the ground, about -0.3 to 0.3."""
    if label == SIDEWALK:  # paving slabs of 60 cm with darker joints, fading where too small
        joint = ((x * 1.6) % 1 < 0.12) | ((z * 1.1) % 1 < 0.12)
        slab = hash01(np.floor(x * 1.6), np.floor(z * 1.1), salt) - np.float32(0.5)
        near = (z < 18).astype(np.float32)
        return (slab * np.float32(0.16) - joint.astype(np.float32) * np.float32(0.2)) * near
    if label == TERRAIN:
        fine = value_noise(x * 4, z * 2.5, salt + 2) - np.float32(0.5)
        tuft = hash01(np.floor(x * 14), np.floor(z * 9), salt + 3) - np.float32(0.5)
        return fine * np.float32(0.5) + tuft * np.float32(0.4)
    wide = value_noise(x * 0.5, z * 0.12, salt + 4) - np.float32(0.5)
    grain = hash01(np.floor(x * 22), np.floor(z * 22), salt + 5) - np.float32(0.5)
    return wide * np.float32(0.16) + grain * np.float32(0.1)


def _paint_kerbs(
    canvas: Canvas,
    box: tuple[slice, slice],
    look: Look,
    street: Street,
    x: NDArray,
    z: NDArray,
    walk: NDArray[np.bool_],
) -> None:
    kerb = np.array(look.palette['kerb'][0], np.float32)
    for side in (-1, 1):
        away = x * side - street.edge(side)
        mask = walk & (away >= 0) & (away < 0.22) & (z < 40)
        canvas.rgb[box][mask] = kerb


def _paint_markings(
    canvas: Canvas,
    box: tuple[slice, slice],
    look: Look,
    street: Street,
    x: NDArray,
    z: NDArray,
    road: NDArray[np.bool_],
    draws: Draws,
) -> None:
    colour = np.array(draws.pick(look.palette['lane']), np.float32)
    middle = (street.left + street.right) / 2
    dash = (np.abs(x - middle) < 0.11) & ((z + draws.uniform(0, 6)) % 6 < 3)
    edges = (np.abs(x - street.left - 0.35) < 0.08) | (np.abs(x - street.right + 0.35) < 0.08)
    mark = (dash | edges) & (z < 45)
    if street.crossing:
        band = (z > street.crossing) & (z < street.crossing + 3.2)
        mark = (mark & ~band) | (band & ((x + 50) % 1.2 < 0.6))
    for side, near, far in street.junctions:
        mark &= ~((z > near) & (z < far) & (x * side > street.edge(side) - 0.8))
    mark &= road
    canvas.rgb[box][mark] = colour
    canvas.lane[box][mark] = True
    if street.rails:
        rail = np.array(look.palette['rail'][0], np.float32)
        offset = np.abs(x - middle * 0.5)
        canvas.rgb[box][road & (np.abs(offset - 0.75) < 0.09) & (z < 50)] = rail


def _paint_sunshade(
    canvas: Canvas,
    box: tuple[slice, slice],
    look: Look,
    street: Street,
    x: NDArray,
    z: NDArray,
) -> None:
    """Darken what lies in the shadow of the facades across from the lit ones."""
    if look.sun <= 0:
        return
    side = -street.sun_side
    reach = street.facade(side) - 3.5
    ragged = np.floor(z / 7) % 3
    shadow = x * side > reach - ragged * 1.2
    canvas.rgb[box][shadow] *= np.float32(1 - look.sun * 1.3)
