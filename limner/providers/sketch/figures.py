"""People and animals as they stand in a scene: small gouache figures.

Each stands at (x, y), the middle of its feet, `tall` pixels high; `way` is 1 when it faces right, -1 left.
"""

import numpy as np

from limner.providers.sketch.canvas import (
    Colour,
    Points,
    brush,
    ellipse,
    fill,
    mix,
    points,
    rgb,
    scale,
    shadow,
    smooth,
    wash,
)
from limner.providers.sketch.easel import Easel
from limner.providers.sketch.palette import named, palettes


def fur_of(e: Easel, animal: str) -> Colour:
    """Return an animal's coat; a colour word for fur wins."""
    if "fur" in e.scene.colours:
        return named(e.scene.colours["fur"])
    return rgb(palettes().furs.get(animal, "#8c7864"))


def paint_person(e: Easel, who: str, x: float, y: float, tall: float, way: int, number: int = 0) -> None:
    """Paint a person walking or standing, dressed by who it is and by the words' colours."""
    rng = e.rng("person", who, number)
    if who in ("girl", "boy"):
        tall *= 0.78
    shadow(e.canvas, x + tall * 0.1, y, tall * 0.24, tall * 0.04, 0.4)
    colour = clothes_colour(e, who, number)
    stride = tall * rng.uniform(0.05, 0.12)
    skirted = who in ("girl", "woman", "old_woman") or "robe" in e.scene.traits
    _legs(e, x, y, tall, stride, way, skirted)
    hair = hair_colour(e, who, rng)
    if who in ("girl", "woman"):
        _back_hair(e, x + way * tall * 0.015, y - tall * 0.88, tall * 0.1, way, scale(hair, 0.85))
    (_dress if skirted else _coat)(e, x, y, tall, way, colour, who)
    _arms(e, x, y, tall, way, colour, rng)
    _head(e, x + way * tall * 0.015, y - tall * 0.88, tall * 0.1, way, who, hair)


def clothes_colour(e: Easel, who: str, number: int) -> Colour:
    """Return what someone wears: the words' colour, a pale blue for Alice, else an accent of the genre."""
    if "clothes" in e.scene.colours and number == 0:
        return e.palette.lit(named(e.scene.colours["clothes"]))
    if "pinafore" in e.scene.traits and who == "girl":
        return e.palette.lit((112, 164, 214))
    return e.palette.lit(e.palette.accent(number))


def _legs(e: Easel, x: float, y: float, tall: float, stride: float, way: int, skirted: bool) -> None:
    dark = e.palette.lit((62, 52, 50))
    tone = e.palette.lit((235, 225, 215)) if skirted else scale(dark, 1.15)
    for side in (-1, 1):
        foot = (x + side * stride * way, y)
        knee = (x + side * stride * 0.5 + way * tall * 0.03, y - tall * 0.22)
        brush(
            e.canvas, smooth([(x, y - tall * 0.42), knee, foot], closed=False, steps=4), tone, tall * 0.085, tall * 0.05
        )
        fill(e.canvas, ellipse(foot[0] + way * tall * 0.03, y - tall * 0.015, tall * 0.055, tall * 0.024), dark)


def _dress(e: Easel, x: float, y: float, tall: float, way: int, colour: Colour, who: str) -> None:
    hem = y - tall * (0.2 if who == "girl" else 0.06)
    shape = [
        (x - tall * 0.075, y - tall * 0.78),
        (x + tall * 0.075, y - tall * 0.78),
        (x + tall * 0.07, y - tall * 0.56),
        (x + tall * 0.2, hem),
    ]
    shape += [(x, hem + tall * 0.02), (x - tall * 0.2, hem), (x - tall * 0.07, y - tall * 0.56)]
    wash(e.canvas, points(shape), scale(colour, 1.12), scale(colour, 0.74), 0.08, side=0.15 * -way)
    if who == "girl" and "pinafore" in e.scene.traits:
        apron = [
            (x - tall * 0.045, y - tall * 0.74),
            (x + tall * 0.045, y - tall * 0.74),
            (x + tall * 0.05, y - tall * 0.56),
            (x + tall * 0.12, hem - tall * 0.03),
            (x - tall * 0.12, hem - tall * 0.03),
            (x - tall * 0.05, y - tall * 0.56),
        ]
        wash(e.canvas, points(apron), e.palette.lit((250, 246, 238)), e.palette.lit((220, 218, 220)), 0.04)


