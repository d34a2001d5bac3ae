"""Portraits: a person or an animal from the chest up, drawn in a plain storybook manner.

The face comes from the first name (or trigger word) alone, so that the same name is the same face under every seed;
the seed only turns the head, the light and the setting.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from limner.providers.sketch import beasts, interior, landscape, wardrobe
from limner.providers.sketch.canvas import (
    Colour,
    Points,
    brush,
    ellipse,
    fill,
    generator,
    glaze,
    glaze_within,
    glow,
    gradient,
    line,
    mix,
    points,
    rgb,
    scale,
    smooth,
    stroke_shape,
    wash,
)
from limner.providers.sketch.easel import Easel
from limner.providers.sketch.palette import named, palettes


@dataclass(frozen=True, slots=True)
class Face:
    """One person's lasting features. Lengths are in head sizes (half the head's height is 1)."""

    who: str
    wide: float
    jaw: float
    eye: float
    eye_gap: float
    brow: float
    nose: float
    mouth: float
    skin: Colour
    hair: Colour
    iris: Colour
    style: int

    @property
    def is_female(self) -> bool:
        return self.who in ("girl", "woman", "old_woman")

    @property
    def is_old(self) -> bool:
        return self.who.startswith("old")

    @property
    def is_child(self) -> bool:
        return self.who in ("girl", "boy")


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the head is: its centre, half its height in pixels, and how far it turns (-1 left, 1 right)."""

    x: float
    y: float
    r: float
    turn: float

    def at(self, a: float, b: float) -> tuple[float, float]:
        """Return the pixel of a place on the face: a to the right, b down, in head sizes."""
        return self.x + a * self.r, self.y + b * self.r


def paint_portrait(e: Easel) -> None:
    """Paint who the words describe, before a setting that they name."""
    rng = e.rng("pose")
    turn = float(rng.uniform(0.35, 0.9)) * (1 if rng.random() < 0.5 else -1)
    r = min(e.w * 0.235, e.h * 0.19)
    pose = Pose(e.w * (0.5 - 0.03 * turn), e.h * 0.41, r, turn)
    paint_setting(e, pose)
    if e.scene.who in beasts.KINDS:
        wardrobe.paint_shoulders(e, pose, e.scene.who, 0.72)
        beasts.paint_beast(e, pose, e.scene.who)
        return
    face = face_of(e)
    wardrobe.paint_back_hair(e, pose, face)
    _neck(e, pose, face)
    wardrobe.paint_shoulders(e, pose, face.who, 0.9 if face.is_female or face.is_child else 1.08)
    _head(e, pose, face)
    wardrobe.paint_hair(e, pose, face)
    wardrobe.paint_headwear(e, pose, face)


def face_of(e: Easel) -> Face:
    """Return the face that belongs to the name; without a name, to this picture."""
    scene = e.scene
    rng = generator("face", scene.name.casefold(), scene.who) if scene.name else e.rng("face")
    who = _aged(scene.who, scene.traits)
    data = palettes()
    child, female = who in ("girl", "boy"), who in ("girl", "woman", "old_woman")
    skin = rgb(data.skins[int(rng.integers(len(data.skins)))])
    hair = rgb(data.hairs[int(rng.integers(len(data.hairs)))])
    if who.startswith("old"):
        hair = (216, 212, 206)
    if "band" in scene.traits and who == "girl":
        hair = (228, 190, 110)
    if "hair" in scene.colours:
        hair = named(scene.colours["hair"])
    elif "forelock" in scene.traits or "dead" in scene.traits:
        hair = (44, 34, 34)
    iris = (
        named(scene.colours["eyes"])
        if "eyes" in scene.colours
        else ((74, 96, 120), (92, 66, 44), (84, 110, 80), (60, 48, 44))[int(rng.integers(4))]
    )
    if "dead" in scene.traits:
        skin = mix(skin, (222, 226, 220), 0.72)
    return Face(
        who=who,
        wide=float(rng.uniform(0.74, 0.84)) * (1.07 if child else 1.0),
        jaw=float(rng.uniform(0.36, 0.46)) if female or child else float(rng.uniform(0.46, 0.6)),
        eye=float(rng.uniform(0.125, 0.155)) * (1.22 if child else 1.08 if female else 1.0),
        eye_gap=float(rng.uniform(0.335, 0.39)),
        brow=float(rng.uniform(0.2, 0.27)),
        nose=float(rng.uniform(0.26, 0.36)) * (0.72 if child else 0.88 if female else 1.12),
        mouth=float(rng.uniform(0.2, 0.29)),
        skin=skin,
        hair=hair,
        iris=iris,
        style=int(rng.integers(3)),
    )


