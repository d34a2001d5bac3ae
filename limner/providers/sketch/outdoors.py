"""Smaller pieces of the open air: meadows, gardens, fountains, graves, dunes, farms, fences, lanterns, frames.

Each knows its own drawing and nothing of the whole composition.
"""

import numpy as np

from limner.providers.sketch import buildings, plants
from limner.providers.sketch.canvas import (
    Colour,
    Field,
    Points,
    brush,
    ellipse,
    fill,
    glaze,
    glow,
    line,
    mix,
    moved,
    points,
    profile,
    rectangle,
    scale,
    shadow,
    smooth,
    wash,
)
from limner.providers.sketch.easel import Easel
from limner.providers.sketch.land import ground_colours, paint_stones, silhouette
from limner.providers.sketch.palette import named
from limner.providers.sketch.things import paint_car


def paint_meadow(e: Easel, top: float) -> None:
    """Cover the near ground with grass that grows towards the viewer, and flowers where it blooms."""
    rng = e.rng("meadow")
    far, near = ground_colours(e)
    for row in np.linspace(0.12, 1.0, 9):
        y = top + (e.h - top) * row
        count = int(40 + 50 * (1 - row))
        xy = np.stack([rng.uniform(0, e.w, count), y + rng.uniform(-1, 1, count) * (e.h - top) * 0.06], axis=1)
        tone = mix(mix(far, near, float(row)), e.palette.light, 0.14)
        plants.paint_grass(e, points(xy), e.u * (0.7 + 2.6 * row), scale(tone, float(rng.uniform(0.85, 1.1))), rng)
    blooming = e.scene.has("flower", "garden", "field") or e.scene.season == "spring" or rng.random() < 0.4
    if blooming and e.scene.season != "winter" and e.scene.genre != "horror":
        paint_flowers(e, top + (e.h - top) * 0.25, 60 if e.scene.has("flower") else 26, rng)
    if rng.random() < 0.5:
        spots = np.stack([rng.uniform(0, e.w, 5), rng.uniform(top + (e.h - top) * 0.5, e.h, 5)], axis=1)
        paint_stones(e, points(spots), e.u * 1.6, rng)


def flower_colours(e: Easel) -> list[Colour]:
    if "flowers" in e.scene.colours:
        return [e.palette.lit(named(e.scene.colours["flowers"]))]
    mixed = [*e.palette.accents[:3], (250, 244, 232)]
    return [e.palette.lit(mix(colour, (255, 240, 235), 0.12)) for colour in mixed]


def paint_flowers(e: Easel, top: float, count: int, rng: np.random.Generator) -> None:
    colours = flower_colours(e)
    for k in np.sort(rng.random(count)):
        y = top + (e.h * 0.99 - top) * k
        size = e.u * (0.8 + 2.4 * k**1.5)
        plants.paint_flower(e, rng.uniform(0, e.w), y - size, size, colours[int(rng.integers(len(colours)))], rng)


def paint_frame_grass(e: Easel, rng: np.random.Generator) -> None:
    """Close the picture below with a dark fringe of grass."""
    if e.scene.has("city", "desert"):
        return
    colour = mix(scale(ground_colours(e)[1], 0.55), e.palette.ink, 0.45)
    count = int(e.w / e.u * 1.6)
    away = np.abs(np.linspace(-1, 1, count))
    xy = np.stack(
        [np.linspace(-5, e.w + 5, count) + rng.uniform(-e.u, e.u, count), np.full(count, e.h + e.u * 1.0)], axis=1
    )
    keep = rng.random(count) < 0.25 + 0.75 * away
    plants.paint_grass(e, points(xy[keep]), e.u * 7.5, colour, rng)


def paint_canopy(e: Easel, rng: np.random.Generator) -> None:
    """Hang leaves over the upper edge, dark against the light."""
    leaf = mix(e.palette.lit(e.palette.leaves[0]), e.palette.ink, 0.55)
    for x in np.linspace(-0.05, 1.05, 9):
        reach = e.u * (5 + 20 * abs(x - 0.5)) * rng.uniform(0.7, 1.2)
        plants.crown(e, e.w * x, -e.u * 2, e.u * 14, reach, leaf, 0.1, rng)


