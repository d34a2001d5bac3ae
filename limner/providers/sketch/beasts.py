"""Animals' heads for portraits: rabbit, cat, dog, wolf, fox, bear, mouse, horse, deer, owl, crow and their kin.

Knows where a head is; clothes are drawn elsewhere.
"""

from dataclasses import dataclass

import numpy as np

from limner.providers.sketch.canvas import (
    Colour,
    brush,
    ellipse,
    fill,
    glaze,
    glaze_within,
    mix,
    points,
    scale,
    smooth,
    wash,
)
from limner.providers.sketch.easel import Easel
from limner.providers.sketch.figures import fur_of
from limner.providers.sketch.palette import named
from limner.providers.sketch.wardrobe import Placed


@dataclass(frozen=True, slots=True)
class Kind:
    """How one animal's head is made. ears: long, point, round, none; lengths in head sizes."""

    ears: str
    wide: float
    muzzle: float
    snout: float
    whiskers: bool = False
    beak: bool = False


KINDS = {
    "rabbit": Kind("long", 0.76, 0.36, 0.1, whiskers=True),
    "cat": Kind("point", 0.9, 0.3, 0.04, whiskers=True),
    "dog": Kind("drop", 0.78, 0.4, 0.3),
    "wolf": Kind("point", 0.82, 0.36, 0.34),
    "fox": Kind("point", 0.82, 0.28, 0.3, whiskers=True),
    "bear": Kind("round", 0.94, 0.42, 0.2),
    "mouse": Kind("disc", 0.72, 0.28, 0.16, whiskers=True),
    "horse": Kind("point", 0.58, 0.4, 0.7),
    "deer": Kind("side", 0.6, 0.32, 0.5),
    "cow": Kind("side", 0.72, 0.46, 0.5),
    "owl": Kind("tuft", 0.92, 0.2, 0.0, beak=True),
    "crow": Kind("none", 0.74, 0.2, 0.2, beak=True),
    "bird": Kind("none", 0.74, 0.2, 0.12, beak=True),
    "dragon": Kind("point", 0.7, 0.42, 0.5),
    "bat": Kind("point", 0.7, 0.3, 0.1),
    "fish": Kind("none", 0.8, 0.3, 0.0),
}


def paint_beast(e: Easel, pose: Placed, animal: str) -> None:
    """Paint an animal's head over its shoulders."""
    kind = KINDS[animal]
    fur = fur_of(e, animal)
    fur = mix(e.palette.lit(fur), fur, 0.5)
    _ears(e, pose, kind, fur)
    head = smooth([pose.at(a, b) for a, b in _outline(kind)])
    wash(e.canvas, head, scale(fur, 1.06), scale(fur, 0.86), 0.06)
    side = -1 if pose.turn > 0 else 1
    glaze_within(
        e.canvas,
        ellipse(*pose.at(side * 1.0, 0.2), pose.r * 0.62, pose.r * 1.4),
        head,
        scale(fur, 0.55),
        0.5,
        pose.r * 0.12,
    )
    _strokes(e, pose, kind, fur)
    for k in (-1, 1):
        _eye(e, pose, kind, animal, k)
    (_beak if kind.beak else _muzzle)(e, pose, kind, animal, fur)


def _outline(kind: Kind) -> list[tuple[float, float]]:
    w, low = kind.wide, 0.86 + kind.snout * 0.5
    jowl = 0.62 if kind.snout < 0.2 else 0.46
    half = [(w * 0.62, -0.8), (w, -0.2), (w * 0.96, 0.3), (jowl, 0.72), (0.2, low)]
    return [(0.0, -0.9), *half, *[(-a, b) for a, b in half[::-1]]]


