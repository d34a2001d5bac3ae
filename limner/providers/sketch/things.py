"""Things that a hand can hold or a table carries, and the still life they are shown in.

Each thing stands at (x, y), the middle of its foot, `size` pixels tall. Knows nothing of rooms or landscapes.
"""

from collections.abc import Callable

import numpy as np

from limner.providers.sketch.canvas import (
    Colour,
    Points,
    blob,
    brush,
    ellipse,
    fill,
    fills,
    glaze,
    glow,
    gradient,
    grown,
    line,
    mirrored,
    mix,
    moved,
    points,
    rectangle,
    scale,
    shadow,
    smooth,
    turned,
    wash,
)
from limner.providers.sketch.easel import Easel
from limner.providers.sketch.palette import named
from limner.providers.sketch.plants import paint_flower
from limner.providers.sketch.weather import paint_fireflies

Side = list[tuple[float, float]]


def colour_of(e: Easel, usual: Colour, is_main: bool = True) -> Colour:
    """Return a thing's colour: the one the words give it, else the usual one."""
    if is_main and "thing" in e.scene.colours:
        usual = named(e.scene.colours["thing"])
    return e.palette.lit(usual)


def turned_shape(x: float, y: float, size: float, side: Side) -> Points:
    """Return the outline of a turned body: `side` is (radius, height up) from its foot to its top, in sizes."""
    half = smooth([(x + r * size, y - up * size) for r, up in side][::-1], closed=False)
    return mirrored(half, x)


def paint_turned(e: Easel, shape: Points, colour: Colour, shine: float = 0.5) -> None:
    """Paint a round body: lit on the left, dark on the right, a long highlight, a light rim."""
    wash(e.canvas, shape, scale(colour, 1.08), scale(colour, 0.72), 0.06, side=0.34)
    x0, y0 = shape.min(axis=0)
    x1, y1 = shape.max(axis=0)
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2], np.float32)
    wide = float(x1 - x0)
    light = (
        (shape - middle) * np.array([0.12, 0.72], np.float32) + middle - np.array([wide * 0.24, 0], np.float32)
    ).astype(np.float32)
    glaze(e.canvas, light, mix(colour, (255, 255, 250), 0.85), 0.62 * shine, wide * 0.022)
    rim = (
        (shape - middle) * np.array([0.05, 0.6], np.float32) + middle + np.array([wide * 0.36, 0], np.float32)
    ).astype(np.float32)
    glaze(e.canvas, rim, mix(colour, e.palette.light, 0.7), 0.35 * shine, wide * 0.015)


def paint_bottle(e: Easel, x: float, y: float, size: float) -> None:
    """A glass bottle, half full, with a cork and a blank tag."""
    glass = colour_of(e, (96, 156, 140))
    side: Side = [
        (0.0, 0.0),
        (0.2, 0.0),
        (0.23, 0.06),
        (0.23, 0.45),
        (0.19, 0.58),
        (0.08, 0.68),
        (0.07, 0.86),
        (0.1, 0.88),
        (0.1, 0.92),
        (0.0, 0.92),
    ]
    shape = turned_shape(x, y, size, side)
    fill(
        e.canvas,
        turned_shape(x, y - size * 0.9, size, [(0.0, 0.0), (0.062, 0.0), (0.072, 0.1), (0.0, 0.1)]),
        e.palette.lit((186, 140, 92)),
    )
    paint_turned(e, shape, glass, 1.0)
    drink = e.palette.lit(e.palette.accent(1))
    body = turned_shape(x, y - size * 0.02, size, [(0.0, 0.0), (0.18, 0.0), (0.205, 0.05), (0.205, 0.34), (0.0, 0.34)])
    glaze(e.canvas, body, drink, 0.62)
    glaze(e.canvas, ellipse(x, y - size * 0.36, size * 0.205, size * 0.03), mix(drink, (255, 255, 255), 0.5), 0.7)
    tag = turned(
        rectangle(x + size * 0.06, y - size * 0.62, x + size * 0.36, y - size * 0.4),
        x + size * 0.08,
        y - size * 0.68,
        18,
    )
    line(e.canvas, points([(x + size * 0.06, y - size * 0.72), tag[0]]), e.palette.ink, e.u * 0.2)
    wash(e.canvas, tag, e.palette.of("cream"), scale(e.palette.of("cream"), 0.85), 0.05)
    for k in (0.35, 0.6):
        a, b = tag[0] * (1 - k) + tag[3] * k, tag[1] * (1 - k) + tag[2] * k
        line(e.canvas, points([a * 0.85 + b * 0.15, a * 0.2 + b * 0.8]), scale(e.palette.of("cream"), 0.62), e.u * 0.2)
    glaze(
        e.canvas,
        ellipse(x - size * 0.12, y - size * 0.3, size * 0.025, size * 0.16),
        (255, 255, 255),
        0.7,
        size * 0.008,
    )


def paint_key(e: Easel, x: float, y: float, size: float) -> None:
    """A key lying across, its bow to the upper left."""
    gold = colour_of(e, (224, 177, 62))
    cx, cy = x, y - size * 0.4

    def place(shape: Points) -> Points:
        return turned(shape, cx, cy, 28)

    wide = size * 0.075
    for offset, tone in ((size * 0.025, scale(gold, 0.5)), (0.0, gold)):
        shift = np.array([offset, offset], np.float32)
        for k in range(3):
            a = np.radians(90 + 120 * k)
            bow = ellipse(
                cx - size * 0.42 + np.cos(a) * size * 0.1, cy - np.sin(a) * size * 0.1, size * 0.1, size * 0.1
            )
            brush(e.canvas, place(bow) + shift, tone, wide * 0.62, wide * 0.62)
        brush(
            e.canvas, place(points([(cx - size * 0.28, cy), (cx + size * 0.52, cy)])) + shift, tone, wide, wide * 0.85
        )
        for along, long in ((0.34, 0.17), (0.42, 0.12), (0.5, 0.19)):
            fill(
                e.canvas,
                place(rectangle(cx + size * (along - 0.028), cy, cx + size * (along + 0.028), cy + size * long))
                + shift,
                tone,
            )
        for collar in (-0.25, -0.2):
            fill(
                e.canvas,
                place(
                    rectangle(
                        cx + size * (collar - 0.013), cy - wide * 0.85, cx + size * (collar + 0.013), cy + wide * 0.85
                    )
                )
                + shift,
                scale(tone, 1.12),
            )
    brush(
        e.canvas,
        place(points([(cx - size * 0.24, cy - wide * 0.22), (cx + size * 0.5, cy - wide * 0.22)])),
        mix(gold, (255, 252, 225), 0.7),
        wide * 0.22,
        wide * 0.12,
    )
    glow(e.canvas, cx, cy, size * 0.85, (255, 214, 120), 0.34)


