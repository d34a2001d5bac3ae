"""Skies: the wash from zenith to horizon, sun, moon, stars, planets, clouds, rainbow.

Knows nothing of the land below; `horizon` is the row where it begins.
"""

import numpy as np

from limner.providers.sketch.canvas import (
    brush,
    dabs,
    ellipse,
    fill,
    glaze,
    glow,
    gradient,
    line,
    mix,
    noise,
    points,
    scale,
    veil,
    wash,
)
from limner.providers.sketch.easel import Easel


def paint_sky(e: Easel, horizon: float) -> tuple[float, float]:
    """Paint everything above (and behind) the horizon; return where its light stands."""
    p, c = e.palette, e.canvas
    rng = e.rng("sky")
    middle = int(horizon * rng.uniform(0.42, 0.6)) + 1
    below = int(min(horizon * 1.12 + 2, e.h))
    c.pixels[:middle] = gradient((0, 0, e.w, middle), (0, middle), p.zenith, p.middle, 0.03, 0, rng)
    c.pixels[middle:] = gradient((0, middle, e.w, e.h), (middle, below), p.middle, p.horizon, 0.03, 0, rng)
    light = light_place(e, horizon)
    if p.time in ("night", "space", "dusk"):
        paint_stars(e, horizon)
    paint_light(e, light)
    if p.time == "space" or e.scene.has("planet"):
        paint_planet(e, horizon)
    else:
        paint_clouds(e, horizon)
    if e.scene.has("rainbow"):
        paint_rainbow(e, horizon)
    return light


def light_place(e: Easel, horizon: float) -> tuple[float, float]:
    """Return where sun or moon stands: low at dawn and sunset, high else, at a third of the width."""
    rng = e.rng("light")
    side = 0.28 if rng.random() < 0.5 else 0.72
    low = e.palette.time in ("dawn", "sunset")
    height = rng.uniform(0.68, 0.86) if low else rng.uniform(0.22, 0.42)
    return e.w * (side + rng.uniform(-0.1, 0.1)), horizon * height


def paint_light(e: Easel, at: tuple[float, float]) -> None:
    p, u = e.palette, e.u
    x, y = at
    if p.time in ("storm", "overcast"):
        glow(e.canvas, x, y, u * 60, p.light, 0.35)
        return
    glow(e.canvas, x, y, u * 85, p.light, 0.38)
    glow(e.canvas, x, y, u * 30, p.light, 0.5)
    if p.time in ("night", "space", "dusk"):
        if p.time != "dusk" or e.scene.has("moon"):
            paint_moon(e, x, y)
    elif p.time in ("dawn", "sunset") or e.scene.has("sun"):
        fill(e.canvas, ellipse(x, y, u * 5, u * 5), mix(p.light, (255, 255, 250), 0.5))
        glow(e.canvas, x, y, u * 14, p.light, 0.6)


def paint_moon(e: Easel, x: float, y: float) -> None:
    """Paint a full moon with its seas, or a crescent."""
    u, p = e.u, e.palette
    rng = e.rng("moon")
    radius = u * rng.uniform(4.5, 7.5)
    moon = mix(p.light, (255, 255, 245), 0.5)
    if rng.random() < 0.3:
        inner = ellipse(x + radius * 0.55, y - radius * 0.2, radius * 0.85, radius * 0.9, 232, 106)
        outer = ellipse(x, y, radius, radius, 62, 300)
        fill(e.canvas, points(np.vstack([outer, inner[::1]])), moon)
    else:
        wash(e.canvas, ellipse(x, y, radius, radius), moon, scale(moon, 0.9), 0.05)
        for _ in range(5):
            a, r = rng.uniform(0, 6.3), radius * rng.uniform(0.1, 0.6)
            size = radius * rng.uniform(0.1, 0.28)
            spot = ellipse(x + r * np.cos(a), y + r * np.sin(a), size * 1.2, size)
            glaze(e.canvas, spot, scale(p.haze, 1.1), 0.3, soften=size * 0.3)
    glow(e.canvas, x, y, radius * 3.5, p.light, 0.35)


def paint_stars(e: Easel, horizon: float) -> None:
    rng = e.rng("stars")
    count = {"space": 420, "night": 230, "dusk": 60}[e.palette.time]
    xy = points(np.stack([rng.uniform(0, e.w, count), rng.uniform(0, 1, count) ** 1.4 * horizon * 0.95], axis=1))
    size = (0.06 + 0.22 * rng.random(count) ** 5) * e.u
    white = np.array(mix(e.palette.light, (255, 255, 255), 0.5))
    shade = rng.uniform(0.35, 1.0, (count, 1))
    colours = white * shade + np.array(e.palette.middle) * (1 - shade)
    dabs(e.canvas, xy, size.astype(np.float32), colours)
    for x, y in xy[:6]:
        glow(e.canvas, float(x), float(y), e.u * 2.6, (230, 235, 255), 0.7)


