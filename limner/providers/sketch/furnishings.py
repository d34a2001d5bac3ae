"""Furniture and fittings of rooms: doors, windows, tables, shelves, fireplaces, icons, candles, a coffin, consoles.

Each knows its place in a room of one-point perspective; nothing of why it is there.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from limner.providers.sketch import things
from limner.providers.sketch.canvas import (
    Colour,
    Points,
    blend,
    brush,
    cover,
    ellipse,
    fill,
    fills,
    glaze,
    glow,
    gradient,
    grown,
    line,
    mix,
    moved,
    points,
    rectangle,
    scale,
    shadow,
    smooth,
    wash,
    window,
)
from limner.providers.sketch.easel import Easel
from limner.providers.sketch.outdoors import paint_fire, paint_fountain
from limner.providers.sketch.plants import crown

# Places that an open door may lead to.
OUTSIDE = ("garden", "field", "forest", "sea", "flower", "fountain")


class Box(Protocol):
    """The room that things are set into: sides -1 to 1, up 0 to 1, near 0 to 1."""

    def at(self, side: float, up: float, near: float) -> tuple[float, float]: ...

    def size(self, near: float) -> float: ...

    def quad(self, *corners: tuple[float, float, float]) -> Points: ...


def furnish(e: Easel, room: Box, names: list[str], sort: str) -> None:
    """Set the named pieces: what hangs on walls first, then what stands, far to near."""
    builders: dict[str, Callable[[Easel, Box, str], None]] = {
        "shelf": _shelves,
        "icon": _icons,
        "door": _doors,
        "window": _window,
        "fireplace": _fireplace,
        "picture": _pictures,
        "mirror": _pictures,
        "clock": _clock,
        "curtain": _curtains,
        "stairs": _stairs,
        "bed": _bed,
        "carpet": _carpet,
        "console": _console,
        "coffin": _coffin,
        "table": _table,
        "chair": _chair,
        "lamp": _lamps,
        "candle": _candles,
        "torch": _torches,
    }
    for name, build in builders.items():
        if name in names:
            build(e, room, sort)


def _outlook(e: Easel, shape: Points) -> None:
    """Show what lies outside: sky over green, bright by day, a moon by night."""
    p = e.palette
    box = window(e.canvas, shape, 1)
    if box is None:
        return
    x0, y0, x1, y1 = box
    bright = mix(p.horizon, (255, 255, 255), 0.25)
    sheet = gradient(box, (y0, y1), p.middle, bright, 0.04, 0, e.rng("outlook", x0))
    mask = cover(shape, box)
    blend(e.canvas.pixels[y0:y1, x0:x1], sheet, mask)
    wide, tall = x1 - x0, y1 - y0
    low = y0 + tall * 0.68
    hills = smooth(
        [(x0, low), (x0 + wide * 0.3, low - tall * 0.1), (x0 + wide * 0.7, low + tall * 0.02), (x1, low - tall * 0.06)],
        closed=False,
    )
    ground = np.vstack([hills, points([(x1, y1), (x0, y1)])])
    green = p.lit(p.grass, 0.25)
    part = e.canvas.pixels[y0:y1, x0:x1].copy()
    wash(e.canvas, ground, mix(green, bright, 0.2), green, 0.1)
    rng = e.rng("outlook flowers", x0)
    if e.scene.has("garden", "flower", "forest"):
        for k in (0.08, 0.92, 0.24, 0.78):
            crown(e, x0 + wide * k, low - tall * 0.06, wide * 0.17, tall * 0.15, p.lit(p.leaves[0], 0.15), 0.2, rng)
    if e.scene.has("fountain"):
        paint_fountain(e, x0 + wide * 0.5, low + tall * 0.1, tall * 0.17)
    if e.scene.has("garden", "flower"):
        for k in np.sort(rng.random(90)):
            x, y = rng.uniform(x0, x1), low + (y1 - low) * (0.1 + 0.9 * k)
            r = tall * (0.008 + 0.018 * k)
            fills(e.canvas, [ellipse(x, y, r, r)], p.lit(mix(p.accent(int(rng.integers(5))), (255, 240, 235), 0.15)))
    inside = e.canvas.pixels[y0:y1, x0:x1].copy()
    e.canvas.pixels[y0:y1, x0:x1] = part
    blend(e.canvas.pixels[y0:y1, x0:x1], inside, mask)


def _window(e: Easel, room: Box, sort: str) -> None:
    """Set a tall window in the back wall (or high in the left one), with its bars and the light it lets in."""
    rng = e.rng("window")
    side = rng.choice([-0.45, 0.4]) if sort != "corridor" else 0.0
    x, y = room.at(float(side), 0.56, 0)
    tall = room.size(0) * 0.5
    wide = tall * 0.62
    pane = rectangle(x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2)
    if sort == "nave" or rng.random() < 0.35:
        pane = points(
            np.vstack(
                [
                    ellipse(x, y - tall * 0.3, wide / 2, tall * 0.26, 180, 360),
                    [(x + wide / 2, y + tall / 2), (x - wide / 2, y + tall / 2)],
                ]
            )
        )
    frame = e.palette.of("wood")
    fill(e.canvas, grown(pane, (x, y), 1.12), scale(frame, 0.8))
    _outlook(e, pane)
    if e.palette.is_dark:
        fill(
            e.canvas,
            ellipse(x + wide * 0.15, y - tall * 0.2, wide * 0.11, wide * 0.11),
            mix(e.palette.light, (255, 255, 255), 0.4),
        )
    for k in (-0.5, 0.5):
        line(
            e.canvas,
            points([(x + wide * k * 0.34, y - tall * 0.5), (x + wide * k * 0.34, y + tall / 2)]),
            scale(frame, 0.7),
            e.u * 0.35,
        )
    for k in (-0.18, 0.16):
        line(
            e.canvas,
            points([(x - wide / 2, y + tall * k), (x + wide / 2, y + tall * k)]),
            scale(frame, 0.7),
            e.u * 0.35,
        )
    light = mix(e.palette.light, e.palette.horizon, 0.3)
    glow(e.canvas, x, y, tall * 1.5, light, 0.5 if not e.palette.is_dark else 0.28)
    floor = room.quad(
        (float(side) - 0.25, 0, 0.1),
        (float(side) + 0.25, 0, 0.1),
        (float(side) + 0.55, 0, 0.5),
        (float(side) - 0.2, 0, 0.5),
    )
    glaze(e.canvas, floor, light, 0.34, e.u * 1.5)


def door_colour(e: Easel, number: int) -> Colour:
    wood = e.palette.of("wood")
    return mix(wood, e.palette.lit(e.palette.accent(number)), 0.4)


def _doors(e: Easel, room: Box, sort: str) -> None:
    """Set doors: one in the back wall, and along both sides of a corridor."""
    if sort == "corridor":
        for near0, near1 in ((0.02, 0.06), (0.1, 0.16), (0.22, 0.32), (0.42, 0.6), (0.76, 1.05)):
            for side in (-1.0, 1.0):
                _side_door(e, room, side, near0, near1)
    outside = e.scene.has(*OUTSIDE)
    tall = room.size(0) * (0.74 if outside else 0.6)
    x, y = room.at(0.0 if sort == "corridor" else 0.42, 0, 0)
    wide = tall * (0.78 if outside else 0.48)
    arch = points(
        np.vstack(
            [ellipse(x, y - tall * 0.75, wide / 2, tall * 0.25, 180, 360), [(x + wide / 2, y), (x - wide / 2, y)]]
        )
    )
    fill(e.canvas, grown(arch, (x, y), 1.14), scale(e.palette.of("dark_wood"), 0.8))
    if outside:
        _outlook(e, arch)
        glow(e.canvas, x, y - tall * 0.4, tall * 1.7, mix(e.palette.light, (255, 246, 200), 0.5), 0.65)
        glaze(
            e.canvas,
            room.quad((-0.16, 0, 0), (0.16, 0, 0), (0.5, 0, 0.55), (-0.5, 0, 0.55)),
            (255, 240, 190),
            0.28,
            e.u * 1.5,
        )
        return
    colour = door_colour(e, 0)
    wash(e.canvas, arch, scale(colour, 1.05), scale(colour, 0.75), 0.1)
    line(e.canvas, points([(x, y - tall * 0.97), (x, y)]), scale(colour, 0.5), e.u * 0.2)
    fill(e.canvas, ellipse(x + wide * 0.32, y - tall * 0.42, wide * 0.05, wide * 0.05), e.palette.of("gold"))


def _side_door(e: Easel, room: Box, side: float, near0: float, near1: float) -> None:
    colour = scale(door_colour(e, round(near0 * 50) + int(side > 0)), 0.62 + 0.3 * (1 - near0))
    tall = 0.56
    wash(
        e.canvas,
        room.quad((side, 0, near0), (side, tall + 0.05, near0), (side, tall + 0.05, near1), (side, 0, near1)),
        scale(colour, 0.55),
        scale(colour, 0.45),
        0.05,
    )
    span = near1 - near0
    a, b = near0 + span * 0.1, near1 - span * 0.1
    wash(
        e.canvas,
        room.quad((side, 0, a), (side, tall, a), (side, tall, b), (side, 0, b)),
        scale(colour, 1.1),
        scale(colour, 0.8),
        0.1,
    )
    for low, high in ((0.06, 0.24), (0.3, 0.5)):
        panel = room.quad(
            (side, low, a + span * 0.14),
            (side, high, a + span * 0.14),
            (side, high, b - span * 0.14),
            (side, low, b - span * 0.14),
        )
        glaze(e.canvas, panel, e.palette.ink, 0.3)
    x, y = room.at(side, 0.27, a + span * 0.08)
    r = room.size(a) * 0.012
    fill(e.canvas, ellipse(x, y, r, r), e.palette.of("gold"))


def _shelves(e: Easel, room: Box, sort: str) -> None:
    """Fill a wall with books (and in kitchens jars)."""
    sides = (-1.0, 1.0) if sort == "library" else (-1.0,)
    for side in sides:
        for near0, near1 in ((0.02, 0.2), (0.24, 0.6)):
            _bookcase(e, room, side, near0, near1)
    if sort == "library":
        for k in (-0.75, -0.3, 0.3, 0.75):
            _book_row_back(e, room, k)


def _bookcase(e: Easel, room: Box, side: float, near0: float, near1: float) -> None:
    rng = e.rng("bookcase", side, near0)
    wood = e.palette.of("dark_wood")
    inset = side * 0.96
    wash(
        e.canvas,
        room.quad((inset, 0, near0), (inset, 0.84, near0), (inset, 0.84, near1), (inset, 0, near1)),
        scale(wood, 0.55),
        scale(wood, 0.42),
        0.08,
    )
    for shelf in range(5):
        low = 0.04 + shelf * 0.16
        at = near0
        while at < near1 - 0.012:
            wide = (near1 - near0) * rng.uniform(0.045, 0.085)
            tall = rng.uniform(0.085, 0.135)
            cloth = scale(
                e.palette.lit(mix(e.palette.accent(int(rng.integers(5))), (120, 84, 60), 0.4)),
                float(rng.uniform(0.55, 0.95)),
            )
            end = min(at + wide, near1)
            fills(
                e.canvas,
                [room.quad((inset, low, at), (inset, low + tall, at), (inset, low + tall, end), (inset, low, end))],
                cloth,
            )
            at = end + (near1 - near0) * 0.006
        line(e.canvas, room.quad((inset, low, near0), (inset, low, near1)), scale(wood, 0.95), e.u * 0.45)


def _book_row_back(e: Easel, room: Box, side: float) -> None:
    rng = e.rng("back books", side)
    wood = e.palette.of("dark_wood")
    fill(
        e.canvas,
        room.quad((side - 0.2, 0, 0), (side + 0.2, 0, 0), (side + 0.2, 0.8, 0), (side - 0.2, 0.8, 0)),
        scale(wood, 0.5),
    )
    for shelf in range(5):
        low = 0.04 + shelf * 0.15
        for k in np.linspace(-0.19, 0.17, 11):
            cloth = scale(e.palette.lit(e.palette.accent(int(rng.integers(5)))), float(rng.uniform(0.6, 0.95)))
            tall = rng.uniform(0.08, 0.125)
            fills(
                e.canvas,
                [
                    room.quad(
                        (side + k, low, 0),
                        (side + k + 0.028, low, 0),
                        (side + k + 0.028, low + tall, 0),
                        (side + k, low + tall, 0),
                    )
                ],
                cloth,
            )


def _fireplace(e: Easel, room: Box, _sort: str) -> None:
    x, y = room.at(-0.05, 0, 0)
    size = room.size(0) * 0.5
    stone = e.palette.of("stone")
    wash(
        e.canvas,
        rectangle(x - size * 0.55, y - size * 1.0, x + size * 0.55, y),
        scale(stone, 0.9),
        scale(stone, 0.7),
        0.16,
    )
    fill(
        e.canvas,
        rectangle(x - size * 0.65, y - size * 1.04, x + size * 0.65, y - size * 0.93),
        scale(e.palette.of("wood"), 0.8),
    )
    arch = points(
        np.vstack(
            [
                ellipse(x, y - size * 0.5, size * 0.36, size * 0.2, 180, 360),
                [(x + size * 0.36, y), (x - size * 0.36, y)],
            ]
        )
    )
    fill(e.canvas, arch, (26, 18, 18))
    paint_fire(e, x, y - size * 0.04, size * 0.3)
    glaze(e.canvas, room.quad((-0.4, 0, 0), (0.3, 0, 0), (0.5, 0, 0.5), (-0.7, 0, 0.5)), (255, 150, 70), 0.28, e.u * 2)


def _pictures(e: Easel, room: Box, _sort: str) -> None:
    """Hang framed pictures of nothing in particular: small landscapes."""
    rng = e.rng("pictures")
    for side in (-0.62, 0.66):
        x, y = room.at(side, rng.uniform(0.6, 0.66), 0)
        half, tall = room.size(0) * rng.uniform(0.09, 0.13), room.size(0) * rng.uniform(0.08, 0.12)
        fill(
            e.canvas, rectangle(x - half * 1.18, y - tall * 1.2, x + half * 1.18, y + tall * 1.2), e.palette.of("gold")
        )
        wash(e.canvas, rectangle(x - half, y - tall, x + half, y + tall), e.palette.horizon, e.palette.middle, 0.1)
        fill(
            e.canvas,
            points(
                [
                    (x - half, y + tall * 0.2),
                    (x, y - tall * 0.2),
                    (x + half, y + tall * 0.3),
                    (x + half, y + tall),
                    (x - half, y + tall),
                ]
            ),
            e.palette.lit(e.palette.leaves[0]),
        )


def _clock(e: Easel, room: Box, _sort: str) -> None:
    """Stand a long-case clock against the back wall."""
    x, y = room.at(-0.82, 0, 0.02)
    size = room.size(0) * 0.72
    wood = e.palette.of("dark_wood")
    wash(
        e.canvas,
        rectangle(x - size * 0.1, y - size, x + size * 0.1, y),
        scale(wood, 1.2),
        scale(wood, 0.8),
        0.1,
        side=0.2,
    )
    fill(
        e.canvas,
        points([(x - size * 0.13, y - size), (x, y - size * 1.09), (x + size * 0.13, y - size)]),
        scale(wood, 1.1),
    )
    fill(e.canvas, ellipse(x, y - size * 0.86, size * 0.08, size * 0.08), e.palette.of("cream"))
    for a, length in ((-60.0, 0.055), (80.0, 0.04)):
        r = np.radians(a)
        line(
            e.canvas,
            points(
                [(x, y - size * 0.86), (x + np.cos(r) * size * length, y - size * 0.86 + np.sin(r) * size * length)]
            ),
            e.palette.ink,
            e.u * 0.25,
        )
    fill(e.canvas, ellipse(x, y - size * 0.4, size * 0.045, size * 0.045), e.palette.of("gold"))


def _curtains(e: Easel, room: Box, _sort: str) -> None:
    """Hang heavy curtains before the side walls."""
    cloth = e.palette.lit(e.palette.accent(0))
    for side in (-1.0, 1.0):
        x, top = room.at(side * 0.98, 1, 0.2)
        _, low = room.at(side * 0.98, 0.02, 0.2)
        reach = room.size(0.2) * 0.2
        for k in range(5):
            a = x - side * reach * k / 5
            fold = smooth(
                [
                    (a, top),
                    (a - side * reach * 0.22, (top + low) / 2),
                    (a - side * reach * 0.12, low),
                    (a + side * reach * 0.1, low),
                    (a + side * reach * 0.12, (top + low) / 2),
                ]
            )
            fill(e.canvas, fold, scale(cloth, (0.6, 0.95, 0.7, 1.05, 0.8)[k]))


def _stairs(e: Easel, room: Box, _sort: str) -> None:
    """Raise a staircase along the right wall."""
    wood = e.palette.of("wood")
    for k in range(11):
        near = 0.42 - k * 0.04
        up = k * 0.068
        tread = room.quad((0.45, up, near), (0.99, up, near), (0.99, up + 0.068, near), (0.45, up + 0.068, near))
        wash(e.canvas, tread, scale(wood, 1.05), scale(wood, 0.72), 0.08)
        top = room.quad(
            (0.45, up + 0.068, near),
            (0.99, up + 0.068, near),
            (0.99, up + 0.068, near - 0.04),
            (0.45, up + 0.068, near - 0.04),
        )
        fill(e.canvas, top, scale(wood, 1.25))
        post = room.quad((0.45, up + 0.06, near), (0.45, up + 0.26, near))
        line(e.canvas, post, scale(wood, 0.55), e.u * 0.4)
    rail = room.quad((0.45, 0.28, 0.42), (0.45, 0.28 + 0.68, 0.02))
    brush(e.canvas, rail, scale(wood, 0.55), e.u * 1.0, e.u * 0.6)


def _bed(e: Easel, room: Box, _sort: str) -> None:
    wood, cloth = e.palette.of("wood"), e.palette.lit(e.palette.accent(1))
    sheet = e.palette.of("cream")
    fill(e.canvas, room.quad((0.2, 0, 0.05), (0.92, 0, 0.05), (0.92, 0.4, 0.05), (0.2, 0.4, 0.05)), scale(wood, 0.8))
    wash(
        e.canvas,
        room.quad((0.2, 0.2, 0.06), (0.92, 0.2, 0.06), (0.92, 0.2, 0.42), (0.2, 0.2, 0.42)),
        sheet,
        scale(cloth, 1.05),
        0.08,
    )
    wash(
        e.canvas,
        room.quad((0.2, 0.2, 0.16), (0.92, 0.2, 0.16), (0.92, 0.2, 0.42), (0.2, 0.2, 0.42)),
        cloth,
        scale(cloth, 0.9),
        0.1,
    )
    wash(
        e.canvas,
        room.quad((0.2, 0.2, 0.42), (0.92, 0.2, 0.42), (0.92, 0.02, 0.42), (0.2, 0.02, 0.42)),
        scale(cloth, 0.85),
        scale(cloth, 0.55),
        0.1,
    )
    wash(
        e.canvas,
        room.quad((0.2, 0.2, 0.06), (0.2, 0.2, 0.42), (0.2, 0.0, 0.42), (0.2, 0.0, 0.06)),
        scale(cloth, 0.6),
        scale(cloth, 0.4),
        0.1,
    )
    for k in (0.4, 0.72):
        x, y = room.at(k, 0.25, 0.09)
        fill(e.canvas, ellipse(x, y, room.size(0.09) * 0.1, room.size(0.09) * 0.05), scale(sheet, 1.03))


def _carpet(e: Easel, room: Box, _sort: str) -> None:
    cloth = e.palette.lit(e.palette.accent(0))
    for grow, tone in ((1.0, scale(cloth, 0.8)), (0.88, e.palette.of("gold")), (0.82, cloth), (0.5, scale(cloth, 0.7))):
        half, a, b = 0.5 * grow, 0.36 - 0.24 * grow, 0.36 + 0.26 * grow
        glaze(e.canvas, room.quad((-half, 0, a), (half, 0, a), (half, 0, b), (-half, 0, b)), tone, 0.85)


def _console(e: Easel, room: Box, _sort: str) -> None:
    """Build a ship's bridge: a great window on the stars, screens, a panel of lights."""
    rng = e.rng("console")
    view = room.quad((-0.92, 0.3, 0), (-0.8, 0.92, 0), (0.8, 0.92, 0), (0.92, 0.3, 0))
    wash(e.canvas, view, (8, 12, 34), (30, 36, 88), 0.05)
    x0, y0 = view.min(axis=0)
    x1, y1 = view.max(axis=0)
    for _ in range(90):
        fills(e.canvas, [ellipse(rng.uniform(x0, x1), rng.uniform(y0, y1), e.u * 0.15, e.u * 0.15)], (230, 236, 255))
    px, py, r = x0 + (x1 - x0) * 0.68, y0 + (y1 - y0) * 0.5, (y1 - y0) * 0.3
    wash(
        e.canvas,
        ellipse(px, py, r, r),
        scale(e.palette.accent(2), 1.1),
        scale(e.palette.accent(2), 0.4),
        0.1,
        side=0.35,
    )
    glow(e.canvas, px, py, r * 1.8, e.palette.accent(2), 0.4)
    steel = e.palette.lit((92, 102, 118))
    desk = room.quad((-0.95, 0.3, 0.05), (0.95, 0.3, 0.05), (1.0, 0.16, 0.42), (-1.0, 0.16, 0.42))
    wash(e.canvas, desk, scale(steel, 1.1), scale(steel, 0.6), 0.08)
    wash(
        e.canvas,
        room.quad((-1.0, 0.16, 0.42), (1.0, 0.16, 0.42), (1.0, 0, 0.42), (-1.0, 0, 0.42)),
        scale(steel, 0.55),
        scale(steel, 0.4),
        0.08,
    )
    for k in np.linspace(-0.8, 0.8, 7):
        tone = e.palette.accent(int(rng.integers(5)))
        screen = room.quad((k - 0.1, 0.27, 0.12), (k + 0.1, 0.27, 0.12), (k + 0.1, 0.21, 0.28), (k - 0.1, 0.21, 0.28))
        fill(e.canvas, screen, scale(tone, 0.75))
        middle = screen.mean(axis=0)
        glow(e.canvas, float(middle[0]), float(middle[1]), e.u * 8, tone, 0.5)
    for _ in range(60):
        x, y = room.at(rng.uniform(-0.95, 0.95), rng.uniform(0.03, 0.14), 0.42)
        fills(e.canvas, [ellipse(x, y, e.u * 0.35, e.u * 0.35)], e.palette.accent(int(rng.integers(5))))