def paint_book(e: Easel, x: float, y: float, size: float) -> None:
    """A thick closed book lying flat, seen from a corner, with clasps; its cover is plain but for an ornament."""
    cloth = colour_of(e, e.palette.accent(0))
    page = e.palette.of("cream")
    w, d, t = size * 0.62, size * 0.34, size * 0.2
    top = points(
        [
            (x - w, y - t - d * 0.45),
            (x + w * 0.35, y - t - d),
            (x + w, y - t - d * 0.35),
            (x - w * 0.3, y - t + d * 0.2),
        ]
    )
    down = np.array([0, t], np.float32)
    front = np.vstack([top[[0, 3]], (top[[3, 0]] + down)])
    right = np.vstack([top[[3, 2]], (top[[2, 3]] + down)])
    wash(e.canvas, front, scale(cloth, 0.75), scale(cloth, 0.5), 0.08)
    wash(e.canvas, right, page, scale(page, 0.7), 0.05)
    for k in np.linspace(0.15, 0.85, 7):
        line(e.canvas, np.vstack([right[0] + down * k, right[1] + down * k]), scale(page, 0.72), max(1.0, size * 0.006))
    fill(
        e.canvas,
        np.vstack(
            [
                top + down * 0.92,
            ]
        )[[0, 3, 2]],
        scale(cloth, 0.4),
    )
    wash(e.canvas, right, page, scale(page, 0.68), 0.08)
    wash(e.canvas, top, scale(cloth, 1.15), scale(cloth, 0.9), 0.1, side=0.15)
    middle = top.mean(axis=0)
    gold = e.palette.of("gold")
    for k in (0.84, 0.78):
        edge = ((top - middle) * k + middle).astype(np.float32)
        line(e.canvas, np.vstack([edge, edge[:1]]), gold, max(1.0, size * 0.01))
    fill(e.canvas, grown(top, middle, 0.2), gold)
    for k in (0.3, 0.7):
        at = right[0] * (1 - k) + right[1] * k
        brush(e.canvas, points([at - [0, size * 0.02], at + down + [0, 0]]), gold, size * 0.04, size * 0.04)


def paint_watch(e: Easel, x: float, y: float, size: float) -> None:
    """A pocket watch on its chain; strokes stand for the hours."""
    gold = colour_of(e, (216, 168, 66))
    cx, cy, r = x, y - size * 0.42, size * 0.36
    chain = smooth(
        [
            (cx, cy - r * 1.2),
            (cx + r * 0.8, cy - r * 1.6),
            (cx + r * 1.7, cy - r * 0.5),
            (cx + r * 1.5, cy + r * 0.8),
            (cx + r * 2.2, cy + r * 1.05),
        ],
        closed=False,
    )
    for number, (px, py) in enumerate(chain[::2]):
        brush(e.canvas, ellipse(px, py, r * 0.085, r * (0.06 if number % 2 else 0.035)), gold, r * 0.045, r * 0.045)
    fill(e.canvas, rectangle(cx - r * 0.1, cy - r * 1.2, cx + r * 0.1, cy - r * 0.95), scale(gold, 0.8))
    brush(e.canvas, ellipse(cx, cy - r * 1.28, r * 0.16, r * 0.16), gold, r * 0.06, r * 0.06)
    wash(e.canvas, ellipse(cx, cy, r, r), scale(gold, 1.15), scale(gold, 0.6), 0.05, side=0.25)
    wash(e.canvas, ellipse(cx, cy, r * 0.82, r * 0.82), (250, 243, 226), (228, 216, 194), 0.04)
    for k in range(12):
        a = np.radians(k * 30)
        inner, outer = (0.62 if k % 3 == 0 else 0.67), 0.75
        mark = [(cx + np.sin(a) * r * q, cy - np.cos(a) * r * q) for q in (inner, outer)]
        brush(e.canvas, points(mark), (52, 42, 44), r * 0.05, r * 0.04)
    rng = e.rng("hands")
    turn = rng.uniform(0, 360)
    for angle, long, wide in ((turn, 0.6, 0.045), (turn / 12 + 30 * float(rng.integers(12)), 0.42, 0.065)):
        a = np.radians(angle)
        brush(
            e.canvas,
            points(
                [
                    (cx - np.sin(a) * r * 0.1, cy + np.cos(a) * r * 0.1),
                    (cx + np.sin(a) * r * long, cy - np.cos(a) * r * long),
                ]
            ),
            (40, 34, 44),
            r * wide * 1.4,
            r * wide * 0.5,
        )
    fill(e.canvas, ellipse(cx, cy, r * 0.055, r * 0.055), (40, 34, 44))
    glaze(e.canvas, ellipse(cx - r * 0.28, cy - r * 0.34, r * 0.34, r * 0.2), (255, 255, 255), 0.4, r * 0.06)


