"""Hair, clothes and headwear of portraits, by the words and by who it is.

Knows where a head is, not what lies behind it.
"""

from typing import Protocol

import numpy as np

from limner.providers.sketch.canvas import (
    Colour,
    brush,
    ellipse,
    fill,
    glaze,
    glaze_within,
    line,
    mix,
    points,
    scale,
    smooth,
    wash,
)
from limner.providers.sketch.easel import Easel
from limner.providers.sketch.palette import named


class Placed(Protocol):
    """A head's place: see portrait.Pose."""

    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float: ...
    @property
    def r(self) -> float: ...
    @property
    def turn(self) -> float: ...

    def at(self, a: float, b: float) -> tuple[float, float]: ...


class Haired(Protocol):
    """What of a face its hair depends on: see portrait.Face."""

    @property
    def who(self) -> str: ...
    @property
    def wide(self) -> float: ...
    @property
    def hair(self) -> Colour: ...
    @property
    def style(self) -> int: ...
    @property
    def is_female(self) -> bool: ...
    @property
    def is_old(self) -> bool: ...
    @property
    def is_child(self) -> bool: ...


def cloth_of(e: Easel, who: str) -> Colour:
    """Return what the sitter wears: the words' colour, what the dress is known for, else an accent."""
    traits = e.scene.traits
    if "clothes" in e.scene.colours:
        return _near(e, named(e.scene.colours["clothes"]))
    if "pinafore" in traits and who == "girl":
        return _near(e, (104, 156, 208))
    if "dead" in traits:
        return _near(e, (232, 228, 222))
    if "robe" in traits or "hood" in traits:
        return _near(e, mix((66, 56, 66), e.palette.accent(0), 0.25))
    if "suit" in traits:
        return _near(e, (78, 76, 84))
    return _near(e, e.palette.accent(0))


def _near(e: Easel, colour: Colour) -> Colour:
    """Return a colour in this light, kept clear: the sitter stands nearest."""
    return mix(e.palette.lit(colour), colour, 0.45)


def paint_shoulders(e: Easel, pose: Placed, who: str, broad: float) -> None:
    """Paint the chest and shoulders, with collar, lapels, pinafore, lace or folds."""
    cloth = cloth_of(e, who)
    low = (e.h * 1.03 - pose.y) / pose.r
    half = 1.55 * broad
    shape = smooth(
        [
            pose.at(-0.3, 1.2),
            pose.at(-0.62 * broad, 1.32),
            pose.at(-half, 1.72),
            pose.at(-half * 1.12, low),
            pose.at(0, low + 0.3),
            pose.at(half * 1.12, low),
            pose.at(half, 1.72),
            pose.at(0.62 * broad, 1.32),
            pose.at(0.3, 1.2),
            pose.at(0, 1.36),
        ]
    )
    wash(e.canvas, shape, scale(cloth, 1.1), scale(cloth, 0.68), 0.1)
    side = -1 if pose.turn > 0 else 1
    glaze_within(
        e.canvas,
        ellipse(*pose.at(side * half * 1.05, 2.4), pose.r * half * 0.85, pose.r * 1.9),
        shape,
        scale(cloth, 0.42),
        0.5,
        pose.r * 0.16,
    )
    rng = e.rng("folds")
    for k in np.linspace(-0.95, 0.95, 8):
        top = pose.at(k * half * 0.72, 1.75 + 0.3 * abs(k))
        end = pose.at(k * half * 1.0 + rng.uniform(-0.08, 0.08), low)
        middle = ((top[0] + end[0]) / 2 + rng.uniform(-0.1, 0.1) * pose.r, (top[1] + end[1]) / 2)
        brush(
            e.canvas,
            smooth([top, middle, end], closed=False),
            scale(cloth, float(rng.choice([0.66, 0.78, 1.16]))),
            pose.r * 0.02,
            pose.r * 0.07,
        )
    _trim(e, pose, who, cloth, low)