def paint_trunk(e: Easel, x: float, ground: float, wide: float, depth: float, rng: np.random.Generator) -> None:
    """Paint one tall trunk that leaves the picture above, lit on one side."""
    bark = e.palette.lit(e.palette.bark, depth)
    lean = e.w * rng.uniform(-0.025, 0.025)
    left = smooth(
        [(x - wide * 0.95, ground), (x - wide * 0.5, ground - wide * 2.5), (x - wide * 0.45 + lean, -5)], closed=False
    )
    right = smooth(
        [(x + wide * 0.4 + lean, -5), (x + wide * 0.5, ground - wide * 2.5), (x + wide * 1.05, ground)], closed=False
    )
    wash(e.canvas, points(np.vstack([left, right])), scale(bark, 1.12), scale(bark, 0.72), 0.16, side=0.28)
    if wide > e.u * 2.2:
        for _ in range(9):
            y0 = rng.uniform(0, ground - wide)
            k = x + rng.uniform(-0.4, 0.4) * wide
            line(
                e.canvas,
                points([(k, y0), (k + wide * 0.05, y0 + wide * rng.uniform(1, 3))]),
                scale(bark, 0.66),
                e.u * 0.2,
            )


def paint_reeds(e: Easel, shore: float) -> None:
    rng = e.rng("reeds")
    colour = mix(scale(ground_colours(e)[1], 0.8), e.palette.ink, 0.3)
    for _ in range(3):
        middle = e.w * rng.uniform(0, 1)
        x = rng.normal(middle, e.u * 5, 26)
        xy = np.stack([x, shore + rng.uniform(0.0, 0.05, 26) * e.h], axis=1)
        plants.paint_grass(e, points(xy), e.u * 9, colour, rng)


def paint_garden(e: Easel, top: float) -> None:
    """Paint a formal garden: beds beside a path, clipped hedges, fountains, an arbour of roses."""
    rng = e.rng("garden")
    y0, middle = top, e.w * rng.uniform(0.44, 0.56)
    soil = e.palette.lit(mix(e.palette.soil, (240, 222, 190), 0.45))
    near, far = e.u * 26, e.u * 3.5
    wash(
        e.canvas,
        points([(middle - far, y0), (middle + far, y0), (middle + near, e.h + 5), (middle - near, e.h + 5)]),
        mix(soil, e.palette.haze, 0.25),
        soil,
        0.1,
    )
    for t in (0.0, 0.12, 0.3, 0.58, 0.94):
        y = y0 + (e.h - y0) * t
        grow = 0.3 + 1.25 * t
        for side in (-1, 1):
            edge = middle + side * (far + (near - far) * t + e.u * 2)
            _bed(e, edge, edge + side * e.u * 55 * (0.45 + t), y, grow, rng)
    if e.scene.has("fountain") or rng.random() < 0.4:
        count = 2 if e.scene.has("fountain") else 1
        for number in range(count):
            t = (0.16, 0.42)[number] if count == 2 else 0.2
            x = middle + (0 if number == 0 else e.u * 30 * (1 if rng.random() < 0.5 else -1))
            paint_fountain(e, x, y0 + (e.h - y0) * t, e.u * (11 + 18 * t))


def _bed(e: Easel, x0: float, x1: float, y: float, grow: float, rng: np.random.Generator) -> None:
    """Paint one bed: a hedge behind, flowers in front."""
    low, high = min(x0, x1), max(x0, x1)
    leaf = e.palette.leaves[0]
    green = e.palette.lit(mix(leaf, (70, 120, 60), 0.4), 0.35 * max(0.0, 1 - grow))
    tall = e.u * 3.4 * grow
    hedge = rectangle(low, y - tall, high, y + tall * 0.6)
    wash(e.canvas, hedge, mix(green, e.palette.light, 0.2), scale(green, 0.62), 0.16)
    colours = flower_colours(e)
    for x in np.arange(low, high, e.u * 1.9 * grow):
        for row in (0.35, 0.75):
            size = e.u * 1.5 * grow * rng.uniform(0.7, 1.3)
            at = (x + rng.uniform(-1, 1) * size, y + tall * row + rng.uniform(-0.4, 0.4) * size)
            if -size < at[0] < e.w + size:
                plants.paint_flower(e, at[0], at[1], size, colours[int(rng.integers(len(colours)))], rng)