def paint_clouds(e: Easel, horizon: float) -> None:
    """Lay thin high clouds, and heaps of them where the weather or the seed wants them."""
    p = e.palette
    rng = e.rng("clouds")
    rows = int(min(horizon * 1.05, e.h))
    heavy = p.time in ("storm", "overcast") or e.scene.has("rain", "snow")
    cover = 0.62 if heavy else (0.45 if e.scene.has("clouds") else rng.uniform(0.12, 0.36))
    thin = noise((rows, e.w), e.u * 26, rng, 5, stretch=rng.uniform(2.2, 4.5))
    thick = np.clip((thin - (1 - cover) * 0.8) * 4.0, 0, 1)
    bright = (
        mix(p.haze, p.zenith, 0.45)
        if heavy
        else mix(p.haze, p.horizon, 0.6)
        if p.is_dark
        else mix(p.horizon, p.light, 0.5)
    )
    veil(e.canvas, thick.astype(np.float32) * np.float32(0.75), bright)
    under = np.roll(thick, -int(e.u * 2.2), axis=0) * (1 - thick) * 0.5
    veil(e.canvas, under.astype(np.float32), mix(p.middle, p.zenith, 0.6))
    if p.time in ("day", "dawn", "sunset") and (e.scene.has("clouds") or rng.random() < 0.55):
        for _ in range(int(rng.integers(2, 5))):
            paint_heap(e, rng.uniform(0, e.w), horizon * rng.uniform(0.25, 0.75), rng)


def paint_heap(e: Easel, x: float, y: float, rng: np.random.Generator) -> None:
    """Paint one heaped cloud: a flat base under round heads, lit from above."""
    p, u = e.palette, e.u
    width = u * rng.uniform(14, 34)
    top, base = mix(p.light, (255, 255, 255), 0.45), mix(p.horizon, p.middle, 0.45)
    heads = int(rng.integers(6, 11))
    at = np.linspace(-1, 1, heads)
    for k in at[np.argsort(-np.abs(at), kind="stable")]:
        r = width * (0.12 + 0.17 * (1 - k * k)) * rng.uniform(0.8, 1.2)
        cx, cy = x + k * width * 0.8, y - r * 0.35
        arc = np.vstack([ellipse(cx, cy, r, r, 180, 360), points([(cx + r, y + r * 0.16), (cx - r, y + r * 0.16)])])
        wash(e.canvas, points(arc), mix(top, p.middle, 0.12), base, 0.05, soften=u * 0.45)


def paint_planet(e: Easel, horizon: float) -> None:
    """Paint a banded planet, sometimes ringed, with its night side, and a smaller one."""
    rng = e.rng("planet")
    for size, number in ((rng.uniform(17, 27), 0), (rng.uniform(3.5, 7), 1)):
        x = e.w * rng.uniform(0.12, 0.88)
        y, r = horizon * rng.uniform(0.25, 0.6), e.u * size
        colour = mix(e.palette.accent(number), e.palette.haze, 0.25)
        glow(e.canvas, x, y, r * 1.7, colour, 0.5)
        disc = ellipse(x, y, r, r)
        wash(e.canvas, disc, scale(colour, 1.25), scale(colour, 0.7), 0.1, side=0.3)
        for k in np.linspace(-0.75, 0.75, 6):
            half = r * float(np.sqrt(1 - k * k)) * 0.97
            band = ellipse(x, y + k * r, half, r * rng.uniform(0.03, 0.09))
            glaze(e.canvas, band, mix(colour, e.palette.light, float(rng.random())), 0.35, soften=r * 0.02)
        night = np.vstack([ellipse(x, y, r, r, -60, 120), ellipse(x - r * 0.3, y - r * 0.1, r, r, 110, -50)])
        glaze(e.canvas, points(night), e.palette.zenith, 0.75, soften=r * 0.1)
        if number == 0 and rng.random() < 0.7:
            ring = ellipse(x, y, r * 1.75, r * 0.4, -15, 195)
            brush(e.canvas, ring, mix(colour, e.palette.light, 0.6), r * 0.09, r * 0.09)
            line(
                e.canvas,
                ellipse(x, y + r * 0.02, r * 1.95, r * 0.47, -12, 192),
                mix(colour, e.palette.light, 0.4),
                e.u * 0.2,
            )


def paint_rainbow(e: Easel, horizon: float) -> None:
    colours = ((214, 90, 80), (232, 160, 80), (240, 220, 110), (120, 180, 110), (90, 140, 200), (130, 100, 180))
    for number, colour in enumerate(colours):
        r = e.h * 0.75 - number * e.u * 1.3
        outer = ellipse(e.w * 0.55, horizon * 1.15, r, r, 180, 360)
        inner = ellipse(e.w * 0.55, horizon * 1.15, r - e.u * 1.5, r - e.u * 1.5, 360, 180)
        glaze(e.canvas, points(np.vstack([outer, inner])), colour, 0.32, soften=e.u * 0.5)
