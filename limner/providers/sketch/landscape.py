"""Landscapes composed from the words: sky, ridges, what stands on the land, water, near ground, figures, a frame.

Decides what goes where; how each thing is drawn is known elsewhere.
"""

from collections.abc import Callable

import numpy as np

from limner.providers.sketch import buildings, figures, land, outdoors, plants, sky, streets, weather
from limner.providers.sketch.canvas import fill, glow, mix, points, profile, scale, wash
from limner.providers.sketch.easel import Easel

_STANDING = ("castle", "church", "house", "farm", "tower", "town", "ruins")


def paint_landscape(e: Easel) -> None:
    """Paint an outdoor scene."""
    if e.scene.has("street"):
        streets.paint_street(e)
    elif e.scene.has("planet", "spaceship") and e.palette.time == "space":
        paint_space(e)
    elif e.scene.has("forest") and not e.scene.has(*_STANDING, "lake", "sea", "mountain", "city", "river"):
        paint_forest(e)
    else:
        paint_open(e)
    paint_figures(e)
    weather.paint_weather(e)


def horizon_of(e: Easel) -> float:
    """Return the horizon's row: the layout hint's, else low for skies and steppes, high for gardens."""
    rng = e.rng("horizon")
    if e.horizon is not None:
        return e.h * e.horizon
    share = rng.uniform(0.5, 0.62)
    if e.scene.has("garden", "flower", "fountain"):
        share = rng.uniform(0.36, 0.44)
    elif e.scene.has("steppe", "stars", "clouds", "desert"):
        share = rng.uniform(0.58, 0.7)
    return e.h * share


def paint_open(e: Easel) -> None:
    """Paint the open air: everything named stands in its own plane, far to near."""
    horizon = horizon_of(e)
    light_x, _ = sky.paint_sky(e, horizon)
    if not e.scene.has("sea", "ship") or e.scene.has("mountain", "hill", "island"):
        land.paint_ridges(e, horizon)
    if e.scene.has("city"):
        buildings.paint_city(e, horizon + e.h * 0.03, e.h * 0.5, 0.1)
    shore = horizon + e.h * 0.035
    wet = e.scene.has("lake", "sea", "ship", "island") or (e.scene.has("city") and not e.scene.has("river"))
    if not wet or e.scene.has(*_STANDING, "forest", "tree"):
        _middle_ground(e, horizon)
    _far_woods(e, horizon)
    focus = _focus(e, light_x)
    _stand(e, focus, horizon + e.h * (0.03 if wet else 0.06))
    weather.paint_mist(e, horizon)
    if wet:
        _lake(e, shore, light_x)
    elif e.scene.has("river", "bridge", "waterfall"):
        _river(e, horizon + e.h * 0.05, light_x)
    else:
        _near_ground(e, horizon, focus)
    outdoors.paint_extras(e, horizon, focus)
    _foreground(e)


def _focus(e: Easel, light_x: float) -> float:
    """Return where the main thing stands: on the third away from the light, or before it."""
    rng = e.rng("focus")
    away = 0.34 if light_x > e.w / 2 else 0.66
    before = light_x / e.w
    return e.w * (away if rng.random() < 0.7 else before) + e.w * rng.uniform(-0.04, 0.04)


def _middle_ground(e: Easel, horizon: float) -> None:
    rng = e.rng("middle")
    edge = horizon + e.h * (0.012 + 0.022 * profile(e.w, rng, 1.3, 0.4, 3))
    local = mix(e.palette.far, e.palette.soil if e.scene.has("desert") else e.palette.grass, 0.6)
    colour = e.palette.lit(local, 0.42)
    wash(e.canvas, land.silhouette(e, edge.astype(np.float32)), colour, scale(colour, 0.8), 0.1)


def _far_woods(e: Easel, horizon: float) -> None:
    """Set rows of trees behind the middle ground where trees are spoken of or the land has some."""
    rng = e.rng("woods")
    if e.scene.has("desert", "sea", "city", "planet") or (e.scene.has("steppe") and not e.scene.has("forest", "tree")):
        return
    dense = e.scene.has("forest")
    sort = plants.tree_sort(e, rng)
    count = 30 if dense else int(rng.integers(5, 12))
    clumps = rng.uniform(0, e.w, 3)
    for number in range(count):
        x = rng.uniform(0, e.w) if dense else rng.normal(clumps[number % 3], e.u * 9)
        near = number / count
        y = horizon + e.h * (0.02 + 0.035 * near) + rng.uniform(0, 0.01) * e.h
        tall = e.u * rng.uniform(7, 12) * (1.3 if dense else 1.0)
        plants.paint_tree(e, float(x), y, tall, 0.55 - 0.25 * near, sort, number)