def _trim(e: Easel, pose: Placed, who: str, cloth: Colour, low: float) -> None:
    traits = e.scene.traits
    white = _near(e, (246, 241, 232))
    if "waistcoat" in traits:
        _jacket(e, pose, scale(mix(cloth, e.palette.accent(1), 0.5), 0.7), white, low, cloth)
    elif "pinafore" in traits and who == "girl":
        bib = points([pose.at(-0.5, 1.62), pose.at(0.5, 1.62), pose.at(0.72, low), pose.at(-0.72, low)])
        wash(e.canvas, bib, white, scale(white, 0.82), 0.05)
        for k in (-1, 1):
            brush(
                e.canvas,
                smooth([pose.at(k * 0.42, 1.7), pose.at(k * 0.72, 1.4)], closed=False),
                white,
                pose.r * 0.2,
                pose.r * 0.24,
            )
        _collar(e, pose, white)
    elif "suit" in traits or "uniform" in traits:
        _jacket(e, pose, cloth, white, low, None)
    elif "robe" in traits or "hood" in traits:
        for k in (-1, 1):
            lapel = points(
                [
                    pose.at(k * 0.3, 1.2),
                    pose.at(k * 0.06, 1.75),
                    pose.at(k * 0.0, low),
                    pose.at(k * 0.24, low),
                    pose.at(k * 0.5, 1.34),
                ]
            )
            wash(e.canvas, lapel, scale(cloth, 1.3), scale(cloth, 0.9), 0.08)
    elif who in ("girl", "woman", "old_woman"):
        _lace(e, pose, white)
    else:
        _collar(e, pose, white if who in ("boy", "man") else scale(cloth, 1.2))
        for down in np.arange(1.75, low, 0.3):
            fill(e.canvas, ellipse(*pose.at(0.02, float(down)), pose.r * 0.04, pose.r * 0.04), _near(e, (214, 176, 96)))


def _collar(e: Easel, pose: Placed, white: Colour) -> None:
    for k in (-1, 1):
        wing = smooth([pose.at(0, 1.38), pose.at(k * 0.12, 1.62), pose.at(k * 0.5, 1.5), pose.at(k * 0.42, 1.2)])
        wash(e.canvas, wing, white, scale(white, 0.84), 0.03)


def _jacket(e: Easel, pose: Placed, coat: Colour, white: Colour, low: float, vest: Colour | None) -> None:
    """A coat open over a shirt (and a waistcoat), with a tie or a bow."""
    wash(
        e.canvas,
        points([pose.at(-0.36, 1.22), pose.at(0.36, 1.22), pose.at(0.1, low), pose.at(-0.1, low)]),
        white,
        scale(white, 0.8),
        0.03,
    )
    if vest is not None:
        for k in (-1, 1):
            panel = points(
                [
                    pose.at(k * 0.36, 1.4),
                    pose.at(k * 0.02, 1.95),
                    pose.at(0, low),
                    pose.at(k * 0.7, low),
                    pose.at(k * 0.62, 1.4),
                ]
            )
            wash(e.canvas, panel, scale(vest, 1.15), scale(vest, 0.8), 0.1)
        for down in np.arange(2.1, low, 0.26):
            fill(
                e.canvas, ellipse(*pose.at(0.06, float(down)), pose.r * 0.045, pose.r * 0.045), _near(e, (222, 180, 84))
            )
        chain = smooth([pose.at(0.05, 2.35), pose.at(0.25, 2.5), pose.at(0.5, 2.3)], closed=False)
        line(e.canvas, chain, _near(e, (222, 180, 84)), max(1.0, pose.r * 0.03))
    tie = _near(e, e.palette.accent(1))
    if vest is None:
        fill(
            e.canvas,
            points([pose.at(-0.08, 1.4), pose.at(0.08, 1.4), pose.at(0.13, 2.2), pose.at(0, 2.4), pose.at(-0.13, 2.2)]),
            tie,
        )
        fill(e.canvas, ellipse(*pose.at(0, 1.42), pose.r * 0.1, pose.r * 0.09), scale(tie, 0.8))
    else:
        for k in (-1, 1):
            fill(
                e.canvas,
                points([pose.at(0, 1.46), pose.at(k * 0.3, 1.32), pose.at(k * 0.3, 1.62)]),
                scale(tie, 0.9 + 0.15 * k),
            )
    for k in (-1, 1):
        lapel = points(
            [
                pose.at(k * 0.34, 1.16),
                pose.at(k * (0.1 if vest is None else 0.42), 2.2),
                pose.at(k * (0.1 if vest is None else 0.45), low),
                pose.at(k * 0.62, low),
                pose.at(k * 0.66, 1.75),
                pose.at(k * 0.6, 1.3),
            ]
        )
        wash(e.canvas, lapel, scale(coat, 1.22), scale(coat, 0.8), 0.08)
        line(
            e.canvas,
            points([pose.at(k * 0.34, 1.16), pose.at(k * (0.1 if vest is None else 0.42), 2.2)]),
            scale(coat, 0.5),
            max(1.0, pose.r * 0.015),
        )


