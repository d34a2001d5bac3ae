"""Interiors: rooms in one-point perspective, corridors of doors, naves, cellars, and the long fall of a well.

Decides what stands where in a room; how each piece is drawn is known in furnishings.
"""

from dataclasses import dataclass

import numpy as np

from limner.providers.sketch import figures, furnishings, outdoors, weather
from limner.providers.sketch.canvas import (
    Colour,
    Points,
    ellipse,
    fill,
    glaze,
    glow,
    line,
    mix,
    points,
    scale,
    shadow,
    smooth,
    turned,
    wash,
)
from limner.providers.sketch.easel import Easel
from limner.providers.sketch.palette import named


@dataclass(frozen=True, slots=True)
class Room:
    """A box seen from its open side: sides -1 to 1, up 0 (floor) to 1 (ceiling), near 0 (back wall) to 1."""

    x0: float
    y0: float
    x1: float
    y1: float
    width: float
    height: float

    def at(self, side: float, up: float, near: float) -> tuple[float, float]:
        """Return the pixel of a place in the room."""
        left, right = self.x0 * (1 - near) - 0.04 * self.width * near, self.x1 * (1 - near) + 1.04 * self.width * near
        top, floor = self.y0 * (1 - near) - 0.06 * self.height * near, self.y1 * (1 - near) + 1.06 * self.height * near
        return left + (right - left) * (side + 1) / 2, floor + (top - floor) * up

    def size(self, near: float) -> float:
        """Return how tall the room is at a depth, in pixels: what stands there is measured by it."""
        return self.at(0, 0, near)[1] - self.at(0, 1, near)[1]

    def quad(self, *corners: tuple[float, float, float]) -> Points:
        return points([self.at(*corner) for corner in corners])


def paint_interior(e: Easel) -> None:
    """Paint an indoor scene."""
    if "well" in e.scene.rooms and "corridor" not in e.scene.rooms:
        paint_well(e)
    else:
        room = room_of(e)
        _shell(e, room)
        _dress(e, room)
        _people(e, room)
    _light(e)


def room_of(e: Easel) -> Room:
    """Return the room's proportions: a corridor is deep and narrow, a nave high, a cellar low."""
    rng = e.rng("room")
    deep = (
        0.4
        if _sort(e) == "corridor" and e.scene.has(*furnishings.OUTSIDE)
        else {"corridor": 0.2, "nave": 0.36, "cockpit": 0.42, "dungeon": 0.4}.get(_sort(e), 0.54)
    )
    half = deep / 2 * rng.uniform(0.92, 1.08)
    middle = rng.uniform(0.38, 0.62)
    eye = rng.uniform(0.43, 0.54) if e.horizon is None else e.horizon
    tall = half * (1.15 if _sort(e) in ("nave", "corridor") else 1.0)
    return Room(e.w * (middle - half), e.h * (eye - tall), e.w * (middle + half), e.h * (eye + tall * 0.85), e.w, e.h)


def _sort(e: Easel) -> str:
    return e.scene.rooms[0] if e.scene.rooms else "nave" if e.scene.has("church") else "room"


def wall_colour(e: Easel) -> Colour:
    """Return the walls' colour: the words', else what suits the sort of room."""
    if "walls" in e.scene.colours:
        return e.palette.lit(named(e.scene.colours["walls"]))
    if _sort(e) in ("nave", "dungeon"):
        return e.palette.of("stone")
    if _sort(e) == "cockpit":
        return e.palette.lit((120, 132, 148))
    rng = e.rng("walls")
    plain = ((206, 190, 160), (150, 168, 158), (186, 150, 138), (132, 148, 172), (196, 176, 134))[int(rng.integers(5))]
    return e.palette.lit(mix(plain, e.palette.accent(2), 0.22))