def _icons(e: Easel, room: Box, _sort: str) -> None:
    """Raise an iconostasis before the back wall: rows of gilded saints, each a plain figure with a halo."""
    gold = e.palette.of("gold")
    fill(
        e.canvas,
        room.quad((-0.95, 0, 0), (0.95, 0, 0), (0.95, 0.92, 0), (-0.95, 0.92, 0)),
        scale(e.palette.of("dark_wood"), 0.7),
    )
    for row, (low, high) in enumerate(((0.06, 0.44), (0.48, 0.68), (0.71, 0.88))):
        count = 5 if row == 0 else 7
        for k in np.linspace(-0.8, 0.8, count):
            half = 0.64 / count
            _icon(e, room, float(k), half, low, high, gold, row * 10 + round(k * 10))
    x, y = room.at(0, 0.96, 0)
    size = room.size(0) * 0.1
    brush(e.canvas, points([(x, y + size), (x, y - size)]), gold, size * 0.16, size * 0.16)
    brush(
        e.canvas,
        points([(x - size * 0.5, y - size * 0.3), (x + size * 0.5, y - size * 0.3)]),
        gold,
        size * 0.16,
        size * 0.16,
    )


def _icon(e: Easel, room: Box, k: float, half: float, low: float, high: float, gold: Colour, number: int) -> None:
    x0, y1 = room.at(k - half, low, 0)
    x1, y0 = room.at(k + half, high, 0)
    x, wide, tall = (x0 + x1) / 2, x1 - x0, y1 - y0
    arch = points(np.vstack([ellipse(x, y0 + wide * 0.4, wide / 2, wide * 0.4, 180, 360), [(x1, y1), (x0, y1)]]))
    wash(e.canvas, arch, scale(gold, 1.05), scale(gold, 0.55), 0.12)
    inner = grown(arch, (x, (y0 + y1) / 2), 0.8)
    robe = e.palette.lit(e.palette.accent(number))
    wash(e.canvas, inner, scale(mix(gold, (60, 34, 20), 0.55), 1.0), scale(mix(gold, (40, 24, 20), 0.75), 1.0), 0.1)
    hy = y0 + tall * 0.34
    r = min(wide * 0.17, tall * 0.12)
    fill(e.canvas, ellipse(x, hy, r * 1.7, r * 1.7), scale(gold, 1.15))
    fill(
        e.canvas,
        smooth(
            [
                (x - r * 1.7, y1 - tall * 0.12),
                (x - r * 1.2, hy + r * 1.6),
                (x, hy + r * 0.9),
                (x + r * 1.2, hy + r * 1.6),
                (x + r * 1.7, y1 - tall * 0.12),
            ]
        ),
        scale(robe, 0.8),
    )
    fill(e.canvas, ellipse(x, hy, r * 0.8, r), e.palette.lit((150, 104, 72)))