def paint_fountain(e: Easel, x: float, y: float, size: float) -> None:
    """Paint a two-tiered fountain with falling water."""
    rng = e.rng("fountain", round(x))
    stone = e.palette.lit((212, 206, 194))
    water = mix(e.palette.of("lake"), (235, 248, 250), 0.55)
    shadow(e.canvas, x, y + size * 0.16, size * 1.05, size * 0.2, 0.35)
    wash(
        e.canvas,
        np.vstack(
            [ellipse(x, y, size, size * 0.24, 180, 360), ellipse(x, y + size * 0.2, size * 0.92, size * 0.24, 0, 180)]
        ),
        stone,
        scale(stone, 0.66),
        0.08,
        side=0.2,
    )
    fill(e.canvas, ellipse(x, y, size * 0.9, size * 0.18), mix(water, e.palette.zenith, 0.3))
    wash(
        e.canvas,
        points(
            [
                (x - size * 0.1, y - size * 0.75),
                (x + size * 0.1, y - size * 0.75),
                (x + size * 0.16, y + size * 0.05),
                (x - size * 0.16, y + size * 0.05),
            ]
        ),
        stone,
        scale(stone, 0.7),
        0.08,
        side=0.25,
    )
    bowl = np.vstack(
        [
            ellipse(x, y - size * 0.7, size * 0.46, size * 0.1, 180, 360),
            ellipse(x, y - size * 0.66, size * 0.42, size * 0.17, 0, 180),
        ]
    )
    wash(e.canvas, bowl, stone, scale(stone, 0.7), 0.08, side=0.25)
    for k in np.linspace(-1, 1, 15):
        peak, fall = y - size * rng.uniform(1.35, 1.55), x + k * size * 0.66
        path = smooth(
            [
                (x + k * size * 0.04, y - size * 0.75),
                (x + k * size * 0.3, peak),
                (fall, y - size * 0.62),
                (fall + k * size * 0.06, y),
            ],
            closed=False,
        )
        brush(e.canvas, path, mix(water, (255, 255, 255), float(rng.uniform(0.2, 0.8))), size * 0.012, size * 0.022)
    glaze(e.canvas, ellipse(x, y, size * 0.75, size * 0.16), (250, 255, 255), 0.4, size * 0.08)


def paint_graves(e: Easel, top: float) -> None:
    paint_meadow(e, top)
    rng = e.rng("graves")
    for k in np.sort(rng.random(13)):
        y, size = top + (e.h * 0.93 - top) * (0.1 + 0.9 * k), e.u * (3 + 10 * k)
        x = rng.uniform(0.02, 0.98) * e.w
        stone = e.palette.lit((150, 150, 146), 0.35 * (1 - k))
        shadow(e.canvas, x + size * 0.3, y, size * 0.6, size * 0.1, 0.4)
        if rng.random() < 0.4:
            lean = size * rng.uniform(-0.12, 0.12)
            brush(e.canvas, points([(x, y), (x + lean, y - size * 1.5)]), scale(stone, 0.75), size * 0.16, size * 0.15)
            brush(
                e.canvas,
                points(
                    [(x - size * 0.35 + lean * 0.7, y - size * 1.07), (x + size * 0.35 + lean * 0.7, y - size * 1.03)]
                ),
                scale(stone, 0.75),
                size * 0.15,
                size * 0.15,
            )
        else:
            slab = np.vstack(
                [
                    ellipse(x, y - size * 0.85, size * 0.4, size * 0.35, 180, 360),
                    points([(x + size * 0.42, y), (x - size * 0.42, y)]),
                ]
            )
            wash(e.canvas, slab, scale(stone, 1.1), scale(stone, 0.65), 0.14, side=0.25)


