"""From an order to PNG bytes: read the words, choose the colours, paint by kind, finish.

Knows nothing of the press. Everything random comes from sha256 of prompt, negative prompt, seed and size.
"""

import hashlib
from dataclasses import replace

import cv2
import numpy as np

from limner.errors import Invalid
from limner.providers.seam import Asked
from limner.providers.sketch import atmosphere, interior, landscape, portrait, structure, things
from limner.providers.sketch.canvas import Bytes, Canvas
from limner.providers.sketch.easel import Easel
from limner.providers.sketch.finish import decoded, finish, png
from limner.providers.sketch.palette import Palette, choose_palette, leaning_on
from limner.providers.sketch.scene import Scene, read_scene

_MIN_SIDE, _MAX_SIDE = 64, 4096

_PAINTERS = {
    "landscape": landscape.paint_landscape,
    "interior": interior.paint_interior,
    "portrait": portrait.paint_portrait,
    "object": things.paint_still_life,
    "atmosphere": atmosphere.paint_atmosphere,
}


def illustrate(asked: Asked) -> bytes:
    """Return the picture of an order; raises Invalid for a size out of range or a reference that is no picture."""
    width, height = asked.order.width, asked.order.height
    if not (min(width, height) >= _MIN_SIDE and max(width, height) <= _MAX_SIDE):
        raise Invalid(
            f"sketch: {width}x{height} is out of range; ask for sides from {_MIN_SIDE} to {_MAX_SIDE} pixels."
        )
    references = [_picture(asked, one.of) for one in asked.order.references]
    controls = [_picture(asked, one.of) for one in asked.order.controls]
    scene = read_scene(asked.prompt, asked.negative_prompt)
    if controls:
        # The map is the car: a second one of our own would stand in its way.
        scene = replace(scene, places=tuple(place for place in scene.places if place != "car"))
    seed = seed_text(asked)
    canvas = Canvas(width, height, seed)
    easel = Easel(canvas, _palette(scene, seed, references), scene, _horizon(references))
    _PAINTERS[scene.kind](easel)
    structure.paint_structure(easel, references, controls)
    finish(canvas, easel.palette.genre, easel.palette.is_dark)
    return png(canvas)


def seed_text(asked: Asked) -> str:
    """Return what all of the picture's randomness is derived from."""
    order = asked.order
    parts = (asked.prompt, asked.negative_prompt, asked.seed, order.width, order.height)
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()


def _picture(asked: Asked, sha256: str) -> Bytes:
    if sha256 not in asked.references:
        raise Invalid(f"sketch: the reference {sha256[:12]} did not come with the order; fetch its bytes first.")
    pixels = decoded(asked.references[sha256])
    if pixels is None:
        raise Invalid(f"sketch: the reference {sha256[:12]} is no picture; give a PNG, JPEG or WebP file.")
    return pixels


def _palette(scene: Scene, seed: str, references: list[Bytes]) -> Palette:
    palette = choose_palette(scene, seed)
    return leaning_on(palette, references[0]) if references else palette


def _horizon(references: list[Bytes]) -> float | None:
    """Return where the first reference's brightness changes most from above to below: a layout hint, 0.3 to 0.75."""
    if not references:
        return None
    rows = cv2.resize(cv2.cvtColor(references[0], cv2.COLOR_RGB2GRAY), (1, 40), interpolation=cv2.INTER_AREA)
    steps = np.abs(np.diff(cv2.blur(rows, (1, 5)).astype(int).ravel()))
    return float(np.clip((int(np.argmax(steps[12:30])) + 12.5) / 40, 0.3, 0.75))
