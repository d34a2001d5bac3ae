"""Atmosphere: the named place, or a plain one, given over to light, fog, rain, fire, night, storm, snow, candlelight.

The effect is the picture; what stands in it is kept few and simple.
"""

from dataclasses import replace

import numpy as np

from limner.providers.sketch import interior, land, landscape, outdoors, plants, sky, weather
from limner.providers.sketch.canvas import glaze, glow, mix, profile, rectangle, scale, wash
from limner.providers.sketch.easel import Easel

# Places that are hardly more than air and light: planes of trees under much sky show them best.
_AIRY = frozenset(("tree", "forest", "field", "hill", "moon", "sun", "stars", "clouds", "road"))


def paint_atmosphere(e: Easel) -> None:
    """Paint an effect of light or weather; a seeded one where the words name none."""
    scene = e.scene
    if not scene.weathers and not scene.has("magic"):
        rng = e.rng("effect")
        chosen = ("shafts", "fog", "fireflies", "shafts")[int(rng.integers(4))]
        e = replace(e, scene=replace(scene, weathers=(chosen,)))
    if e.scene.indoors:
        interior.paint_interior(e)
    elif "candle" in e.scene.weathers and not e.scene.places:
        interior.paint_interior(
            replace(e, scene=replace(e.scene, rooms=("room",), furnishings=(*e.scene.furnishings, "candle", "table")))
        )
    elif "fire" in e.scene.weathers and not e.scene.has("castle", "town", "house", "city", "church", "street"):
        _blaze(e)
    elif set(e.scene.places) - _AIRY:
        landscape.paint_landscape(e)
        _heighten(e)
    else:
        _veils(e)
        landscape.paint_figures(e)
        weather.paint_weather(e)


def _heighten(e: Easel) -> None:
    """Make the light of a painted scene stronger."""
    rng = e.rng("heighten")
    glow(e.canvas, e.w * rng.uniform(0.3, 0.7), e.h * rng.uniform(0.3, 0.5), e.u * 62, e.palette.light, 0.4)
    weather.paint_motes(e, 40)


def _veils(e: Easel) -> None:
    """Paint planes of land and trees, each fainter than the nearer one, under much sky."""
    rng = e.rng("veils")
    horizon = e.h * rng.uniform(0.62, 0.72)
    light_x, light_y = sky.paint_sky(e, horizon)
    sort = plants.tree_sort(e, rng)
    for plane in range(5):
        near = plane / 4
        ground = horizon + e.h * (0.075 * plane - 0.03)
        edge = (ground + e.h * 0.03 * profile(e.w, rng, 1.6, 0.4, 4)).astype(np.float32)
        colour = mix(e.palette.lit(e.palette.far, 0.75 * (1 - near)), e.palette.ink, 0.72 * near)
        wash(e.canvas, land.silhouette(e, edge), colour, mix(colour, e.palette.haze, 0.35 * (1 - near)), 0.08)
        _silhouettes(e, edge, plane, sort, rng)
        weather.paint_low_fog(e, ground + e.h * 0.03, 0.4 * (1 - near))
    glow(e.canvas, light_x, light_y, e.u * 60, e.palette.light, 0.45)
    outdoors.paint_frame_grass(e, rng)


def _silhouettes(
    e: Easel, edge: np.ndarray[tuple[int], np.dtype[np.float32]], plane: int, sort: str, rng: np.random.Generator
) -> None:
    """Stand a few trees on one plane, as shapes more than as trees."""
    for number in range((6, 6, 5, 3, 2)[plane]):
        side = rng.random()
        x = e.w * (side if plane < 3 else (0.16 * side if number % 2 else 1 - 0.16 * side))
        y = float(edge[int(np.clip(x, 0, e.w - 1))])
        tall = e.u * (8 + 11 * plane) * rng.uniform(0.8, 1.25)
        plants.paint_tree(e, x, y + e.u, tall, 0.8 - 0.2 * plane, sort, ("veil", plane, number))


def _blaze(e: Easel) -> None:
    """Paint a great fire in the dark, sparks flying."""
    rng = e.rng("blaze")
    horizon = e.h * 0.66
    sky.paint_sky(e, horizon)
    glaze(e.canvas, rectangle(0, 0, e.w, e.h), (16, 8, 16), 0.45)
    dark = mix(e.palette.ink, (60, 24, 18), 0.4)
    edge = (horizon + e.h * 0.03 * profile(e.w, rng, 2, 0.4, 4)).astype(np.float32)
    wash(e.canvas, land.silhouette(e, edge), scale(dark, 1.5), scale(dark, 0.6), 0.12)
    x = e.w * rng.uniform(0.4, 0.6)
    glow(e.canvas, x, e.h * 0.66, e.u * 95, (214, 66, 22), 0.5)
    for k in (-1.1, 1.0, -0.45, 0.5, 0.0):
        outdoors.paint_fire(e, x + k * e.u * 17, e.h * (0.83 - 0.05 * abs(k)), e.u * (22 - 8 * abs(k)))
    weather.paint_embers(e, x, e.h * 0.8, e.u * 30)
    landscape.paint_figures(e)
    weather.paint_weather(e)