def paint_dunes(e: Easel, top: float) -> None:
    rng = e.rng("dunes")
    sand = e.palette.lit(e.palette.soil)
    for k in range(4):
        edge = top + (e.h - top) * (0.02 + 0.24 * k) + e.h * 0.05 * profile(e.w, rng, 1.2, 0.25, 2)
        colour = mix(sand, e.palette.haze, 0.42 - 0.13 * k)
        wash(
            e.canvas,
            silhouette(e, edge.astype(np.float32)),
            mix(colour, e.palette.light, 0.3),
            scale(colour, 0.62),
            0.07,
        )
        glaze(e.canvas, _lee(e, edge.astype(np.float32), rng), scale(colour, 0.5), 0.4, e.u * 0.5)
    if e.scene.has("desert"):
        middle = e.w * rng.uniform(0.2, 0.8)
        for number in range(4):
            x = middle + rng.uniform(-13, 13) * e.u
            plants.paint_tree(
                e, x, top + (e.h - top) * rng.uniform(0.2, 0.34), e.u * rng.uniform(20, 30), 0.1, "palm", number
            )


def _lee(e: Easel, edge: Field, rng: np.random.Generator) -> Points:
    """Return the shaded side of a dune whose crest is `edge`: below its falling part."""
    start = int(rng.uniform(0.1, 0.6) * e.w)
    x = np.linspace(start, min(start + e.w * 0.35, e.w - 1), 24)
    crest = edge[x.astype(int)]
    depth = np.sin(np.linspace(0, np.pi, 24)) * e.h * 0.07
    return points(np.vstack([np.stack([x, crest], 1), np.stack([x - depth * 0.8, crest + depth], 1)[::-1]]))


def paint_craters(e: Easel, top: float) -> None:
    """Paint another world's ground: ridges, rocks and craters."""
    rng = e.rng("craters")
    ground = mix(e.palette.accent(2), e.palette.haze, 0.4)
    for k in range(4):
        edge = top + (e.h - top) * 0.27 * k + e.h * (0.07 - 0.012 * k) * profile(e.w, rng, 3, 0.5, 5)
        colour = mix(scale(ground, 0.8), e.palette.haze, 0.75 - 0.22 * k)
        wash(
            e.canvas,
            silhouette(e, edge.astype(np.float32)),
            mix(colour, e.palette.light, 0.15),
            scale(colour, 0.5),
            0.16,
        )
    for _ in range(7):
        x, y = rng.uniform(0, e.w), rng.uniform(top + (e.h - top) * 0.35, e.h)
        r = e.u * rng.uniform(2, 7)
        fill(e.canvas, ellipse(x, y, r, r * 0.28), scale(ground, 0.3))
        glaze(e.canvas, ellipse(x, y + r * 0.1, r * 0.85, r * 0.2), mix(ground, e.palette.light, 0.4), 0.4, r * 0.05)


def paint_lone_tower(e: Easel, x: float, y: float, size: float, depth: float) -> None:
    rng = e.rng("lone tower")
    roof = e.palette.lit(e.palette.accent(1), depth)
    buildings.paint_tower(e, x, y, size * 0.22, size * 0.85, depth, roof if rng.random() < 0.7 else None, rng)
    buildings.paint_gate(e, x, y, size * 0.08, size * 0.14)


def paint_farm(e: Easel, x: float, y: float, size: float, depth: float) -> None:
    """Paint a farm: a house, a windmill behind it, a fence."""
    buildings.paint_mill(e, x + size * 0.85, y - size * 0.06, size * 1.1, depth + 0.15)
    buildings.paint_house(e, x - size * 0.45, y, size * 0.6, depth + 0.05, 7)
    buildings.paint_house(e, x, y + size * 0.05, size * 0.75, depth, 1)


def paint_island(e: Easel, x: float, y: float) -> None:
    soil = e.palette.lit(e.palette.soil, 0.3)
    wash(
        e.canvas,
        smooth([(x - e.u * 20, y), (x - e.u * 9, y - e.u * 5), (x + e.u * 4, y - e.u * 7), (x + e.u * 19, y)]),
        soil,
        scale(soil, 0.7),
        0.14,
    )
    for k in (-8, 0, 6):
        plants.paint_tree(e, x + k * e.u, y - e.u * 4, e.u * 15, 0.2, "palm", k)