def _shell(e: Easel, room: Room) -> None:
    """Paint walls, ceiling and floor; the back wall catches the light."""
    wall = mix(wall_colour(e), (255, 214, 150), 0.12)
    dark = scale(wall, 0.5)
    wash(e.canvas, room.quad((-1, 1, 0), (1, 1, 0), (1, 1, 1), (-1, 1, 1)), scale(wall, 0.34), scale(wall, 0.62), 0.1)
    wash(
        e.canvas,
        room.quad((-1, 0, 0), (-1, 1, 0), (-1, 1, 1), (-1, 0, 1)),
        scale(dark, 1.0),
        scale(wall, 0.66),
        0.1,
        side=-0.25,
    )
    wash(
        e.canvas,
        room.quad((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1)),
        scale(dark, 0.85),
        scale(wall, 0.54),
        0.1,
        side=0.25,
    )
    wash(e.canvas, room.quad((-1, 0, 0), (-1, 1, 0), (1, 1, 0), (1, 0, 0)), scale(wall, 0.82), scale(wall, 1.0), 0.08)
    _floor(e, room)
    _ceiling(e, room, wall)
    x, y = room.at(0, 0.55, 0)
    glow(e.canvas, x, y, room.size(0) * 1.7, mix(e.palette.light, (255, 206, 130), 0.5), 0.32)
    _wainscot(e, room, wall)
    for side in (-1, 1):
        edge = room.quad((side, 0, 0), (side, 1, 0))
        line(e.canvas, edge, scale(wall, 0.42), e.u * 0.2)
        skirting = room.quad((side, 0, 0), (side, 0.05, 0), (side, 0.05, 1), (side, 0, 1))
        glaze(e.canvas, skirting, e.palette.ink, 0.45)


def _wainscot(e: Easel, room: Room, wall: Colour) -> None:
    """Panel the lower walls, or paper them in stripes, or leave them plain: as the seed wants it."""
    rng = e.rng("wainscot")
    style = int(rng.integers(3))
    if _sort(e) in ("nave", "dungeon", "cockpit") or style == 0:
        return
    if style == 1:
        wood = mix(e.palette.of("wood"), scale(wall, 0.6), 0.35)
        glaze(e.canvas, room.quad((-1, 0, 0), (-1, 0.32, 0), (1, 0.32, 0), (1, 0, 0)), wood, 0.75)
        for side in (-1, 1):
            glaze(
                e.canvas, room.quad((side, 0, 0), (side, 0.32, 0), (side, 0.32, 1), (side, 0, 1)), scale(wood, 0.5), 0.7
            )
            line(e.canvas, room.quad((side, 0.32, 0), (side, 0.32, 1)), scale(wood, 0.35), e.u * 0.5)
        line(e.canvas, room.quad((-1, 0.32, 0), (1, 0.32, 0)), scale(wood, 0.5), e.u * 0.3)
        return
    tone = mix(wall, e.palette.lit(e.palette.accent(3)), 0.4)
    for k in np.linspace(-0.95, 0.85, 13):
        glaze(e.canvas, room.quad((k, 0, 0), (k, 1, 0), (k + 0.07, 1, 0), (k + 0.07, 0, 0)), tone, 0.35)
    for near in np.linspace(0.02, 0.92, 14) ** 1.6:
        for side in (-1, 1):
            stripe = room.quad(
                (side, 0, near), (side, 1, near), (side, 1, near * 1.06 + 0.012), (side, 0, near * 1.06 + 0.012)
            )
            glaze(e.canvas, stripe, scale(tone, 0.7), 0.35)