def _stand(e: Easel, focus: float, base: float) -> None:
    """Set what is built on the land: the first named thing stands largest, on its own rise."""
    standing = [
        place for place in e.scene.places if place in _STANDING and not (place == "tower" and e.scene.has("city"))
    ][:3]
    offsets = (0.0, 0.36, -0.3)
    way = 1 if focus < e.w / 2 else -1
    for number, place in reversed(list(enumerate(standing))):
        x = focus + way * offsets[number] * e.w
        size = e.u * {"castle": 46, "church": 40, "tower": 40, "house": 24, "farm": 30, "town": 30, "ruins": 30}[place]
        size *= (1.0, 0.62, 0.55)[number] * min(1.0, e.w / (e.u * 100) + 0.1)
        size = min(size, base * (0.72 if place == "castle" else 0.8))
        foot = base - (
            _rise(e, x, base, size) if number == 0 and place in ("castle", "church", "ruins", "tower") else 0
        )
        _builders()[place](e, x, foot, size, 0.16 + 0.14 * number)


def _rise(e: Easel, x: float, base: float, size: float) -> float:
    """Paint the hill that the main building stands on; return its height. A steppe or a village has none."""
    rng = e.rng("rise")
    steep = 0.34 if e.scene.has("hill", "mountain", "castle") else 0.1
    tall = size * steep * rng.uniform(0.8, 1.2)
    t = np.linspace(-1, 1, 40)
    bump = np.exp(-((np.abs(t) / 0.52) ** 3.2)) * tall * (1 + 0.04 * rng.standard_normal(40))
    edge = points(np.stack([x + t * size * 1.6, base + e.h * 0.035 - bump], axis=1))
    colour = e.palette.lit(mix(e.palette.grass, (110, 104, 96), 0.4 if steep > 0.2 else 0.1), 0.25)
    wash(e.canvas, edge, scale(colour, 1.1), scale(colour, 0.72), 0.16, side=0.15)
    return tall - e.h * 0.045


def _builders() -> dict[str, Callable[[Easel, float, float, float, float], None]]:
    return {
        "castle": buildings.paint_castle,
        "church": buildings.paint_church,
        "house": buildings.paint_house,
        "farm": outdoors.paint_farm,
        "tower": outdoors.paint_lone_tower,
        "town": buildings.paint_town,
        "ruins": buildings.paint_ruins,
    }


def _lake(e: Easel, shore: float, light_x: float) -> None:
    """Lay the water across, with what sails on it and a near bank."""
    open_sea = e.scene.has("sea", "ship", "city")
    bottom = e.h * (1.05 if open_sea and not e.scene.has("field", "garden", "flower") else 0.86)
    if e.scene.has("island"):
        outdoors.paint_island(e, e.w * 0.62, shore + e.h * 0.02)
    land.paint_water(e, land.lake_shape(e, shore, bottom), light_x, 0.7 if open_sea else 0.25)
    if open_sea and not e.scene.has("city"):
        outdoors.paint_waves(e, shore, e.scene.has("storm"))
    if e.scene.has("ship"):
        buildings.paint_ship(e, _focus(e, light_x), shore + e.h * 0.11, e.u * 38, 0.1)
    if bottom < e.h:
        land.paint_ground(e, bottom - e.h * 0.005, 1.6)
        outdoors.paint_reeds(e, bottom)