def paint_waves(e: Easel, top: float, wild: bool) -> None:
    """Roll crested waves towards the viewer."""
    rng = e.rng("waves")
    own = mix(e.palette.of("lake"), e.palette.zenith, 0.45)
    foam = mix(e.palette.lit((246, 250, 250)), e.palette.light, 0.2)
    for k in (0.3, 0.48, 0.68, 0.9):
        y = top + (e.h - top) * k
        swell = e.u * (1.2 + 4 * k) * (2.1 if wild else 0.7)
        edge = (y + swell * profile(e.w, rng, 3.5 - 1.5 * k, 0.45, 4)).astype(np.float32)
        shape = silhouette(e, edge)
        low = mix(own, e.palette.horizon, 0.3 * (1 - k))
        part = np.vstack([shape[:-2], moved(shape[:-2], 0, swell * 2.4)[::-1]])
        glaze(e.canvas, part, scale(low, 0.72), 0.55, swell * 0.3)
        crest = shape[:-2]
        for start in np.sort(rng.integers(0, max(1, len(crest) - 30), 9)):
            piece = crest[start : start + int(rng.integers(8, 26))]
            half = np.zeros_like(piece)
            half[:, 1] = np.sin(np.linspace(0, np.pi, len(piece))) * swell * rng.uniform(0.06, 0.2)
            lens = np.vstack([piece - half, (piece + half * 2.2)[::-1]])
            glaze(e.canvas, points(lens), foam, 0.8, swell * 0.05)


def paint_fence(e: Easel, y: float, tall: float) -> None:
    rng = e.rng("fence")
    wood = e.palette.of("wood", 0.1)
    for x in np.arange(-e.u, e.w * 0.62, e.u * 3.2):
        lean = rng.uniform(-0.5, 0.5) * e.u
        brush(
            e.canvas,
            points([(x, y + rng.uniform(0, 0.3) * e.u), (x + lean, y - tall * rng.uniform(0.85, 1.1))]),
            scale(wood, float(rng.uniform(0.7, 1.0))),
            e.u * 0.9,
            e.u * 0.7,
        )
    for k in (0.35, 0.75):
        rail = smooth(
            [(-e.u, y - tall * k), (e.w * 0.3, y - tall * (k - 0.05)), (e.w * 0.62, y - tall * k)], closed=False
        )
        brush(e.canvas, rail, scale(wood, 0.85), e.u * 0.7, e.u * 0.55)


def paint_lantern(e: Easel, x: float, y: float, tall: float) -> None:
    """Paint a street lamp; it burns when it is dark."""
    iron = mix(e.palette.ink, (40, 44, 50), 0.4)
    brush(e.canvas, points([(x, y), (x, y - tall)]), iron, tall * 0.035, tall * 0.02)
    fill(e.canvas, ellipse(x, y, tall * 0.045, tall * 0.02), iron)
    box = points(
        [
            (x - tall * 0.035, y - tall),
            (x + tall * 0.035, y - tall),
            (x + tall * 0.05, y - tall * 1.1),
            (x - tall * 0.05, y - tall * 1.1),
        ]
    )
    lit = e.palette.is_dark or e.palette.time in ("sunset", "storm", "overcast")
    fill(e.canvas, box, (255, 222, 140) if lit else e.palette.of("glass"))
    fill(
        e.canvas,
        points([(x - tall * 0.06, y - tall * 1.1), (x + tall * 0.06, y - tall * 1.1), (x, y - tall * 1.16)]),
        iron,
    )
    if lit:
        glow(e.canvas, x, y - tall * 1.05, tall * 0.75, (255, 190, 100), 0.75)
        glow(e.canvas, x, y - tall * 1.05, tall * 0.2, (255, 236, 180), 0.9)
        glaze(e.canvas, ellipse(x, y, tall * 0.4, tall * 0.06), (255, 205, 120), 0.35, tall * 0.03)


