"""Weather and light over a finished scene: mist, fog, rain, snow, lightning, light shafts, fireflies, smoke.

Knows nothing of what lies beneath.
"""

import numpy as np

from limner.providers.sketch.canvas import (
    brush,
    dabs,
    ellipse,
    fill,
    fills,
    glaze,
    glow,
    mix,
    noise,
    points,
    profile,
    scale,
    veil,
)
from limner.providers.sketch.easel import Easel


def paint_mist(e: Easel, horizon: float) -> None:
    """Lay the air's own haze on the distance; thicker when fog is spoken of."""
    thick = 0.62 if e.scene.has("fog", "smoke") else 0.2
    top, bottom = int(max(0, horizon - e.h * 0.16)), int(min(e.h, horizon + e.h * 0.14))
    rows = bottom - top
    if rows < 4:
        return
    bank = noise((rows, e.w), e.u * 16, e.rng("mist"), 4, stretch=4)
    fade = np.sin(np.linspace(0, np.pi, rows, dtype=np.float32))[:, None]
    veil(e.canvas, bank * fade * np.float32(thick * 1.5), mix(e.palette.haze, e.palette.light, 0.3), top)


def paint_low_fog(e: Easel, y: float, thick: float) -> None:
    top, bottom = int(max(0, y - e.h * 0.1)), int(min(e.h, y + e.h * 0.05))
    if bottom - top < 4:
        return
    bank = noise((bottom - top, e.w), e.u * 14, e.rng("low fog", top), 3, stretch=4)
    fade = np.sin(np.linspace(0, np.pi, bottom - top, dtype=np.float32))[:, None]
    veil(e.canvas, bank * fade * np.float32(thick * 1.8), mix(e.palette.haze, e.palette.light, 0.45), top)


def paint_weather(e: Easel) -> None:
    """Let everything that the words say of weather and light fall over the picture."""
    s = e.scene
    if s.has("fog", "smoke"):
        paint_fog(e, 0.55)
    if s.has("shafts"):
        paint_shafts(e)
    if s.has("storm"):
        paint_lightning(e)
    if s.has("rain", "storm"):
        paint_rain(e)
    if s.has("snow"):
        paint_snow(e)
    if s.has("petals"):
        paint_petals(e)
    if s.has("wind"):
        paint_wind(e)
    if s.has("fireflies", "magic") and (e.palette.is_dark or s.genre == "fantasy"):
        paint_fireflies(e, 46)


def paint_fog(e: Easel, thick: float) -> None:
    rng = e.rng("fog")
    for k in (0.5, 0.72, 0.9):
        top, bottom = int(e.h * (k - 0.2)), int(min(e.h, e.h * (k + 0.16)))
        bank = noise((bottom - top, e.w), e.u * 22, rng, 4, stretch=3.5)
        fade = np.sin(np.linspace(0, np.pi, bottom - top, dtype=np.float32))[:, None]
        colour = mix(e.palette.haze, e.palette.light, 0.28)
        veil(e.canvas, np.clip((bank - 0.32) * 2.2, 0, 1) * fade * np.float32(thick), colour, top)


def paint_rain(e: Easel) -> None:
    """Draw slanting strokes, finer with distance, and their splashes."""
    rng = e.rng("rain")
    slant = rng.uniform(0.12, 0.35) * (1 if rng.random() < 0.5 else -1)
    tone = mix(e.palette.haze, (225, 235, 245), 0.5)
    for layer, count in enumerate((260, 150, 60)):
        length = e.u * (3.0 + 3.2 * layer)
        for x, y in zip(rng.uniform(-0.1, 1.1, count) * e.w, rng.uniform(-0.1, 1, count) * e.h, strict=True):
            half = max(0.35, e.u * (0.05 + 0.03 * layer))
            stroke = points(
                [
                    (x - half, y),
                    (x + half, y),
                    (x + slant * length + half, y + length),
                    (x + slant * length - half, y + length),
                ]
            )
            glaze(e.canvas, stroke, tone, 0.2 + 0.08 * layer)
    for x, y in zip(rng.uniform(0, e.w, 40), rng.uniform(0.82, 1, 40) * e.h, strict=True):
        glaze(e.canvas, ellipse(x, y, e.u * 0.9, e.u * 0.22), tone, 0.3)


def paint_snow(e: Easel) -> None:
    rng = e.rng("snow")
    for size, count in ((0.18, 320), (0.34, 150), (0.75, 36)):
        xy = points(np.stack([rng.uniform(0, e.w, count), rng.uniform(0, e.h, count)], axis=1))
        radii = (rng.uniform(0.6, 1.4, count) * size * e.u).astype(np.float32)
        tone = np.array(mix(e.palette.haze, (255, 255, 255), 0.85)) * rng.uniform(0.88, 1.0, (count, 1))
        dabs(e.canvas, xy, radii, tone)