def _coffin(e: Easel, room: Box, _sort: str) -> None:
    """Set an open coffin on trestles in the middle, a still white figure in it, candles about."""
    x, y = room.at(0.0, 0, 0.34)
    size = room.size(0.34) * 0.62
    shadow(e.canvas, x, y + size * 0.02, size * 0.72, size * 0.1, 0.55)
    wood = e.palette.of("dark_wood")
    for k in (-0.42, 0.42):
        brush(
            e.canvas,
            points([(x + k * size, y), (x + k * size, y - size * 0.26)]),
            scale(wood, 0.7),
            size * 0.07,
            size * 0.07,
        )
    top, low = y - size * 0.44, y - size * 0.2
    wash(
        e.canvas,
        points([(x - size * 0.62, top), (x + size * 0.62, top), (x + size * 0.55, low), (x - size * 0.55, low)]),
        scale(wood, 1.25),
        scale(wood, 0.7),
        0.12,
    )
    fill(
        e.canvas,
        points(
            [
                (x - size * 0.62, top),
                (x - size * 0.5, top - size * 0.12),
                (x + size * 0.5, top - size * 0.12),
                (x + size * 0.62, top),
            ]
        ),
        (232, 226, 218),
    )
    white = e.palette.lit((246, 242, 236))
    body = smooth(
        [
            (x - size * 0.36, top - size * 0.04),
            (x - size * 0.24, top - size * 0.15),
            (x + size * 0.1, top - size * 0.17),
            (x + size * 0.46, top - size * 0.1),
            (x + size * 0.5, top - size * 0.02),
            (x, top),
        ]
    )
    wash(e.canvas, body, white, scale(white, 0.78), 0.05)
    fill(e.canvas, ellipse(x - size * 0.4, top - size * 0.1, size * 0.075, size * 0.06), e.palette.lit((226, 206, 196)))
    fill(
        e.canvas,
        smooth(
            [
                (x - size * 0.5, top - size * 0.04),
                (x - size * 0.46, top - size * 0.16),
                (x - size * 0.38, top - size * 0.15),
                (x - size * 0.45, top - size * 0.09),
            ]
        ),
        (40, 30, 32),
    )
    for k in (-0.82, 0.82):
        candle(e, x + k * size, y, size * 0.62)


