"""Cars, trucks, buses and trams as boxes in perspective, with windows, wheels and lights."""

from __future__ import annotations

from dataclasses import dataclass

from sfda_bench.pocket.canvas import Camera, Canvas, Colour, Face, Point, convex_mask, shaded
from sfda_bench.pocket.looks import Look
from sfda_bench.pocket.noise import Draws
from sfda_bench.pocket.scenery import jittered

CAR, TRUCK, BUS, TRAIN, PLATE = 26, 27, 28, 31, 34
_HEAD: Colour = (255, 244, 210)
_TAIL: Colour = (220, 30, 24)
_WHITE: Colour = (230, 230, 224)


@dataclass(frozen=True)
class Box:
    """Where a vehicle stands: its ground rectangle, and which end faces the camera.

    Attributes:
        x0, x1: Left and right (metres). z0, z1: near and far.
        oncoming: Headlights face the camera.
        across: The long side faces the camera (a crossing vehicle).
    """

    x0: float
    x1: float
    z0: float
    z1: float
    oncoming: bool = False
    across: bool = False


class Painter:
    """Paints the faces of boxes with one label: the visible long side first, then the near end."""

    def __init__(
        self, canvas: Canvas, camera: Camera, look: Look, box: Box, label: int, sun_side: int
    ) -> None:
        self.canvas, self.camera, self.look, self.box = canvas, camera, look, box
        self.label, self.sun_side = label, sun_side

    def end(self, low: float, high: float, inset: float = 0.0, back: float = 0.0) -> Face:
        """Return the face towards the camera, drawn in by ``inset`` and set ``back``."""
        b = self.box
        start, stop = (b.x0 + inset, b.z0 + back), (b.x1 - inset, b.z0 + back)
        return self._face(start, stop, low, high, 1.0)

    def side(self, low: float, high: float, inset: float = 0.0, back: float = 0.0) -> Face | None:
        """Return the visible face along Z (u runs away from the camera), None if hidden."""
        b = self.box
        if b.x0 + inset > 0:
            x = b.x0 + inset
        elif b.x1 - inset < 0:
            x = b.x1 - inset
        else:
            return None
        facing = -1 if x > 0 else 1
        shade = 1.0 + 0.3 * self.look.sun if facing == self.sun_side else 0.84 - 0.5 * self.look.sun
        return self._face((x, b.z0 + back), (x, b.z1 - back), low, high, shade)

    def lid(self, height: float, colour: Colour, inset: float = 0.0, back: float = 0.0) -> None:
        """Paint a horizontal face if the camera looks down on it."""
        if self.camera.height <= height:
            return
        b = self.box
        corners = [
            (b.x0 + inset, b.z0 + back),
            (b.x1 - inset, b.z0 + back),
            (b.x1 - inset, b.z1 - back),
            (b.x0 + inset, b.z1 - back),
        ]
        points = [self.camera.project(x, height, z) for x, z in corners]
        self.canvas.polygon(points, self.label, shaded(colour, 1.12), b.z0)

    def _face(self, start: Point, stop: Point, low: float, high: float, shade: float) -> Face:
        return Face(self.canvas, self.camera, start, stop, low, high, self.label, shade)

    def shadow(self) -> None:
        """Darken the ground around and under the vehicle."""
        b, grow = self.box, 0.25
        near = max(b.z0 - 0.35, 1.0)
        corners = [
            (b.x0 - grow, near),
            (b.x1 + grow, near),
            (b.x1 + grow, b.z1),
            (b.x0 - grow, b.z1),
        ]
        from_points = [self.camera.project(x, 0.0, z) for x, z in corners]
        _darken(self.canvas, from_points, 0.5 - 0.2 * self.look.sun)


def _darken(canvas: Canvas, points: list[Point], factor: float) -> None:
    box, mask = convex_mask(points, canvas.height, canvas.width)
    if mask is not None:
        canvas.rgb[box][mask] *= factor