def _coat(e: Easel, x: float, y: float, tall: float, way: int, colour: Colour, _who: str) -> None:
    hem = y - tall * 0.34
    shape = [
        (x - tall * 0.1, y - tall * 0.79),
        (x + tall * 0.1, y - tall * 0.79),
        (x + tall * 0.1, y - tall * 0.55),
        (x + tall * 0.135, hem),
        (x - tall * 0.135, hem),
        (x - tall * 0.1, y - tall * 0.55),
    ]
    wash(e.canvas, points(shape), scale(colour, 1.08), scale(colour, 0.66), 0.08, side=0.15 * -way)
    belt = points(
        [
            (x - tall * 0.1, y - tall * 0.555),
            (x + tall * 0.1, y - tall * 0.555),
            (x + tall * 0.1, y - tall * 0.53),
            (x - tall * 0.1, y - tall * 0.53),
        ]
    )
    fill(e.canvas, belt, scale(colour, 0.45))


def _arms(e: Easel, x: float, y: float, tall: float, way: int, colour: Colour, rng: np.random.Generator) -> None:
    skin = e.palette.of("skin")
    for side in (-1, 1):
        shoulder = (x + side * tall * 0.085, y - tall * 0.75)
        elbow = (x + side * tall * 0.135, y - tall * 0.62)
        hand = (x + side * tall * 0.12 + way * tall * rng.uniform(0.02, 0.12), y - tall * rng.uniform(0.46, 0.56))
        brush(
            e.canvas,
            smooth([shoulder, elbow, hand], closed=False, steps=4),
            scale(colour, 0.9),
            tall * 0.055,
            tall * 0.042,
        )
        fill(e.canvas, ellipse(*hand, tall * 0.024, tall * 0.024), skin)


def hair_colour(e: Easel, who: str, rng: np.random.Generator) -> Colour:
    """Return someone's hair: the words' colour, white in the old, fair for a girl with a ribbon."""
    hairs = [rgb(one) for one in palettes().hairs]
    hair = hairs[int(rng.integers(len(hairs)))]
    if who.startswith("old"):
        hair = (214, 210, 204)
    if "band" in e.scene.traits and who == "girl":
        hair = (226, 186, 104)
    return e.palette.lit(named(e.scene.colours["hair"]) if "hair" in e.scene.colours else hair)


def _back_hair(e: Easel, x: float, y: float, r: float, way: int, hair: Colour) -> None:
    """Paint long hair: it falls behind the shoulders, so it comes before the clothes."""
    fill(
        e.canvas,
        smooth(
            [
                (x - r, y - r * 0.5),
                (x, y - r * 1.2),
                (x + r, y - r * 0.4),
                (x + r * 0.8 - way * r * 0.5, y + r * 1.7),
                (x - r * 0.9 - way * r * 0.4, y + r * 1.8),
            ]
        ),
        hair,
    )


def _head(e: Easel, x: float, y: float, r: float, way: int, who: str, hair: Colour) -> None:
    skin = e.palette.of("skin")
    fill(e.canvas, ellipse(x, y, r * 0.78, r * 0.92), skin)
    brow, nape = (x + way * r * 0.55, y - r * 0.42), (x - way * r * 0.8, y + r * 0.35)
    ends = [brow, nape] if way > 0 else [nape, brow]
    cap = np.vstack([ellipse(x - way * r * 0.1, y - r * 0.1, r * 0.9, r * 0.98, 180, 360), points(ends)])
    fill(e.canvas, cap, hair)
    if who == "old_man" or "beard" in e.scene.traits:
        fill(
            e.canvas,
            smooth([(x - r * 0.6, y + r * 0.2), (x + r * 0.7, y + r * 0.2), (x + way * r * 0.2, y + r * 1.7)]),
            hair,
        )
    if "hat" in e.scene.traits or "suit" in e.scene.traits:
        felt = e.palette.lit((52, 46, 50))
        fill(e.canvas, ellipse(x, y - r * 0.5, r * 1.5, r * 0.26), felt)
        fill(
            e.canvas,
            points(
                [
                    (x - r * 0.8, y - r * 0.5),
                    (x + r * 0.8, y - r * 0.5),
                    (x + r * 0.65, y - r * 1.35),
                    (x - r * 0.65, y - r * 1.35),
                ]
            ),
            felt,
        )
    if r > e.u * 0.8:
        for side in (0.1, 0.5):
            fill(e.canvas, ellipse(x + way * r * side, y + r * 0.05, r * 0.08, r * 0.11), (42, 32, 34))