def candle(e: Easel, x: float, y: float, tall: float) -> None:
    """Paint a lit candle that stands at (x, y)."""
    half = max(1.0, tall * 0.04)
    wax = (244, 232, 204)
    wash(e.canvas, rectangle(x - half, y - tall * 0.78, x + half, y), wax, scale(wax, 0.7), 0.04)
    glow(e.canvas, x, y - tall * 0.88, tall * 1.5, (255, 176, 84), 0.5)
    flame = smooth(
        [
            (x, y - tall * 0.79),
            (x - half * 0.95, y - tall * 0.86),
            (x, y - tall * 1.02),
            (x + half * 0.95, y - tall * 0.86),
        ]
    )
    fill(e.canvas, flame, (255, 206, 104))
    glow(e.canvas, x, y - tall * 0.88, tall * 0.35, (255, 240, 190), 0.9)


def _table(e: Easel, room: Box, sort: str) -> None:
    """Stand a table in the middle: of glass where the words say so."""
    x, y = room.at(0.0 if sort in ("corridor", "room") else -0.2, 0, 0.3)
    size = room.size(0.3) * 0.42
    glassy = "glass" in e.scene.palette_words or e.scene.has("key") or "table" in e.scene.things
    wood = mix(e.palette.of("glass"), (255, 255, 255), 0.2) if glassy else e.palette.of("wood")
    shadow(e.canvas, x, y, size * 0.75, size * 0.12, 0.4)
    legs = (-0.5, 0.02, 0.5) if glassy else (-0.62, -0.48, 0.48, 0.62)
    for k in legs:
        brush(
            e.canvas,
            smooth(
                [(x + k * size * 0.9, y - size * 0.66), (x + k * size * 0.7, y - size * 0.35), (x + k * size, y)],
                closed=False,
            ),
            scale(wood, 0.72),
            size * 0.07,
            size * 0.05,
        )
    top = ellipse(x, y - size * 0.68, size * 0.72, size * 0.17)
    if glassy:
        glaze(e.canvas, top, wood, 0.75)
        line(e.canvas, np.vstack([top, top[:1]]), (250, 255, 252), e.u * 0.3)
        glaze(
            e.canvas, ellipse(x - size * 0.2, y - size * 0.7, size * 0.3, size * 0.05), (255, 255, 255), 0.5, e.u * 0.4
        )
    else:
        fill(e.canvas, moved(top, 0, size * 0.05), scale(wood, 0.6))
        wash(e.canvas, top, scale(wood, 1.2), wood, 0.1)