def _river(e: Easel, top: float, light_x: float) -> None:
    land.paint_ground(e, top)
    if e.scene.has("waterfall"):
        land.paint_waterfall(e, e.w * 0.52, top - e.h * 0.3, top + e.h * 0.06)
    shape = land.river_shape(e, top + e.h * 0.02)
    land.paint_water(e, shape, light_x, 0.3)
    land.paint_banks(e, shape)
    if e.scene.has("bridge"):
        y = top + e.h * 0.16
        middle = float(shape[np.argmin(np.abs(shape[: len(shape) // 2, 1] - y)), 0]) + e.u * 8
        buildings.paint_bridge(e, middle - e.u * 34, middle + e.u * 34, y, e.u * 11, 0.1)
    outdoors.paint_meadow(e, top)


def _near_ground(e: Easel, horizon: float, focus: float) -> None:
    top = horizon + e.h * 0.07
    land.paint_ground(e, top)
    if e.scene.has("garden", "fountain"):
        outdoors.paint_garden(e, top)
    elif e.scene.has("desert", "planet"):
        outdoors.paint_dunes(e, top)
    elif e.scene.has("graveyard"):
        outdoors.paint_graves(e, top)
    else:
        if e.scene.has("road", "cart", *_STANDING):
            land.paint_road(e, top + e.h * 0.01, focus)
        outdoors.paint_meadow(e, top)


def _foreground(e: Easel) -> None:
    """Frame the view: a near tree, branches or tall grass, darker than all behind."""
    rng = e.rng("frame")
    if e.scene.has("steppe", "desert", "sea", "city", "planet", "garden"):
        outdoors.paint_frame_grass(e, rng)
        return
    side = 0.03 if rng.random() < 0.5 else 0.97
    tall = min(e.h * 0.95, e.u * 105) * rng.uniform(0.8, 1.0)
    plants.paint_tree(e, e.w * side, e.h * 1.02, tall, -0.0, plants.tree_sort(e, rng), "frame")
    if rng.random() < 0.5:
        plants.paint_tree(
            e, e.w * (1 - side) + e.u * 3, e.h * 1.03, tall * 0.6, 0.0, plants.tree_sort(e, rng), "frame2"
        )
    outdoors.paint_frame_grass(e, rng)


def paint_forest(e: Easel) -> None:
    """Paint the inside of a wood: trunks plane behind plane, light between them, a path on the floor."""
    p = e.palette
    rng = e.rng("forest")
    horizon = e.h * rng.uniform(0.56, 0.66)
    c = e.canvas
    sky.paint_sky(e, horizon)
    wash(
        c,
        points([(0, 0), (e.w, 0), (e.w, e.h), (0, e.h)]),
        mix(p.haze, p.lit(p.leaves[0]), 0.35),
        mix(p.light, p.haze, 0.55),
        0.05,
    )
    gx = e.w * rng.uniform(0.35, 0.65)
    glow(c, gx, horizon * 0.72, e.u * 70, p.light, 0.75)
    firs = plants.tree_sort(e, rng)
    for plane in range(5):
        depth = 0.8 - 0.2 * plane
        ground = horizon + e.h * 0.055 * plane**1.25
        edge = (ground + e.h * 0.015 * profile(e.w, rng, 2, 0.4, 3)).astype(np.float32)
        floor = p.lit(mix(p.grass, p.soil, 0.3), depth)
        wash(c, land.silhouette(e, edge), mix(floor, p.light, 0.12), scale(floor, 0.72), 0.14)
        if plane == 3:
            land.paint_road(e, horizon + e.h * 0.06, gx)
        _trunks(e, ground, depth, plane, gx, firs, rng)
        weather.paint_low_fog(e, ground, 0.28 * depth)
    outdoors.paint_canopy(e, rng)
    outdoors.paint_frame_grass(e, rng)


def _trunks(e: Easel, ground: float, depth: float, plane: int, gap: float, sort: str, rng: np.random.Generator) -> None:
    """Set one plane of trunks, leaving the light's gap open."""
    count = (13, 11, 8, 6, 4)[plane]
    at = (np.arange(count) + rng.uniform(0.1, 0.9, count)) / count * e.w
    for number, x in enumerate(at):
        if abs(x - gap) < e.u * (7 + 6 * plane):
            continue
        if sort in ("fir", "bare") and plane < 4:
            plants.paint_tree(
                e, float(x), ground + e.u, e.u * (26 + 17 * plane), max(depth, 0.05), sort, (plane, number)
            )
            continue
        wide = e.u * (1.1 + 1.25 * plane) * rng.uniform(0.7, 1.3)
        outdoors.paint_trunk(e, float(x), ground + e.u * (1 + plane), wide, max(depth, 0.0), rng)


def paint_space(e: Easel) -> None:
    """Paint open space with a planet; the ground of another world where one is spoken of."""
    rng = e.rng("space")
    grounded = e.scene.has("mountain", "hill", "city", "desert") or rng.random() < 0.35
    sky.paint_sky(e, e.h * (0.78 if grounded else 1.0))
    weather.paint_nebula(e)
    if grounded:
        outdoors.paint_craters(e, e.h * 0.74)
    if e.scene.has("spaceship"):
        buildings.paint_spaceship(e, e.w * rng.uniform(0.4, 0.6), e.h * rng.uniform(0.4, 0.55), e.u * 62, 0.0)
        for _ in range(int(rng.integers(0, 4))):
            small = points([(0.0, 0.0), (-1.0, -0.3), (-0.75, 0.0), (-1.0, 0.3)]) * np.float32(e.u * 3)
            fill(
                e.canvas,
                small + points([(rng.uniform(0, e.w), rng.uniform(0.1, 0.7) * e.h)]),
                mix(e.palette.haze, e.palette.light, 0.4),
            )


def paint_figures(e: Easel) -> None:
    """Set the people and animals that the words name, at the height that the plane gives them."""
    if e.palette.time == "space":
        return
    rng = e.rng("figures")
    y = e.h * rng.uniform(0.87, 0.92)
    tall = e.u * 23
    x = e.w * rng.uniform(0.38, 0.62)
    way = 1 if rng.random() < 0.5 else -1
    people = [one for one in e.scene.people if one != "crowd"][:3]
    if "crowd" in e.scene.people:
        figures.paint_crowd(e, e.w * 0.5, y - e.h * 0.05, tall * 0.72, e.w * 0.28)
    for number, animal in enumerate(e.scene.animals[:3]):
        figures.paint_animal(
            e, animal, x + way * e.u * (24 + 15 * number), y - e.u * 3 * (1 - number), tall, way, number
        )
    for number, who in enumerate(people):
        figures.paint_person(e, who, x - way * number * e.u * 13, y + number * e.u, tall, way, number)
