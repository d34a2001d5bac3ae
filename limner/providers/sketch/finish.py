"""The last passes over a painted canvas: the genre's treatment, ink, a hand's wobble, paper, and the PNG.

Knows nothing of what is drawn.
"""

import cv2
import numpy as np

from limner.errors import Broken
from limner.providers.sketch.canvas import Bytes, Canvas, Field, blend, flat, noise, rgb
from limner.providers.sketch.palette import Genre

# Huffman coding alone: paper grain leaves nothing for a search of repeats to find, and this is the fastest.
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, 2, cv2.IMWRITE_PNG_FILTER, 64]


def finish(canvas: Canvas, genre: Genre, night: bool) -> None:
    """Turn the flat painting into one made by hand on paper."""
    treat(canvas, genre, night)
    wobble(canvas)
    ink(canvas, genre.ink)
    vignette(canvas, 0.3 if night else 0.22)
    paper(canvas, rgb(genre.paper))


def treat(canvas: Canvas, genre: Genre, night: bool) -> None:
    """Apply saturation, contrast, light and tint in one affine map of colours."""
    weights = np.array([0.3, 0.59, 0.11])
    saturate = genre.saturation * np.eye(3) + (1 - genre.saturation) * np.tile(weights, (3, 1))
    # A night is dark already: a dark genre does not darken it twice.
    gain = genre.contrast * (max(genre.light, 0.95) * 1.14 if night else genre.light * 1.05)
    tint = np.array(rgb(genre.tint)) / 255
    tinted = (1 - genre.amount) * np.eye(3) + genre.amount * np.outer(tint * 1.35, weights)
    matrix = tinted @ saturate * gain
    lift = np.full((3, 1), 112 * (1 - genre.contrast) * 0.8 + 3)
    canvas.pixels[:] = cv2.transform(canvas.pixels, np.hstack([matrix, lift]))


def wobble(canvas: Canvas) -> None:
    """Move every edge a little, as a hand does."""
    rng = canvas.rng("wobble")
    size = (canvas.height, canvas.width)
    reach = canvas.u * 0.3
    dx = (noise(size, canvas.u * 5, rng, 2) - 0.5) * (2 * reach)
    dy = (noise(size, canvas.u * 5, rng, 2) - 0.5) * (2 * reach)
    dx += np.arange(canvas.width, dtype=np.float32)[None, :]
    dy += np.arange(canvas.height, dtype=np.float32)[:, None]
    canvas.pixels[:] = cv2.remap(canvas.pixels, dx, dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def ink(canvas: Canvas, strength: float) -> None:
    """Darken along the dark side of edges: a pen's line where two tones meet."""
    if strength <= 0:
        return
    grey = cv2.cvtColor(canvas.pixels, cv2.COLOR_RGB2GRAY)
    fine = cv2.GaussianBlur(grey, (0, 0), max(0.6, canvas.u * 0.07))
    wide = cv2.GaussianBlur(grey, (0, 0), max(1.0, canvas.u * 0.22))
    lines = np.maximum(np.asarray(cv2.subtract(wide, fine), np.uint8), 3) - np.uint8(3)
    mask = np.asarray(cv2.convertScaleAbs(lines, alpha=6.0 * strength), np.uint8)
    mask = np.minimum(mask, np.uint8(150 * strength + 40))
    dark = cv2.convertScaleAbs(canvas.pixels, alpha=0.3)
    blend(canvas.pixels, np.asarray(dark, np.uint8), mask)


def vignette(canvas: Canvas, strength: float) -> None:
    """Darken towards the corners."""
    y = np.linspace(-1, 1, 48, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, 64, dtype=np.float32)[None, :]
    away = np.clip((x**2 + y**2) * 0.5 - 0.25, 0, 1) ** 1.3
    mask = cv2.resize(away * np.float32(255 * strength), (canvas.width, canvas.height))
    blend(canvas.pixels, flat((0, 0, canvas.width, canvas.height), (14, 10, 18)), np.asarray(mask, np.uint8))


def paper(canvas: Canvas, sheet: tuple[float, float, float]) -> None:
    """Lay pigment's unevenness and the paper's tooth over the picture; its edge stays ragged and bare."""
    rng = canvas.rng("paper")
    size = (canvas.height, canvas.width)
    bare(canvas, sheet, rng)
    tooth = grain(size, rng)
    uneven = noise(size, canvas.u * 4, rng, 3) - 0.5
    light = 1.03 + uneven * 0.1 + tooth
    light8 = np.asarray(light.clip(0, 1.9) * 128, np.uint8)
    canvas.pixels[:] = cv2.multiply(canvas.pixels, cv2.merge([light8, light8, light8]), scale=1 / 128)
    # Additive grain as well: the darkest washes are never dead flat.
    speck = np.asarray((tooth + 0.12).clip(0, 1) * 40, np.uint8)
    canvas.pixels[:] = cv2.add(cv2.convertScaleAbs(canvas.pixels, alpha=0.965), cv2.merge([speck, speck, speck]))


def grain(size: tuple[int, int], rng: np.random.Generator) -> Field:
    """Return the paper's tooth (height, width), about -0.1 to 0.1: fine, with a slight fibre along it."""
    raw = rng.integers(0, 256, size, dtype=np.uint8)
    soft = cv2.blur(raw, (3, 2))
    mixed = cv2.addWeighted(raw, 0.25, soft, 0.75, 0)
    return (mixed.astype(np.float32) - 127.5) * np.float32(0.055 / 64)


def bare(canvas: Canvas, sheet: tuple[float, float, float], rng: np.random.Generator) -> None:
    """Leave a ragged margin of bare paper where the brush did not go."""
    height, width = canvas.height, canvas.width
    margin = canvas.u * 1.5
    x = np.minimum(np.arange(width), np.arange(width)[::-1]).astype(np.float32)[None, :]
    y = np.minimum(np.arange(height), np.arange(height)[::-1]).astype(np.float32)[:, None]
    ragged = noise((height, width), canvas.u * 7, rng, 4) * (margin * 1.6)
    inside = (np.minimum(x, y) - ragged) * (1.6 / max(canvas.u * 0.25, 0.8))
    mask = np.asarray((1 - inside).clip(0, 1) * 235, np.uint8)
    blend(canvas.pixels, flat((0, 0, width, height), sheet), mask)


def png(canvas: Canvas) -> bytes:
    """Return the canvas as PNG bytes, the same on every call."""
    done, data = cv2.imencode(".png", cv2.cvtColor(canvas.pixels, cv2.COLOR_RGB2BGR), _PNG)
    if not done:
        raise Broken("sketch: the picture could not be encoded; try another size.")
    return bytes(data)


def decoded(data: bytes) -> Bytes | None:
    """Return a picture's RGB pixels, or None when the bytes are no picture."""
    if not data:
        return None
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if read is None else np.asarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), np.uint8)
