"""A street seen along its length: house fronts on both sides, lamps, a wet or dusty roadway."""

import numpy as np

from limner.providers.sketch import buildings, outdoors, sky
from limner.providers.sketch.canvas import (
    Colour,
    Points,
    blend,
    cover,
    fill,
    fills,
    glaze,
    glow,
    line,
    mix,
    points,
    scale,
    wash,
)
from limner.providers.sketch.easel import Easel
from limner.providers.sketch.land import mirror


def paint_street(e: Easel) -> None:
    """Paint a street in one-point perspective; rain makes it shine."""
    rng = e.rng("street")
    vx, vy = e.w * rng.uniform(0.42, 0.58), e.h * rng.uniform(0.54, 0.6)
    sky.paint_sky(e, vy)
    modern = e.scene.genre in ("detective", "science fiction") or e.scene.has("city", "car")
    if modern:
        buildings.paint_city(e, vy + e.u * 2, e.h * 0.34, 0.4)
    else:
        buildings.paint_town(e, vx, vy + e.u * 2, e.u * 16, 0.55)
    _roadway(e, vx, vy)
    for side in (-1, 1):
        _fronts(e, vx, vy, side, modern)
    _shine(e, vx, vy)
    for number, t in enumerate((0.3, 0.52, 0.85)):
        for side in (-1, 1):
            x, y = _at(e, vx, vy, side, 0.52, t)
            if (number + (side > 0)) % 2 == 0:
                outdoors.paint_lantern(e, x, y, e.u * 46 * t)


def _at(e: Easel, vx: float, vy: float, side: int, out: float, near: float) -> tuple[float, float]:
    """Return a point of the ground: `out` of the middle (1 is the house fronts), `near` 0 (far) to 1 (the viewer)."""
    return vx + side * out * near * e.w * 0.72, vy + near * (e.h - vy) * 1.12


def _quad(e: Easel, vx: float, vy: float, side: int, near0: float, near1: float, low: float, high: float) -> Points:
    """Return a piece of the house front between two depths and two heights (1 is the eaves)."""
    corners = []
    for near, up in ((near0, low), (near0, high), (near1, high), (near1, low)):
        x, y = _at(e, vx, vy, side, 0.78, near)
        corners.append((x, y - up * near * e.h * 1.25))
    return points(corners)


def _roadway(e: Easel, vx: float, vy: float) -> None:
    stone = e.palette.lit((104, 102, 106))
    wash(
        e.canvas,
        points([(0, vy), (e.w, vy), (e.w, e.h), (0, e.h)]),
        mix(stone, e.palette.haze, 0.5),
        scale(stone, 0.75),
        0.1,
    )
    rng = e.rng("cobbles")
    for near in np.linspace(0.12, 1, 22) ** 1.5:
        for k in np.linspace(-0.5, 0.5, 15):
            x, y = _at(e, vx, vy, 1, float(k) + rng.uniform(-0.02, 0.02), float(near))
            size = e.u * 2.6 * near
            glaze(
                e.canvas,
                points([(x - size, y), (x, y - size * 0.3), (x + size, y), (x, y + size * 0.3)]),
                scale(stone, float(rng.uniform(0.5, 1.3))),
                0.35,
            )
    for side in (-1, 1):
        pavement = [
            _at(e, vx, vy, side, out, near) for out, near in ((0.56, 0.03), (0.8, 0.03), (0.8, 1.0), (0.56, 1.0))
        ]
        wash(e.canvas, points(pavement), mix(stone, e.palette.haze, 0.4), scale(stone, 1.05), 0.08)
        edge = points([pavement[0], pavement[3]])
        line(e.canvas, edge, scale(stone, 0.55), e.u * 0.3)


def _fronts(e: Easel, vx: float, vy: float, side: int, modern: bool) -> None:
    """Set the houses of one side, far ones first."""
    rng = e.rng("fronts", side)
    depths = np.array([0.06, 0.12, 0.19, 0.28, 0.4, 0.56, 0.78, 1.15])
    for number in range(len(depths) - 1):
        near0, near1 = float(depths[number]), float(depths[number + 1])
        haze = 0.6 * (1 - near1)
        base: Colour = [(150, 126, 106), (128, 112, 104), (166, 142, 116), (118, 106, 112)][int(rng.integers(4))]
        wall = scale(e.palette.lit(mix(base, e.palette.accent(number), 0.16), max(haze, 0.0)), 0.8 if side > 0 else 1.0)
        high = rng.uniform(0.85, 1.35) if modern else rng.uniform(0.5, 0.8)
        wash(e.canvas, _quad(e, vx, vy, side, near0, near1, 0, high), scale(wall, 1.05), scale(wall, 0.7), 0.1)
        if not modern:
            _roof(e, vx, vy, side, near0, near1, high, number, max(haze, 0))
        _windows(e, vx, vy, side, (near0, near1), high, wall, rng)


def _roof(
    e: Easel, vx: float, vy: float, side: int, near0: float, near1: float, high: float, number: int, haze: float
) -> None:
    shape = _quad(e, vx, vy, side, near0, near1, high - 0.02, high + 0.17)
    shape[1, 0] += side * e.u * 5 * near0
    shape[2, 0] += side * e.u * 5 * near1
    tile = e.palette.of("tile" if number % 2 else "slate", haze)
    wash(e.canvas, shape, scale(tile, 1.1), scale(tile, 0.8), 0.14)


def _windows(
    e: Easel,
    vx: float,
    vy: float,
    side: int,
    span: tuple[float, float],
    high: float,
    wall: Colour,
    rng: np.random.Generator,
) -> None:
    """Set rows of windows and, below, doors and lit shops."""
    floors = max(2, int(high / 0.24))
    for floor in range(floors):
        low = 0.09 + floor * (high - 0.1) / floors
        for k in (0.14, 0.42, 0.7):
            a = span[0] + (span[1] - span[0]) * k
            b = span[0] + (span[1] - span[0]) * (k + 0.16)
            lit = e.palette.is_dark and rng.random() < (0.6 if floor == 0 else 0.32)
            pane = _quad(e, vx, vy, side, a, b, low, low + 0.13)
            colour = (
                mix((255, 204, 112), (255, 160, 80), float(rng.random()))
                if lit
                else mix(scale(wall, 0.42), e.palette.middle, 0.2)
            )
            fills(e.canvas, [pane], colour)
            if lit and span[1] > 0.3:
                middle = pane.mean(axis=0)
                glow(e.canvas, float(middle[0]), float(middle[1]), e.u * 12 * span[1], (255, 170, 80), 0.35)
    door = _quad(e, vx, vy, side, span[0] + (span[1] - span[0]) * 0.88, span[0] + (span[1] - span[0]) * 0.97, 0, 0.17)
    fill(e.canvas, door, scale(e.palette.lit(e.palette.accent(int(rng.integers(4)))), 0.6))


def _shine(e: Easel, vx: float, vy: float) -> None:
    """Let the wet road mirror the lights."""
    wet = e.scene.has("rain", "storm") or e.scene.genre == "detective"
    strength = 0.55 if wet else 0.1
    top = int(vy + e.u * 1.5)
    road = points(
        [
            _at(e, vx, vy, -1, 0.56, 0.02),
            _at(e, vx, vy, 1, 0.56, 0.02),
            _at(e, vx, vy, 1, 0.56, 1.0),
            _at(e, vx, vy, -1, 0.56, 1.0),
        ]
    )
    box = (0, top, e.w, e.h)
    mask = np.asarray(cover(road, box) * strength, np.uint8)
    blend(e.canvas.pixels[top:], mirror(e, top, e.h), mask)