def _ears(e: Easel, pose: Placed, kind: Kind, fur: Colour) -> None:
    inner = mix(fur, (232, 140, 140), 0.5)
    for side in (-1, 1):
        lean = pose.turn * 0.1
        if kind.ears == "long":
            outer = [
                (side * 0.12, -0.7),
                (side * 0.2 + lean, -1.7),
                (side * 0.42 + lean, -2.05),
                (side * 0.6 + lean, -1.6),
                (side * 0.52, -0.62),
            ]
        elif kind.ears in ("point", "tuft"):
            outer = [(side * 0.2, -0.8), (side * 0.62, -1.42), (side * (kind.wide + 0.02), -0.4)]
        elif kind.ears == "drop":
            outer = [
                (side * 0.5, -0.85),
                (side * 1.05, -0.6),
                (side * 1.1, 0.3),
                (side * 0.8, 0.35),
                (side * 0.66, -0.3),
            ]
        elif kind.ears == "side":
            outer = [(side * 0.45, -0.6), (side * 1.2, -0.75), (side * 1.15, -0.45), (side * 0.5, -0.35)]
        elif kind.ears in ("round", "disc"):
            grow = 0.56 if kind.ears == "disc" else 0.32
            ear = ellipse(*pose.at(side * kind.wide * 0.86, -0.72), pose.r * grow, pose.r * grow)
            wash(e.canvas, ear, fur, scale(fur, 0.8), 0.05)
            fill(
                e.canvas,
                ellipse(*pose.at(side * kind.wide * 0.86, -0.7), pose.r * grow * 0.62, pose.r * grow * 0.62),
                inner,
            )
            continue
        else:
            continue
        curve = (
            smooth([pose.at(a, b) for a, b in outer])
            if kind.ears in ("long", "drop")
            else points([pose.at(a, b) for a, b in outer])
        )
        wash(e.canvas, curve, fur, scale(fur, 0.82), 0.06)
        middle = curve.mean(axis=0)
        if kind.ears != "drop":
            wash(
                e.canvas,
                ((curve - middle) * np.array([0.55, 0.78]) + middle).astype(np.float32),
                inner,
                scale(inner, 0.85),
                0.05,
            )


def _strokes(e: Easel, pose: Placed, kind: Kind, fur: Colour) -> None:
    """Brush fur outwards over the cheeks and the brow."""
    rng = e.rng("fur")
    for _ in range(170):
        a, b = rng.uniform(-1, 1) * kind.wide, rng.uniform(-0.85, 0.75)
        if (a / kind.wide) ** 2 + (b / 0.9) ** 2 > 0.95:
            continue
        tip = pose.at(a * 1.08, b + 0.09 + 0.04 * abs(a))
        brush(
            e.canvas,
            points([pose.at(a, b), tip]),
            scale(fur, float(rng.uniform(0.86, 1.14))),
            pose.r * 0.022,
            pose.r * 0.006,
        )
    for side in (-1, 1):
        for k in range(5):
            root = pose.at(side * kind.wide * 0.86, 0.12 + 0.11 * k)
            tip = pose.at(side * (kind.wide * 0.86 + 0.2), 0.3 + 0.11 * k)
            brush(e.canvas, points([root, tip]), scale(fur, 0.94 + 0.03 * k), pose.r * 0.13, pose.r * 0.01)


def _eye(e: Easel, pose: Placed, kind: Kind, animal: str, side: int) -> None:
    x, y = pose.at(side * kind.wide * 0.46 + pose.turn * 0.1, -0.08)
    r = pose.r * (0.2 if animal == "owl" else 0.125)
    usual: dict[str, Colour] = {
        "rabbit": (206, 84, 104),
        "cat": (150, 176, 70),
        "wolf": (206, 172, 70),
        "owl": (232, 176, 56),
        "fox": (190, 126, 50),
        "dragon": (230, 190, 60),
    }
    tone = named(e.scene.colours["eyes"]) if "eyes" in e.scene.colours else usual.get(animal, (96, 64, 40))
    fill(e.canvas, ellipse(x, y, r * 1.22, r * 1.16), (46, 34, 36))
    fill(e.canvas, ellipse(x, y, r, r), tone)
    glaze(e.canvas, ellipse(x, y - r * 0.5, r, r * 0.5), (30, 20, 24), 0.3, r * 0.2)
    slit = 0.26 if animal in ("cat", "fox", "dragon") else 0.55
    fill(e.canvas, ellipse(x + pose.turn * r * 0.15, y, r * slit, r * (0.82 if slit < 0.5 else 0.55)), (22, 16, 20))
    fill(e.canvas, ellipse(x - r * 0.3, y - r * 0.38, r * 0.24, r * 0.24), (255, 253, 248))
    angry = 0.12 if "angry" in e.scene.traits else -0.04
    lid = smooth(
        [
            pose.at(side * kind.wide * 0.24 + pose.turn * 0.1, -0.22 + angry),
            pose.at(side * kind.wide * 0.5 + pose.turn * 0.1, -0.27),
            pose.at(side * kind.wide * 0.7 + pose.turn * 0.1, -0.14),
        ],
        closed=False,
    )
    brush(e.canvas, lid, (52, 40, 42), pose.r * 0.03, pose.r * 0.015)