def _aged(who: str, traits: tuple[str, ...]) -> str:
    """Return who it is once words of age are heard."""
    if "old" in traits and who in ("man", "woman"):
        return f"old_{who}"
    return who if who in ("girl", "boy", "man", "woman", "old_man", "old_woman") else "man"


def paint_setting(e: Easel, pose: Pose) -> None:
    """Paint what lies behind: the named place out of focus, or a washed ground with a lit circle."""
    scene = e.scene
    if scene.rooms or len(scene.furnishings) > 1:
        interior.paint_interior(replace(e, scene=replace(scene, people=(), animals=(), things=())))
        _out_of_focus(e)
    elif scene.places:
        landscape.paint_landscape(replace(e, scene=replace(scene, people=(), animals=())))
        _out_of_focus(e)
    else:
        _ground(e, pose)
    glow(
        e.canvas,
        pose.x - pose.turn * pose.r,
        pose.y - pose.r * 0.2,
        pose.r * 3.1,
        mix(e.palette.light, e.palette.horizon, 0.3),
        0.42,
    )


def _out_of_focus(e: Easel) -> None:
    small = cv2.resize(e.canvas.pixels, (max(8, e.w // 4), max(8, e.h // 4)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(0.8, e.u * 0.28))
    e.canvas.pixels[:] = cv2.resize(small, (e.w, e.h), interpolation=cv2.INTER_CUBIC)


def _ground(e: Easel, pose: Pose) -> None:
    """Lay a painted ground: a sky's wash, loose strokes, a disc of light, sprigs at its edge."""
    rng = e.rng("portrait ground")
    p = e.palette
    tone = mix(p.lit(p.accent(2)), p.middle, 0.5)
    e.canvas.pixels[:] = gradient(
        (0, 0, e.w, e.h), (0, e.h), mix(p.zenith, tone, 0.4), mix(p.horizon, tone, 0.35), 0.07, 0, rng
    )
    for _ in range(90):
        x, y = rng.uniform(0, e.w), rng.uniform(0, e.h)
        a, long = rng.uniform(-0.5, 0.9), e.u * rng.uniform(8, 22)
        path = smooth(
            [
                (x, y),
                (x + np.cos(a) * long * 0.5, y + np.sin(a) * long * 0.6),
                (x + np.cos(a) * long, y + np.sin(a) * long),
            ],
            closed=False,
            steps=4,
        )
        shade = mix(tone, (p.zenith, p.horizon, p.light)[int(rng.integers(3))], 0.35)
        brush_alpha(e, path, shade, e.u * rng.uniform(2, 5), 0.16)
    disc = ellipse(pose.x, pose.y, pose.r * 1.72, pose.r * 1.72)
    glaze(e.canvas, disc, mix(p.horizon, p.light, 0.55), 0.5, e.u * 0.5)
    brush(
        e.canvas,
        ellipse(pose.x, pose.y, pose.r * 1.8, pose.r * 1.8),
        mix(tone, p.of("gold"), 0.6),
        e.u * 0.35,
        e.u * 0.35,
    )
    _sprigs(e, pose, rng)


def brush_alpha(e: Easel, path: Points, colour: Colour, wide: float, alpha: float) -> None:
    """Draw a translucent stroke."""
    glaze(e.canvas, stroke_shape(path, wide, wide), colour, alpha)


def _sprigs(e: Easel, pose: Pose, rng: np.random.Generator) -> None:
    """Let leaves grow round the disc from below, bare twigs in dark tales."""
    leaf = mix(e.palette.lit(e.palette.leaves[0]), e.palette.zenith, 0.35)
    bare = e.scene.genre in ("horror", "detective")
    for side in (-1, 1):
        angles = np.radians(90 - side * np.linspace(15, 125, 13))
        ring = pose.r * 1.93
        path = points(np.stack([pose.x + np.cos(angles) * ring, pose.y + np.sin(angles) * ring], axis=1))
        brush(e.canvas, path, scale(leaf, 0.6), e.u * 0.8, e.u * 0.2)
        for k, (x, y) in enumerate(path[1:]):
            for way in (-1, 1):
                a = angles[k + 1] - side * 1.57 + way * rng.uniform(0.5, 1.0)
                long = e.u * rng.uniform(4, 6.5) * (0.6 if bare else 1.0)
                tip = (float(x) + np.cos(a) * long, float(y) + np.sin(a) * long)
                middle = (float(x) + np.cos(a + 0.25) * long * 0.5, float(y) + np.sin(a + 0.25) * long * 0.5)
                if bare:
                    brush(e.canvas, points([(x, y), middle, tip]), scale(leaf, 0.5), e.u * 0.4, e.u * 0.1)
                else:
                    other = (float(x) + np.cos(a - 0.3) * long * 0.5, float(y) + np.sin(a - 0.3) * long * 0.5)
                    fill(e.canvas, smooth([(x, y), middle, tip, other]), scale(leaf, float(rng.uniform(0.75, 1.2))))


def skin_light(e: Easel, face: Face) -> Colour:
    """Return the skin in this light: never so dark or so blue that the face is lost."""
    return mix(e.palette.lit(face.skin), face.skin, 0.62)


def _neck(e: Easel, pose: Pose, face: Face) -> None:
    skin = scale(skin_light(e, face), 0.84)
    half = 0.27 if face.is_female or face.is_child else 0.38
    shape = points([pose.at(-half, 0.6), pose.at(half, 0.6), pose.at(half + 0.08, 1.42), pose.at(-half - 0.08, 1.42)])
    wash(e.canvas, shape, scale(skin, 0.8), skin, 0.04)


def head_shape(pose: Pose, face: Face) -> Points:
    """Return the head's outline: a skull above a jaw, its chin turned a little."""
    w, t = face.wide, pose.turn * 0.05
    chin = 0.98 if not face.is_child else 0.93
    right = [(0.0, -0.98), (w * 0.62, -0.86), (w, -0.3), (w * 0.99, 0.15), (w * 0.86, 0.52)]
    low = [(face.jaw + t, 0.82), (0.14 + t * 2, chin), (-0.14 + t * 2, chin), (-face.jaw + t, 0.82)]
    left = [(-w * 0.86, 0.52), (-w * 0.99, 0.15), (-w, -0.3), (-w * 0.62, -0.86)]
    return smooth([pose.at(a, b) for a, b in right + low + left])


def _head(e: Easel, pose: Pose, face: Face) -> None:
    """Paint the face: skin, the shaded side, cheeks, ears, eyes, nose, mouth, marks of age."""
    skin = skin_light(e, face)
    warm = mix(skin, (206, 92, 78), 0.4) if "dead" not in e.scene.traits else mix(skin, (120, 140, 150), 0.3)
    for side in (-1, 1):
        ear = ellipse(*pose.at(side * face.wide * 0.98 - pose.turn * 0.05, 0.1), pose.r * 0.12, pose.r * 0.19)
        fill(e.canvas, ear, scale(mix(skin, warm, 0.4), 0.95))
    shape = head_shape(pose, face)
    wash(e.canvas, shape, mix(skin, (255, 244, 228), 0.2), skin, 0.03)
    dark = mix(scale(skin, 0.72), warm, 0.25)
    side = -1 if pose.turn > 0 else 1
    shade = ellipse(*pose.at(side * 1.02, 0.15), pose.r * 0.62, pose.r * 1.5)
    glaze_within(e.canvas, shade, shape, dark, 0.55, pose.r * 0.1)
    glaze_within(e.canvas, ellipse(*pose.at(0, 1.12), pose.r * 0.8, pose.r * 0.3), shape, dark, 0.4, pose.r * 0.08)
    for k in (-0.47, 0.47):
        cheek = ellipse(*pose.at(k + pose.turn * 0.12, 0.36), pose.r * 0.2, pose.r * 0.15)
        glaze_within(e.canvas, cheek, shape, warm, 0.42, pose.r * 0.07)
    for k in (-1, 1):
        _eye(e, pose, face, k, skin, warm)
    _nose(e, pose, face, skin, warm)
    _mouth(e, pose, face, warm)
    _marks(e, pose, face, skin, shape)


def _eye(e: Easel, pose: Pose, face: Face, side: int, skin: Colour, warm: Colour) -> None:
    """Paint one eye: closed in the dead, wide in the frightened; the far one a little narrower."""
    traits = e.scene.traits
    ink = mix(face.hair, (34, 26, 30), 0.7)
    x, y = pose.at(side * face.eye_gap + pose.turn * 0.13, 0.1)
    far = 0.86 if side * pose.turn > 0 else 1.0
    wide, tall = face.eye * pose.r * 1.12 * far, face.eye * pose.r * (0.98 if "afraid" in traits else 0.78)
    if face.is_old:
        tall *= 0.8
    lid = smooth(
        [
            (x - wide, y + tall * 0.15),
            (x - wide * 0.3, y - tall * 0.85),
            (x + wide * 0.5, y - tall * 0.8),
            (x + wide, y + tall * 0.1),
        ],
        closed=False,
    )
    if "dead" in traits:
        closed = smooth([(x - wide, y), (x, y + tall * 0.55), (x + wide, y)], closed=False)
        glaze(e.canvas, ellipse(x, y, wide * 1.2, tall * 1.1), mix(skin, (110, 90, 120), 0.5), 0.4, wide * 0.3)
        brush(e.canvas, closed, ink, pose.r * 0.035, pose.r * 0.022)
        _brow(e, pose, face, side, x, y, wide, ink)
        return
    glaze(e.canvas, ellipse(x, y - tall * 0.3, wide * 1.25, tall * 1.3), mix(warm, skin, 0.4), 0.5, wide * 0.3)
    white = np.vstack(
        [
            lid,
            smooth(
                [
                    (x + wide, y + tall * 0.1),
                    (x + wide * 0.3, y + tall * 0.75),
                    (x - wide * 0.4, y + tall * 0.75),
                    (x - wide, y + tall * 0.15),
                ],
                closed=False,
            ),
        ]
    )
    fill(e.canvas, white, mix((250, 246, 240), skin, 0.22))
    look = pose.turn * wide * 0.24
    iris = ellipse(x + look, y - tall * 0.05, tall * 0.8, tall * 0.84)
    glaze_within(e.canvas, iris, white, mix(face.iris, ink, 0.25), 1.0)
    glaze_within(e.canvas, ellipse(x + look, y, tall * 0.4, tall * 0.45), white, (24, 18, 22), 1.0)
    glaze_within(e.canvas, ellipse(x, y - tall * 0.85, wide, tall * 0.4), white, ink, 0.35, 1.0)
    fill(e.canvas, ellipse(x + look - tall * 0.25, y - tall * 0.3, tall * 0.17, tall * 0.17), (255, 253, 248))
    brush(e.canvas, lid, ink, pose.r * 0.03, pose.r * (0.05 if face.is_female else 0.036))
    if face.is_female and not face.is_old:
        outer = x + side * wide
        brush(
            e.canvas,
            points([(outer - side * wide * 0.2, y - tall * 0.3), (outer + side * wide * 0.28, y - tall * 0.55)]),
            ink,
            pose.r * 0.04,
            pose.r * 0.01,
        )
    _brow(e, pose, face, side, x, y, wide, ink)


def _brow(e: Easel, pose: Pose, face: Face, side: int, x: float, y: float, wide: float, ink: Colour) -> None:
    """Set the brow as the mood wants it: drawn together, raised, or slanting."""
    traits = e.scene.traits
    inner, outer = 0.0, 0.0
    if "angry" in traits:
        inner, outer = 0.1, -0.05
    elif "sad" in traits:
        inner, outer = -0.09, 0.05
    elif "afraid" in traits:
        inner = outer = -0.07
    up = y - face.brow * pose.r
    path = [
        (x - side * wide * 1.15, up + inner * pose.r),
        (x, up - pose.r * 0.05),
        (x + side * wide * 1.3, up + (0.04 + outer) * pose.r),
    ]
    thick = pose.r * (0.045 if face.is_female or face.is_child else 0.085)
    colour = mix(face.hair, ink, 0.35) if not face.is_old else mix(face.hair, (150, 140, 136), 0.4)
    brush(e.canvas, smooth(path, closed=False), colour, thick, thick * 0.35)


def _nose(e: Easel, pose: Pose, face: Face, skin: Colour, warm: Colour) -> None:
    x, top = pose.at(pose.turn * 0.17, 0.12)
    tip = top + face.nose * pose.r
    way = 1 if pose.turn > 0 else -1
    reach = pose.r * 0.085 * (0.6 + face.nose)
    line_ = mix(scale(skin, 0.55), warm, 0.35)
    if not face.is_child:
        side = smooth(
            [(x - way * reach * 0.1, top), (x + way * reach * 0.55, tip - reach * 1.5), (x + way * reach * 1.05, tip)],
            closed=False,
        )
        glaze(
            e.canvas, np.vstack([side, points([(x - way * reach * 0.9, tip)])]), scale(skin, 0.8), 0.32, pose.r * 0.03
        )
    under = smooth(
        [
            (x + way * reach * 1.0, tip - reach * 0.4),
            (x + way * reach * 0.7, tip + reach * 0.15),
            (x - way * reach * 0.1, tip + reach * 0.3),
            (x - way * reach * 0.75, tip),
        ],
        closed=False,
    )
    brush(e.canvas, under, line_, pose.r * 0.028, pose.r * 0.018)
    glaze(
        e.canvas,
        ellipse(x + way * reach * 0.3, tip - reach * 0.5, reach * 0.5, reach * 0.4),
        (255, 244, 232),
        0.4,
        reach * 0.25,
    )


def _mouth(e: Easel, pose: Pose, face: Face, warm: Colour) -> None:
    traits = e.scene.traits
    x, y = pose.at(pose.turn * 0.13, 0.6 if not face.is_child else 0.57)
    half = face.mouth * pose.r * (1.15 if "smile" in traits else 0.9)
    curve = (
        0.1 if "smile" in traits else -0.06 if {"sad", "angry"} & set(traits) else 0.0 if "dead" in traits else 0.035
    )
    lip = mix(warm, (160, 44, 56), 0.42 if face.is_female else 0.12)
    if "dead" in traits:
        lip = mix(lip, (150, 130, 150), 0.5)
    low = y + curve * pose.r
    if "afraid" in traits:
        fill(e.canvas, ellipse(x, y + pose.r * 0.02, half * 0.36, pose.r * 0.075), scale(lip, 0.5))
        return
    upper = smooth(
        [
            (x - half, y),
            (x - half * 0.3, low - pose.r * 0.035),
            (x, low - pose.r * 0.02),
            (x + half * 0.3, low - pose.r * 0.035),
            (x + half, y),
        ],
        closed=False,
    )
    centre = smooth([(x - half, y), (x, low + pose.r * 0.015), (x + half, y)], closed=False)
    lower = smooth(
        [
            (x + half * 0.75, y + curve * pose.r * 0.5),
            (x, low + pose.r * 0.085),
            (x - half * 0.75, y + curve * pose.r * 0.5),
        ],
        closed=False,
    )
    glaze(e.canvas, np.vstack([upper, lower]), lip, 0.75 if face.is_female else 0.45, pose.r * 0.01)
    line_ = scale(lip, 0.5)
    steps = len(centre) // 2
    brush(e.canvas, centre[: steps + 1], line_, pose.r * 0.012, pose.r * 0.032)
    brush(e.canvas, centre[steps:], line_, pose.r * 0.032, pose.r * 0.012)


def _marks(e: Easel, pose: Pose, face: Face, skin: Colour, shape: Points) -> None:
    """Add wrinkles, freckles, a scar, tears, glasses."""
    traits = e.scene.traits
    crease = scale(skin, 0.72)
    if face.is_old:
        for side in (-1, 1):
            brush(
                e.canvas,
                smooth(
                    [
                        pose.at(side * 0.24 + pose.turn * 0.12, 0.38),
                        pose.at(side * 0.38 + pose.turn * 0.1, 0.5),
                        pose.at(side * 0.38 + pose.turn * 0.1, 0.66),
                    ],
                    closed=False,
                ),
                crease,
                pose.r * 0.022,
                pose.r * 0.01,
            )
            for k in (0.0, 0.07):
                x, y = pose.at(side * (face.eye_gap + 0.19) + pose.turn * 0.1, 0.1 + k)
                brush(
                    e.canvas,
                    points([(x, y), (x + side * pose.r * 0.1, y - pose.r * 0.03 + k * pose.r)]),
                    crease,
                    pose.r * 0.016,
                    pose.r * 0.006,
                )
        for k in (-0.36, -0.45):
            brush(
                e.canvas,
                smooth([pose.at(-0.3, k), pose.at(0.05, k - 0.03), pose.at(0.34, k)], closed=False),
                crease,
                pose.r * 0.008,
                pose.r * 0.016,
            )
    if "freckles" in traits:
        rng = generator("freckles", e.scene.name)
        for a, b in zip(rng.normal(0, 0.3, 26), rng.normal(0.34, 0.07, 26), strict=True):
            glaze_within(
                e.canvas,
                ellipse(*pose.at(a + pose.turn * 0.12, b), pose.r * 0.016, pose.r * 0.014),
                shape,
                scale(skin, 0.62),
                0.7,
            )
    if "scar" in traits:
        brush(
            e.canvas,
            smooth([pose.at(0.3, -0.2), pose.at(0.42, 0.2), pose.at(0.38, 0.5)], closed=False),
            mix(skin, (180, 80, 80), 0.5),
            pose.r * 0.02,
            pose.r * 0.03,
        )
    if "glasses" in traits:
        for side in (-1, 1):
            x, y = pose.at(side * face.eye_gap + pose.turn * 0.13, 0.12)
            line(e.canvas, ellipse(x, y, pose.r * 0.24, pose.r * 0.22), (54, 44, 40), max(1.0, pose.r * 0.025))
        line(
            e.canvas,
            points([pose.at(-0.12 + pose.turn * 0.13, 0.09), pose.at(0.12 + pose.turn * 0.13, 0.09)]),
            (54, 44, 40),
            max(1.0, pose.r * 0.025),
        )