def paint_candle(e: Easel, x: float, y: float, size: float) -> None:
    brass = colour_of(e, (201, 154, 59))
    dish = turned_shape(
        x, y, size, [(0.0, 0.0), (0.24, 0.0), (0.28, 0.05), (0.1, 0.09), (0.07, 0.22), (0.1, 0.27), (0.0, 0.27)]
    )
    paint_turned(e, dish, brass)
    wax = (246, 234, 206)
    wash(
        e.canvas,
        rectangle(x - size * 0.06, y - size * 0.78, x + size * 0.06, y - size * 0.25),
        wax,
        scale(wax, 0.75),
        0.04,
        side=0.15,
    )
    for k, long in ((-0.055, 0.2), (0.03, 0.12), (0.058, 0.28)):
        brush(
            e.canvas,
            points([(x + k * size, y - size * 0.78), (x + k * size, y - size * (0.78 - long))]),
            scale(wax, 1.03),
            size * 0.035,
            size * 0.02,
        )
    glow(e.canvas, x, y - size * 0.88, size * 1.9, (255, 170, 80), 0.55)
    brush(e.canvas, points([(x, y - size * 0.78), (x, y - size * 0.83)]), (40, 30, 30), size * 0.014, size * 0.014)
    for grow, tone in ((1.0, (255, 150, 60)), (0.72, (255, 206, 100)), (0.4, (255, 246, 210))):
        flame = smooth(
            [
                (x, y - size * 0.79),
                (x - size * 0.052 * grow, y - size * 0.85),
                (x + size * 0.004, y - size * (0.82 + 0.2 * grow)),
                (x + size * 0.05 * grow, y - size * 0.85),
            ]
        )
        fill(e.canvas, flame, tone)
    glow(e.canvas, x, y - size * 0.87, size * 0.4, (255, 232, 170), 0.8)


def paint_lamp(e: Easel, x: float, y: float, size: float) -> None:
    """An oil lamp with a glass chimney."""
    brass = colour_of(e, (201, 154, 59))
    base = turned_shape(
        x,
        y,
        size,
        [
            (0.0, 0.0),
            (0.22, 0.0),
            (0.2, 0.05),
            (0.07, 0.12),
            (0.08, 0.2),
            (0.22, 0.27),
            (0.22, 0.36),
            (0.09, 0.43),
            (0.0, 0.43),
        ],
    )
    paint_turned(e, base, brass)
    glow(e.canvas, x, y - size * 0.58, size * 1.5, (255, 180, 84), 0.65)
    glass = turned_shape(
        x,
        y - size * 0.42,
        size,
        [(0.0, 0.0), (0.08, 0.0), (0.15, 0.12), (0.14, 0.22), (0.07, 0.38), (0.07, 0.54), (0.0, 0.54)],
    )
    glaze(e.canvas, glass, (255, 240, 200), 0.42)
    flame = smooth(
        [
            (x, y - size * 0.45),
            (x - size * 0.05, y - size * 0.53),
            (x, y - size * 0.68),
            (x + size * 0.05, y - size * 0.53),
        ]
    )
    fill(e.canvas, flame, (255, 226, 140))
    line(e.canvas, np.vstack([glass, glass[:1]]), mix(e.palette.light, (255, 255, 255), 0.4), e.u * 0.2)


def paint_cake(e: Easel, x: float, y: float, size: float) -> None:
    """A small iced cake on a stand, with currants set in a ring."""
    stand = e.palette.lit((230, 230, 226))
    paint_turned(
        e,
        turned_shape(
            x, y, size, [(0.0, 0.0), (0.2, 0.0), (0.06, 0.06), (0.06, 0.18), (0.42, 0.22), (0.44, 0.26), (0.0, 0.26)]
        ),
        stand,
    )
    sponge = colour_of(e, (222, 168, 104))
    shape = np.vstack(
        [
            ellipse(x, y - size * 0.62, size * 0.34, size * 0.09, 180, 360),
            ellipse(x, y - size * 0.28, size * 0.34, size * 0.09, 0, 180),
        ]
    )
    wash(e.canvas, shape, scale(sponge, 1.08), scale(sponge, 0.75), 0.12, side=0.25)
    cream = e.palette.lit((252, 240, 230))
    jam = e.palette.lit(e.palette.accent(0))
    band = np.vstack(
        [
            ellipse(x, y - size * 0.47, size * 0.345, size * 0.09, 180, 0),
            ellipse(x, y - size * 0.42, size * 0.345, size * 0.09, 0, 180),
        ]
    )
    fill(e.canvas, points(band), jam)
    icing = [(x - size * 0.36, y - size * 0.63)]
    for k, drop in zip(
        np.linspace(-0.9, 0.9, 13),
        (0.1, 0.02, 0.13, 0.05, 0.15, 0.04, 0.11, 0.03, 0.14, 0.05, 0.1, 0.03, 0.09),
        strict=True,
    ):
        icing.append((x + k * size * 0.36, y - size * (0.63 - 0.09 * float(np.sqrt(1 - k * k)) - drop)))
    icing.append((x + size * 0.36, y - size * 0.63))
    fill(e.canvas, smooth(icing, closed=False), scale(cream, 0.94))
    fill(e.canvas, ellipse(x, y - size * 0.63, size * 0.36, size * 0.1), cream)
    for a in np.radians(np.arange(0, 360, 30)):
        r = size * 0.022
        fill(
            e.canvas,
            ellipse(x + np.cos(a) * size * 0.26, y - size * 0.635 + np.sin(a) * size * 0.065, r, r * 0.85),
            (82, 34, 50),
        )
    fill(e.canvas, ellipse(x, y - size * 0.7, size * 0.06, size * 0.06), jam)
    fill(e.canvas, ellipse(x - size * 0.02, y - size * 0.72, size * 0.016, size * 0.014), (255, 235, 230))


def paint_sword(e: Easel, x: float, y: float, size: float) -> None:
    """A sword lying slantwise."""
    steel = e.palette.of("steel")
    gold = colour_of(e, (214, 166, 66))
    cx, cy = x, y - size * 0.42

    def place(shape: Points) -> Points:
        return turned(shape, cx, cy, -32)

    blade = points(
        [
            (cx - size * 0.35, cy - size * 0.045),
            (cx + size * 0.72, cy - size * 0.022),
            (cx + size * 0.82, cy),
            (cx + size * 0.72, cy + size * 0.022),
            (cx - size * 0.35, cy + size * 0.045),
        ]
    )
    wash(e.canvas, place(blade), scale(steel, 1.2), scale(steel, 0.85), 0.04)
    fill(
        e.canvas,
        place(
            points(
                [
                    (cx - size * 0.35, cy),
                    (cx + size * 0.82, cy),
                    (cx + size * 0.72, cy + size * 0.022),
                    (cx - size * 0.35, cy + size * 0.045),
                ]
            )
        ),
        scale(steel, 0.6),
    )
    guard = smooth(
        [(cx - size * 0.35, cy - size * 0.2), (cx - size * 0.31, cy), (cx - size * 0.35, cy + size * 0.2)], closed=False
    )
    brush(e.canvas, place(guard), gold, size * 0.06, size * 0.06)
    brush(
        e.canvas,
        place(points([(cx - size * 0.36, cy), (cx - size * 0.6, cy)])),
        e.palette.lit((92, 50, 40)),
        size * 0.07,
        size * 0.06,
    )
    fill(e.canvas, place(ellipse(cx - size * 0.64, cy, size * 0.055, size * 0.055)), gold)
    fill(e.canvas, place(ellipse(cx - size * 0.64, cy, size * 0.025, size * 0.025)), e.palette.accent(0))


