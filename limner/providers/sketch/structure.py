"""Control maps and references as structure: their edges become inked lines, their regions become tones.

Knows nothing of what the maps show.
"""

import cv2
import numpy as np

from limner.providers.sketch.canvas import Bytes, blend, flat, mix, scale
from limner.providers.sketch.easel import Easel
from limner.providers.sketch.palette import named


def paint_structure(e: Easel, references: list[Bytes], controls: list[Bytes]) -> None:
    """Lay the first reference's light and dark over the picture faintly, and every control map's edges clearly."""
    for reference in references[:1]:
        _layout(e, reference)
    for control in controls:
        _regions(e, control)
        _edges(e, control)


def _layout(e: Easel, reference: Bytes) -> None:
    """Let the picture be lighter and darker where the reference is."""
    grey = cv2.cvtColor(cv2.resize(reference, (24, 24), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    tone = cv2.resize(grey.astype(np.float32) / 255, (e.w, e.h), interpolation=cv2.INTER_CUBIC)
    lighter = np.asarray(np.clip((tone - tone.mean()) * 150, 0, 90), np.uint8)
    darker = np.asarray(np.clip((tone.mean() - tone) * 190, 0, 120), np.uint8)
    box = (0, 0, e.w, e.h)
    blend(e.canvas.pixels, flat(box, mix(e.palette.light, (255, 255, 255), 0.3)), lighter)
    blend(e.canvas.pixels, flat(box, e.palette.ink), darker)


def _regions(e: Easel, control: Bytes) -> None:
    """Wash what the map's lines enclose, so that its shape stands out from the scene."""
    lines = line_map(control, e.w, e.h)
    closed = cv2.morphologyEx(lines, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    outside = np.asarray(cv2.copyMakeBorder(closed, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0), np.uint8)
    cv2.floodFill(outside, None, (0, 0), 128)
    inside = np.asarray((outside[1:-1, 1:-1] != 128) * 215, np.uint8)
    if inside.mean() < 1:
        return
    given = e.scene.colours.get("thing")
    local = named(given) if given else e.palette.accent(0)
    body = mix(e.palette.lit(local), e.palette.light, 0.12)
    ramp = np.linspace(1.15, 0.62, e.h, dtype=np.float32)[:, None, None]
    sheet = np.asarray((np.array(body, np.float32) * ramp).clip(0, 255), np.uint8)
    blend(e.canvas.pixels, np.ascontiguousarray(np.broadcast_to(sheet, e.canvas.pixels.shape)), inside)


def _edges(e: Easel, control: Bytes) -> None:
    lines = line_map(control, e.w, e.h)
    thick = max(1, round(e.u * 0.25))
    pen = cv2.dilate(lines, np.ones((thick, thick), np.uint8))
    soft = np.asarray(cv2.GaussianBlur(pen, (0, 0), max(0.6, e.u * 0.07)), np.uint8)
    blend(e.canvas.pixels, flat((0, 0, e.w, e.h), scale(e.palette.ink, 0.8)), soft)


def line_map(control: Bytes, width: int, height: int) -> Bytes:
    """Return the map's lines as 255 on 0: a line drawing as it is, anything else by its edges."""
    grey = cv2.cvtColor(cv2.resize(control, (width, height), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    light = float((grey > 128).mean())
    is_drawing = float(((grey < 40) | (grey > 215)).mean()) > 0.9
    if is_drawing and min(light, 1 - light) < 0.25:
        lines = grey if light < 0.5 else cv2.bitwise_not(grey)
        return np.asarray((lines > 80) * 255, np.uint8)
    return np.asarray(cv2.Canny(cv2.GaussianBlur(grey, (0, 0), 1.2), 40, 110), np.uint8)