def _lace(e: Easel, pose: Placed, white: Colour) -> None:
    """A round collar with scallops, and a brooch."""
    for k in np.linspace(-0.62, 0.62, 11):
        x, y = pose.at(float(k), 1.42 + 0.28 * float(np.cos(k * 2.2)))
        fill(e.canvas, ellipse(x, y, pose.r * 0.09, pose.r * 0.085), white)
    shape = smooth(
        [
            pose.at(-0.36, 1.2),
            pose.at(-0.62, 1.42),
            pose.at(0, 1.72),
            pose.at(0.62, 1.42),
            pose.at(0.36, 1.2),
            pose.at(0, 1.38),
        ]
    )
    wash(e.canvas, shape, white, scale(white, 0.88), 0.04)
    fill(e.canvas, ellipse(*pose.at(0, 1.56), pose.r * 0.07, pose.r * 0.085), _near(e, (214, 176, 96)))
    fill(e.canvas, ellipse(*pose.at(0, 1.56), pose.r * 0.045, pose.r * 0.055), e.palette.accent(1))


def is_long(e: Easel, face: Haired) -> bool:
    return (face.is_female and not face.is_old) or "long_hair" in e.scene.traits


def hair_light(e: Easel, face: Haired) -> Colour:
    return mix(e.palette.lit(face.hair), face.hair, 0.5)


def paint_back_hair(e: Easel, pose: Placed, face: Haired) -> None:
    """Paint the hair that falls behind the shoulders."""
    if not is_long(e, face) or "bald" in e.scene.traits:
        return
    hair = scale(hair_light(e, face), 0.72)
    w, end = face.wide, 2.15 if "braid" not in e.scene.traits else 1.2
    wave = 0.12 if "curly" in e.scene.traits or face.style == 1 else 0.03
    right = [(w + 0.16, -0.5), (w + 0.24, 0.3), (w + 0.22 + wave, 0.9), (w + 0.3 - wave, 1.5), (w + 0.12, end)]
    left = [(-a, b) for a, b in right[::-1]]
    shape = smooth([pose.at(a, b) for a, b in [(0.0, -1.2), *right, *left]])
    wash(e.canvas, shape, hair, scale(hair, 0.75), 0.14)
    rng = e.rng("strands")
    for k in np.linspace(-1, 1, 17):
        path = smooth(
            [
                pose.at(k * w * 0.9, -0.3),
                pose.at(k * (w + 0.2) + wave * np.sin(k * 9), 0.8),
                pose.at(k * (w + 0.1) - wave * np.sin(k * 9), end - 0.15),
            ],
            closed=False,
        )
        brush(e.canvas, path, scale(hair, float(rng.uniform(0.75, 1.35))), pose.r * 0.02, pose.r * 0.04)