def paint_crowd(e: Easel, x: float, y: float, tall: float, spread: float) -> None:
    rng = e.rng("crowd")
    people = ("man", "woman", "man", "boy", "woman", "old_man", "girl")
    order = np.sort(rng.uniform(-0.08, 0.08, 7))
    at = rng.permutation(np.linspace(-1, 1, 7))
    for number, (k, row) in enumerate(zip(at, order, strict=True)):
        paint_person(
            e, people[number], x + k * spread, y + row * tall, tall * (1 + row), 1 if k < 0 else -1, number + 1
        )


def paint_animal(e: Easel, animal: str, x: float, y: float, tall: float, way: int, number: int = 0) -> None:
    """Paint an animal of the scene; `tall` is a man's height there."""
    fur = e.palette.lit(fur_of(e, animal))
    if animal in ("bird", "crow", "bat", "dragon", "owl"):
        _flock(e, animal, fur, number)
        return
    if animal == "fish":
        return
    sizes = {
        "horse": 0.95,
        "cow": 0.75,
        "deer": 0.85,
        "bear": 0.75,
        "wolf": 0.5,
        "dog": 0.42,
        "fox": 0.36,
        "cat": 0.26,
        "mouse": 0.16,
    }
    if animal == "rabbit":
        paint_rabbit(e, x, y, tall * 0.55, way, fur)
        return
    shadow(e.canvas, x, y, tall * sizes.get(animal, 0.4) * 0.6, tall * 0.03, 0.4)
    _four_legged(e, animal, x, y, tall * sizes.get(animal, 0.4), way, fur)


def paint_rabbit(e: Easel, x: float, y: float, tall: float, way: int, fur: Colour) -> None:
    """Paint a rabbit on its hind legs; in a waistcoat where the words dress it."""
    shadow(e.canvas, x, y, tall * 0.3, tall * 0.05, 0.4)
    dark = scale(fur, 0.82)
    for side in (-1, 1):
        fill(
            e.canvas,
            ellipse(x + side * tall * 0.1 + way * tall * 0.06, y - tall * 0.03, tall * 0.13, tall * 0.04),
            dark,
        )
    wash(
        e.canvas,
        smooth(
            [
                (x, y - tall * 0.62),
                (x + tall * 0.17, y - tall * 0.3),
                (x + tall * 0.14, y - tall * 0.03),
                (x - tall * 0.14, y - tall * 0.03),
                (x - tall * 0.17, y - tall * 0.3),
            ]
        ),
        fur,
        scale(fur, 0.8),
        0.05,
    )
    if "waistcoat" in e.scene.traits:
        cloth = e.palette.lit(e.palette.accent(0))
        coat = smooth(
            [
                (x - tall * 0.09, y - tall * 0.6),
                (x + tall * 0.09, y - tall * 0.6),
                (x + tall * 0.17, y - tall * 0.26),
                (x, y - tall * 0.2),
                (x - tall * 0.17, y - tall * 0.26),
            ]
        )
        wash(e.canvas, coat, scale(cloth, 1.1), scale(cloth, 0.75), 0.07)
        fill(e.canvas, ellipse(x + way * tall * 0.1, y - tall * 0.36, tall * 0.04, tall * 0.04), e.palette.of("gold"))
    fill(e.canvas, ellipse(x - way * tall * 0.18, y - tall * 0.12, tall * 0.06, tall * 0.06), scale(fur, 1.05))
    hx, hy = x + way * tall * 0.03, y - tall * 0.68
    for side in (-1, 1):
        ear = smooth(
            [
                (hx + side * tall * 0.02, hy),
                (hx + side * tall * 0.06, hy - tall * 0.34),
                (hx + side * tall * 0.11, hy - tall * 0.28),
                (hx + side * tall * 0.09, hy),
            ]
        )
        fill(e.canvas, ear, fur if side == way else dark)
        fill(
            e.canvas,
            (ear - [hx + side * tall * 0.07, hy - tall * 0.15]).astype(np.float32) * np.float32(0.5)
            + points([(hx + side * tall * 0.07, hy - tall * 0.15)]),
            e.palette.lit((236, 164, 166)),
        )
    fill(e.canvas, ellipse(hx, hy, tall * 0.12, tall * 0.105), fur)
    fill(e.canvas, ellipse(hx + way * tall * 0.09, hy + tall * 0.035, tall * 0.055, tall * 0.045), scale(fur, 1.03))
    fill(e.canvas, ellipse(hx + way * tall * 0.045, hy - tall * 0.015, tall * 0.02, tall * 0.024), (166, 52, 66))
    fill(e.canvas, ellipse(hx + way * tall * 0.14, hy + tall * 0.02, tall * 0.014, tall * 0.011), (214, 110, 122))