def set_out_things(e: Easel, room: Box) -> None:
    """Lay the named things on the table, if there is one, or on the floor."""
    named_things = [one for one in e.scene.things if one not in ("coffin", "table", "candle", "lamp", "mirror", "hat")][
        :3
    ]
    table = "table" in e.scene.furnishings
    x, y = room.at(0.0, 0, 0.3)
    size = room.size(0.3) * 0.42
    for number, name in enumerate(named_things):
        at = x + (number - (len(named_things) - 1) / 2) * size * 0.42
        foot = y - size * 0.66 if table else y + size * 0.3
        things.paint_thing(e, name, at, foot, size * (0.42 if table else 0.55))


def _chair(e: Easel, room: Box, _sort: str) -> None:
    """Stand an armchair at the left."""
    x, y = room.at(-0.56, 0, 0.3)
    size = room.size(0.3) * 0.42
    cloth = e.palette.lit(e.palette.accent(3))
    shadow(e.canvas, x, y, size * 0.5, size * 0.08, 0.4)
    back = smooth(
        [
            (x - size * 0.4, y - size * 0.2),
            (x - size * 0.42, y - size * 0.9),
            (x, y - size * 1.05),
            (x + size * 0.4, y - size * 0.9),
            (x + size * 0.38, y - size * 0.2),
        ]
    )
    wash(e.canvas, back, scale(cloth, 1.1), scale(cloth, 0.7), 0.1, side=0.15)
    wash(
        e.canvas,
        rectangle(x - size * 0.36, y - size * 0.46, x + size * 0.36, y - size * 0.1),
        scale(cloth, 1.2),
        scale(cloth, 0.75),
        0.1,
    )
    for k in (-0.44, 0.44):
        arm = smooth(
            [
                (x + (k - 0.1) * size, y - size * 0.05),
                (x + (k - 0.1) * size, y - size * 0.58),
                (x + (k + 0.1) * size, y - size * 0.58),
                (x + (k + 0.1) * size, y - size * 0.05),
            ]
        )
        wash(e.canvas, arm, scale(cloth, 1.05), scale(cloth, 0.62), 0.1)


