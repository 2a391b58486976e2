"""Draws a street at random and paints it: where everything stands, back to front."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sfda_bench.pocket import facades, objects, scenery, vehicles
from sfda_bench.pocket.canvas import Camera, Canvas
from sfda_bench.pocket.looks import Look
from sfda_bench.pocket.noise import Draws
from sfda_bench.pocket.scenery import Street

Thing = tuple[float, Callable[[], None]]
"""(depth, how to paint it)."""

_EGO = 1


def paint_scene(look: Look, draws: Draws, height: int, width: int) -> tuple[Canvas, Camera]:
    """Return the painted G-buffer (height, width) of a random street in a look."""
    canvas = Canvas(height, width)
    camera = _draw_camera(look, draws, height, width)
    street = _draw_street(draws, look)
    scenery.paint_sky(canvas, camera, look, draws)
    facades.paint_end(canvas, camera, look, street, draws)
    facades.paint_corners(canvas, camera, look, street, draws)
    scenery.paint_ground(canvas, camera, look, street, draws)
    _paint_sides(canvas, camera, look, street, draws)
    things = _draw_things(canvas, camera, look, street, draws)
    for _, paint in sorted(things, key=lambda thing: -thing[0]):
        paint()
    if look.bonnet:
        _paint_bonnet(canvas, look, draws)
    return canvas, camera


def _draw_camera(look: Look, draws: Draws, height: int, width: int) -> Camera:
    return Camera(
        focal=draws.uniform(*look.focal) * width,
        cx=width * draws.uniform(0.36, 0.64),
        horizon=height * draws.uniform(*look.horizon),
        height=draws.uniform(*look.camera_height),
    )


def _draw_street(draws: Draws, look: Look) -> Street:
    lanes = draws.pick((1, 2, 2, 3))
    left, right = -draws.uniform(1.7, 2.4) - 3.2 * (lanes - 1), draws.uniform(1.8, 2.6)
    parking = draws.pick((-1, 0, 0, 0, 1))
    if parking:
        left, right = (left - 2.2, right) if parking < 0 else (left, right + 2.2)
    grass = 'terrain' not in look.left_out
    strips = [draws.uniform(0.8, 4.0) if grass and draws.chance(0.36) else 0.0 for _ in range(2)]
    end = draws.uniform(55, 130)
    junctions = []
    for side in (-1, 1):
        if draws.chance(0.35):
            near = draws.uniform(12, 34)
            junctions.append((side, near, near + draws.uniform(8, 12)))
    return Street(
        left=left,
        right=right,
        walk_left=draws.uniform(1.6, 4.2),
        walk_right=draws.uniform(1.6, 4.2),
        strip_left=strips[0],
        strip_right=strips[1],
        end=end,
        junctions=tuple(junctions),
        crossing=draws.uniform(6, 16) if draws.chance(0.25) else 0.0,
        parking=parking,
        rails='train' not in look.left_out and draws.chance(0.3),
        sun_side=draws.side(),
    )


def _paint_sides(canvas: Canvas, camera: Camera, look: Look, street: Street, draws: Draws) -> None:
    for side in (-1, 1):
        back = facades.draw_segments(draws, look, street, side, back=True)
        front = facades.draw_segments(draws, look, street, side, back=False)
        plane = street.facade(side)
        facades.paint_row(canvas, camera, look, street, side, plane + 0.8, back)
        facades.paint_row(canvas, camera, look, street, side, plane, front)


def _draw_things(
    canvas: Canvas, camera: Camera, look: Look, street: Street, draws: Draws
) -> list[Thing]:
    place = partial(_place, canvas, camera, look, draws)
    things: list[Thing] = []
    for side in (-1, 1):
        things += _roadside(place, street, draws, side)
        things += _people(place, canvas, camera, look, street, draws, side)
        things += _parked(canvas, camera, look, street, draws, side)
    things += _traffic(canvas, camera, look, street, draws)
    things += _cyclists(canvas, camera, look, street, draws)
    return things


def _place(
    canvas: Canvas,
    camera: Camera,
    look: Look,
    draws: Draws,
    paint: Callable[..., None],
    x: float,
    z: float,
) -> Thing:
    return z, partial(paint, canvas, camera, look, draws, x, z)


def _roadside(place: Callable[..., Thing], street: Street, draws: Draws, side: int) -> list[Thing]:
    kerb = side * (street.edge(side) + 0.45)
    inner = side * (street.edge(side) + street.walk(side) * 0.85)
    things: list[Thing] = []
    z = draws.uniform(5, 14)
    while z < 60:
        things.append(place(objects.paint_pole, kerb, z))
        z += draws.uniform(11, 22)
    for _ in range(draws.pick((0, 1, 1, 2))):
        things.append(place(objects.paint_light, kerb, draws.uniform(5.5, 22)))
    for _ in range(draws.pick((0, 1, 2, 2, 3))):
        things.append(place(objects.paint_sign, kerb, draws.uniform(4.5, 26)))
    for _ in range(draws.pick((0, 0, 1, 2, 4))):
        things.append(place(objects.paint_tree, inner, draws.uniform(7, 50)))
    if draws.chance(0.25):
        things.append(place(objects.paint_static, inner, draws.uniform(5, 18)))
    return things


def _people(
    place: Callable[..., Thing],
    canvas: Canvas,
    camera: Camera,
    look: Look,
    street: Street,
    draws: Draws,
    side: int,
) -> list[Thing]:
    things: list[Thing] = []
    for _ in range(draws.pick((0, 1, 2, 3, 4))):
        x = side * (street.edge(side) + street.walk(side) * draws.uniform(0.2, 0.9))
        things.append(place(objects.paint_person, x, draws.uniform(4.5, 28)))
    for label, chance in ((objects.BICYCLE, 0.4), (objects.MOTORCYCLE, 0.26)):
        if draws.chance(chance):
            x = side * (street.edge(side) + draws.uniform(0.5, 1.2))
            z = draws.uniform(4.5, 16)
            paint = partial(
                objects.paint_two_wheeler, canvas, camera, look, draws, x, z, label, False
            )
            things.append((z, paint))
    if street.crossing and draws.chance(0.4):
        x = draws.uniform(street.left, street.right)
        things.append(place(objects.paint_person, x, street.crossing + 1.5))
    return things


def _parked(
    canvas: Canvas, camera: Camera, look: Look, street: Street, draws: Draws, side: int
) -> list[Thing]:
    if not (street.parking == side or draws.chance(0.4)):
        return []
    things: list[Thing] = []
    z = draws.uniform(4, 12)
    while z < 55:
        if draws.chance(0.7):
            edge = side * (street.edge(side) - 0.2)
            x0, x1 = (edge - 1.85, edge) if side > 0 else (edge, edge + 1.85)
            box = vehicles.Box(x0, x1, z, z + 4.3, oncoming=side < 0)
            things.append(_vehicle(canvas, camera, look, street, draws, vehicles.paint_car, box))
        z += draws.uniform(5.2, 8)
    return things


def _vehicle(
    canvas: Canvas,
    camera: Camera,
    look: Look,
    street: Street,
    draws: Draws,
    paint: Callable[..., None],
    box: vehicles.Box,
) -> Thing:
    return box.z0, partial(paint, canvas, camera, look, draws, box, street.sun_side)


def _traffic(
    canvas: Canvas, camera: Camera, look: Look, street: Street, draws: Draws
) -> list[Thing]:
    """Place what drives: one queue in our lane, one coming the other way."""
    make = partial(_vehicle, canvas, camera, look, street, draws)
    things: list[Thing] = []
    oncoming_x = max(street.left + 1.6, -3.4)
    for centre, oncoming in ((0.1, False), (oncoming_x, True)):
        z = draws.uniform(5, 26) if not oncoming else draws.uniform(4, 22)
        while z < 60:
            paint, width, length = _draw_vehicle(look, draws)
            if paint is vehicles.paint_train and not oncoming:
                paint, width, length = vehicles.paint_car, 1.8, 4.3
            x0 = centre - width / 2 + draws.uniform(-0.25, 0.25)
            things.append(make(paint, vehicles.Box(x0, x0 + width, z, z + length, oncoming)))
            z += length + draws.uniform(5, 30)
    if street.junctions and draws.chance(0.35):
        _, near, far = street.junctions[0]
        x0, z0 = draws.uniform(-6, 4), draws.uniform(near + 1, far - 3)
        box = vehicles.Box(x0, x0 + 4.3, z0, z0 + 1.8, across=True)
        things.append(make(vehicles.paint_car, box))
    return things


def _draw_vehicle(look: Look, draws: Draws) -> tuple[Callable[..., None], float, float]:
    dice = draws.uniform(0, 1)
    if dice < 0.1 and 'truck' not in look.left_out:
        return vehicles.paint_truck, 2.4, 8.0
    if 0.1 <= dice < 0.2:
        return vehicles.paint_bus, 2.5, 10.5
    if 0.2 <= dice < 0.28 and 'train' not in look.left_out:
        return vehicles.paint_train, 2.5, 24.0
    return vehicles.paint_car, 1.8, 4.3


def _cyclists(
    canvas: Canvas, camera: Camera, look: Look, street: Street, draws: Draws
) -> list[Thing]:
    things: list[Thing] = []
    for label, chance in ((objects.BICYCLE, 0.45), (objects.MOTORCYCLE, 0.24)):
        if draws.chance(chance):
            x = draws.pick((street.right - 0.6, street.left + 0.7, street.right - 0.6))
            z = draws.uniform(5, 17)
            paint = partial(
                objects.paint_two_wheeler, canvas, camera, look, draws, x, z, label, True
            )
            things.append((z, paint))
    return things


def _paint_bonnet(canvas: Canvas, look: Look, draws: Draws) -> None:
    h, w = canvas.height, canvas.width
    reach = h * draws.uniform(0.03, 0.07)
    colour = look.palette['bonnet'][0]
    points = [(w * 0.08, h + 2.0), (w * 0.2, h - reach * 0.8), (w * 0.5, h - reach),
              (w * 0.8, h - reach * 0.8), (w * 0.92, h + 2.0)]  # fmt: skip
    canvas.polygon(points, _EGO, colour, 1.0)