def paint_hair(e: Easel, pose: Placed, face: Haired) -> None:
    """Paint the hair over the brow, and the beard and moustache."""
    traits, hair = e.scene.traits, hair_light(e, face)
    if "beard" in traits or face.who == "old_man":
        _beard(e, pose, face, hair)
    if ("moustache" in traits or "forelock" in traits) and not face.is_female:
        _moustache(e, pose, hair)
    if "bald" in traits:
        return
    if "forelock" in traits and not face.is_female:
        _forelock(e, pose, hair)
        return
    (_parted if is_long(e, face) or face.is_female else _cropped)(e, pose, face, hair)


def _parted(e: Easel, pose: Placed, face: Haired, hair: Colour) -> None:
    """Hair drawn from a parting down both sides of the face."""
    w, part = face.wide, pose.turn * 0.22
    for side in (-1, 1):
        outer = [
            (part, -1.04),
            (side * w * 0.55, -1.14),
            (side * (w + 0.1), -0.66),
            (side * (w + 0.15), 0.1),
            (side * (w + 0.1), 0.72),
        ]
        inner = [
            (side * (w - 0.06), 0.62),
            (side * (w - 0.08), 0.0),
            (side * w * 0.72, -0.4),
            (part + side * 0.1, -0.72),
        ]
        lock = smooth([pose.at(a, b) for a, b in outer + inner])
        tone = 1.08 if side * pose.turn > 0 else 0.9
        wash(e.canvas, lock, scale(hair, 1.12 * tone), scale(hair, 0.82 * tone), 0.12)
        for k in np.linspace(0.2, 0.85, 5):
            path = smooth(
                [
                    pose.at(part + side * 0.05, -1.0),
                    pose.at(side * (w * (0.5 + 0.35 * k)), -0.92 + 0.3 * k),
                    pose.at(side * (w + 0.02), -0.1 + 0.3 * k),
                ],
                closed=False,
            )
            brush(e.canvas, path, scale(hair, 0.7 if k > 0.5 else 1.28), pose.r * 0.012, pose.r * 0.03)
    if "braid" in e.scene.traits:
        for side in (-1, 1):
            for k in range(8):
                x, y = pose.at(side * (w + 0.12), 0.75 + 0.2 * k)
                fill(
                    e.canvas,
                    ellipse(x + (k % 2 - 0.5) * pose.r * 0.06, y, pose.r * 0.13, pose.r * 0.12),
                    scale(hair, 0.85 + 0.25 * (k % 2)),
                )


def _cropped(e: Easel, pose: Placed, face: Haired, hair: Colour) -> None:
    """Short hair over the brow, swept by its owner's habit."""
    w = face.wide
    sweep = (0.3, -0.3, 0.0)[face.style]
    top = [
        (-w - 0.05, 0.08),
        (-w - 0.1, -0.45),
        (-w * 0.7, -1.0),
        (-0.1, -1.2),
        (w * 0.65, -1.06),
        (w + 0.1, -0.5),
        (w + 0.05, 0.08),
    ]
    brow = [
        (w * 0.9, -0.3),
        (w * 0.6, -0.55 - sweep * 0.3),
        (sweep, -0.62),
        (-w * 0.55, -0.55 + sweep * 0.3),
        (-w * 0.9, -0.3),
    ]
    shape = smooth([pose.at(a, b) for a, b in top + brow])
    wash(e.canvas, shape, scale(hair, 1.15), scale(hair, 0.8), 0.14)
    rng = e.rng("cropped")
    curly = "curly" in e.scene.traits
    for k in np.linspace(-0.9, 0.9, 15):
        a = k * w
        if curly:
            fill(
                e.canvas,
                ellipse(*pose.at(a, -0.62 - 0.45 * (1 - k * k) + rng.uniform(-0.1, 0.1)), pose.r * 0.16, pose.r * 0.14),
                scale(hair, float(rng.uniform(0.8, 1.25))),
            )
        path = smooth(
            [
                pose.at(a * 0.8, -1.1 + 0.25 * k * k),
                pose.at(a + sweep * 0.25, -0.8 + 0.2 * k * k),
                pose.at(a * 1.02 + sweep * 0.4, -0.6 + 0.2 * k * k),
            ],
            closed=False,
        )
        brush(e.canvas, path, scale(hair, float(rng.uniform(0.72, 1.3))), pose.r * 0.03, pose.r * 0.012)