def _lamps(e: Easel, room: Box, sort: str) -> None:
    """Hang lamps from the ceiling: a row of them in a corridor."""
    depths = (0.03, 0.1, 0.22, 0.42, 0.72) if sort == "corridor" else (0.3,)
    for near in depths:
        x, top = room.at(0, 1, near)
        size = room.size(near)
        y = top + size * 0.17
        line(e.canvas, points([(x, top), (x, y)]), e.palette.ink, max(1.0, size * 0.006))
        glow(e.canvas, x, y + size * 0.03, size * 0.42, (255, 190, 100), 0.6)
        fill(
            e.canvas,
            points(
                [
                    (x - size * 0.045, y + size * 0.03),
                    (x + size * 0.045, y + size * 0.03),
                    (x + size * 0.02, y),
                    (x - size * 0.02, y),
                ]
            ),
            e.palette.of("brass"),
        )
        fill(e.canvas, ellipse(x, y + size * 0.045, size * 0.026, size * 0.028), (255, 236, 180))


def _candles(e: Easel, room: Box, sort: str) -> None:
    rng = e.rng("candles")
    count = 11 if sort == "nave" else 4
    for near, side in zip(np.sort(rng.uniform(0.03, 0.5, count)), rng.uniform(-0.85, 0.85, count), strict=True):
        # The middle of a nave is kept free.
        aside = 0.5 * float(np.sign(side)) if abs(side) < 0.3 and sort == "nave" else float(side)
        x, y = room.at(aside, 0, float(near))
        tall = room.size(float(near)) * rng.uniform(0.14, 0.26)
        stand = e.palette.of("brass")
        brush(e.canvas, points([(x, y), (x, y - tall)]), scale(stand, 0.7), tall * 0.14, tall * 0.07)
        candle(e, x, y - tall, tall * 0.55)


def _torches(e: Easel, room: Box, _sort: str) -> None:
    for side in (-0.97, 0.97):
        x, y = room.at(side, 0.52, 0.2)
        size = room.size(0.2) * 0.09
        brush(e.canvas, points([(x, y + size * 1.2), (x, y)]), e.palette.of("dark_wood"), size * 0.2, size * 0.3)
        paint_fire(e, x, y, size)