def _floor(e: Easel, room: Room) -> None:
    rng = e.rng("floor")
    stone = _sort(e) in ("nave", "dungeon", "kitchen", "cockpit") or (_sort(e) == "corridor" and rng.random() < 0.6)
    base = e.palette.lit((150, 140, 128)) if stone else e.palette.of("wood")
    wash(e.canvas, room.quad((-1, 0, 0), (1, 0, 0), (1, 0, 1), (-1, 0, 1)), scale(base, 0.78), scale(base, 0.95), 0.12)
    rows = np.linspace(0, 1, 12) ** 1.9
    if stone:
        other = scale(base, 0.52) if _sort(e) == "corridor" else scale(base, 0.8)
        for number in range(len(rows) - 1):
            for k in range(10):
                if (k + number) % 2:
                    a, b = -1 + k * 0.2, -1 + (k + 1) * 0.2
                    tile = room.quad(
                        (a, 0, rows[number]), (b, 0, rows[number]), (b, 0, rows[number + 1]), (a, 0, rows[number + 1])
                    )
                    glaze(e.canvas, tile, scale(other, float(rng.uniform(0.85, 1.15))), 0.75)
        return
    for k in np.linspace(-1, 1, 15):
        line(e.canvas, room.quad((k, 0, 0), (k, 0, 1)), scale(base, 0.55), e.u * 0.18)
    for _ in range(26):
        left, near = float(rng.integers(0, 14)) / 7 - 1, rng.random() ** 1.8
        right = left + 1 / 7
        board = room.quad((left, 0, near), (right, 0, near), (right, 0, near + 0.3), (left, 0, near + 0.3))
        glaze(e.canvas, board, scale(base, float(rng.uniform(0.55, 1.35))), 0.25)


def _ceiling(e: Easel, room: Room, wall: Colour) -> None:
    sort = _sort(e)
    vaulted = sort == "corridor" and e.rng("ceiling").random() < 0.45
    if sort in ("nave", "dungeon") or vaulted:
        for near in (0.0, 0.05, 0.13, 0.28, 0.56) if vaulted else (0.0, 0.12, 0.3, 0.58):
            _vault(e, room, near, scale(wall, 0.5 + 0.35 * (1 - near)))
        return
    beams = e.palette.of("dark_wood") if sort != "cockpit" else scale(wall, 0.5)
    for near in (0.02, 0.14, 0.32, 0.6):
        beam = room.quad((-1, 1, near), (1, 1, near), (1, 1, near + 0.06), (-1, 1, near + 0.06))
        glaze(e.canvas, beam, scale(beams, 0.62), 0.85)


def _vault(e: Easel, room: Room, near: float, colour: Colour) -> None:
    """Span an arch on two columns across the room."""
    size = room.size(near)
    left, right = room.at(-0.86, 0, near), room.at(0.86, 0, near)
    spring = room.at(0, 0.66, near)[1]
    half, middle = (right[0] - left[0]) / 2, (left[0] + right[0]) / 2
    thick = size * 0.055
    outer = ellipse(middle, spring, half + thick, size * 0.4 + thick, 180, 360)
    inner = ellipse(middle, spring, half - thick, size * 0.4 - thick, 360, 180)
    wash(e.canvas, points(np.vstack([outer, inner])), scale(colour, 0.8), scale(colour, 1.05), 0.1)
    for x, lean in ((left[0], 0.3), (right[0], -0.3)):
        column = points(
            [(x - thick, spring), (x + thick, spring), (x + thick * 1.1, left[1]), (x - thick * 1.1, left[1])]
        )
        wash(e.canvas, column, scale(colour, 1.05), scale(colour, 0.8), 0.1, side=lean)
        for y, grow in ((spring, 1.5), (left[1], 1.6)):
            fill(
                e.canvas,
                points(
                    [
                        (x - thick * grow, y - thick * 0.4),
                        (x + thick * grow, y - thick * 0.4),
                        (x + thick * grow, y + thick * 0.3),
                        (x - thick * grow, y + thick * 0.3),
                    ]
                ),
                scale(colour, 0.9),
            )


def _dress(e: Easel, room: Room) -> None:
    """Furnish the room: its sort gives the set, the words add to it."""
    sort = _sort(e)
    wanted = list(e.scene.furnishings)
    usual = {
        "corridor": ["door", "lamp"],
        "nave": ["icon", "candle"],
        "library": ["shelf", "table", "candle"],
        "kitchen": ["fireplace", "table", "shelf"],
        "bedroom": ["bed", "window", "carpet"],
        "dungeon": ["torch"],
        "cockpit": ["console"],
        "room": ["window", "picture"],
    }.get(sort, ["window"])
    if sort == "room" and len(wanted) < 2:
        rng = e.rng("furnish")
        more = ("fireplace", "shelf", "table", "chair", "carpet", "clock", "curtain")
        usual += [more[int(k)] for k in rng.permutation(len(more))[:3]]
    names = list(dict.fromkeys([*wanted, *usual]))
    if "window" in wanted or sort not in ("corridor", "nave", "cockpit", "dungeon"):
        names = (
            [name for name in names if name != "picture"] if "picture" not in wanted and "window" in names else names
        )
    furnishings.furnish(e, room, names, sort)
    furnishings.set_out_things(e, room)


