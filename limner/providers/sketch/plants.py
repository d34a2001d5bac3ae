"""Trees, bushes, grass and flowers, near and far.

Knows nothing of where they stand in a composition; `depth` 0 is near, 1 is lost in the haze.
"""

import numpy as np

from limner.providers.sketch.canvas import (
    Colour,
    Points,
    blob,
    brush,
    dabs,
    ellipse,
    fill,
    fills,
    mix,
    points,
    scale,
    smooth,
)
from limner.providers.sketch.easel import Easel


def paint_tree(e: Easel, x: float, y: float, height: float, depth: float, sort: str, purpose: object = "") -> None:
    """Paint a tree that stands at (x, y), `height` pixels tall; sort: round, fir, poplar, birch, bare, palm."""
    rng = e.rng("tree", round(x), round(y), purpose)
    {"fir": _fir, "poplar": _poplar, "bare": _bare, "palm": _palm}.get(sort, _round)(e, x, y, height, depth, rng, sort)


def tree_sort(e: Easel, rng: np.random.Generator) -> str:
    """Return the sort of tree that suits the season, the place and the genre."""
    if e.scene.has("desert", "island"):
        return "palm"
    if e.scene.genre == "horror" and e.scene.season != "summer":
        return "bare"
    if e.scene.season == "winter":
        return ("fir", "bare")[int(rng.integers(2))]
    sorts = ["round", "round", "fir", "birch", "poplar"]
    if e.scene.has("mountain"):
        sorts = ["fir", "fir", "round"]
    return sorts[int(rng.integers(len(sorts)))]


def _trunk(e: Easel, x: float, y: float, height: float, depth: float, rng: np.random.Generator, sort: str) -> Colour:
    bark = (228, 222, 210) if sort == "birch" else e.palette.bark
    colour = e.palette.lit(bark, depth)
    lean = height * rng.uniform(-0.06, 0.06)
    path = smooth([(x, y), (x + lean * 0.3, y - height * 0.3), (x + lean, y - height * 0.62)], closed=False)
    wide = height * (0.035 if sort == "birch" else 0.06)
    brush(e.canvas, path, colour, wide, wide * 0.45)
    if sort == "birch" and height > e.u * 12:
        for k in np.linspace(0.05, 0.5, 9):
            mark = x + lean * k * 1.2 + rng.uniform(-0.3, 0.3) * wide
            fill(e.canvas, ellipse(mark, y - height * k, wide * 0.3, wide * 0.1), scale(colour, 0.35))
    return colour


def _round(e: Easel, x: float, y: float, height: float, depth: float, rng: np.random.Generator, sort: str) -> None:
    """A broad crown: dark masses first, lighter leaves where the light falls."""
    bark = _trunk(e, x, y, height, depth, rng, sort)
    cx, cy, rx, ry = x, y - height * 0.64, height * (0.24 if sort == "birch" else 0.36), height * 0.34
    for a in (-0.5, 0.45):
        tip = (x + a * rx * 1.2, cy - ry * 0.1)
        brush(
            e.canvas,
            smooth([(x, y - height * 0.35), (x + a * rx * 0.4, y - height * 0.47), tip], closed=False),
            bark,
            height * 0.022,
            height * 0.008,
        )
    leaf = e.palette.leaves[int(rng.integers(len(e.palette.leaves)))]
    if sort == "birch":
        leaf = mix(leaf, (205, 205, 90), 0.4)
    crown(e, cx, cy, rx, ry, e.palette.lit(leaf, depth), depth, rng)


