"""The canvas a scene is painted on, back to front, and the camera that projects it.

World coordinates in metres: X to the right, Y up from the ground, Z away from the camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
Point = tuple[float, float]
SKY_DEPTH = 10000.0
_SUB = 16
"""Vertices are rounded to sixteenths of a pixel, so that edges are exact integers."""


@dataclass(frozen=True)
class Camera:
    """A camera looking along the street.

    Attributes:
        focal: Focal length in pixels.
        cx, horizon: Vanishing point in pixels.
        height: Height above ground in metres.
    """

    focal: float
    cx: float
    horizon: float
    height: float

    def project(self, x: float, y: float, z: float) -> Point:
        """Return the image point (column, row) of a world point in front of the camera."""
        z = max(z, 0.5)
        return self.cx + self.focal * x / z, self.horizon + self.focal * (self.height - y) / z

    def scale(self, z: float) -> float:
        """Return pixels a metre at depth ``z``."""
        return self.focal / max(z, 0.5)


class Canvas:
    """Painted layers of one scene, all (H, W): the G-buffer that a look turns into an image.

    Attributes:
        ids: uint8 Cityscapes label ids.
        rgb: float32 (H, W, 3) albedo, 0-255.
        depth: float32 metres.
        emit: float32 (H, W, 3) light given off, 0-255 (used at night).
        lane: bool, lane markings (a class of its own in SYNTHIA).
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.ids = np.zeros((height, width), np.uint8)
        self.rgb = np.zeros((height, width, 3), np.float32)
        self.depth = np.full((height, width), SKY_DEPTH, np.float32)
        self.emit = np.zeros((height, width, 3), np.float32)
        self.lane = np.zeros((height, width), bool)

    def put(
        self,
        box: tuple[slice, slice],
        mask: NDArray[np.bool_],
        label: int | None,
        colour: Colour | NDArray[np.float32],
        depth: float | NDArray[np.float32],
        glow: Colour | None = None,
    ) -> None:
        """Paint the pixels of ``mask`` (shape of ``box``); ``label=None`` keeps the label."""
        if label is not None:
            self.ids[box][mask] = label
            self.lane[box][mask] = False
            self.emit[box][mask] = 0.0
        self.rgb[box][mask] = colour[mask] if isinstance(colour, np.ndarray) else colour
        self.depth[box][mask] = depth[mask] if isinstance(depth, np.ndarray) else depth
        if glow is not None:
            self.emit[box][mask] = glow

    def polygon(
        self,
        points: Sequence[Point],
        label: int | None,
        colour: Colour,
        depth: float,
        glow: Colour | None = None,
    ) -> None:
        """Fill a convex polygon given as (column, row) points in either orientation."""
        box, mask = convex_mask(points, self.height, self.width)
        if mask is not None:
            self.put(box, mask, label, colour, depth, glow)

    def ellipse(
        self,
        centre: Point,
        radii: Point,
        label: int | None,
        colour: Colour,
        depth: float,
        glow: Colour | None = None,
    ) -> None:
        """Fill an axis-parallel ellipse."""
        box, mask = ellipse_mask(centre, radii, self.height, self.width)
        if mask is not None:
            self.put(box, mask, label, colour, depth, glow)

    def rect(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        label: int | None,
        colour: Colour,
        depth: float,
        glow: Colour | None = None,
    ) -> None:
        """Fill an axis-parallel rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], label, colour, depth, glow)


Masked = tuple[tuple[slice, slice], 'NDArray[np.bool_] | None']
_NOTHING: Masked = ((slice(0, 0), slice(0, 0)), None)


def _box(
    low_x: float, low_y: float, high_x: float, high_y: float, height: int, width: int
) -> tuple[slice, slice] | None:
    x0, x1 = max(int(low_x) - 1, 0), min(int(high_x) + 2, width)
    y0, y1 = max(int(low_y) - 1, 0), min(int(high_y) + 2, height)
    if x0 >= x1 or y0 >= y1:
        return None
    return slice(y0, y1), slice(x0, x1)


def convex_mask(points: Sequence[Point], height: int, width: int) -> Masked:
    """Return (bounding box, mask of pixel centres inside), mask None if nothing is visible."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    box = _box(min(xs), min(ys), max(xs), max(ys), height, width)
    if box is None:
        return _NOTHING
    corner = [(round(x * _SUB), round(y * _SUB)) for x, y in points]
    py = np.arange(box[0].start, box[0].stop, dtype=np.int64)[:, None] * _SUB + _SUB // 2
    px = np.arange(box[1].start, box[1].stop, dtype=np.int64)[None] * _SUB + _SUB // 2
    area = sum(
        a[0] * b[1] - a[1] * b[0] for a, b in zip(corner, corner[1:] + corner[:1], strict=True)
    )
    sign = 1 if area >= 0 else -1
    mask = np.ones((py.shape[0], px.shape[1]), bool)
    for (ax, ay), (bx, by) in zip(corner, corner[1:] + corner[:1], strict=True):
        mask &= ((bx - ax) * sign) * (py - ay) - ((by - ay) * sign) * (px - ax) >= 0
    return (box, mask) if mask.any() else _NOTHING