def paint_ring(e: Easel, x: float, y: float, size: float) -> None:
    gold = colour_of(e, (224, 177, 62))
    cy, r = y - size * 0.32, size * 0.3
    brush(e.canvas, ellipse(x, cy, r, r * 0.95), scale(gold, 0.6), size * 0.1, size * 0.1)
    brush(e.canvas, ellipse(x - r * 0.04, cy - r * 0.03, r, r * 0.95), gold, size * 0.06, size * 0.06)
    _facets(e, x, cy - r * 1.25, size * 0.17, e.palette.accent(0))


def _facets(e: Easel, x: float, y: float, size: float, colour: Colour) -> None:
    """Paint a cut stone about (x, y)."""
    ring = [(np.cos(a), np.sin(a) * 0.85) for a in np.radians(np.arange(-150, 210, 60))]
    for k in range(6):
        a, b = ring[k], ring[(k + 1) % 6]
        tone = scale(colour, (1.35, 1.15, 0.8, 0.55, 0.7, 1.05)[k])
        fill(e.canvas, points([(x, y), (x + a[0] * size, y + a[1] * size), (x + b[0] * size, y + b[1] * size)]), tone)
    inner = points([(x + a * size * 0.5, y + b * size * 0.5) for a, b in ring])
    fill(e.canvas, inner, mix(colour, (255, 255, 255), 0.35))
    glow(e.canvas, x - size * 0.2, y - size * 0.25, size * 1.7, mix(colour, (255, 255, 255), 0.5), 0.6)


def paint_gem(e: Easel, x: float, y: float, size: float) -> None:
    _facets(e, x, y - size * 0.4, size * 0.42, colour_of(e, e.palette.accent(1)))


def paint_letter(e: Easel, x: float, y: float, size: float) -> None:
    """An envelope with a wax seal on an unrolled sheet of unreadable strokes."""
    page = e.palette.of("cream")
    sheet = turned(rectangle(x - size * 0.5, y - size * 0.85, x + size * 0.3, y - size * 0.1), x, y - size * 0.4, -9)
    wash(e.canvas, sheet, scale(page, 1.05), scale(page, 0.85), 0.06)
    rng = e.rng("letter")
    for k in np.linspace(0.14, 0.85, 9):
        a, b = sheet[0] * (1 - k) + sheet[3] * k, sheet[1] * (1 - k) + sheet[2] * k
        end = rng.uniform(0.7, 0.92)
        t = np.linspace(0.1, end, 24)[:, None]
        wave = np.stack([np.zeros(24), rng.uniform(-1, 1, 24) * size * 0.008], axis=1)
        line(e.canvas, points(a + (b - a) * t + wave), mix(page, (70, 50, 60), 0.65), max(1.0, size * 0.008))
    front = turned(rectangle(x - size * 0.3, y - size * 0.46, x + size * 0.56, y), x, y, 7)
    wash(e.canvas, front, scale(page, 0.96), scale(page, 0.78), 0.06)
    middle = front.mean(axis=0)
    line(e.canvas, np.vstack([front[0], middle, front[1]]), scale(page, 0.6), e.u * 0.25)
    seal = colour_of(e, e.palette.accent(0))
    fill(e.canvas, blob(float(middle[0]), float(middle[1]), size * 0.1, size * 0.095, rng), scale(seal, 0.85))
    fill(e.canvas, ellipse(float(middle[0]), float(middle[1]), size * 0.06, size * 0.057), scale(seal, 1.1))


def paint_cup(e: Easel, x: float, y: float, size: float) -> None:
    gold = colour_of(e, (214, 176, 96))
    side: Side = [
        (0.0, 0.0),
        (0.22, 0.0),
        (0.2, 0.04),
        (0.05, 0.1),
        (0.045, 0.34),
        (0.1, 0.42),
        (0.27, 0.56),
        (0.3, 0.85),
        (0.0, 0.85),
    ]
    paint_turned(e, turned_shape(x, y, size, side), gold)
    fill(e.canvas, ellipse(x, y - size * 0.85, size * 0.3, size * 0.07), scale(gold, 0.55))
    fill(
        e.canvas, ellipse(x, y - size * 0.835, size * 0.26, size * 0.05), scale(e.palette.lit(e.palette.accent(0)), 0.7)
    )
    line(e.canvas, ellipse(x, y - size * 0.85, size * 0.3, size * 0.07), scale(gold, 1.25), e.u * 0.3)
    for k in (-0.12, 0.0, 0.12):
        _facets(e, x + k * size, y - size * 0.66, size * 0.04, e.palette.accent(1))