def _forelock(e: Easel, pose: Placed, hair: Colour) -> None:
    """A shaven head with one long lock, as Cossacks wore it."""
    path = smooth(
        [
            pose.at(0.0, -0.98),
            pose.at(0.3 * (1 if pose.turn > 0 else -1), -1.05),
            pose.at(0.66 * (1 if pose.turn > 0 else -1), -0.6),
            pose.at(0.74 * (1 if pose.turn > 0 else -1), -0.1),
        ],
        closed=False,
    )
    brush(e.canvas, path, hair, pose.r * 0.26, pose.r * 0.06)
    brush(e.canvas, path, scale(hair, 1.35), pose.r * 0.05, pose.r * 0.02)


def _beard(e: Easel, pose: Placed, face: Haired, hair: Colour) -> None:
    w, t = face.wide, pose.turn * 0.08
    long = 1.75 if face.is_old else 1.3
    outer = [
        (w * 0.98, 0.12),
        (w * 0.98, 0.7),
        (0.62 + t, 1.12),
        (0.4 + t, long - 0.12),
        (0.1 + t, long),
        (-0.14 + t, long - 0.03),
        (-0.42 + t, long - 0.16),
        (-0.62 + t, 1.1),
        (-w * 0.98, 0.7),
        (-w * 0.98, 0.12),
    ]
    inner = [
        (-w * 0.84, 0.3),
        (-0.4 + t, 0.52),
        (-0.2 + t, 0.45),
        (0.0 + t, 0.49),
        (0.24 + t, 0.45),
        (0.44 + t, 0.52),
        (w * 0.84, 0.3),
    ]
    shape = smooth([pose.at(a, b) for a, b in outer + inner])
    wash(e.canvas, shape, hair, scale(hair, 0.85), 0.14)
    rng = e.rng("beard")
    for k in np.linspace(-0.85, 0.85, 16):
        path = smooth(
            [
                pose.at(k * 0.7 + t, 0.66 + 0.1 * abs(k)),
                pose.at(k * 0.5 + t, 1.0),
                pose.at(k * 0.2 + t, long - 0.45 * abs(k) - 0.05),
            ],
            closed=False,
        )
        brush(e.canvas, path, scale(hair, float(rng.uniform(0.72, 1.2))), pose.r * 0.04, pose.r * 0.012)
    mouth = ellipse(*pose.at(t * 1.5, 0.635), pose.r * 0.17, pose.r * 0.045)
    glaze(e.canvas, mouth, (150, 74, 70), 0.75, pose.r * 0.012)
    _moustache(e, pose, scale(hair, 1.03))


def _moustache(e: Easel, pose: Placed, hair: Colour) -> None:
    x = pose.turn * 0.14
    for side in (-1, 1):
        path = smooth(
            [
                pose.at(x, 0.5),
                pose.at(x + side * 0.18, 0.49),
                pose.at(x + side * 0.4, 0.62),
                pose.at(x + side * 0.46, 0.74),
            ],
            closed=False,
        )
        brush(e.canvas, path, scale(hair, 0.92 + 0.12 * side), pose.r * 0.13, pose.r * 0.02)