def _muzzle(e: Easel, pose: Placed, kind: Kind, animal: str, fur: Colour) -> None:
    light = mix(fur, (255, 252, 246), 0.55)
    t, low = pose.turn * 0.14, 0.34 + kind.snout * 0.62
    m = kind.muzzle
    for side in (-1, 1):
        pad = ellipse(
            *pose.at(side * m * 0.48 + t, low + 0.12), pose.r * m * 0.66, pose.r * m * (0.52 + kind.snout * 0.5)
        )
        wash(e.canvas, pad, light, scale(light, 0.88), 0.04, soften=pose.r * 0.02)
    if kind.snout > 0.25:
        bridge = smooth(
            [
                pose.at(-m * 0.5 + t * 0.5, 0.0),
                pose.at(m * 0.5 + t * 0.5, 0.0),
                pose.at(m * 0.52 + t, low),
                pose.at(-m * 0.52 + t, low),
            ]
        )
        glaze(e.canvas, bridge, mix(fur, light, 0.35), 0.7, pose.r * 0.06)
    dark = mix((206, 106, 118), fur, 0.12) if animal in ("rabbit", "cat", "mouse") else (48, 38, 40)
    nose_y, half = low - 0.06, 0.1 + 0.08 * m
    nose = smooth(
        [
            pose.at(t - half, nose_y - 0.05),
            pose.at(t, nose_y - 0.09),
            pose.at(t + half, nose_y - 0.05),
            pose.at(t, nose_y + 0.08),
        ]
    )
    fill(e.canvas, nose, dark)
    glaze(e.canvas, ellipse(*pose.at(t - 0.03, nose_y - 0.05), pose.r * 0.04, pose.r * 0.02), (255, 255, 255), 0.6, 1.0)
    ink = (70, 52, 54)
    brush(e.canvas, points([pose.at(t, nose_y + 0.07), pose.at(t, nose_y + 0.19)]), ink, pose.r * 0.022, pose.r * 0.022)
    grin = 0.06 if "smile" in e.scene.traits else 0.0
    for side in (-1, 1):
        lip = smooth(
            [
                pose.at(t, nose_y + 0.19),
                pose.at(t + side * m * 0.42, nose_y + 0.27),
                pose.at(t + side * m * (0.85 + grin * 3), nose_y + 0.17 - grin),
            ],
            closed=False,
        )
        brush(e.canvas, lip, ink, pose.r * 0.026, pose.r * 0.012)
        if kind.whiskers:
            for k in (-0.06, 0.02, 0.1):
                root = pose.at(t + side * m * 0.6, low + 0.08 + k * 0.4)
                hair = smooth(
                    [
                        root,
                        pose.at(t + side * (m + 0.36), low + k * 1.4 - 0.02),
                        pose.at(t + side * (m + 0.7), low + k * 2.6 + 0.03),
                    ],
                    closed=False,
                )
                brush(
                    e.canvas,
                    hair,
                    (250, 247, 240) if e.palette.is_dark else (92, 80, 78),
                    pose.r * 0.014,
                    pose.r * 0.004,
                )
    if animal == "rabbit":
        fill(
            e.canvas,
            points(
                [
                    pose.at(t - 0.07, nose_y + 0.22),
                    pose.at(t + 0.07, nose_y + 0.22),
                    pose.at(t + 0.06, nose_y + 0.37),
                    pose.at(t - 0.06, nose_y + 0.37),
                ]
            ),
            (252, 249, 240),
        )


def _beak(e: Easel, pose: Placed, kind: Kind, animal: str, _fur: Colour) -> None:
    t = pose.turn * 0.14
    tone = (214, 158, 66) if animal in ("owl", "bird") else (52, 50, 56)
    long = 0.3 + kind.snout
    beak = smooth(
        [
            pose.at(t - 0.15, 0.1),
            pose.at(t, 0.02),
            pose.at(t + 0.15, 0.1),
            pose.at(t + pose.turn * kind.snout, 0.16 + long),
        ]
    )
    wash(e.canvas, beak, scale(tone, 1.15), scale(tone, 0.7), 0.05, side=0.2)
    if animal == "owl":
        for side in (-1, 1):
            for a in np.radians(np.arange(0, 360, 20)):
                x, y = pose.at(side * kind.wide * 0.46 + pose.turn * 0.1, -0.08)
                root = (x + np.cos(a) * pose.r * 0.25, y + np.sin(a) * pose.r * 0.25)
                tip = (x + np.cos(a) * pose.r * 0.4, y + np.sin(a) * pose.r * 0.4)
                brush(e.canvas, points([root, tip]), mix(_fur, (255, 245, 225), 0.4), pose.r * 0.03, pose.r * 0.01)