def paint_chest(e: Easel, x: float, y: float, size: float) -> None:
    """A bound chest, a little light at its lid."""
    wood = colour_of(e, (134, 92, 54))
    half, body = size * 0.6, size * 0.45
    wash(e.canvas, rectangle(x - half, y - body, x + half, y), scale(wood, 1.05), scale(wood, 0.65), 0.12, side=0.2)
    lid = np.vstack([ellipse(x, y - body, half, size * 0.34, 180, 360)])
    wash(e.canvas, lid, scale(wood, 1.2), scale(wood, 0.8), 0.12, side=0.2)
    for k in (0.15, 0.3):
        line(
            e.canvas,
            points([(x - half, y - body + k * size), (x + half, y - body + k * size)]),
            scale(wood, 0.5),
            e.u * 0.25,
        )
    gold = e.palette.of("brass")
    for k in (-0.78, 0.0, 0.78):
        band = points(
            [
                (x + (k - 0.08) * half, y - body - size * 0.34 * float(np.sqrt(1 - k * k))),
                (x + (k + 0.08) * half, y - body - size * 0.34 * float(np.sqrt(1 - min(1.0, (abs(k) + 0.05) ** 2)))),
                (x + (k + 0.08) * half, y),
                (x + (k - 0.08) * half, y),
            ]
        )
        wash(e.canvas, band, scale(gold, 1.1), scale(gold, 0.6), 0.05)
    fill(
        e.canvas,
        rectangle(x - half * 1.02, y - body - size * 0.025, x + half * 1.02, y - body + size * 0.025),
        scale(gold, 0.8),
    )
    fill(
        e.canvas,
        rectangle(x - size * 0.08, y - body - size * 0.04, x + size * 0.08, y - body + size * 0.15),
        scale(gold, 1.15),
    )
    fill(e.canvas, ellipse(x, y - body + size * 0.05, size * 0.022, size * 0.03), e.palette.ink)


def paint_crown(e: Easel, x: float, y: float, size: float) -> None:
    gold = colour_of(e, (224, 177, 62))
    rim = [(x - size * 0.42, y - size * 0.12), (x - size * 0.5, y - size * 0.6)]
    for k in (-0.25, 0.0, 0.25):
        rim += [(x + (k - 0.12) * size, y - size * 0.38), (x + k * size, y - size * (0.78 - abs(k) * 0.3))]
    rim += [(x + 0.37 * size, y - size * 0.38), (x + size * 0.5, y - size * 0.6), (x + size * 0.42, y - size * 0.12)]
    shape = np.vstack([points(rim), ellipse(x, y - size * 0.12, size * 0.42, size * 0.11, 0, 180)])
    wash(e.canvas, shape, scale(gold, 1.2), scale(gold, 0.7), 0.06, side=0.28)
    for k, top in ((-0.5, 0.6), (-0.25, 0.7), (0.0, 0.78), (0.25, 0.7), (0.5, 0.6)):
        fill(e.canvas, ellipse(x + k * size, y - top * size, size * 0.04, size * 0.04), scale(gold, 1.3))
    for number, k in enumerate((-0.28, 0.0, 0.28)):
        _facets(e, x + k * size, y - size * (0.1 if k else 0.06), size * 0.055, e.palette.accent(number))


def paint_apple(e: Easel, x: float, y: float, size: float) -> None:
    skin = colour_of(e, (192, 52, 44))
    shape = smooth(
        [
            (x, y - size * 0.62),
            (x + size * 0.28, y - size * 0.72),
            (x + size * 0.4, y - size * 0.4),
            (x + size * 0.2, y),
            (x, y - size * 0.03),
            (x - size * 0.2, y),
            (x - size * 0.4, y - size * 0.4),
            (x - size * 0.28, y - size * 0.72),
        ]
    )
    paint_turned(e, shape, skin)
    brush(
        e.canvas,
        smooth(
            [(x, y - size * 0.6), (x + size * 0.03, y - size * 0.75), (x + size * 0.1, y - size * 0.85)], closed=False
        ),
        e.palette.lit((84, 56, 36)),
        size * 0.03,
        size * 0.05,
    )
    leaf = smooth(
        [
            (x + size * 0.05, y - size * 0.75),
            (x + size * 0.22, y - size * 0.92),
            (x + size * 0.42, y - size * 0.85),
            (x + size * 0.2, y - size * 0.72),
        ]
    )
    fill(e.canvas, leaf, e.palette.lit(e.palette.leaves[0]))


def paint_vase(e: Easel, x: float, y: float, size: float) -> None:
    """A jug with flowers."""
    rng = e.rng("vase", round(x))
    clay = colour_of(e, e.palette.accent(2))
    leaf = e.palette.lit(e.palette.leaves[0])
    for k in np.linspace(-0.4, 0.4, 9):
        tip = (x + k * size * 1.1, y - size * rng.uniform(0.75, 1.1))
        brush(
            e.canvas,
            smooth([(x, y - size * 0.5), (x + k * size * 0.4, y - size * 0.7), tip], closed=False),
            scale(leaf, float(rng.uniform(0.6, 1.0))),
            size * 0.05,
            size * 0.015,
        )
    paint_turned(
        e,
        turned_shape(
            x, y, size, [(0.0, 0.0), (0.15, 0.0), (0.26, 0.16), (0.25, 0.32), (0.12, 0.46), (0.14, 0.54), (0.0, 0.54)]
        ),
        clay,
    )
    for k in np.linspace(-0.42, 0.42, 8):
        tone = e.palette.lit(mix(e.palette.accent(int(rng.integers(5))), (255, 245, 238), 0.2))
        paint_flower(
            e, x + k * size, y - size * (0.72 + 0.34 * rng.random()), size * rng.uniform(0.16, 0.24), tone, rng
        )


def paint_skull(e: Easel, x: float, y: float, size: float) -> None:
    bone = e.palette.lit((226, 214, 188))
    shape = smooth(
        [
            (x - size * 0.2, y - size * 0.04),
            (x - size * 0.24, y - size * 0.24),
            (x - size * 0.4, y - size * 0.4),
            (x - size * 0.36, y - size * 0.74),
            (x, y - size * 0.88),
            (x + size * 0.36, y - size * 0.74),
            (x + size * 0.4, y - size * 0.4),
            (x + size * 0.24, y - size * 0.24),
            (x + size * 0.2, y - size * 0.04),
            (x, y),
        ]
    )
    paint_turned(e, shape, bone, 0.5)
    for k in (-0.17, 0.17):
        fill(e.canvas, ellipse(x + k * size, y - size * 0.44, size * 0.105, size * 0.11), (44, 34, 38))
    fill(
        e.canvas,
        points([(x, y - size * 0.36), (x + size * 0.05, y - size * 0.25), (x - size * 0.05, y - size * 0.25)]),
        (52, 40, 42),
    )
    for k in np.linspace(-0.14, 0.14, 6):
        line(
            e.canvas,
            points([(x + k * size, y - size * 0.15), (x + k * size, y - size * 0.03)]),
            (92, 76, 70),
            max(1.0, size * 0.014),
        )


