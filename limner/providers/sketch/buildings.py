"""Buildings seen from outside: castle, church, house, mill, tower, town, city, ruins, bridge, ships.

Each stands at (x, y), the middle of its foot, `size` pixels tall; `depth` 0 is near, 1 is lost in the haze.
Knows nothing of composition.
"""

import numpy as np

from limner.providers.sketch.canvas import (
    Colour,
    brush,
    ellipse,
    fill,
    fills,
    glaze,
    glow,
    line,
    mix,
    points,
    rectangle,
    rgb,
    scale,
    smooth,
    wash,
)
from limner.providers.sketch.easel import Easel
from limner.providers.sketch.palette import named, palettes


def wall_colour(e: Easel, material: str, depth: float) -> Colour:
    """Return a wall's colour; a colour that the words give to walls wins."""
    local = rgb(palettes().materials[material])
    if "walls" in e.scene.colours:
        local = mix(local, named(e.scene.colours["walls"]), 0.7)
    return e.palette.lit(local, depth)


def paint_block(e: Easel, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
    """Paint a wall whose right third lies in shadow."""
    wash(e.canvas, rectangle(x0, y0, x1, y1), scale(colour, 1.06), scale(colour, 0.86), 0.09)
    glaze(e.canvas, rectangle(x0 + (x1 - x0) * 0.66, y0, x1, y1), scale(e.palette.ink, 1.3), 0.3)


def paint_window(e: Easel, x: float, y: float, wide: float, tall: float, is_lit: bool, arched: bool = True) -> None:
    """Paint a small window: lit ones glow when the light outside is low."""
    colour = e.palette.of("lamp") if not is_lit else (255, 206, 112)
    if not is_lit:
        colour = mix(e.palette.ink, e.palette.middle, 0.25)
    shape = rectangle(x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2)
    if arched:
        shape = np.vstack(
            [
                ellipse(x, y - tall * 0.25, wide / 2, tall * 0.3, 180, 360),
                points([(x + wide / 2, y + tall / 2), (x - wide / 2, y + tall / 2)]),
            ]
        )
    fill(e.canvas, shape, colour)
    if is_lit and wide > e.u * 0.35:
        glow(e.canvas, x, y, wide * 3.2, (255, 180, 80), 0.55)
    if wide > e.u * 1.1:
        bar = scale(e.palette.ink, 1.2)
        line(e.canvas, points([(x, y - tall / 2), (x, y + tall / 2)]), bar, e.u * 0.14)
        line(e.canvas, points([(x - wide / 2, y), (x + wide / 2, y)]), bar, e.u * 0.14)


def paint_cone(e: Easel, x: float, y: float, half: float, tall: float, colour: Colour) -> None:
    """Paint a pointed roof with a lit and a shaded side."""
    wash(
        e.canvas,
        points([(x, y - tall), (x + half, y), (x, y + half * 0.16), (x - half, y)]),
        scale(colour, 1.15),
        colour,
        0.08,
    )
    glaze(e.canvas, points([(x, y - tall), (x + half, y), (x + half * 0.15, y + half * 0.14)]), e.palette.ink, 0.32)


def paint_tower(
    e: Easel, x: float, y: float, wide: float, tall: float, depth: float, roof: Colour | None, rng: np.random.Generator
) -> None:
    """Paint a round tower with battlements or a pointed roof, and a few windows."""
    colour = wall_colour(e, "stone", depth)
    half = wide / 2
    paint_block(e, x - half, y - tall, x + half, y, colour)
    crown = y - tall
    fill(
        e.canvas,
        rectangle(x - half * 1.22, crown - wide * 0.16, x + half * 1.22, crown + wide * 0.14),
        scale(colour, 0.95),
    )
    if roof is not None:
        paint_cone(e, x, crown - wide * 0.14, half * 1.4, wide * rng.uniform(1.4, 2.2), roof)
        if wide > e.u * 2.2:
            _pennant(e, x, crown - wide * 1.9, wide * 0.5, rng)
    else:
        for k in np.linspace(-1.1, 0.82, 4):
            fill(
                e.canvas,
                rectangle(x + k * half, crown - wide * 0.36, x + (k + 0.3) * half, crown - wide * 0.14),
                scale(colour, 0.95),
            )
    for k in range(max(1, int(tall / wide / 1.2))):
        lit = e.palette.is_dark and rng.random() < 0.65
        paint_window(
            e, x + rng.uniform(-0.2, 0.1) * half, crown + wide * (0.55 + 1.1 * k), wide * 0.16, wide * 0.36, lit
        )


def _pennant(e: Easel, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    line(e.canvas, points([(x, y + size), (x, y - size)]), e.palette.ink, e.u * 0.12)
    way = 1 if rng.random() < 0.5 else -1
    flag = smooth(
        [
            (x, y - size),
            (x + way * size * 0.6, y - size * 0.85),
            (x + way * size * 1.3, y - size * 0.7),
            (x, y - size * 0.35),
        ]
    )
    fill(e.canvas, flag, e.palette.lit(e.palette.accent(0)))


def paint_castle(e: Easel, x: float, y: float, size: float, depth: float) -> None:
    """Paint a keep among towers of uneven heights behind a curtain wall with a gate."""
    rng = e.rng("castle")
    roof = e.palette.lit(mix(e.palette.accent(1), rgb(palettes().materials["slate"]), 0.45), depth)
    spread = size * rng.uniform(0.5, 0.62)
    count = int(rng.integers(5, 8))
    at = np.linspace(-1, 1, count) + rng.uniform(-0.1, 0.1, count)
    for k in at[np.argsort(-np.abs(at), kind="stable")][::-1]:
        tall = size * (0.86 - 0.42 * abs(k)) * rng.uniform(0.8, 1.1)
        wide = size * rng.uniform(0.1, 0.16)
        paint_tower(
            e, x + k * spread * 0.8, y, wide, tall, min(depth + 0.06, 1), roof if rng.random() < 0.8 else None, rng
        )
    wall = wall_colour(e, "stone", depth)
    top = y - size * 0.26
    paint_block(e, x - spread, top, x + spread, y + size * 0.03, wall)
    merlons = int(spread * 2 / (size * 0.055))
    for k in range(0, merlons, 2):
        left = x - spread + k * size * 0.055
        fill(e.canvas, rectangle(left, top - size * 0.035, left + size * 0.05, top + 1), scale(wall, 1.03))
    for k in (-1.0, 1.0):
        paint_tower(e, x + k * spread, y + size * 0.03, size * 0.15, size * rng.uniform(0.36, 0.46), depth, roof, rng)
    paint_gate(e, x, y + size * 0.03, size * 0.13, size * 0.19)


def paint_gate(e: Easel, x: float, y: float, wide: float, tall: float) -> None:
    arch = np.vstack(
        [ellipse(x, y - tall * 0.6, wide / 2, tall * 0.4, 180, 360), points([(x + wide / 2, y), (x - wide / 2, y)])]
    )
    fill(e.canvas, arch, scale(e.palette.ink, 0.9))
    if e.palette.is_dark:
        glow(e.canvas, x, y - tall * 0.3, wide * 1.6, (255, 165, 70), 0.7)


def paint_church(e: Easel, x: float, y: float, size: float, depth: float) -> None:
    """Paint a church: a nave and a steeple, or three domes on dark timber where the words or the seed want it."""
    rng = e.rng("church")
    eastern = (
        e.scene.has("steppe", "farm")
        or "wooden" in e.scene.palette_words
        or "brown" in e.scene.palette_words
        or rng.random() < 0.4
    )
    (_domed if eastern else _steepled)(e, x, y, size, depth, rng)


def _cross(e: Easel, x: float, y: float, size: float, colour: Colour) -> None:
    width = max(1.0, size * 0.14)
    line(e.canvas, points([(x, y), (x, y - size)]), colour, width)
    line(e.canvas, points([(x - size * 0.28, y - size * 0.66), (x + size * 0.28, y - size * 0.66)]), colour, width)


def _dome(e: Easel, x: float, y: float, half: float, colour: Colour) -> None:
    """An onion dome on its drum."""
    side = [(0.0, -2.3), (0.1, -1.95), (0.5, -1.55), (1.0, -1.0), (1.08, -0.62), (0.75, -0.22), (0.5, 0.0)]
    right = smooth([(x + a * half, y + b * half) for a, b in side], closed=False)
    left = right[::-1].copy()
    left[:, 0] = 2 * x - left[:, 0]
    wash(e.canvas, np.vstack([right, left]), scale(colour, 1.2), scale(colour, 0.8), 0.08, side=0.25)
    glaze(
        e.canvas, ellipse(x - half * 0.4, y - half * 0.9, half * 0.22, half * 0.5), (255, 250, 230), 0.28, half * 0.12
    )


def _domed(e: Easel, x: float, y: float, size: float, depth: float, rng: np.random.Generator) -> None:
    dark = e.scene.genre == "horror" or e.scene.has("dark")
    timber = wall_colour(e, "dark_wood" if dark else "wood", depth)
    roof = e.palette.lit((72, 84, 66) if dark else mix(named("green"), named("teal"), 0.4), depth)
    for k, tall in ((-0.3, 0.42), (0.3, 0.42), (0.0, 0.6)):
        half = size * 0.17 if k == 0 else size * 0.14
        cx, top = x + k * size, y - size * tall
        paint_block(e, cx - half, top, cx + half, y, timber)
        for row in np.arange(top + size * 0.03, y, size * 0.035):
            line(e.canvas, points([(cx - half, row), (cx + half, row)]), scale(timber, 0.75), e.u * 0.1)
        skirt = points(
            [
                (cx - half * 1.25, top),
                (cx + half * 1.25, top),
                (cx + half * 0.55, top - half * 0.65),
                (cx - half * 0.55, top - half * 0.65),
            ]
        )
        wash(e.canvas, skirt, scale(roof, 1.1), scale(roof, 0.75), 0.1)
        drum = rectangle(cx - half * 0.4, top - half * 0.95, cx + half * 0.4, top - half * 0.6)
        fill(e.canvas, drum, scale(timber, 0.9))
        _dome(e, cx, top - half * 0.9, half * 0.52, roof)
        _cross(e, cx, top - half * 2.0, half * 0.75, e.palette.of("gold", depth * 0.6))
        paint_window(e, cx, top + size * 0.13, size * 0.035, size * 0.085, e.palette.is_dark and rng.random() < 0.8)
    paint_gate(e, x, y, size * 0.09, size * 0.15)


def _steepled(e: Easel, x: float, y: float, size: float, depth: float, rng: np.random.Generator) -> None:
    stone = wall_colour(e, "stone", depth)
    roof = e.palette.of("slate", depth)
    way = 1 if rng.random() < 0.5 else -1
    near, far = x + way * size * 0.08, x + way * size * 0.55
    paint_block(e, min(near, far), y - size * 0.28, max(near, far), y, stone)
    ridge = points(
        [
            (near, y - size * 0.28),
            (near, y - size * 0.45),
            (far - way * size * 0.05, y - size * 0.45),
            (far + way * size * 0.03, y - size * 0.28),
        ]
    )
    wash(e.canvas, ridge, scale(roof, 1.1), scale(roof, 0.85), 0.1)
    for k in np.linspace(0.2, 0.88, 4):
        lit = e.palette.is_dark and rng.random() < 0.7
        paint_window(e, near + (far - near) * k, y - size * 0.14, size * 0.035, size * 0.11, lit)
    tower = x - way * size * 0.04
    paint_block(e, tower - size * 0.11, y - size * 0.56, tower + size * 0.11, y, stone)
    paint_cone(e, tower, y - size * 0.55, size * 0.135, size * 0.42, roof)
    _cross(e, tower, y - size * 0.96, size * 0.08, e.palette.of("gold", depth * 0.6))
    paint_window(e, tower, y - size * 0.44, size * 0.06, size * 0.1, e.palette.is_dark)
    paint_gate(e, tower, y, size * 0.09, size * 0.16)


def paint_house(e: Easel, x: float, y: float, size: float, depth: float, number: int = 0) -> None:
    """Paint a gabled house with chimney, door and windows; thatched and white on a steppe or a farm."""
    rng = e.rng("house", number)
    rural = e.scene.has("steppe", "farm", "field") or rng.random() < 0.35
    wall = wall_colour(e, "plaster" if rural or rng.random() < 0.6 else "brick", depth)
    tile = rgb(palettes().materials["thatch" if rural else ("tile", "slate", "tile")[int(rng.integers(3))]])
    roof = e.palette.lit(tile, depth)
    half, eaves = size * rng.uniform(0.42, 0.6), y - size * 0.48
    chimney = x + half * rng.choice([-0.5, 0.45])
    fill(
        e.canvas,
        rectangle(chimney - size * 0.05, y - size * 1.04, chimney + size * 0.05, y - size * 0.7),
        e.palette.of("brick", depth),
    )
    if size > e.u * 7:
        _smoke(e, chimney, y - size * 1.05, size * 0.3)
    paint_block(e, x - half, eaves, x + half, y, wall)
    top = y - size * rng.uniform(0.92, 1.02)
    slope = points(
        [
            (x - half * 1.16, eaves + size * 0.05),
            (x + half * 1.16, eaves + size * 0.05),
            (x + half * 0.72, top),
            (x - half * 0.72, top),
        ]
    )
    if e.scene.season == "winter":
        roof = mix(roof, e.palette.lit((246, 249, 255)), 0.8)
    wash(e.canvas, slope, scale(roof, 1.15), scale(roof, 0.8), 0.14)
    if size > e.u * 9:
        for k in np.linspace(0.2, 0.85, 4):
            row = top + (eaves - top) * k
            edge = half * (0.72 + 0.44 * k)
            line(e.canvas, points([(x - edge, row), (x + edge, row)]), scale(roof, 0.72), e.u * 0.12)
    door = x + half * rng.uniform(-0.25, 0.25)
    fill(
        e.canvas,
        rectangle(door - size * 0.07, y - size * 0.3, door + size * 0.07, y),
        e.palette.lit(e.palette.accent(number), depth),
    )
    for k in (-0.62, 0.62):
        paint_window(
            e,
            x + half * k,
            y - size * 0.26,
            size * 0.13,
            size * 0.16,
            e.palette.is_dark and rng.random() < 0.85,
            arched=False,
        )


def _smoke(e: Easel, x: float, y: float, size: float) -> None:
    for k in np.linspace(0, 1, 7):
        drift = x + size * k * 0.7 + size * 0.12 * np.sin(k * 7)
        r = size * (0.1 + 0.22 * k)
        glaze(
            e.canvas,
            ellipse(drift, y - size * k * 1.6, r * 1.2, r),
            mix(e.palette.horizon, (235, 235, 235), 0.3),
            0.34 * (1 - k * 0.75),
            r * 0.5,
        )


def paint_mill(e: Easel, x: float, y: float, size: float, depth: float) -> None:
    """Paint a windmill."""
    rng = e.rng("mill")
    body = wall_colour(e, "plaster", depth)
    wash(
        e.canvas,
        points(
            [
                (x - size * 0.2, y),
                (x + size * 0.2, y),
                (x + size * 0.12, y - size * 0.6),
                (x - size * 0.12, y - size * 0.6),
            ]
        ),
        body,
        scale(body, 0.8),
        0.1,
        side=0.2,
    )
    paint_cone(e, x, y - size * 0.58, size * 0.16, size * 0.2, e.palette.of("dark_wood", depth))
    paint_window(e, x, y - size * 0.36, size * 0.05, size * 0.09, e.palette.is_dark)
    hub, turn = np.array([x, y - size * 0.6]), rng.uniform(0, 90)
    for k in range(4):
        a = np.radians(turn + 90 * k)
        along, across = np.array([np.cos(a), np.sin(a)]), np.array([-np.sin(a), np.cos(a)])
        sail = [
            hub + along * size * r + across * size * s for r, s in ((0.12, 0.0), (0.5, 0.0), (0.5, 0.09), (0.12, 0.09))
        ]
        fill(e.canvas, points(np.array(sail)), e.palette.of("cream", depth))
        line(e.canvas, points(np.array([hub, hub + along * size * 0.52])), e.palette.of("dark_wood", depth), e.u * 0.3)


def paint_town(e: Easel, x: float, y: float, size: float, depth: float) -> None:
    """Paint a cluster of houses, back rows first, smaller and hazier."""
    rng = e.rng("town")
    number = 0
    for row in range(3):
        away = (2 - row) / 2
        for k in np.linspace(-1, 1, 7 - row):
            number += 1
            tall = size * (0.3 + 0.1 * row) * rng.uniform(0.85, 1.25)
            hx = x + (k + rng.uniform(-0.08, 0.08)) * size * (1.0 + 0.1 * row)
            paint_house(
                e, hx, y - size * 0.2 * away + rng.uniform(0, 0.03) * size, tall, min(1.0, depth + 0.2 * away), number
            )
        if row == 0:
            _steepled(e, x + rng.uniform(-0.4, 0.4) * size, y - size * 0.17, size * 0.85, depth + 0.2, rng)


def paint_city(e: Easel, y: float, size: float, depth: float) -> None:
    """Paint a skyline over the whole width, in three hazes, its windows lit when it is dark."""
    for layer in range(3):
        rng = e.rng("city", layer)
        away = depth + (2 - layer) * 0.22
        x = -e.u * 3
        while x < e.w + e.u * 3:
            wide = e.u * rng.uniform(5, 11)
            focus = 1.0 + 0.7 * np.exp(-(((x / e.w) - 0.6) ** 2) * 12)
            tall = size * rng.uniform(0.35, 0.75) * (1.15 - 0.22 * layer) * focus
            base = mix((70, 78, 98), e.palette.accent(int(rng.integers(4))), 0.18)
            paint_skyscraper(e, x, y, wide, tall, e.palette.lit(base, min(away, 0.85)), rng, layer)
            x += wide * rng.uniform(0.92, 1.25)


def paint_skyscraper(
    e: Easel, x: float, y: float, wide: float, tall: float, colour: Colour, rng: np.random.Generator, layer: int
) -> None:
    top = y - tall
    paint_block(e, x, top, x + wide, y, colour)
    if rng.random() < 0.5:
        paint_block(e, x + wide * 0.25, top - tall * 0.12, x + wide * 0.75, top, colour)
        line(
            e.canvas,
            points([(x + wide * 0.5, top - tall * 0.12), (x + wide * 0.5, top - tall * 0.3)]),
            colour,
            e.u * 0.2,
        )
    lamp = mix((255, 214, 130), e.palette.accent(layer), 0.3 * float(rng.random()))
    step = e.u * 1.15
    for row in np.arange(top + step, y - step, step * 1.25):
        for column in np.arange(x + step * 0.6, x + wide - step * 0.8, step):
            if rng.random() < (0.42 if e.palette.is_dark else 0.2):
                shade = lamp if e.palette.is_dark else scale(colour, 0.7)
                fills(
                    e.canvas,
                    [rectangle(column, row, column + step * 0.5, row + step * 0.62)],
                    mix(colour, shade, float(rng.uniform(0.45, 1))),
                )


def paint_ruins(e: Easel, x: float, y: float, size: float, depth: float) -> None:
    """Paint broken columns and a leaning arch."""
    rng = e.rng("ruins")
    stone = wall_colour(e, "stone", depth)
    for k in np.linspace(-0.9, 0.9, 7):
        tall, wide = size * rng.uniform(0.25, 0.8), size * 0.1
        cx = x + k * size * 0.75
        jag = [
            (cx - wide / 2, y),
            (cx + wide / 2, y),
            (cx + wide / 2, y - tall * 0.9),
            (cx + wide * 0.1, y - tall),
            (cx - wide * 0.2, y - tall * 0.93),
            (cx - wide / 2, y - tall * 0.97),
        ]
        wash(e.canvas, points(jag), scale(stone, 1.1), scale(stone, 0.8), 0.14, side=0.3)
    outer = ellipse(x, y - size * 0.45, size * 0.38, size * 0.42, 180, 345)
    brush(e.canvas, outer, stone, size * 0.13, size * 0.1)
    for _ in range(9):
        r = size * rng.uniform(0.03, 0.08)
        fill(
            e.canvas,
            ellipse(x + rng.uniform(-0.9, 0.9) * size, y, r * 1.4, r),
            scale(stone, float(rng.uniform(0.7, 1))),
        )


def paint_bridge(e: Easel, x0: float, x1: float, y: float, size: float, depth: float) -> None:
    """Paint a stone bridge of arches from x0 to x1 at the waterline y."""
    stone = wall_colour(e, "stone", depth)
    deck = smooth([(x0, y - size * 0.5), ((x0 + x1) / 2, y - size), (x1, y - size * 0.5)], closed=False)
    wash(
        e.canvas,
        np.vstack([deck, points([(x1, y + size * 0.1), (x0, y + size * 0.1)])]),
        scale(stone, 1.1),
        scale(stone, 0.8),
        0.12,
    )
    arches = max(2, int((x1 - x0) / (size * 1.4)))
    for k in range(arches):
        cx = x0 + (x1 - x0) * (k + 0.5) / arches
        half = (x1 - x0) / arches * 0.38
        fill(
            e.canvas,
            ellipse(cx, y + size * 0.12, half, size * 0.62, 180, 360),
            mix(e.palette.haze, e.palette.ink, 0.35),
        )
    line(e.canvas, deck, scale(stone, 0.6), e.u * 0.35)


def paint_ship(e: Easel, x: float, y: float, size: float, depth: float) -> None:
    """Paint a sailing ship on the water."""
    rng = e.rng("ship")
    way = 1 if rng.random() < 0.5 else -1
    hull = smooth(
        [
            (x - way * size * 0.5, y - size * 0.16),
            (x + way * size * 0.1, y - size * 0.1),
            (x + way * size * 0.55, y - size * 0.2),
        ],
        closed=False,
    )
    keel = smooth([(x + way * size * 0.42, y), (x, y + size * 0.03), (x - way * size * 0.4, y)], closed=False)
    for k, tall in ((-0.28, 0.7), (0.05, 0.9), (0.33, 0.65)):
        mast = x + way * k * size
        line(
            e.canvas,
            points([(mast, y - size * 0.1), (mast, y - size * tall)]),
            e.palette.of("dark_wood", depth),
            size * 0.016,
        )
        for low, high, half in ((0.2, 0.5, 0.16), (0.53, 0.85, 0.12)):
            top, foot = y - size * tall * high - size * 0.04, y - size * tall * low - size * 0.04
            sail = smooth(
                [
                    (mast - half * size, top),
                    (mast + half * size, top),
                    (mast + half * size * 1.1, foot),
                    (mast + way * size * 0.03, foot - size * 0.05),
                    (mast - half * size * 1.1, foot),
                ],
                steps=5,
            )
            cloth = e.palette.of("cream", depth)
            wash(e.canvas, sail, scale(cloth, 1.05), scale(cloth, 0.8), 0.06, side=0.15 * way)
    wood = e.palette.of("wood", depth)
    wash(e.canvas, np.vstack([hull, keel]), wood, scale(wood, 0.55), 0.1)
    line(e.canvas, hull, e.palette.of("gold", depth), size * 0.014)


def paint_spaceship(e: Easel, x: float, y: float, size: float, depth: float) -> None:
    """Paint a starship: a long tapering hull with fins, lit ports and a glowing drive."""
    rng = e.rng("spaceship")
    way = 1 if rng.random() < 0.5 else -1
    hull = e.palette.lit(mix((214, 220, 228), e.palette.accent(0), 0.12), depth)
    accent = e.palette.accent(1)
    back = x - way * size * 0.55
    glow(e.canvas, back, y, size * 0.55, (90, 200, 255), 0.9)
    glow(e.canvas, back, y, size * 0.2, (240, 255, 255), 0.9)
    for up in (-1, 1):
        fin = points(
            [
                (x - way * size * 0.1, y),
                (x - way * size * 0.5, y + up * size * 0.28),
                (x - way * size * 0.62, y + up * size * 0.28),
                (x - way * size * 0.48, y),
            ]
        )
        wash(e.canvas, fin, scale(accent, 0.9), scale(hull, 0.5), 0.06)
    top = smooth(
        [
            (back, y - size * 0.06),
            (x - way * size * 0.2, y - size * 0.13),
            (x + way * size * 0.2, y - size * 0.1),
            (x + way * size * 0.62, y),
        ],
        closed=False,
    )
    low = smooth(
        [(x + way * size * 0.62, y), (x + way * size * 0.1, y + size * 0.1), (back, y + size * 0.07)], closed=False
    )
    wash(e.canvas, np.vstack([top, low]), scale(hull, 1.12), scale(hull, 0.38), 0.05)
    dome = smooth(
        [
            (x + way * size * 0.08, y - size * 0.11),
            (x + way * size * 0.18, y - size * 0.165),
            (x + way * size * 0.32, y - size * 0.08),
        ],
        closed=False,
    )
    fill(e.canvas, dome, mix((130, 220, 240), accent, 0.2))
    for k in np.linspace(-0.38, 0.36, 9):
        fill(e.canvas, ellipse(x + way * k * size, y - size * 0.01, size * 0.011, size * 0.011), (255, 226, 150))
    line(e.canvas, points([(back, y + size * 0.03), (x + way * size * 0.5, y + size * 0.015)]), accent, size * 0.012)
    jet = points([(back, y - size * 0.045), (back, y + size * 0.05), (back - way * size * 0.75, y + size * 0.005)])
    glaze(e.canvas, jet, (160, 225, 255), 0.75, size * 0.015)