def paint_car(
    canvas: Canvas, camera: Camera, look: Look, draws: Draws, box: Box, sun_side: int
) -> None:
    """Paint a car: body, cabin, windows, wheels, lights, number plate."""
    p = Painter(canvas, camera, look, box, CAR, sun_side)
    p.shadow()
    paint = jittered(draws, draws.pick(look.palette['car']), 10)
    glass, tyre = look.palette['glass'][0], look.palette['tyre'][0]
    if box.across:
        _car_across(p, paint, glass, tyre)
        return
    inset, shoulder, roof = 0.16, draws.uniform(0.85, 1.0), draws.uniform(1.38, 1.6)
    p.lid(roof, paint, inset, 0.9)
    _car_side(p, paint, glass, tyre, shoulder, roof)
    p.lid(shoulder, paint)
    cabin = p.end(shoulder, roof, inset, 0.7)
    cabin.polygon([(-0.06, 0), (1.06, 0), (0.92, 1), (0.08, 1)], paint)
    cabin.polygon([(0.04, 0.08), (0.96, 0.08), (0.86, 0.86), (0.14, 0.86)], glass)
    body = p.end(0.16, shoulder)
    body.rect(0, 0, 1, 1, paint)
    body.rect(0, 0, 1, 0.26, shaded(paint, 0.5))
    body.rect(0.02, -0.18, 0.16, 0.12, tyre)
    body.rect(0.84, -0.18, 0.98, 0.12, tyre)
    lamp, glow = (_WHITE, _HEAD) if box.oncoming else (_TAIL, _TAIL)
    body.rect(0.03, 0.56, 0.2, 0.8, lamp, glow)
    body.rect(0.8, 0.56, 0.97, 0.8, lamp, glow)
    if look.name == 'gta5' and box.z0 < 9:  # GTA5 labels licence plates
        p.label = PLATE
        p.end(0.16, shoulder).rect(0.36, 0.3, 0.64, 0.5, _WHITE)


def _car_side(
    p: Painter, paint: Colour, glass: Colour, tyre: Colour, shoulder: float, roof: float
) -> None:
    side = p.side(0.2, shoulder)
    cabin = p.side(shoulder, roof, 0.16)
    if side is None or cabin is None:
        return
    cabin.polygon([(0.12, 0), (0.84, 0), (0.66, 1), (0.24, 1)], paint)
    cabin.polygon([(0.19, 0.1), (0.47, 0.1), (0.47, 0.84), (0.27, 0.84)], glass)
    cabin.polygon([(0.51, 0.1), (0.76, 0.1), (0.64, 0.84), (0.51, 0.84)], glass)
    side.rect(0, 0, 1, 1, paint)
    side.rect(0, 0, 1, 0.2, shaded(paint, 0.55))
    side.wheel(0.2, 0.34, tyre)
    side.wheel(0.8, 0.34, tyre)


def _car_across(p: Painter, paint: Colour, glass: Colour, tyre: Colour) -> None:
    cabin = p.end(0.9, 1.5)
    cabin.polygon([(0.14, 0), (0.82, 0), (0.66, 1), (0.28, 1)], paint)
    cabin.polygon([(0.21, 0.08), (0.46, 0.08), (0.46, 0.84), (0.31, 0.84)], glass)
    cabin.polygon([(0.5, 0.08), (0.75, 0.08), (0.63, 0.84), (0.5, 0.84)], glass)
    body = p.end(0.22, 0.92)
    body.polygon([(0, 0), (1, 0), (1, 0.75), (0.96, 1), (0.04, 1), (0, 0.8)], paint)
    body.rect(0, 0, 1, 0.2, shaded(paint, 0.55))
    body.wheel(0.2, 0.35, tyre)
    body.wheel(0.8, 0.35, tyre)
    body.rect(0.96, 0.55, 1, 0.8, _WHITE, _HEAD)


def paint_truck(
    canvas: Canvas, camera: Camera, look: Look, draws: Draws, box: Box, sun_side: int
) -> None:
    """Paint a lorry: a plain high cargo box on dark wheels, with its cab at the front."""
    p = Painter(canvas, camera, look, box, TRUCK, sun_side)
    p.shadow()
    cargo = jittered(draws, draws.pick(look.palette['cargo']), 8)
    cab = jittered(draws, draws.pick(look.palette['cab']), 8)
    glass, tyre = look.palette['glass'][0], look.palette['tyre'][0]
    high = draws.uniform(3.1, 3.8)
    side = p.side(0.0, high)
    if side is not None:
        c0, c1 = (0.24, 1.0) if box.oncoming else (0.0, 0.78)
        side.rect(c0, 0.27, c1, 1.0, cargo)
        side.rect(c0, 0.25, c1, 0.31, shaded(cargo, 0.5))
        side.rect(c0, 0.96, c1, 1.0, shaded(cargo, 0.7))
        k0, k1 = (0.0, 0.22) if box.oncoming else (0.8, 1.0)
        side.rect(k0, 0.12, k1, 0.78, cab)
        side.rect(k0 + 0.04, 0.45, k1 - 0.04, 0.7, glass)
        for u in (0.12, 0.3, 0.8):
            side.wheel(u, 0.5, tyre)
    end = p.end(0.0, high)
    if box.oncoming:
        end.rect(0, 0.27, 1, 1, shaded(cargo, 0.85))
        end.rect(0.02, 0.1, 0.98, 0.8, cab)
        end.rect(0.08, 0.46, 0.92, 0.74, glass)
        end.rect(0.08, 0.16, 0.26, 0.24, _WHITE, _HEAD)
        end.rect(0.74, 0.16, 0.92, 0.24, _WHITE, _HEAD)
    else:
        end.rect(0, 0.27, 1, 1, cargo)
        end.rect(0.485, 0.3, 0.515, 0.97, shaded(cargo, 0.55))
        end.rect(0, 0.93, 1, 1, shaded(cargo, 0.7))
        end.rect(0.03, 0.19, 0.97, 0.27, shaded(tyre, 1.5))
        end.rect(0.04, 0.2, 0.2, 0.26, _TAIL, _TAIL)
        end.rect(0.8, 0.2, 0.96, 0.26, _TAIL, _TAIL)
    end.rect(0.05, 0, 0.25, 0.18, tyre)
    end.rect(0.75, 0, 0.95, 0.18, tyre)