def _four_legged(e: Easel, animal: str, x: float, y: float, size: float, way: int, fur: Colour) -> None:
    hoofed = animal in ("horse", "cow", "deer")
    legs = 0.5 if hoofed else 0.38
    dark = scale(fur, 0.68)

    def at(a: float, b: float) -> tuple[float, float]:
        return x + way * a * size, y - b * size

    for number, a in enumerate((-0.42, -0.3, 0.28, 0.4)):
        tone = dark if number % 2 else scale(fur, 0.88)
        path = smooth(
            [at(a, legs + 0.1), at(a + 0.03, legs * 0.5), at(a + (0.05 if number % 2 else -0.03), 0)],
            closed=False,
            steps=4,
        )
        brush(e.canvas, path, tone, size * 0.13, size * 0.06)
    tail = smooth([at(-0.48, legs + 0.25), at(-0.66, legs + 0.2), at(-0.7, legs - 0.15)], closed=False)
    brush(e.canvas, tail, dark, size * (0.16 if animal in ("fox", "wolf", "horse") else 0.06), size * 0.03)
    body = smooth(
        [
            at(-0.5, legs + 0.25),
            at(-0.2, legs + 0.36),
            at(0.2, legs + 0.34),
            at(0.5, legs + 0.4),
            at(0.48, legs + 0.05),
            at(0, legs - 0.02),
            at(-0.45, legs + 0.02),
        ]
    )
    wash(e.canvas, body, scale(fur, 1.12), scale(fur, 0.72), 0.08)
    up = 0.12 if animal == "cow" else 0.36 if hoofed else 0.24
    neck = smooth([at(0.3, legs + 0.34), at(0.5, legs + 0.34 + up), at(0.66, legs + 0.28 + up), at(0.54, legs + 0.12)])
    fill(e.canvas, neck, fur)
    head = smooth(
        [
            at(0.46, legs + 0.4 + up),
            at(0.6, legs + 0.46 + up),
            at(0.88, legs + 0.24 + up),
            at(0.84, legs + 0.16 + up),
            at(0.56, legs + 0.2 + up),
        ]
    )
    fill(e.canvas, head, scale(fur, 1.05))
    for a in (0.5, 0.58):
        fill(
            e.canvas,
            points([at(a - 0.05, legs + 0.42 + up), at(a, legs + 0.6 + up), at(a + 0.05, legs + 0.42 + up)]),
            dark,
        )
    fill(e.canvas, ellipse(*at(0.64, legs + 0.35 + up), size * 0.025, size * 0.03), (20, 18, 22))
    if animal == "horse":
        brush(
            e.canvas,
            smooth([at(0.5, legs + 0.5 + up), at(0.38, legs + 0.5), at(0.3, legs + 0.3)], closed=False),
            scale(fur, 0.45),
            size * 0.06,
            size * 0.14,
        )


def _flock(e: Easel, animal: str, fur: Colour, number: int) -> None:
    """Birds and bats of the air: a few wings against the sky."""
    rng = e.rng("flock", animal, number)
    count = 1 if animal in ("dragon", "owl") else int(rng.integers(4, 9))
    dark = mix(fur, e.palette.ink, 0.6)
    for _ in range(count):
        size = e.u * (rng.uniform(14, 20) if animal == "dragon" else rng.uniform(2.2, 4.8))
        x, y = e.w * rng.uniform(0.15, 0.85), e.h * rng.uniform(0.1, 0.36)
        fill(e.canvas, wings(x, y, size, rng.uniform(0.25, 0.5)), dark)
        if animal == "dragon":
            brush(
                e.canvas,
                smooth(
                    [
                        (x - size * 0.8, y + size * 0.3),
                        (x - size * 0.3, y + size * 0.12),
                        (x, y),
                        (x + size * 0.35, y - size * 0.12),
                    ],
                    closed=False,
                ),
                dark,
                size * 0.02,
                size * 0.16,
            )


def wings(x: float, y: float, size: float, lift: float) -> Points:
    """Return spread wings about (x, y)."""
    top = smooth(
        [
            (x - size * 0.5, y - size * lift * 0.4),
            (x - size * 0.22, y - size * lift),
            (x, y),
            (x + size * 0.22, y - size * lift),
            (x + size * 0.5, y - size * lift * 0.4),
        ],
        closed=False,
    )
    low = smooth(
        [(x + size * 0.2, y - size * lift * 0.55), (x, y + size * 0.14), (x - size * 0.2, y - size * lift * 0.55)],
        closed=False,
    )
    return points(np.vstack([top, low]))
