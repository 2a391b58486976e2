"""Facades along the street: buildings, walls, fences, hedges, and the face at its end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sfda_bench.pocket.canvas import Camera, Canvas
from sfda_bench.pocket.looks import Look
from sfda_bench.pocket.noise import Draws, hash01, value_noise
from sfda_bench.pocket.scenery import BUILDING, FENCE, VEGETATION, WALL, Segment, Street, jittered

_LIT = (250, 214, 140)


def draw_segments(draws: Draws, look: Look, street: Street, side: int, back: bool) -> list[Segment]:
    """Return what lines one side, from the camera to the end of the street.

    The back row holds buildings, trees and gaps; the front row walls, fences and hedges before it.
    """
    z, segments = 0.0, []
    while z < street.end:
        kind, length, height = _draw_back(draws) if back else _draw_front(draws)
        for where, near, far in street.junctions:
            if where == side and near - 3 < z + length and z < far:
                kind = 0
        name = {BUILDING: 'building', WALL: 'wall', FENCE: 'fence', VEGETATION: 'leaf'}.get(kind)
        colour = jittered(draws, draws.pick(look.palette[name]), 14) if name else (0, 0, 0)
        segments.append(
            Segment(
                z,
                height if kind else 0.0,
                kind,
                colour,
                draws.uniform(2.2, 3.8),
                draws.uniform(2.8, 3.5),
                draws.integer(0, 1 << 20),
            )
        )
        z += length
    return segments


def _draw_back(draws: Draws) -> tuple[int, float, float]:
    dice = draws.uniform(0, 1)
    if dice < 0.66:
        return BUILDING, draws.uniform(7, 22), draws.uniform(5, 19)
    if dice < 0.86:
        return VEGETATION, draws.uniform(6, 16), draws.uniform(3.5, 9)
    return 0, draws.uniform(3, 8), 0.0


def _draw_front(draws: Draws) -> tuple[int, float, float]:
    dice = draws.uniform(0, 1)
    if dice < 0.16:
        return WALL, draws.uniform(8, 22), draws.uniform(1.4, 2.8)
    if dice < 0.34:
        return FENCE, draws.uniform(8, 22), draws.uniform(1.2, 2.2)
    if dice < 0.45:
        return VEGETATION, draws.uniform(4, 10), draws.uniform(0.9, 2.0)
    return 0, draws.uniform(6, 18), 0.0


def paint_row(
    canvas: Canvas,
    camera: Camera,
    look: Look,
    street: Street,
    side: int,
    plane: float,
    segments: list[Segment],
) -> None:
    """Paint a row of segments standing on the plane ``|X| = plane`` of one side."""
    cols = np.arange(canvas.width, dtype=np.float64) + 0.5
    ray = (cols - camera.cx) / camera.focal * side
    z = plane / np.maximum(ray, 1e-6)
    use = np.nonzero((ray > 0) & (z < street.end) & (z > 0.6))[0]
    if use.size == 0:
        return
    lit = 1.0 + 0.5 * look.sun if side == street.sun_side else 1.0 - look.sun
    starts = np.array([s.start for s in segments])
    index = np.searchsorted(starts, z[use], side='right') - 1
    for number in np.unique(index):
        segment = segments[int(number)]
        if segment.label:
            columns = use[index == number]
            _paint_piece(canvas, camera, look, segment, columns, z[columns], z[columns], lit)


def paint_end(canvas: Canvas, camera: Camera, look: Look, street: Street, draws: Draws) -> None:
    """Close the street at its end with a building or trees, or leave it open to the sky."""
    dice = draws.uniform(0, 1)
    if dice < 0.15:
        return
    label = BUILDING if dice < 0.6 else VEGETATION
    name = 'building' if label == BUILDING else 'leaf'
    colour = jittered(draws, draws.pick(look.palette[name]), 12)
    segment = Segment(0, draws.uniform(7, 16), label, colour, salt=draws.integer(0, 1 << 20))
    columns = np.arange(canvas.width)
    z = np.full(canvas.width, street.end)
    u = (columns + 0.5 - camera.cx) * street.end / camera.focal + 500
    _paint_piece(canvas, camera, look, segment, columns, z, u, 1.0)


def paint_corners(canvas: Canvas, camera: Camera, look: Look, street: Street, draws: Draws) -> None:
    """Paint the houses seen across the side streets, facing the camera."""
    for side, _, far in sorted(street.junctions, key=lambda j: -j[2]):
        plane = street.facade(side)
        x = (np.arange(canvas.width) + 0.5 - camera.cx) * far / camera.focal
        columns = np.nonzero(x * side > plane)[0]
        colour = jittered(draws, draws.pick(look.palette['building']), 12)
        height, salt = draws.uniform(6, 15), draws.integer(0, 1 << 20)
        if columns.size:
            segment = Segment(0, height, BUILDING, colour, salt=salt)
            z = np.full(columns.size, far)
            _paint_piece(canvas, camera, look, segment, columns, z, np.abs(x[columns]), 0.95)


def _paint_piece(
    canvas: Canvas,
    camera: Camera,
    look: Look,
    segment: Segment,
    columns: NDArray,
    z: NDArray,
    u: NDArray,
    lit: float,
) -> None:
    """Paint one segment in contiguous columns of depth ``z`` and length coordinate ``u``."""
    box_columns = slice(int(columns[0]), int(columns[-1]) + 1)
    if box_columns.stop - box_columns.start != columns.size:
        return
    nearest = float(z.min())
    top = int(camera.horizon - camera.focal * (segment.height * 1.1 - camera.height) / nearest) - 1
    low = int(camera.horizon + camera.focal * camera.height / nearest) + 2
    rows = slice(max(top, 0), min(max(low, 0), canvas.height))
    y = np.arange(rows.start, rows.stop, dtype=np.float64)[:, None] + 0.5
    if y.size == 0:
        return
    v = camera.height - (y - camera.horizon) * z[None] / camera.focal
    uu = np.broadcast_to(u[None], v.shape)
    limit = np.broadcast_to(np.float64(segment.height), v.shape)
    if segment.label == VEGETATION:
        ragged = value_noise(uu * 0.9, uu * 0 + 0.5, segment.salt)
        ragged = ragged * np.float32(0.3) + value_noise(uu * 2.8, v * 1.5, segment.salt + 1) * (
            np.float32(0.2)
        )
        limit = segment.height * (0.62 + ragged)
    mask = (v >= 0) & (v <= limit)
    shade, windows = _surface(segment, uu, v)
    rgb = (
        np.array(segment.colour, np.float32)
        * ((1 + shade * np.float32(look.texture)) * np.float32(lit))[..., None]
    )
    box = (rows, box_columns)
    emit = None
    if windows is not None:
        pane, cell = windows
        glass = np.array(look.palette['window'][segment.salt % 3], np.float32)
        rgb[pane] = glass * (np.float32(0.6) + cell[pane] * np.float32(0.9))[:, None]
        emit = mask & pane & (cell > 0.72)
    depth = np.broadcast_to(z[None].astype(np.float32), v.shape)
    canvas.put(box, mask, segment.label, rgb.astype(np.float32), depth)
    if emit is not None:
        canvas.emit[box][emit] = _LIT


def _surface(
    segment: Segment, u: NDArray, v: NDArray
) -> tuple[NDArray[np.float32], tuple[NDArray[np.bool_], NDArray[np.float32]] | None]:
    """Return (relative brightness, windows as (mask, a random number for each pane) or None)."""
    salt = segment.salt
    if segment.label == BUILDING:
        return _house(segment, u, v)
    if segment.label == VEGETATION:
        clump = value_noise(u * 1.6, v * 1.6, salt + 2) - np.float32(0.5)
        leaf = hash01(np.floor(u * 7), np.floor(v * 7), salt + 3) - np.float32(0.5)
        return clump * np.float32(0.9) + leaf * np.float32(0.55), None
    if segment.label == WALL:
        course = np.floor(v * 3.0)
        stone = hash01(np.floor(u * 1.3 + course * 0.5), course, salt) - np.float32(0.5)
        joint = ((v * 3.0) % 1 < 0.16).astype(np.float32)
        return stone * np.float32(0.22) - joint * np.float32(0.22), None
    bars = ((u * 2.2) % 1 < 0.45).astype(np.float32)
    rail = (((v + 0.1) * 1.1) % 1 < 0.18).astype(np.float32)
    return bars * np.float32(0.5) + rail * np.float32(0.35) - np.float32(0.32), None


def _house(
    segment: Segment, u: NDArray, v: NDArray
) -> tuple[NDArray[np.float32], tuple[NDArray[np.bool_], NDArray[np.float32]]]:
    fu, fv = u / segment.bay, v / segment.storey
    iu, iv = np.floor(fu), np.floor(fv)
    wide = iv < 1  # shop windows on the ground floor
    inset = np.where(wide, 0.1, 0.27)
    pane = (fu - iu > inset) & (fu - iu < 1 - inset) & (fv - iv > np.where(wide, 0.12, 0.26))
    pane &= (fv - iv < np.where(wide, 0.72, 0.8)) & (v < segment.height - 0.5)
    cell = hash01(iu, iv, segment.salt)
    stain = value_noise(u * 0.4, v * 0.3, segment.salt + 1) - np.float32(0.5)
    cornice = (v > segment.height - 0.45).astype(np.float32)
    ledge = ((fv - iv) < 0.07).astype(np.float32)
    shade = stain * np.float32(0.2) - cornice * np.float32(0.35) - ledge * np.float32(0.15)
    return shade, (pane, cell)
