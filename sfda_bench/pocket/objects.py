"""Upright things: poles with lights and signs, trees, people, two-wheelers, bins."""

from __future__ import annotations

from sfda_bench.pocket.canvas import Camera, Canvas, Colour, Face, Point, ellipse_mask, shaded
from sfda_bench.pocket.looks import Look
from sfda_bench.pocket.noise import Draws
from sfda_bench.pocket.scenery import jittered

STATIC, POLE, LIGHT, SIGN, VEGETATION = 4, 17, 19, 20, 21
PERSON, RIDER, MOTORCYCLE, BICYCLE = 24, 25, 32, 33
_LAMPS: tuple[Colour, ...] = ((236, 40, 30), (240, 180, 40), (60, 220, 120))
_HALO: Colour = (255, 226, 170)


class Billboard:
    """Paints shapes in metres around a point on the ground, facing the camera."""

    def __init__(self, canvas: Canvas, camera: Camera, x: float, z: float) -> None:
        self.canvas, self.camera, self.x, self.z = canvas, camera, x, z
        self.unit = camera.scale(z)

    def at(self, dx: float, y: float) -> Point:
        """Return the image point ``dx`` metres to the right and ``y`` metres up."""
        return self.camera.project(self.x + dx, y, self.z)

    def polygon(
        self, label: int | None, points: list[Point], colour: Colour, glow: Colour | None = None
    ) -> None:
        """Paint a convex polygon given as (dx, y)."""
        self.canvas.polygon([self.at(*p) for p in points], label, colour, self.z, glow)

    def rect(
        self,
        label: int | None,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        colour: Colour,
        glow: Colour | None = None,
    ) -> None:
        """Paint a rectangle from (x0, y0) to (x1, y1)."""
        self.polygon(label, [(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, glow)

    def disc(
        self,
        label: int | None,
        dx: float,
        y: float,
        rx: float,
        ry: float,
        colour: Colour,
        glow: Colour | None = None,
    ) -> None:
        """Paint an ellipse around (dx, y)."""
        radii = rx * self.unit, ry * self.unit
        self.canvas.ellipse(self.at(dx, y), radii, label, colour, self.z, glow)


def paint_contact(board: Billboard, half_width: float, look: Look) -> None:
    """Darken the ground under an object: a contact shadow that keeps the label."""
    centre = board.at(0.0, 0.0)
    radii = half_width * board.unit * 1.15, half_width * board.unit * 0.22
    box, mask = ellipse_mask(centre, radii, board.canvas.height, board.canvas.width)
    if mask is not None:
        board.canvas.rgb[box][mask] *= 0.72 - 0.4 * look.sun


def paint_pole(
    canvas: Canvas, camera: Camera, look: Look, draws: Draws, x: float, z: float
) -> None:
    """Paint a street lamp or a plain pole."""
    board = Billboard(canvas, camera, x, z)
    colour = jittered(draws, draws.pick(look.palette['pole']), 12)
    height, half = draws.uniform(4.0, 7.5), draws.uniform(0.07, 0.12)
    half = max(half, 1.1 / board.unit)
    board.rect(POLE, -half, 0, half, height, colour)
    board.rect(POLE, half * 0.2, 0, half, height, shaded(colour, 0.75))
    if draws.chance(0.6):
        reach = -1.6 if x > 0 else 1.6
        low, high = min(0.0, reach), max(0.0, reach)
        board.rect(POLE, low, height - 0.16, high, height, colour)
        board.rect(POLE, reach - 0.35, height - 0.3, reach + 0.35, height, colour, _HALO)


def paint_light(
    canvas: Canvas, camera: Camera, look: Look, draws: Draws, x: float, z: float
) -> None:
    """Paint a traffic light on its pole."""
    board = Billboard(canvas, camera, x, z)
    colour = draws.pick(look.palette['pole'])
    half = max(0.08, 1.0 / board.unit)
    base = draws.uniform(2.2, 3.1)
    board.rect(POLE, -half, 0, half, base + 1.3, colour)
    reach = draws.pick((0.0, 0.0, -1.5 if x > 0 else 1.5))
    if reach:
        low, high = min(0.0, reach), max(0.0, reach)
        board.rect(POLE, low, base + 1.1, high, base + 1.25, colour)
    box = draws.pick(look.palette['lamp_box'])
    board.rect(LIGHT, reach - 0.3, base, reach + 0.3, base + 1.35, jittered(draws, box, 8))
    on = draws.integer(0, 3)
    for number, lamp in enumerate(_LAMPS):
        lit = number == on
        y = base + 1.12 - number * 0.44
        shade = lamp if lit else shaded(lamp, 0.25)
        board.disc(LIGHT, reach, y, 0.2, 0.19, shade, lamp if lit else None)


def paint_sign(
    canvas: Canvas, camera: Camera, look: Look, draws: Draws, x: float, z: float
) -> None:
    """Paint a traffic sign: round, triangle, diamond or board."""
    board = Billboard(canvas, camera, x, z)
    half = max(0.06, 0.9 / board.unit)
    y, r = draws.uniform(2.1, 2.9), draws.uniform(0.38, 0.55)
    board.rect(POLE, -half, 0, half, y, draws.pick(look.palette['pole']))
    white, red = look.palette['sign_white'][0], look.palette['sign_red'][0]
    blue, yellow = look.palette['sign_blue'][0], look.palette['sign_yellow'][0]
    shape = draws.integer(0, 5)
    if shape == 0:
        board.disc(SIGN, 0, y, r, r, blue)
        board.rect(SIGN, -r * 0.15, y - r * 0.5, r * 0.15, y + r * 0.5, white)
    elif shape == 1:
        board.disc(SIGN, 0, y, r, r, red)
        board.disc(SIGN, 0, y, r * 0.66, r * 0.66, white)
    elif shape == 2:
        tip = [(-r * 1.1, y - r * 0.8), (r * 1.1, y - r * 0.8), (0.0, y + r * 1.1)]
        board.polygon(SIGN, tip, red)
        small = [(dx * 0.55, y + (py - y) * 0.55) for dx, py in tip]
        board.polygon(SIGN, small, white)
    elif shape == 3:
        board.polygon(
            SIGN, [(0, y - r * 1.2), (r * 1.2, y), (0, y + r * 1.2), (-r * 1.2, y)], yellow
        )
        board.disc(SIGN, 0, y, r * 0.3, r * 0.3, white)
    else:
        board.rect(SIGN, -r * 1.5, y - r * 0.8, r * 1.5, y + r * 0.8, blue)
        board.rect(SIGN, -r * 1.2, y + r * 0.05, r * 1.2, y + r * 0.4, white)


def paint_tree(
    canvas: Canvas, camera: Camera, look: Look, draws: Draws, x: float, z: float
) -> None:
    """Paint a tree: a trunk and a crown of overlapping, unevenly lit blobs."""
    board = Billboard(canvas, camera, x, z)
    height, spread = draws.uniform(4.2, 7.5), draws.uniform(1.2, 2.2)
    trunk = draws.pick(look.palette['trunk'])
    half = max(0.15, 1.0 / board.unit)
    board.rect(VEGETATION, -half, 0, half, height * 0.6, trunk)
    leaf = jittered(draws, draws.pick(look.palette['leaf']), 12)
    for number in range(26):
        angle_x, angle_y = draws.uniform(-1, 1), draws.uniform(-1, 1)
        size = spread * draws.uniform(0.24, 0.5) * (1.25 if number < 8 else 0.8)
        light = 1 + look.texture * (0.3 * angle_y + draws.uniform(-0.16, 0.16))
        board.disc(
            VEGETATION,
            angle_x * (spread - size * 0.6),
            height * 0.72 + angle_y * height * 0.22,
            size,
            size * 0.85,
            shaded(leaf, light),
        )


def paint_person(
    canvas: Canvas, camera: Camera, look: Look, draws: Draws, x: float, z: float
) -> None:
    """Paint somebody on foot."""
    board = Billboard(canvas, camera, x, z)
    paint_contact(board, 0.35, look)
    tall = draws.uniform(1.55, 1.9) * (0.7 if draws.chance(0.1) else 1.0)
    legs = jittered(draws, draws.pick(look.palette['trousers']), 10)
    step = draws.uniform(0.04, 0.24)
    hip = tall * 0.48
    board.polygon(PERSON, [(-step - 0.1, 0), (-step + 0.09, 0), (0.08, hip), (-0.17, hip)], legs)
    board.polygon(
        PERSON,
        [(step - 0.09, 0), (step + 0.1, 0), (0.17, hip), (-0.08, hip)],
        shaded(legs, 0.8),
    )
    _torso(board, PERSON, look, draws, hip * 0.95, tall, 0.0)


def _torso(
    board: Billboard, label: int, look: Look, draws: Draws, hip: float, tall: float, lean: float
) -> None:
    cloth = jittered(draws, draws.pick(look.palette['cloth']), 14)
    neck = tall - 0.27
    board.polygon(
        label, [(-0.2, hip), (0.2, hip), (0.26 + lean, neck), (-0.26 + lean, neck)], cloth
    )
    board.polygon(
        label,
        [(0.2, hip + 0.1), (0.3, hip + 0.1), (0.32 + lean, neck), (0.2 + lean, neck)],
        shaded(cloth, 0.75),
    )
    skin = draws.pick(look.palette['skin'])
    head = draws.pick(look.palette['helmet']) if label == RIDER else skin
    board.disc(label, lean, tall - 0.13, 0.135, 0.165, skin)
    hair = head if label == RIDER else draws.pick(look.palette['trousers'])
    board.disc(label, lean, tall - 0.07, 0.14, 0.11, hair)


def paint_two_wheeler(
    canvas: Canvas,
    camera: Camera,
    look: Look,
    draws: Draws,
    x: float,
    z: float,
    label: int,
    ridden: bool,
) -> None:
    """Paint a bicycle or motorcycle seen from the side or at an angle, with or without a rider."""
    board = Billboard(canvas, camera, x, z)
    turn = draws.uniform(0.55, 1.0)
    paint_contact(board, 0.85 * turn, look)
    name = 'moto' if label == MOTORCYCLE else 'bike'
    paint = jittered(draws, draws.pick(look.palette[name]), 12)
    tyre = look.palette['tyre'][0]
    if label == MOTORCYCLE:
        _motorcycle(board, paint, tyre, turn, look)
    else:
        _bicycle(board, paint, tyre, turn, look)
    if ridden:
        legs = draws.pick(look.palette['trousers'])
        seat = 0.85 if label == MOTORCYCLE else 0.95
        board.polygon(
            RIDER,
            [(0.0, 0.35), (0.18, 0.35), (0.14, seat + 0.1), (-0.28 * turn, seat + 0.1)],
            legs,
        )
        _torso(board, RIDER, look, draws, seat, seat + 0.85, 0.16 * turn)


def _bicycle(board: Billboard, paint: Colour, tyre: Colour, turn: float, look: Look) -> None:
    spoke = shaded(look.palette['sidewalk'][0], 0.62)
    line = max(0.05, 0.7 / board.unit)
    for centre in (-0.52 * turn, 0.52 * turn):
        board.disc(BICYCLE, centre, 0.34, 0.36 * turn, 0.36, tyre)
        board.disc(BICYCLE, centre, 0.34, 0.25 * turn, 0.25, spoke)
    board.polygon(
        BICYCLE,
        [(-0.52 * turn, 0.3), (0.0, 0.28), (0.44 * turn, 0.82), (-0.18 * turn, 0.82)],
        paint,
    )
    board.polygon(
        BICYCLE, [(-0.3 * turn, 0.4), (0.0, 0.4), (0.26 * turn, 0.7), (-0.14 * turn, 0.7)], spoke
    )
    board.rect(BICYCLE, 0.36 * turn - line, 0.75, 0.36 * turn + line, 1.06, paint)
    board.rect(BICYCLE, -0.3 * turn, 0.88, -0.05 * turn, 0.98, tyre)


def _motorcycle(board: Billboard, paint: Colour, tyre: Colour, turn: float, look: Look) -> None:
    for centre in (-0.62 * turn, 0.62 * turn):
        board.disc(MOTORCYCLE, centre, 0.32, 0.34 * turn, 0.33, tyre)
    board.polygon(
        MOTORCYCLE,
        [(-0.7 * turn, 0.5), (0.3 * turn, 0.2), (0.72 * turn, 0.62), (0.4 * turn, 1.0),
         (-0.7 * turn, 0.82)],
        paint,
    )  # fmt: skip
    board.rect(MOTORCYCLE, -0.3 * turn, 0.22, 0.25 * turn, 0.5, shaded(tyre, 1.9))
    board.rect(MOTORCYCLE, 0.34 * turn, 0.8, 0.5 * turn, 1.18, tyre)
    board.disc(MOTORCYCLE, 0.62 * turn, 0.82, 0.1, 0.1, (230, 226, 200), (255, 240, 200))


def paint_static(
    canvas: Canvas, camera: Camera, look: Look, draws: Draws, x: float, z: float
) -> None:
    """Paint a bin or box: 'static', a class that is not scored."""
    colour = jittered(draws, draws.pick(look.palette['static']), 12)
    half, tall = draws.uniform(0.3, 0.7), draws.uniform(0.8, 1.4)
    face = Face(canvas, camera, (x - half, z), (x + half, z), 0, tall, STATIC)
    face.rect(0, 0, 1, 1, colour)
    face.rect(0, 0.86, 1, 1, shaded(colour, 0.7))