def paint_mushroom(e: Easel, x: float, y: float, size: float) -> None:
    stem = e.palette.of("cream")
    paint_turned(e, turned_shape(x, y, size, [(0.0, 0.0), (0.16, 0.0), (0.1, 0.2), (0.1, 0.5), (0.0, 0.5)]), stem, 0.3)
    cap = colour_of(e, (190, 54, 44))
    shape = np.vstack(
        [
            ellipse(x, y - size * 0.46, size * 0.48, size * 0.42, 180, 360),
            ellipse(x, y - size * 0.46, size * 0.48, size * 0.1, 0, 180),
        ]
    )
    paint_turned(e, points(shape), cap, 0.5)
    for k, up, r in (
        (-0.26, 0.58, 0.05),
        (0.0, 0.72, 0.065),
        (0.25, 0.6, 0.05),
        (-0.1, 0.5, 0.035),
        (0.13, 0.49, 0.04),
    ):
        fill(e.canvas, ellipse(x + k * size, y - up * size, r * size, r * size * 0.8), e.palette.lit((250, 242, 230)))


def paint_hat(e: Easel, x: float, y: float, size: float) -> None:
    felt = colour_of(e, (48, 42, 50))
    fill(e.canvas, ellipse(x, y - size * 0.08, size * 0.6, size * 0.12), scale(felt, 0.8))
    shape = np.vstack(
        [
            ellipse(x, y - size * 0.72, size * 0.38, size * 0.08, 180, 360),
            ellipse(x, y - size * 0.12, size * 0.33, size * 0.08, 0, 180),
        ]
    )
    paint_turned(e, points(shape), felt, 0.5)
    band = np.vstack(
        [
            ellipse(x, y - size * 0.3, size * 0.345, size * 0.08, 180, 0),
            ellipse(x, y - size * 0.16, size * 0.335, size * 0.08, 0, 180),
        ]
    )
    fill(e.canvas, points(band), e.palette.lit(e.palette.accent(0)))


def paint_mirror(e: Easel, x: float, y: float, size: float) -> None:
    gold = colour_of(e, (206, 162, 72))
    cy = y - size * 0.55
    wash(e.canvas, ellipse(x, cy, size * 0.38, size * 0.5), scale(gold, 1.1), scale(gold, 0.6), 0.08, side=0.25)
    wash(e.canvas, ellipse(x, cy, size * 0.31, size * 0.42), e.palette.horizon, e.palette.zenith, 0.05)
    glaze(
        e.canvas,
        points(
            [
                (x - size * 0.2, cy + size * 0.2),
                (x + size * 0.1, cy - size * 0.34),
                (x + size * 0.18, cy - size * 0.26),
                (x - size * 0.12, cy + size * 0.28),
            ]
        ),
        (255, 255, 255),
        0.4,
        size * 0.02,
    )


def paint_feather(e: Easel, x: float, y: float, size: float) -> None:
    """A quill in an inkwell."""
    paint_turned(
        e,
        turned_shape(x, y, size, [(0.0, 0.0), (0.2, 0.0), (0.22, 0.16), (0.1, 0.24), (0.1, 0.3), (0.0, 0.3)]),
        e.palette.lit((52, 60, 86)),
        0.9,
    )
    vane = colour_of(e, (238, 234, 224))
    shape = smooth(
        [
            (x, y - size * 0.3),
            (x + size * 0.12, y - size * 0.6),
            (x + size * 0.42, y - size * 1.05),
            (x + size * 0.48, y - size * 1.1),
            (x + size * 0.46, y - size * 0.85),
            (x + size * 0.22, y - size * 0.5),
        ]
    )
    wash(e.canvas, shape, scale(vane, 1.05), scale(vane, 0.75), 0.08)
    brush(
        e.canvas,
        smooth(
            [
                (x - size * 0.01, y - size * 0.26),
                (x + size * 0.14, y - size * 0.55),
                (x + size * 0.45, y - size * 1.05),
            ],
            closed=False,
        ),
        scale(vane, 0.6),
        size * 0.02,
        size * 0.008,
    )


def paint_bell(e: Easel, x: float, y: float, size: float) -> None:
    brass = colour_of(e, (201, 154, 59))
    fill(e.canvas, ellipse(x, y - size * 0.03, size * 0.07, size * 0.07), scale(brass, 0.6))
    paint_turned(
        e,
        turned_shape(
            x, y - size * 0.06, size, [(0.0, 0.0), (0.36, 0.0), (0.3, 0.1), (0.22, 0.45), (0.14, 0.6), (0.0, 0.62)]
        ),
        brass,
    )
    brush(e.canvas, ellipse(x, y - size * 0.74, size * 0.07, size * 0.08), scale(brass, 0.85), size * 0.04, size * 0.04)


def paint_gun(e: Easel, x: float, y: float, size: float) -> None:
    steel, wood = scale(e.palette.of("steel"), 0.55), e.palette.lit((110, 66, 42))
    cy = y - size * 0.35
    grip = smooth(
        [
            (x - size * 0.42, cy - size * 0.05),
            (x - size * 0.22, cy + size * 0.02),
            (x - size * 0.36, y),
            (x - size * 0.55, y - size * 0.02),
        ]
    )
    wash(e.canvas, grip, scale(wood, 1.15), scale(wood, 0.7), 0.1)
    wash(
        e.canvas,
        rectangle(x - size * 0.1, cy - size * 0.14, x + size * 0.62, cy - size * 0.04),
        scale(steel, 1.4),
        scale(steel, 0.8),
        0.04,
    )
    wash(
        e.canvas,
        rectangle(x - size * 0.42, cy - size * 0.15, x + size * 0.02, cy + size * 0.07),
        scale(steel, 1.2),
        scale(steel, 0.7),
        0.05,
    )
    brush(
        e.canvas, ellipse(x - size * 0.14, cy + size * 0.12, size * 0.1, size * 0.08), steel, size * 0.03, size * 0.03
    )