def paint_headwear(e: Easel, pose: Placed, face: Haired) -> None:
    """Put on what the words name: crown, hood, hat, cap, helmet, wreath, ribbon."""
    traits = e.scene.traits
    usual = named(e.scene.colours["hat"]) if "hat" in e.scene.colours else None
    if "crown" in traits:
        _crown(e, pose, face)
    elif "helmet" in traits:
        _helmet(e, pose, face)
    elif "wreath" in traits:
        _wreath(e, pose, face)
    elif "hood" in traits:
        _hood(e, pose, face, _near(e, usual or scale(cloth_of(e, face.who), 0.9)))
    elif "hat" in traits or ("suit" in traits and e.scene.genre == "detective" and not face.is_female):
        _hat(e, pose, face, _near(e, usual or (62, 56, 62)))
    elif "cap" in traits:
        _fur_cap(e, pose, face, _near(e, usual or (72, 54, 44)))
    elif "band" in traits:
        band = ellipse(*pose.at(0, -0.42), pose.r * (face.wide + 0.08), pose.r * 0.66, 195, 345)
        colour = _near(e, usual or (52, 78, 130))
        brush(e.canvas, band, colour, pose.r * 0.11, pose.r * 0.11)
        for side in (-1, 1):
            bow = smooth([pose.at(0.42, -1.02), pose.at(0.42 + side * 0.26, -1.22), pose.at(0.42 + side * 0.28, -0.92)])
            fill(e.canvas, bow, scale(colour, 1.0 + 0.15 * side))


def _crown(e: Easel, pose: Placed, face: Haired) -> None:
    gold = _near(e, (224, 177, 62))
    w = face.wide
    spikes = [
        (-w, -0.62),
        (-w * 1.12, -1.22),
        (-w * 0.55, -0.98),
        (-w * 0.42, -1.42),
        (0.0, -1.08),
        (w * 0.42, -1.42),
        (w * 0.55, -0.98),
        (w * 1.12, -1.22),
        (w, -0.62),
    ]
    rim = ellipse(*pose.at(0, -0.62), pose.r * w, pose.r * 0.14, 0, 180)
    shape = np.vstack([points([pose.at(a, b) for a, b in spikes]), rim])
    wash(e.canvas, shape, scale(gold, 1.2), scale(gold, 0.72), 0.06, side=0.2)
    for number, k in enumerate((-0.55, 0.0, 0.55)):
        fill(e.canvas, ellipse(*pose.at(k * w, -0.62), pose.r * 0.07, pose.r * 0.09), e.palette.accent(number))


def _hood(e: Easel, pose: Placed, face: Haired, cloth: Colour) -> None:
    w = face.wide
    outer = [(0.0, -1.42), (w * 0.8, -1.22), (w + 0.34, -0.5), (w + 0.36, 0.4), (w + 0.42, 1.2), (0.7, 1.62)]
    inner = [(0.5, 1.2), (w + 0.02, 0.75), (w + 0.04, 0.0), (w * 0.8, -0.66), (0.0, -0.86)]
    for side in (-1, 1):
        half = smooth([pose.at(side * a, b) for a, b in outer], closed=False)
        back = smooth([pose.at(side * a, b) for a, b in inner], closed=False)
        wash(e.canvas, np.vstack([half, back]), scale(cloth, 1.15), scale(cloth, 0.78), 0.1, side=0.12 * side)
        brush(e.canvas, back, scale(cloth, 0.5), pose.r * 0.05, pose.r * 0.07)