def ellipse_mask(centre: Point, radii: Point, height: int, width: int) -> Masked:
    """Return (bounding box, mask of pixel centres inside), mask None if nothing is visible."""
    (cx, cy), (rx, ry) = centre, radii
    box = _box(cx - rx, cy - ry, cx + rx, cy + ry, height, width)
    if box is None:
        return _NOTHING
    a, b = max(round(rx * _SUB), 1), max(round(ry * _SUB), 1)
    py = np.arange(box[0].start, box[0].stop, dtype=np.int64)[:, None] * _SUB + _SUB // 2
    px = np.arange(box[1].start, box[1].stop, dtype=np.int64)[None] * _SUB + _SUB // 2
    dx, dy = (px - round(cx * _SUB)) * b, (py - round(cy * _SUB)) * a
    mask = dx * dx + dy * dy <= a * a * b * b
    return (box, mask) if mask.any() else _NOTHING


class Face:
    """A vertical rectangle in the world, painted in its own coordinates u, v in [0, 1].

    Args:
        canvas, camera: Where and how to paint.
        start, end: Ground points (X, Z) at u = 0 and u = 1.
        low, high: Heights at v = 0 and v = 1, metres.
        label: Label id of what is painted.
        shade: Brightness factor of this face.
    """

    def __init__(
        self,
        canvas: Canvas,
        camera: Camera,
        start: Point,
        end: Point,
        low: float,
        high: float,
        label: int,
        shade: float = 1.0,
    ) -> None:
        self.canvas, self.camera, self.label, self.shade = canvas, camera, label, shade
        self.start, self.end, self.low, self.high = start, end, low, high
        self.depth = min(start[1], end[1])

    def at(self, u: float, v: float) -> Point:
        """Return the image point of (u, v)."""
        x = self.start[0] + (self.end[0] - self.start[0]) * u
        z = self.start[1] + (self.end[1] - self.start[1]) * u
        return self.camera.project(x, self.low + (self.high - self.low) * v, z)

    def polygon(self, points: Sequence[Point], colour: Colour, glow: Colour | None = None) -> None:
        """Paint a convex polygon given in (u, v)."""
        self.canvas.polygon(
            [self.at(u, v) for u, v in points],
            self.label,
            shaded(colour, self.shade),
            self.depth,
            glow,
        )

    def rect(
        self,
        u0: float,
        v0: float,
        u1: float,
        v1: float,
        colour: Colour,
        glow: Colour | None = None,
    ) -> None:
        """Paint a rectangle given in (u, v)."""
        self.polygon([(u0, v0), (u1, v0), (u1, v1), (u0, v1)], colour, glow)

    def wheel(self, u: float, radius: float, colour: Colour) -> None:
        """Paint a wheel (an octagon) standing on the ground at ``u``; radius in metres."""
        du = radius / max(_length(self.start, self.end), 1e-6)
        dv = radius / (self.high - self.low)
        ring = [(1.0, 0.4), (0.4, 1.0), (-0.4, 1.0), (-1.0, 0.4)]
        ring += [(-a, -b) for a, b in ring]
        base = (radius - self.low) / (self.high - self.low)
        self.polygon([(u + a * du, base + b * dv) for a, b in ring], colour)


def _length(a: Point, b: Point) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def shaded(colour: Colour, factor: float) -> Colour:
    """Return a colour multiplied by a brightness factor, clipped to 0..255."""
    r, g, b = (min(255, max(0, int(c * factor + 0.5))) for c in colour)
    return r, g, b