def paint_coffin(e: Easel, x: float, y: float, size: float) -> None:
    """A closed coffin with a plain cross."""
    wood = colour_of(e, (82, 54, 40))
    lid = points(
        [
            (x - size * 0.85, y - size * 0.3),
            (x - size * 0.45, y - size * 0.52),
            (x + size * 0.75, y - size * 0.5),
            (x + size * 0.95, y - size * 0.32),
            (x + size * 0.4, y - size * 0.14),
            (x - size * 0.6, y - size * 0.12),
        ]
    )
    side = np.vstack([lid[[0, 5, 4, 3]], lid[[3, 4, 5, 0]] + np.array([0, size * 0.22], np.float32)])
    wash(e.canvas, side, scale(wood, 0.75), scale(wood, 0.5), 0.12)
    wash(e.canvas, lid, scale(wood, 1.3), scale(wood, 1.0), 0.12, side=0.2)
    gold = e.palette.of("gold")
    brush(
        e.canvas,
        points([(x - size * 0.4, y - size * 0.33), (x + size * 0.5, y - size * 0.32)]),
        gold,
        size * 0.03,
        size * 0.03,
    )
    brush(
        e.canvas,
        points([(x - size * 0.2, y - size * 0.42), (x - size * 0.1, y - size * 0.22)]),
        gold,
        size * 0.03,
        size * 0.03,
    )


def paint_table(e: Easel, x: float, y: float, size: float) -> None:
    """A small three-legged table of glass."""
    glass = mix(e.palette.of("glass"), (255, 255, 255), 0.25)
    for k in (-0.42, 0.05, 0.45):
        brush(
            e.canvas,
            smooth(
                [(x + k * size * 0.8, y - size * 0.66), (x + k * size * 0.55, y - size * 0.35), (x + k * size, y)],
                closed=False,
            ),
            scale(glass, 0.8),
            size * 0.06,
            size * 0.04,
        )
    top = ellipse(x, y - size * 0.7, size * 0.62, size * 0.14)
    glaze(e.canvas, moved(top, 0, size * 0.04), scale(glass, 0.6), 0.8)
    glaze(e.canvas, top, glass, 0.85)
    line(e.canvas, np.vstack([top, top[:1]]), (255, 255, 252), e.u * 0.3)
    glaze(
        e.canvas, ellipse(x - size * 0.2, y - size * 0.72, size * 0.25, size * 0.04), (255, 255, 255), 0.6, size * 0.02
    )


def paint_car(e: Easel, x: float, y: float, size: float) -> None:
    """A car from its side, `size` pixels long."""
    body = colour_of(e, e.palette.accent(0))
    s = size / 2
    shadow(e.canvas, x, y, s * 1.08, s * 0.09, 0.55)
    low = smooth(
        [
            (x - s, y - s * 0.14),
            (x - s * 0.98, y - s * 0.36),
            (x - s * 0.6, y - s * 0.46),
            (x + s * 0.45, y - s * 0.46),
            (x + s * 0.92, y - s * 0.36),
            (x + s, y - s * 0.14),
        ],
        closed=False,
    )
    cabin = smooth(
        [
            (x - s * 0.66, y - s * 0.45),
            (x - s * 0.42, y - s * 0.74),
            (x + s * 0.12, y - s * 0.76),
            (x + s * 0.48, y - s * 0.45),
        ],
        closed=False,
    )
    fill(e.canvas, cabin, scale(body, 0.8))
    glass = mix(e.palette.middle, (30, 40, 56), 0.45)
    panes = smooth(
        [
            (x - s * 0.56, y - s * 0.46),
            (x - s * 0.38, y - s * 0.69),
            (x + s * 0.1, y - s * 0.71),
            (x + s * 0.38, y - s * 0.46),
        ],
        closed=False,
    )
    wash(e.canvas, panes, mix(glass, (255, 255, 255), 0.3), glass, 0.04)
    brush(
        e.canvas,
        points([(x - s * 0.1, y - s * 0.74), (x - s * 0.1, y - s * 0.45)]),
        scale(body, 0.8),
        s * 0.05,
        s * 0.05,
    )
    wash(
        e.canvas,
        np.vstack([low, points([(x + s * 0.96, y - s * 0.1), (x - s * 0.96, y - s * 0.1)])]),
        scale(body, 1.15),
        scale(body, 0.6),
        0.05,
    )
    brush(
        e.canvas,
        points([(x - s * 0.92, y - s * 0.36), (x + s * 0.86, y - s * 0.36)]),
        mix(body, (255, 255, 255), 0.5),
        s * 0.025,
        s * 0.012,
    )
    for k in (-0.58, 0.6):
        fill(e.canvas, ellipse(x + k * s, y - s * 0.13, s * 0.18, s * 0.18), (28, 26, 30))
        fill(e.canvas, ellipse(x + k * s, y - s * 0.13, s * 0.1, s * 0.1), e.palette.of("steel"))
        fill(e.canvas, ellipse(x + k * s, y - s * 0.13, s * 0.035, s * 0.035), (60, 60, 66))
    fill(e.canvas, ellipse(x + s * 0.93, y - s * 0.29, s * 0.05, s * 0.055), (255, 240, 190))
    if e.palette.is_dark:
        glow(e.canvas, x + s * 0.95, y - s * 0.29, s * 0.6, (255, 235, 170), 0.8)


BUILDERS: dict[str, Callable[[Easel, float, float, float], None]] = {
    "bottle": paint_bottle,
    "key": paint_key,
    "book": paint_book,
    "watch": paint_watch,
    "candle": paint_candle,
    "lamp": paint_lamp,
    "cake": paint_cake,
    "sword": paint_sword,
    "ring": paint_ring,
    "gem": paint_gem,
    "letter": paint_letter,
    "cup": paint_cup,
    "chest": paint_chest,
    "crown": paint_crown,
    "apple": paint_apple,
    "vase": paint_vase,
    "skull": paint_skull,
    "mushroom": paint_mushroom,
    "hat": paint_hat,
    "mirror": paint_mirror,
    "feather": paint_feather,
    "bell": paint_bell,
    "gun": paint_gun,
    "coffin": paint_coffin,
    "table": paint_table,
}

# How tall a thing is beside the others of a still life.
_SIZES = {
    "key": 0.62,
    "ring": 0.5,
    "gem": 0.5,
    "apple": 0.5,
    "book": 0.78,
    "coffin": 0.95,
    "table": 1.1,
    "watch": 0.85,
    "sword": 0.95,
}