def _people(e: Easel, room: Room) -> None:
    rng = e.rng("people")
    near = 0.42
    size = room.size(near) * 0.48
    people = [one for one in e.scene.people if one != "crowd"][:2]
    if "crowd" in e.scene.people:
        x, y = room.at(0, 0, 0.3)
        figures.paint_crowd(e, x, y, room.size(0.3) * 0.42, room.size(0.3) * 0.7)
    for number, who in enumerate(people):
        x, y = room.at(rng.uniform(0.12, 0.36) * (1 if number else -1), 0, near)
        figures.paint_person(e, who, x, y, size, 1 if number == 0 else -1, number)
    for number, animal in enumerate(e.scene.animals[:2]):
        x, y = room.at(0.5 - 0.9 * number, 0, near + 0.06)
        figures.paint_animal(e, animal, x, y, size, -1 if number == 0 else 1, number)


def _light(e: Easel) -> None:
    """Let the weather's words act indoors: beams, smoke, glimmer; motes always."""
    rng = e.rng("indoor light")
    if e.scene.has("shafts") or (not e.palette.is_dark and "window" in e.scene.furnishings):
        weather.paint_shafts(e, e.w * rng.uniform(0.05, 0.2), e.h * 0.05)
    if e.scene.has("fog", "smoke"):
        weather.paint_fog(e, 0.4)
    if e.scene.has("magic", "fireflies"):
        weather.paint_fireflies(e, 24)
    weather.paint_motes(e, 26)


def paint_well(e: Easel) -> None:
    """Paint the fall down a deep shaft: rings of stone, shelves, maps and jars turning round the light far below."""
    rng = e.rng("well")
    cx, cy = e.w * rng.uniform(0.45, 0.55), e.h * rng.uniform(0.46, 0.56)
    earth = e.palette.lit(mix((120, 92, 70), e.palette.accent(1), 0.22))
    reach = float(np.hypot(e.w, e.h)) * 0.62
    rings = reach * 0.8 ** np.arange(13)
    turn = rng.uniform(0, 360)
    for number, radius in enumerate(rings):
        bright = 0.3 + 0.72 * (number / 12) ** 1.1
        drift = (number / 12) * e.u * 2
        tone = mix(scale(earth, bright), e.palette.light, 0.42 * (number / 12) ** 2.4)
        ring = turned(ellipse(cx + drift, cy, radius, radius * 0.92), cx, cy, turn)
        wash(e.canvas, ring, scale(tone, 1.12), scale(tone, 0.8), 0.12, side=0.12)
        if number < 10:
            _ring_stones(e, cx + drift, cy, radius, tone, number)
            _ring_things(e, cx + drift, cy, radius, number)
    glow(e.canvas, cx, cy, e.u * 42, mix(e.palette.light, (255, 226, 160), 0.5), 0.75)
    _faller(e, cx, cy)


def _ring_stones(e: Easel, cx: float, cy: float, radius: float, tone: Colour, number: int) -> None:
    rng = e.rng("stones", number)
    count = 26
    for k in range(count):
        a = np.radians((k + 0.5 * (number % 2)) * 360 / count + rng.uniform(-2, 2))
        inner, outer = radius * 0.82, radius * 0.99
        corners = [(cx + np.cos(a) * r, cy + np.sin(a) * r * 0.92) for r in (inner, outer)]
        line(e.canvas, points(corners), scale(tone, 0.55), max(1.0, radius * 0.012))


