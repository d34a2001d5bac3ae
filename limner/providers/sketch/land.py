"""Land and water: ridges, ground, roads, rivers and lakes with what they mirror.

Knows nothing of the sky above or of what is built on it.
"""

import cv2
import numpy as np

from limner.providers.sketch.canvas import (
    Bytes,
    Colour,
    Field,
    Points,
    blend,
    brush,
    cover,
    dabs,
    ellipse,
    fill,
    glaze,
    glaze_within,
    gradient,
    line,
    mix,
    moved,
    noise,
    points,
    profile,
    scale,
    veil,
    wash,
    window,
)
from limner.providers.sketch.easel import Easel
from limner.providers.sketch.palette import named


def silhouette(e: Easel, heights: Field) -> Points:
    """Return the shape below a skyline of one row per column."""
    step = max(1, e.w // 400)
    x = np.arange(0, e.w + step, step)
    y = np.interp(x, np.arange(len(heights)), heights)
    return points(np.vstack([np.stack([x, y], axis=1), [(e.w + 2, e.h + 2), (-2, e.h + 2)]]))


def paint_ridges(e: Easel, horizon: float) -> None:
    """Paint hills or mountains in two to four planes, each nearer one darker and clearer."""
    rng = e.rng("ridges")
    flat = e.scene.has("steppe", "sea", "desert", "field") and not e.scene.has("mountain", "hill")
    high = e.scene.has("mountain")
    planes = 2 if flat else (4 if high else 3)
    reach = min(horizon * 0.8, e.h * (0.04 if flat else 0.46 if high else 0.16))
    for plane in range(planes):
        near = plane / max(planes - 1, 1)
        peaked = high and near < 0.7
        crest = profile(e.w, rng, (3.2 if peaked else 1.8) + near * 1.5, 0.52 if peaked else 0.34, 6 if peaked else 3)
        if peaked:
            crest = (0.9 - np.abs(crest) * 1.3).astype(np.float32)
        base = horizon + e.h * 0.012 * plane
        skyline = base - reach * (1 - 0.62 * near) * (0.42 + 0.5 * crest)
        _ridge(e, skyline.astype(np.float32), near, peaked)
        if not flat and not high and near > 0.3:
            _far_trees(e, skyline, near, rng)


def _ridge(e: Easel, skyline: Field, near: float, peaked: bool) -> None:
    p = e.palette
    stone = mix(p.far, (120, 124, 140), 0.75) if peaked else mix(p.far, p.grass, near)
    depth = 0.86 - 0.5 * near
    colour = p.lit(stone, depth)
    shape = silhouette(e, skyline)
    low = float(skyline.max()) + e.h * 0.06
    box = window(e.canvas, shape, 0)
    if box is None:
        return
    x0, y0, x1, y1 = box
    sheet = gradient(box, (float(skyline.min()), low), colour, mix(colour, p.haze, 0.55), 0.06, 0, e.rng("ridge", near))
    mask = cover(shape, box)
    blend(e.canvas.pixels[y0:y1, x0:x1], sheet, mask)
    if peaked:
        _rocks(e, skyline, near)


def _peaks(skyline: Field, reach: int) -> list[int]:
    """Return the columns of the skyline's summits, each the highest within `reach` columns."""
    tops = [x for x in range(0, len(skyline), 3) if skyline[x] <= skyline[max(0, x - reach) : x + reach].min() + 0.01]
    return [x for k, x in enumerate(tops) if k == 0 or x - tops[k - 1] > reach // 2]


def _rocks(e: Easel, skyline: Field, near: float) -> None:
    """Model mountains as cut paper: each summit has a shaded side, ribs, and a jagged cap of snow."""
    rng = e.rng("rocks", near)
    p = e.palette
    haze = 0.62 - 0.4 * near
    dark = mix(p.ink, p.haze, haze + 0.1)
    snow = mix(p.lit((255, 255, 255)), p.haze, haze * 0.55)
    limit = silhouette(e, skyline)
    for x in _peaks(skyline, max(4, int(e.u * 9))):
        top, tall = float(skyline[x]), float(np.median(skyline) + e.h * 0.1 - skyline[x])
        if tall < e.u * 3:
            continue
        t = np.linspace(0, 1, 9)
        rib = x + np.cumsum(rng.uniform(-0.6, 1.0, 9)) * tall * 0.055
        spine = np.stack([rib, top + t * tall], axis=1)
        side = points(np.vstack([spine, [(x + tall * 1.5, top + tall), (x + tall * 0.9, top + tall * 0.2), (x, top)]]))
        glaze_within(e.canvas, side, limit, dark, 0.34)
        low = tall * rng.uniform(0.3, 0.48)
        k = np.linspace(-1, 1, 11)
        jag = (
            top
            + low * (0.62 + 0.38 * np.abs(k))
            + np.where(np.arange(11) % 2, -0.22, 0.2) * low * rng.uniform(0.5, 1.2, 11)
        )
        cap = points(np.vstack([[(x, top - e.u)], np.stack([x + k[::-1] * low * 1.5, jag], axis=1)]))
        glaze_within(e.canvas, cap, limit, snow, 0.92)
        lee = points(np.vstack([spine[:5], [(x + low * 1.6, top + low * 1.1), (x, top)]]))
        glaze_within(e.canvas, lee, limit, mix(snow, dark, 0.5), 0.42)
        for _ in range(4):
            rx, ry = x + rng.uniform(-0.6, 0.7) * tall, top + tall * rng.uniform(0.45, 0.8)
            rib_ = points(
                [
                    (rx, ry),
                    (rx + tall * 0.07, ry + tall * 0.16),
                    (rx + tall * 0.2, ry + tall * 0.3),
                    (rx + tall * 0.02, ry + tall * 0.2),
                ]
            )
            glaze_within(e.canvas, rib_, limit, dark, 0.25)


def _far_trees(e: Easel, skyline: Field, near: float, rng: np.random.Generator) -> None:
    """Dot a hill's back with small woods."""
    p = e.palette
    for _ in range(int(rng.integers(3, 7))):
        middle, half = rng.uniform(0, e.w), e.u * rng.uniform(4, 14)
        count = int(half / e.u * 5)
        x = np.clip(middle + rng.normal(0, half * 0.5, count), 0, e.w - 1)
        y = skyline[x.astype(int)] + rng.uniform(-0.1, 0.8, count) * e.u * 1.5
        tone = rng.uniform(0.62, 0.95, (count, 1))
        colour = np.array(p.lit(p.leaves[0], 0.78 - 0.45 * near)) * tone
        dabs(
            e.canvas,
            points(np.stack([x, y], axis=1)),
            (rng.uniform(0.4, 1.0, count) * e.u * (0.5 + 0.7 * near)).astype(np.float32),
            colour,
        )


def ground_colours(e: Easel) -> tuple[Colour, Colour]:
    """Return the ground's colour where it begins and at the viewer's feet."""
    p = e.palette
    local = p.grass
    if e.scene.has("desert"):
        local = p.soil
    if e.scene.season == "winter":
        # Snow keeps its whiteness in coloured light.
        snow = mix(p.lit(local), (228, 234, 246), 0.3 if p.is_dark else 0.55)
        return mix(snow, p.haze, 0.2), scale(snow, 0.74)
    return p.lit(local, 0.3), scale(p.lit(local, 0.0), 0.62)


def paint_ground(e: Easel, top: float, waves: float = 1.2) -> Field:
    """Paint the near ground from `top` down; return its upper edge, one row per column."""
    rng = e.rng("ground", round(top))
    edge = (top + e.h * 0.02 * profile(e.w, rng, waves, 0.4, 3)).astype(np.float32)
    far, near = ground_colours(e)
    wash(e.canvas, silhouette(e, edge), far, near, 0.1)
    _patches(e, top, rng)
    return edge


def _patches(e: Easel, top: float, rng: np.random.Generator) -> None:
    """Let light and shade lie in long patches over the ground, tighter with distance."""
    rows = max(e.h - int(top), 4)
    patch = noise((rows, e.w), e.u * 10, rng, 4, stretch=3.5)
    fade = np.linspace(0.2, 1, rows, dtype=np.float32)[:, None]
    veil(e.canvas, np.clip((patch - 0.52) * 3, 0, 0.45) * fade, scale(e.palette.ink, 1.2), int(top))
    veil(
        e.canvas, np.clip((0.46 - patch) * 3, 0, 0.4) * fade, mix(ground_colours(e)[0], e.palette.light, 0.5), int(top)
    )


def paint_road(e: Easel, top: float, to: float, bottom: float | None = None) -> None:
    """Paint a road that winds from the viewer's feet to (to, top)."""
    rng = e.rng("road")
    low = e.h * 1.04 if bottom is None else bottom
    t = np.linspace(0, 1, 30)
    bend = rng.uniform(0.08, 0.2) * e.w * (1 if rng.random() < 0.5 else -1)
    start = e.w * rng.uniform(0.3, 0.7)
    middle = start + (to - start) * t**0.8 + bend * np.sin(t * np.pi * 1.7) * (1 - t)
    y = low + (top - low) * (1 - (1 - t) ** 1.9)
    half = e.u * (13 * (1 - t) ** 1.9 + 0.5)
    shape = points(np.vstack([np.stack([middle - half, y], 1), np.stack([middle + half, y], 1)[::-1]]))
    soil = e.palette.lit(e.palette.soil)
    wash(e.canvas, shape, mix(soil, e.palette.haze, 0.35), scale(soil, 0.92), 0.13)
    for side in (-0.45, 0.4):
        rut = points(np.stack([middle + half * side, y], 1))
        brush(e.canvas, rut, scale(soil, 0.74), e.u * 1.7, e.u * 0.15)


def mirror(e: Easel, top: int, bottom: int) -> Bytes:
    """Return what the water from row `top` to `bottom` mirrors, stirred by its ripples."""
    rows = bottom - top
    source = e.canvas.pixels[max(0, top - int(rows * 1.5)) : top]
    if len(source) < 2:
        source = e.canvas.pixels[:2]
    flipped = cv2.resize(source[::-1], (e.w, rows), interpolation=cv2.INTER_AREA)
    rng = e.rng("mirror", top)
    near = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    sway = (noise((rows, e.w), e.u * 3, rng, 2, stretch=5) - 0.5) * (e.u * 0.8 + near * e.u * 5)
    x = np.arange(e.w, dtype=np.float32)[None, :] + sway
    y = np.broadcast_to(np.arange(rows, dtype=np.float32)[:, None], x.shape) + sway * np.float32(0.5)
    return np.asarray(
        cv2.remap(flipped, x, y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.uint8
    )


def paint_water(e: Easel, shape: Points, light_x: float, rough: float = 0.3) -> None:
    """Paint water within `shape`: a dimmed mirror, the water's own colour, ripples and the light's path."""
    box = window(e.canvas, shape, 1)
    if box is None:
        return
    _, y0, _, y1 = box
    full = (0, y0, e.w, y1)
    sheet = mirror(e, y0, y1)
    own = mix(e.palette.of("lake"), e.palette.zenith, 0.45)
    if "water" in e.scene.colours:
        own = e.palette.lit(named(e.scene.colours["water"]))
    tint = gradient(full, (y0, y1), mix(own, e.palette.horizon, 0.45), scale(own, 0.7), 0.05, 0, e.rng("water", y0))
    near = np.linspace(0.24 + rough * 0.5, 0.62, y1 - y0, dtype=np.float32)[:, None]
    blend(sheet, tint, np.asarray(np.broadcast_to(near * 255, (y1 - y0, e.w)), np.uint8))
    blend(e.canvas.pixels[y0:y1], sheet, cover(shape, full))
    _ripples(e, shape, full, light_x, rough)


def _ripples(e: Easel, shape: Points, box: tuple[int, int, int, int], light_x: float, rough: float) -> None:
    rng = e.rng("ripples", box[1])
    inside = cover(shape, box) > 200
    rows = box[3] - box[1]
    bright = mix(e.palette.light, (255, 255, 255), 0.3)
    for _ in range(int(130 + 120 * rough)):
        k = rng.random() ** 1.5
        y = box[1] + k * rows
        near_light = rng.random() < 0.55
        x = rng.normal(light_x, e.u * (4 + 10 * k)) if near_light else rng.uniform(0, e.w)
        row, column = int(y) - box[1], int(x)
        if not (0 <= row < rows and 0 <= column < e.w and inside[row, column]):
            continue
        half = e.u * (0.7 + 4.5 * k) * rng.uniform(0.4, 1.1)
        colour = bright if near_light else mix(e.palette.horizon, e.palette.zenith, float(rng.random()))
        lens = ellipse(x, y, half, max(0.5, e.u * (0.06 + 0.26 * k)))
        glaze(e.canvas, lens, colour, 0.72 if near_light else 0.32)


def lake_shape(e: Easel, top: float, bottom: float) -> Points:
    """Return a lake's outline across the picture, its near shore curved."""
    rng = e.rng("lake")
    shore = bottom + e.h * 0.035 * profile(e.w, rng, 1.5, 0.4, 3)
    step = max(1, e.w // 200)
    x = np.arange(0, e.w + step, step)
    low = np.stack([x, np.interp(x, np.arange(e.w), shore)], axis=1)[::-1]
    return points(np.vstack([[(-2, top), (e.w + 2, top)], low]))


def river_shape(e: Easel, top: float) -> Points:
    """Return a river that winds from the distance to the lower edge, widening."""
    rng = e.rng("river")
    t = np.linspace(0, 1, 36)
    way = 1 if rng.random() < 0.5 else -1
    source, mouth = e.w * rng.uniform(0.4, 0.6), e.w * (0.5 + way * rng.uniform(0.1, 0.25))
    middle = source + (mouth - source) * t + way * e.w * 0.2 * np.sin(t**0.75 * np.pi * 2.3) * t**0.5
    y = top + (e.h * 1.04 - top) * t**1.5
    half = e.u * (0.8 + 24 * t**1.6)
    return points(np.vstack([np.stack([middle - half, y], 1), np.stack([middle + half, y], 1)[::-1]]))


def paint_banks(e: Easel, shape: Points) -> None:
    """Draw the shore: a dark wet edge and a light one above it."""
    dark = mix(scale(e.palette.lit(e.palette.soil), 0.5), e.palette.ink, 0.3)
    half = len(shape) // 2
    for side in (shape[:half], shape[half:][::-1]):
        brush(e.canvas, side, dark, e.u * 0.25, e.u * 1.4)


def paint_waterfall(e: Easel, x: float, top: float, bottom: float) -> None:
    """Paint a fall of water with mist at its foot."""
    rng = e.rng("waterfall")
    half = e.u * 4.5
    rock = e.palette.lit((104, 98, 96), 0.15)
    steps = np.arange(0, 1.01, 0.09)
    rise = top + (bottom - top) * np.array([0.34, 0.1, 0.06, -0.04, 0.0, -0.05, 0.0, 0.0, 0.04, 0.22, 0.4, 1.0])
    edge = np.stack([x - half * 8 + half * 12.6 * steps, rise + rng.uniform(-0.5, 0.5, 12) * e.u], axis=1)
    wash(e.canvas, points(np.vstack([edge, [(x - half * 9.5, bottom)]])), scale(rock, 1.2), scale(rock, 0.6), 0.2)
    for _ in range(46):
        rx, ry = rng.uniform(x - half * 7.5, x + half * 3), rng.uniform(top + half * 0.6, bottom - half * 0.5)
        long = e.u * rng.uniform(1.5, 5)
        slab = points(
            [(rx, ry), (rx + e.u * 1.6, ry - e.u * 0.5), (rx + e.u * 1.9, ry + long * 0.7), (rx + e.u * 0.4, ry + long)]
        )
        glaze(e.canvas, slab, scale(rock, float(rng.choice([0.5, 0.7, 1.4]))), 0.4)
    turf = points(np.vstack([edge[:8], moved(points(edge[:8]), 0, e.u * 1.3)[::-1]]))
    wash(e.canvas, turf, e.palette.lit(e.palette.grass), scale(e.palette.lit(e.palette.grass), 0.7), 0.15)
    white = e.palette.lit((236, 246, 250))
    wash(
        e.canvas,
        points([(x - half * 0.8, top), (x + half * 0.8, top), (x + half * 1.3, bottom), (x - half * 1.3, bottom)]),
        white,
        mix(white, e.palette.haze, 0.3),
        0.1,
    )
    for _ in range(40):
        k = rng.uniform(-1, 1)
        y0 = rng.uniform(top, bottom - half)
        line(
            e.canvas,
            points([(x + k * half * 0.9, y0), (x + k * half * 1.05, y0 + rng.uniform(2, 8) * e.u)]),
            mix(white, e.palette.middle, float(rng.random()) * 0.6),
            e.u * 0.25,
        )
    for k in np.linspace(-1.3, 1.3, 6):
        glaze(e.canvas, ellipse(x + k * half, bottom, half * 0.9, half * 0.6), white, 0.35, half * 0.3)


def paint_stones(e: Easel, xy: Points, size: float, rng: np.random.Generator) -> None:
    for x, y in xy:
        r = size * rng.uniform(0.5, 1.4)
        stone = e.palette.lit((140, 134, 126))
        fill(e.canvas, ellipse(x, y, r * 1.3, r * 0.75), scale(stone, 0.55))
        fill(
            e.canvas,
            ellipse(x - r * 0.15, y - r * 0.18, r * 1.05, r * 0.55),
            scale(stone, float(rng.uniform(0.85, 1.1))),
        )