def paint_cart(e: Easel, x: float, y: float, size: float) -> None:
    """Paint a covered cart."""
    wood = e.palette.of("wood")
    shadow(e.canvas, x, y, size * 0.7, size * 0.08, 0.45)
    cover = np.vstack(
        [
            ellipse(x, y - size * 0.42, size * 0.5, size * 0.42, 180, 360),
            points([(x + size * 0.5, y - size * 0.3), (x - size * 0.5, y - size * 0.3)]),
        ]
    )
    cloth = e.palette.of("cream")
    wash(e.canvas, cover, cloth, scale(cloth, 0.7), 0.08, side=0.2)
    wash(
        e.canvas,
        rectangle(x - size * 0.58, y - size * 0.38, x + size * 0.58, y - size * 0.2),
        wood,
        scale(wood, 0.7),
        0.1,
    )
    for k in (-0.36, 0.36):
        wheel, r = (x + k * size, y - size * 0.16), size * 0.17
        brush(e.canvas, ellipse(*wheel, r, r), scale(wood, 0.5), size * 0.04, size * 0.04)
        for a in np.radians(np.arange(0, 180, 45)):
            dx, dy = np.cos(a) * r, np.sin(a) * r
            line(
                e.canvas,
                points([(wheel[0] - dx, wheel[1] - dy), (wheel[0] + dx, wheel[1] + dy)]),
                scale(wood, 0.5),
                size * 0.02,
            )


def paint_haystacks(e: Easel, top: float) -> None:
    rng = e.rng("hay")
    for k in np.sort(rng.random(4)):
        x, y, size = rng.uniform(0.05, 0.95) * e.w, top + (e.h - top) * (0.12 + 0.4 * k), e.u * (5 + 9 * k)
        straw = e.palette.lit((214, 176, 92), 0.25 * (1 - k))
        shadow(e.canvas, x + size * 0.3, y, size, size * 0.15, 0.4)
        wash(
            e.canvas,
            np.vstack(
                [
                    smooth(
                        [
                            (x - size * 0.75, y),
                            (x - size * 0.55, y - size * 0.75),
                            (x, y - size * 1.15),
                            (x + size * 0.55, y - size * 0.75),
                            (x + size * 0.75, y),
                        ],
                        closed=False,
                    )
                ]
            ),
            scale(straw, 1.12),
            scale(straw, 0.65),
            0.18,
            side=0.22,
        )


def paint_steppe(e: Easel, horizon: float) -> None:
    """Give the wide plain its marks: old barrows, a track, a far mill, feather grass that shines in the light."""
    rng = e.rng("steppe")
    far = ground_colours(e)[0]
    for number in range(3):
        x, wide, tall = e.w * rng.uniform(0, 1), e.u * rng.uniform(16, 34), e.u * rng.uniform(3, 7)
        t = np.linspace(-1, 1, 24)
        y = horizon + e.h * (0.06 + 0.02 * number) - np.exp(-((np.abs(t) / 0.5) ** 2.4)) * tall
        mound = points(np.stack([x + t * wide, y], axis=1))
        wash(e.canvas, mound, mix(far, e.palette.light, 0.12), scale(far, 0.72), 0.1, side=0.2)
    buildings.paint_mill(e, e.w * (0.2 if rng.random() < 0.5 else 0.8), horizon + e.h * 0.06, e.u * 13, 0.4)
    silver = mix(mix(far, e.palette.light, 0.55), e.palette.haze, 0.2)
    for row in np.linspace(0.3, 1.0, 6):
        count = 26
        y = horizon + (e.h - horizon) * row
        for x, lean in zip(rng.uniform(0, e.w, count), rng.uniform(0.2, 0.8, count), strict=True):
            tall = e.u * (2 + 8 * row) * rng.uniform(0.7, 1.2)
            stalk = smooth(
                [(x, y), (x + tall * 0.08, y - tall * 0.6), (x + tall * lean * 0.6, y - tall)], closed=False, steps=4
            )
            brush(e.canvas, stalk, scale(silver, 0.6), tall * 0.03, tall * 0.02)
            plume = smooth(
                [
                    (x + tall * 0.1, y - tall * 0.66),
                    (x + tall * lean * 0.6, y - tall),
                    (x + tall * lean * 1.05, y - tall * 0.98),
                ],
                closed=False,
                steps=4,
            )
            brush(e.canvas, plume, mix(silver, far, float(rng.random()) * 0.5), tall * 0.03, tall * 0.1)