def paint_bus(
    canvas: Canvas, camera: Camera, look: Look, draws: Draws, box: Box, sun_side: int
) -> None:
    """Paint a bus: one colour, a band of large windows all round, a lit line display."""
    p = Painter(canvas, camera, look, box, BUS, sun_side)
    p.shadow()
    paint = jittered(draws, draws.pick(look.palette['bus']), 8)
    glass, tyre = look.palette['glass'][0], look.palette['tyre'][0]
    side = p.side(0.25, 3.1)
    if side is not None:
        side.rect(0, 0, 1, 1, paint)
        _panes(side, 6, 0.42, 0.82, glass)
        side.rect(0, 0, 1, 0.07, shaded(paint, 0.5))
        side.wheel(0.2, 0.48, tyre)
        side.wheel(0.76, 0.48, tyre)
    end = p.end(0.25, 3.1)
    end.rect(0, 0, 1, 1, paint)
    end.rect(0.06, 0.38, 0.94, 0.8, glass)
    end.rect(0.2, 0.86, 0.8, 0.96, (40, 36, 30))
    end.rect(0.3, 0.88, 0.7, 0.94, (250, 190, 60), (250, 190, 60))
    lamp, glow = (_WHITE, _HEAD) if box.oncoming else (_TAIL, _TAIL)
    end.rect(0.05, 0.14, 0.2, 0.24, lamp, glow)
    end.rect(0.8, 0.14, 0.95, 0.24, lamp, glow)
    end.rect(0.08, -0.09, 0.24, 0.06, tyre)
    end.rect(0.76, -0.09, 0.92, 0.06, tyre)


def paint_train(
    canvas: Canvas, camera: Camera, look: Look, draws: Draws, box: Box, sun_side: int
) -> None:
    """Paint a tram: light body with a coloured stripe, no wheels in view, a pantograph."""
    p = Painter(canvas, camera, look, box, TRAIN, sun_side)
    p.shadow()
    body = jittered(draws, draws.pick(look.palette['train']), 6)
    stripe = jittered(draws, draws.pick(look.palette['train_stripe']), 6)
    glass = look.palette['glass'][0]
    side = p.side(0.1, 3.5)
    if side is not None:
        side.rect(0, 0, 1, 1, body)
        side.rect(0, 0.08, 1, 0.36, stripe)
        _panes(side, 12, 0.5, 0.8, glass)
        side.rect(0, 0, 1, 0.06, (40, 40, 42))
    end = p.end(0.1, 3.5)
    end.polygon([(0, 0), (1, 0), (1, 0.84), (0.86, 1), (0.14, 1), (0, 0.84)], body)
    end.rect(0, 0.08, 1, 0.36, stripe)
    end.polygon([(0.1, 0.44), (0.9, 0.44), (0.82, 0.84), (0.18, 0.84)], glass)
    end.rect(0.42, 0.2, 0.58, 0.28, _WHITE, _HEAD)
    end.rect(0.0, 0, 1.0, 0.06, (40, 40, 42))
    end.rect(0.47, 1.0, 0.53, 1.22, (60, 60, 62))
    end.rect(0.3, 1.2, 0.7, 1.24, (60, 60, 62))


def _panes(face: Face, count: int, low: float, high: float, glass: Colour) -> None:
    for number in range(count):
        start = (number + 0.1) / count
        face.rect(start, low, start + 0.84 / count, high, glass, (190, 176, 130))