def crown(
    e: Easel, cx: float, cy: float, rx: float, ry: float, leaf: Colour, depth: float, rng: np.random.Generator
) -> None:
    """Paint a mass of leaves, lit from above."""
    dark = mix(scale(leaf, 0.58), e.palette.haze, depth * 0.6)
    for _ in range(7):
        way, out = rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 0.62)
        fill(e.canvas, blob(cx + np.cos(way) * rx * out, cy + np.sin(way) * ry * out, rx * 0.52, ry * 0.5, rng), dark)
    near = max(0.25, 1 - depth)
    count = int(np.clip(rx * ry / (e.u * e.u) * 1.5, 24, 320) * near)
    a, k = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count))
    xy = np.stack([cx + np.cos(a) * rx * k, cy + np.sin(a) * ry * k], axis=1)
    up = np.clip(0.55 - (xy[:, 1] - cy) / (2 * ry) - (xy[:, 0] - cx) / (6 * rx) + rng.uniform(-0.2, 0.2, count), 0, 1)
    order = np.argsort(up, kind="stable")
    lit = np.array(mix(leaf, e.palette.light, 0.32))
    colours = np.array(dark) + (lit - np.array(dark)) * up[order, None]
    size = rng.uniform(0.09, 0.16, count) * min(rx, ry) * (1.15 - 0.5 * up[order])
    dabs(e.canvas, points(xy[order]), size.astype(np.float32), colours)


def _fir(e: Easel, x: float, y: float, height: float, depth: float, rng: np.random.Generator, _sort: str) -> None:
    base = mix(e.palette.leaves[-1], (38, 70, 62), 0.6)
    if e.scene.season == "winter":
        base = mix(base, (70, 95, 100), 0.4)
    colour = e.palette.lit(base, depth)
    brush(
        e.canvas,
        points([(x, y), (x, y - height * 0.3)]),
        e.palette.lit(e.palette.bark, depth),
        height * 0.05,
        height * 0.04,
    )
    tiers = 7 if height > e.u * 14 else 5
    for k in range(tiers):
        t = k / tiers
        bottom, top = y - height * (0.1 + 0.76 * t), y - height * (0.36 + 0.76 * t)
        half = height * 0.23 * (1 - t) ** 0.85 + height * 0.03
        jag = rng.uniform(-0.02, 0.02, 4) * height
        tier = [
            (x, max(top, y - height)),
            (x + half * 0.45, bottom - height * 0.07 + jag[0]),
            (x + half, bottom + jag[1]),
            (x + half * 0.4, bottom - height * 0.015),
        ]
        tier += [
            (x, bottom + height * 0.012),
            (x - half * 0.4, bottom - height * 0.015),
            (x - half, bottom + jag[2]),
            (x - half * 0.45, bottom - height * 0.07 + jag[3]),
        ]
        fill(e.canvas, points(tier), scale(colour, 0.72 + 0.4 * t))
        lit = mix(colour, (245, 248, 255), 0.75) if e.scene.season == "winter" else mix(colour, e.palette.light, 0.25)
        fill(
            e.canvas,
            points([tier[0], tier[7], tier[6], (x - half * 0.5, bottom - height * 0.05)]),
            scale(lit, 0.85 + 0.2 * t),
        )


def _poplar(e: Easel, x: float, y: float, height: float, depth: float, rng: np.random.Generator, _sort: str) -> None:
    colour = e.palette.lit(mix(e.palette.leaves[0], (70, 100, 60), 0.4), depth)
    brush(
        e.canvas,
        points([(x, y), (x, y - height * 0.4)]),
        e.palette.lit(e.palette.bark, depth),
        height * 0.035,
        height * 0.02,
    )
    crown(e, x, y - height * 0.55, height * 0.11, height * 0.43, colour, depth, rng)


def _bare(e: Easel, x: float, y: float, height: float, depth: float, rng: np.random.Generator, _sort: str) -> None:
    """A leafless tree: crooked limbs that fork."""
    colour = mix(e.palette.lit(scale(e.palette.bark, 0.6), depth), e.palette.ink, 0.4 * (1 - depth))
    limbs = [(x, y, -90 + rng.uniform(-8, 8), height * 0.34, height * 0.075, 0)]
    while limbs:
        x0, y0, angle, length, wide, level = limbs.pop()
        bend = rng.uniform(-22, 22)
        a, b = np.radians(angle), np.radians(angle + bend)
        xm, ym = x0 + np.cos(a) * length * 0.5, y0 + np.sin(a) * length * 0.5
        x1, y1 = xm + np.cos(b) * length * 0.5, ym + np.sin(b) * length * 0.5
        brush(e.canvas, points([(x0, y0), (xm, ym), (x1, y1)]), colour, wide, wide * 0.62)
        if level < (5 if height > e.u * 26 else 4):
            spread = rng.uniform(18, 40)
            for way in (-1, 1):
                limbs.append(
                    (
                        x1,
                        y1,
                        angle + bend + way * spread * rng.uniform(0.6, 1.2),
                        length * rng.uniform(0.62, 0.82),
                        wide * 0.6,
                        level + 1,
                    )
                )