def paint_fire(e: Easel, x: float, y: float, size: float) -> None:
    """Paint a fire: tongues of flame, hottest inside, in its own glow."""
    rng = e.rng("fire", round(x), round(y))
    glow(e.canvas, x, y - size * 0.5, size * 4.5, (255, 130, 50), 0.6)
    for layer, colour in enumerate(((198, 62, 28), (240, 124, 36), (255, 190, 70), (255, 240, 170))):
        for _ in range(6 - layer):
            k = rng.uniform(-0.55, 0.55) * (1 - 0.2 * layer)
            tall = size * rng.uniform(0.75, 1.25) * (1.05 - 0.21 * layer) * (1.25 - abs(k))
            half, sway = size * rng.uniform(0.2, 0.3) * (1 - 0.16 * layer), rng.uniform(-0.22, 0.22) * size
            cx, tip = x + k * size, x + k * size + sway
            left = [
                (cx, y + size * 0.05),
                (cx - half * 0.9, y - tall * 0.06),
                (cx - half, y - tall * 0.26),
                (cx - half * 0.42 - sway * 0.25, y - tall * 0.58),
            ]
            right = [
                (tip, y - tall),
                (cx + half * 0.3 + sway * 0.2, y - tall * 0.62),
                (cx + half * 0.75 - sway * 0.2, y - tall * 0.4),
                (cx + half, y - tall * 0.18),
                (cx + half * 0.8, y - tall * 0.03),
            ]
            glaze(e.canvas, smooth(left + right), colour, 0.8, size * 0.012)
    glow(e.canvas, x, y - size * 0.35, size * 1.3, (255, 170, 80), 0.6)
    for _ in range(16):
        sx, sy = x + rng.normal(0, 0.6) * size, y - size * rng.uniform(0.8, 3.0)
        fill(e.canvas, ellipse(sx, sy, e.u * 0.22, e.u * 0.22), (255, 196, 96))


def paint_extras(e: Easel, horizon: float, focus: float) -> None:
    """Add what else the words name: haystacks, fences, lanterns, a cart, a fire, single trees, hedges."""
    rng = e.rng("extras")
    low = horizon + (e.h - horizon) * 0.45
    if e.scene.has("steppe"):
        paint_steppe(e, horizon)
    elif e.scene.has("field") and not e.scene.has("lake", "sea", "garden") and rng.random() < 0.8:
        paint_haystacks(e, horizon + e.h * 0.05)
    if e.scene.has("hedge"):
        for k in np.linspace(0.02, 0.98, 8):
            plants.paint_bush(e, e.w * k, low + rng.uniform(0, e.u * 4), e.u * rng.uniform(7, 11), 0.1, round(k * 100))
    if e.scene.has("tree") and not e.scene.has("forest"):
        plants.paint_tree(e, e.w - focus, low + e.u * 2, e.u * 38, 0.05, plants.tree_sort(e, rng), "named")
    if e.scene.has("fence"):
        paint_fence(e, low + e.u * 6, e.u * 7)
    if e.scene.has("cart"):
        paint_cart(e, e.w - focus, low + e.u * 9, e.u * 22)
    _paint_lights(e, horizon, focus, low)
    if e.scene.has("spaceship"):
        buildings.paint_spaceship(e, e.w - focus, horizon * 0.42, e.u * 40, 0.15)
    if e.scene.has("car"):
        paint_car(e, e.w * 0.5, e.h * 0.88, e.u * 56)


def _paint_lights(e: Easel, horizon: float, focus: float, low: float) -> None:
    """Light lanterns and fires."""
    if e.scene.has("lantern"):
        paint_lantern(e, e.w * 0.24, low + e.u * 10, e.u * 38)
    if e.scene.has("campfire"):
        paint_fire(e, e.w - focus, low + e.u * 14, e.u * 8)
    if e.scene.has("fire") and not e.scene.has("campfire"):
        for k in (-1, 0, 1):
            paint_fire(e, focus + k * e.u * 11, horizon + e.h * 0.05, e.u * (9 - 2 * abs(k)))