def _ring_things(e: Easel, cx: float, cy: float, radius: float, number: int) -> None:
    """Fasten shelves of books, jars, maps and pictures to one ring of the wall, upright towards the rim."""
    rng = e.rng("ring things", number)
    count = 4
    for k in range(count):
        angle = (k + rng.uniform(0.1, 0.9)) * 360 / count + number * 31
        a = np.radians(angle)
        size = radius * 0.17
        x, y = cx + np.cos(a) * radius * 0.88, cy + np.sin(a) * radius * 0.81
        if not (-size < x < e.w + size and -size < y < e.h + size):
            continue
        _hanging(e, x, y, size, angle + 90, rng)


def _hanging(e: Easel, x: float, y: float, size: float, angle: float, rng: np.random.Generator) -> None:
    def place(pairs: list[tuple[float, float]]) -> Points:
        return turned(points([(x + a * size, y + b * size) for a, b in pairs]), x, y, angle)

    wood = e.palette.of("dark_wood")
    sort = int(rng.integers(3))
    if sort == 0:
        fill(e.canvas, place([(-0.75, 0.3), (0.75, 0.3), (0.75, 0.42), (-0.75, 0.42)]), scale(wood, 1.1))
        for k in np.linspace(-0.65, 0.5, 7):
            tall, wide = rng.uniform(0.45, 0.75), rng.uniform(0.1, 0.16)
            cloth = e.palette.lit(e.palette.accent(int(rng.integers(5))))
            fill(
                e.canvas,
                place([(k, 0.3), (k, 0.3 - tall), (k + wide, 0.3 - tall), (k + wide, 0.3)]),
                scale(cloth, float(rng.uniform(0.8, 1.15))),
            )
    elif sort == 1:
        fill(e.canvas, place([(-0.62, -0.45), (0.62, -0.45), (0.62, 0.42), (-0.62, 0.42)]), e.palette.of("gold"))
        fill(e.canvas, place([(-0.52, -0.36), (0.52, -0.36), (0.52, 0.33), (-0.52, 0.33)]), e.palette.of("cream"))
        fill(
            e.canvas,
            turned(
                smooth(
                    [
                        (x - 0.4 * size, y),
                        (x - 0.1 * size, y - 0.26 * size),
                        (x + 0.3 * size, y - 0.1 * size),
                        (x + 0.1 * size, y + 0.22 * size),
                    ]
                ),
                x,
                y,
                angle,
            ),
            e.palette.lit(e.palette.leaves[0]),
        )
    else:
        fill(e.canvas, place([(-0.75, 0.3), (0.75, 0.3), (0.75, 0.42), (-0.75, 0.42)]), scale(wood, 1.1))
        for k in (-0.45, 0.0, 0.42):
            glass = mix(e.palette.lit(e.palette.accent(int(rng.integers(5)))), (255, 200, 120), 0.3)
            fill(
                e.canvas,
                place(
                    [
                        (k - 0.16, 0.3),
                        (k - 0.18, -0.1),
                        (k - 0.1, -0.22),
                        (k + 0.1, -0.22),
                        (k + 0.18, -0.1),
                        (k + 0.16, 0.3),
                    ]
                ),
                glass,
            )
            fill(
                e.canvas,
                place([(k - 0.12, -0.22), (k + 0.12, -0.22), (k + 0.12, -0.32), (k - 0.12, -0.32)]),
                e.palette.of("cream"),
            )


def _faller(e: Easel, cx: float, cy: float) -> None:
    """Let whoever the words name float down the middle."""
    who = next((one for one in e.scene.people if one != "crowd"), "")
    tall = e.u * 27
    if who:
        shadow(e.canvas, cx + e.u * 4, cy + e.u * 10, e.u * 8, e.u * 4, 0.25)
        figures.paint_person(e, who, cx, cy + tall * 0.55, tall, 1)
    elif e.scene.animals:
        figures.paint_animal(e, e.scene.animals[0], cx, cy + tall * 0.4, tall, 1)
    if "candle" in e.scene.weathers:
        outdoors.paint_fire(e, cx + e.u * 12, cy, e.u * 2)