def _palm(e: Easel, x: float, y: float, height: float, depth: float, rng: np.random.Generator, _sort: str) -> None:
    lean = height * rng.uniform(-0.2, 0.2)
    top = (x + lean, y - height * 0.85)
    path = smooth([(x, y), (x + lean * 0.35, y - height * 0.45), top], closed=False)
    brush(e.canvas, path, e.palette.lit(e.palette.bark, depth), height * 0.05, height * 0.03)
    leaf = e.palette.lit(e.palette.leaves[0], depth)
    for angle in np.linspace(-200, 20, 9) + rng.uniform(-8, 8, 9):
        a = np.radians(angle)
        mid = (top[0] + np.cos(a) * height * 0.22, top[1] + np.sin(a) * height * 0.2 - height * 0.04)
        tip = (top[0] + np.cos(a) * height * 0.4, top[1] + np.sin(a) * height * 0.24 + height * 0.1)
        frond = smooth([top, mid, tip], closed=False)
        brush(e.canvas, frond, scale(leaf, 0.75 + 0.3 * float(rng.random())), height * 0.06, height * 0.005)


def paint_bush(e: Easel, x: float, y: float, size: float, depth: float, purpose: object = "") -> None:
    rng = e.rng("bush", round(x), round(y), purpose)
    leaf = e.palette.leaves[int(rng.integers(len(e.palette.leaves)))]
    crown(e, x, y - size * 0.35, size * 0.7, size * 0.45, e.palette.lit(leaf, depth), depth, rng)


def paint_grass(e: Easel, xy: Points, height: float, colour: Colour, rng: np.random.Generator) -> None:
    """Paint blades at (n, 2), each with its own tone and lean."""
    lean = rng.uniform(-0.55, 0.55, len(xy)) * height
    tall = rng.uniform(0.5, 1.2, len(xy)) * height
    tone = rng.uniform(0.72, 1.18, len(xy))
    half = max(0.5, height * 0.045)
    for (x, y), dx, dy, k in zip(xy, lean, tall, tone, strict=True):
        blade = points([(x - half, y), (x + half, y), (x + dx * 0.45 + half * 0.5, y - dy * 0.65), (x + dx, y - dy)])
        fills(e.canvas, [blade], scale(colour, float(k)))


def paint_flower(e: Easel, x: float, y: float, size: float, colour: Colour, rng: np.random.Generator) -> None:
    """Paint one open flower with its stalk, `size` pixels across."""
    stalk = e.palette.lit(e.palette.leaves[0])
    root = (x + rng.uniform(-0.4, 0.4) * size, y + size * rng.uniform(1.6, 2.6))
    brush(e.canvas, smooth([root, (x, y + size), (x, y)], closed=False), scale(stalk, 0.8), size * 0.14, size * 0.08)
    leaf = (x + size * rng.choice([-0.7, 0.7]), y + size * 1.1)
    brush(
        e.canvas,
        smooth([(x, y + size * 1.5), ((x + leaf[0]) / 2, leaf[1]), leaf], closed=False),
        stalk,
        size * 0.3,
        size * 0.03,
    )
    petals = int(rng.integers(5, 8))
    a = rng.uniform(0, 6.3) + 2 * np.pi * np.arange(petals) / petals
    around = np.stack([x + np.cos(a) * size * 0.32, y + np.sin(a) * size * 0.27], axis=1)
    # Petals above the heart catch the light.
    tones = np.clip(np.array(colour) * (0.82 + 0.3 * (np.sin(a) < 0))[:, None], 0, 255)
    dabs(e.canvas, points(around), np.full(petals, size * 0.24, np.float32), tones)
    heart = np.array([e.palette.lit((244, 200, 80))])
    dabs(e.canvas, points([(x, y)]), np.full(1, size * 0.15, np.float32), heart)