def paint_lightning(e: Easel) -> None:
    rng = e.rng("lightning")
    x, y = e.w * rng.uniform(0.2, 0.8), 0.0
    end = e.h * rng.uniform(0.45, 0.58)
    glow(e.canvas, x, end * 0.3, e.u * 70, (190, 200, 255), 0.55)
    path = [(x, y)]
    while y < end:
        x, y = x + rng.uniform(-1, 1) * e.u * 5, y + rng.uniform(1.5, 5) * e.u
        path.append((x, y))
        if rng.random() < 0.2:
            fork = [(x, y)]
            for _ in range(5):
                fork.append((fork[-1][0] + rng.uniform(-3, 3) * e.u, fork[-1][1] + rng.uniform(1, 3) * e.u))
            brush(e.canvas, points(fork), (210, 218, 255), e.u * 0.45, e.u * 0.1)
    for px, py in path[:: max(1, len(path) // 6)]:
        glow(e.canvas, px, py, e.u * 15, (180, 195, 255), 0.4)
    brush(e.canvas, points(path), (248, 250, 255), e.u * 1.0, e.u * 0.35)


def paint_shafts(e: Easel, x: float | None = None, y: float = 0.0) -> None:
    """Let slanting beams fall from above."""
    rng = e.rng("shafts")
    from_x = e.w * rng.uniform(0.1, 0.9) if x is None else x
    way = 1 if from_x < e.w / 2 else -1
    for k in range(6):
        start = from_x + way * e.u * (k * 7 - 12) * rng.uniform(0.8, 1.2)
        wide, lean = e.u * rng.uniform(2, 5), way * e.h * rng.uniform(0.3, 0.48)
        low = e.h * rng.uniform(0.8, 1.0)
        beam = points(
            [
                (start - wide, y - e.u * 3),
                (start + wide, y - e.u * 3),
                (start + lean + wide * 3, low),
                (start + lean - wide * 2, low),
            ]
        )
        glaze(e.canvas, beam, mix(e.palette.light, (255, 250, 225), 0.4), float(rng.uniform(0.1, 0.22)), wide * 0.7)
    paint_motes(e, 60)


def paint_motes(e: Easel, count: int) -> None:
    """Let dust float in the light."""
    rng = e.rng("motes")
    for x, y in zip(rng.uniform(0, e.w, count), rng.uniform(0.1, 0.95, count) * e.h, strict=True):
        r = e.u * rng.uniform(0.1, 0.3)
        glaze(e.canvas, ellipse(x, y, r, r), mix(e.palette.light, (255, 255, 240), 0.5), 0.5)


def paint_fireflies(e: Easel, count: int) -> None:
    rng = e.rng("fireflies")
    tone = mix(e.palette.accent(0), (255, 240, 170), 0.7)
    for x, y in zip(rng.uniform(0, e.w, count), rng.uniform(0.4, 0.97, count) * e.h, strict=True):
        size = e.u * rng.uniform(0.9, 2.6)
        glow(e.canvas, x, y, size, tone, 0.9)
        fill(e.canvas, ellipse(x, y, size * 0.12, size * 0.12), (255, 252, 220))


def paint_petals(e: Easel) -> None:
    rng = e.rng("petals")
    colours = [*e.palette.leaves, e.palette.accent(0)]
    for _ in range(70):
        x, y, r = rng.uniform(0, e.w), rng.uniform(0.05, 1) * e.h, e.u * rng.uniform(0.4, 1.1)
        a = rng.uniform(0, np.pi)
        leaf = points(
            [
                (x - np.cos(a) * r, y - np.sin(a) * r),
                (x - np.sin(a) * r * 0.45, y + np.cos(a) * r * 0.45),
                (x + np.cos(a) * r, y + np.sin(a) * r),
                (x + np.sin(a) * r * 0.45, y - np.cos(a) * r * 0.45),
            ]
        )
        fills(e.canvas, [leaf], e.palette.lit(scale(colours[int(rng.integers(len(colours)))], 1.1)))


def paint_wind(e: Easel) -> None:
    """Draw the wind as a few long curls of light."""
    rng = e.rng("wind")
    for _ in range(7):
        y = rng.uniform(0.15, 0.85) * e.h
        bend = profile(40, rng, 1.5, 0.3, 2) * e.u * 3
        x0 = rng.uniform(-0.1, 0.7) * e.w
        path = points(np.stack([np.linspace(x0, x0 + e.w * 0.35, 40), y + bend], axis=1))
        brush(e.canvas, path, mix(e.palette.haze, e.palette.light, 0.5), e.u * 0.1, e.u * 0.35)


def paint_nebula(e: Easel) -> None:
    """Let clouds of coloured light stand among the stars."""
    rng = e.rng("nebula")
    lane = noise((e.h, e.w), e.u * 45, rng, 5)
    for number in range(2):
        part = noise((e.h, e.w), e.u * 36, rng, 5)
        thick = np.clip((lane + part - 1.02 - 0.06 * number) * 2.2, 0, 0.55)
        veil(e.canvas, thick.astype(np.float32), mix(e.palette.accent(number), e.palette.haze, 0.35))


def paint_embers(e: Easel, x: float, y: float, spread: float) -> None:
    rng = e.rng("embers")
    for _ in range(90):
        k = rng.random()
        sx, sy = x + rng.normal(0, 0.3 + 0.5 * k) * spread, y - k * e.h * 0.8
        r = e.u * rng.uniform(0.12, 0.42) * (1.1 - k)
        glow(e.canvas, sx, sy, r * 6, (255, 140, 50), 0.55)
        fill(e.canvas, ellipse(sx, sy, r, r), (255, 206, 120))