def paint_thing(e: Easel, name: str, x: float, y: float, size: float) -> None:
    """Paint one thing with its cast shadow."""
    size *= _SIZES.get(name, 1.0)
    shadow(e.canvas, x + size * 0.2, y - size * 0.005, size * 0.55, size * 0.085, 0.5)
    shadow(e.canvas, x + size * 0.03, y, size * 0.3, size * 0.045, 0.45)
    BUILDERS[name](e, x, y, size)


def paint_still_life(e: Easel) -> None:
    """Paint the named things on a table before a dim wall, the first one largest and in the light."""
    rng = e.rng("still life")
    if "car" in e.scene.places:
        _ground_for_car(e)
        return
    table = e.h * rng.uniform(0.62, 0.68)
    light = _backdrop(e, table)
    names = [name for name in e.scene.things if name in BUILDERS] or _unnamed(e)
    if len(names) > 1 and names[0] == "table":
        names = [*names[1:], "table"]
    size = min(e.h * 0.6, e.w * 0.56)
    foot = e.h * rng.uniform(0.83, 0.87)
    way = 1 if light < 0 else -1
    x = e.w * (0.5 - way * (0.1 if len(names) > 1 else 0.0))
    glow(e.canvas, x - e.u * 8, foot - size * 0.5, size * 1.1, mix(e.palette.light, (255, 225, 170), 0.5), 0.32)
    paint_thing(e, names[0], x, foot, size * (0.9 if len(names) > 1 else 1.0))
    # The lesser things stand aside and a little nearer, so that none hides another.
    for number, name in enumerate(names[1:4]):
        aside = (0.34, -0.27, 0.2)[number] * e.w
        paint_thing(e, name, e.w * 0.5 + way * aside, foot + e.h * (0.04 + 0.02 * number), size * 0.54)
    if e.scene.has("magic", "fireflies") or e.scene.genre == "fantasy":
        paint_fireflies(e, 16)


def _unnamed(e: Easel) -> list[str]:
    """Return what a still life shows when its words name nothing known: three things that the seed picks."""
    rng = e.rng("unnamed")
    usual = ("vase", "apple", "candle", "book", "cup", "feather", "letter")
    return [usual[int(k)] for k in rng.permutation(len(usual))[:3]]


def _backdrop(e: Easel, table: float) -> float:
    """Paint the wall with a pool of light, a hanging cloth, the table; return the light's side (-1 or 1)."""
    rng = e.rng("backdrop")
    p = e.palette
    side = -1.0 if rng.random() < 0.6 else 1.0
    base = mix(p.lit(p.accent(2)), p.zenith, 0.45)
    wall = mix(base, (84, 74, 76), 0.35)
    e.canvas.pixels[:] = gradient(
        (0, 0, e.w, e.h), (0, table), scale(wall, 0.62), scale(wall, 1.0), 0.08, 0.22 * -side, rng
    )
    glow(e.canvas, e.w * (0.5 + 0.16 * side), table * 0.55, e.u * 62, mix(p.light, (255, 214, 150), 0.45), 0.48)
    cloth = p.lit(p.accent(0))
    for k in range(7):
        x = e.w * (0.5 - side * 0.5) + side * e.u * (k * 4.2 - 6)
        fold = smooth(
            [
                (x, -5),
                (x + e.u * 4, table * 0.5),
                (x + e.u * 2.4, table * 1.02),
                (x - e.u * 2.4, table * 1.02),
                (x - e.u * 1.5, table * 0.5),
                (x - e.u * 3, -5),
            ]
        )
        wash(
            e.canvas,
            fold,
            scale(cloth, (0.5, 0.34, 0.56)[k % 3]),
            scale(cloth, (0.62, 0.4, 0.7)[k % 3]),
            0.08,
            soften=e.u * 0.3,
        )
    _tabletop(e, table, rng)
    return side


def _tabletop(e: Easel, table: float, rng: np.random.Generator) -> None:
    wood = e.palette.of("wood")
    wash(e.canvas, rectangle(-5, table, e.w + 5, e.h + 5), scale(wood, 0.72), scale(wood, 1.0), 0.12)
    for k in np.linspace(0.0, 1, 9) ** 1.5:
        y = table + (e.h - table) * k
        bend = rng.uniform(-1, 1, 14) * e.u * 0.25
        path = points(np.stack([np.linspace(-5, e.w + 5, 14), y + bend], axis=1))
        line(e.canvas, smooth(path, closed=False), scale(wood, 0.6), e.u * (0.15 + 0.25 * k))
    for _ in range(70):
        x, k = rng.uniform(0, e.w), rng.random()
        y = table + (e.h - table) * k
        long = e.u * rng.uniform(3, 14)
        fills(
            e.canvas,
            [points([(x, y), (x + long, y - e.u * 0.1), (x + long * 1.2, y + e.u * 0.1), (x, y + e.u * 0.16)])],
            scale(wood, float(rng.uniform(0.66, 1.1))),
        )
    glaze(e.canvas, rectangle(-5, table - e.u * 0.5, e.w + 5, table + e.u * 2.0), e.palette.ink, 0.42, e.u * 0.9)
    glaze(
        e.canvas, ellipse(e.w * 0.5, e.h * 0.86, e.w * 0.4, e.h * 0.1), mix(wood, (255, 226, 170), 0.6), 0.34, e.u * 5
    )


def _ground_for_car(e: Easel) -> None:
    """Show a car on a plain ground before a soft sky."""
    p = e.palette
    low = e.h * 0.68
    e.canvas.pixels[:] = gradient((0, 0, e.w, e.h), (0, low), p.middle, p.horizon, 0.05, 0, e.rng("studio"))
    ground = mix(p.lit((140, 136, 132)), p.haze, 0.3)
    wash(e.canvas, rectangle(-5, low, e.w + 5, e.h + 5), mix(ground, p.horizon, 0.4), scale(ground, 0.7), 0.08)
    glow(e.canvas, e.w * 0.5, low * 0.6, e.u * 70, p.light, 0.35)
    paint_car(e, e.w * 0.5, e.h * 0.8, min(e.w * 0.82, e.h * 1.2))