def _hat(e: Easel, pose: Placed, face: Haired, felt: Colour) -> None:
    top_hat = "top hat" in " ".join(e.scene.traits) or e.scene.genre in ("classic", "historical", "children's")
    w, tall = face.wide, 1.85 if top_hat else 1.55
    crown = smooth(
        [
            pose.at(-w * 0.95, -0.62),
            pose.at(-w * 0.9, -tall),
            pose.at(-w * 0.2, -tall + (0.0 if top_hat else 0.12)),
            pose.at(w * 0.3, -tall),
            pose.at(w * 0.92, -tall + 0.05),
            pose.at(w * 0.95, -0.62),
            pose.at(0, -0.5),
        ]
    )
    wash(e.canvas, crown, scale(felt, 1.2), scale(felt, 0.85), 0.08, side=0.2)
    band = smooth(
        [
            pose.at(-w * 0.96, -0.62),
            pose.at(-w * 0.95, -0.86),
            pose.at(0, -0.76),
            pose.at(w * 0.95, -0.86),
            pose.at(w * 0.96, -0.62),
            pose.at(0, -0.5),
        ]
    )
    fill(e.canvas, band, scale(_near(e, e.palette.accent(1)), 0.7))
    brim = smooth(
        [
            pose.at(-w * 1.6, -0.5),
            pose.at(-w, -0.68),
            pose.at(0, -0.56),
            pose.at(w, -0.68),
            pose.at(w * 1.6, -0.5),
            pose.at(w * 0.8, -0.38),
            pose.at(0, -0.34),
            pose.at(-w * 0.8, -0.38),
        ]
    )
    wash(e.canvas, brim, scale(felt, 1.1), scale(felt, 0.6), 0.05)


def _fur_cap(e: Easel, pose: Placed, face: Haired, fur: Colour) -> None:
    w = face.wide
    shape = smooth(
        [
            pose.at(-w * 1.1, -0.45),
            pose.at(-w * 1.12, -1.0),
            pose.at(-w * 0.5, -1.5),
            pose.at(w * 0.5, -1.5),
            pose.at(w * 1.12, -1.0),
            pose.at(w * 1.1, -0.45),
            pose.at(0, -0.5),
        ]
    )
    wash(e.canvas, shape, scale(fur, 1.2), scale(fur, 0.8), 0.16, side=0.15)
    rng = e.rng("fur cap")
    for _ in range(150):
        a, b = rng.uniform(-1.1, 1.1) * w, rng.uniform(-1.4, -0.45)
        brush(
            e.canvas,
            points([pose.at(a, b), pose.at(a * 1.06, b - 0.09)]),
            scale(fur, float(rng.uniform(0.65, 1.45))),
            pose.r * 0.03,
            pose.r * 0.008,
        )


def _helmet(e: Easel, pose: Placed, face: Haired) -> None:
    steel = _near(e, (176, 186, 196))
    w = face.wide
    shape = smooth(
        [
            pose.at(-w * 1.08, 0.3),
            pose.at(-w * 1.1, -0.6),
            pose.at(-w * 0.4, -1.3),
            pose.at(w * 0.4, -1.3),
            pose.at(w * 1.1, -0.6),
            pose.at(w * 1.08, 0.3),
            pose.at(w * 0.84, 0.25),
            pose.at(w * 0.74, -0.4),
            pose.at(0, -0.52),
            pose.at(-w * 0.74, -0.4),
            pose.at(-w * 0.84, 0.25),
        ]
    )
    wash(e.canvas, shape, scale(steel, 1.15), scale(steel, 0.7), 0.06, side=0.28)
    brush(
        e.canvas,
        smooth([pose.at(0, -1.3), pose.at(0.05, -0.9), pose.at(0.05, -0.5)], closed=False),
        scale(steel, 1.3),
        pose.r * 0.05,
        pose.r * 0.07,
    )


def _wreath(e: Easel, pose: Placed, face: Haired) -> None:
    rng = e.rng("wreath")
    for a in np.radians(np.linspace(200, 340, 15)):
        x, y = pose.at(np.cos(a) * (face.wide + 0.05), -0.35 + np.sin(a) * 0.6)
        leaf = _near(e, e.palette.leaves[0])
        fill(e.canvas, ellipse(x, y, pose.r * 0.11, pose.r * 0.07), scale(leaf, float(rng.uniform(0.7, 1.1))))
        if rng.random() < 0.6:
            fill(
                e.canvas,
                ellipse(x, y, pose.r * 0.065, pose.r * 0.065),
                _near(e, e.palette.accent(int(rng.integers(5)))),
            )
