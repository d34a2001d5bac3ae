"""Painting primitives: washes, glazes, brush strokes, glows and noise on an 8-bit canvas.

Knows nothing of prompts, palettes or what is drawn. Coordinates are pixels, x to the right and y down; colours are
RGB from 0 to 255. Nothing here reads the clock, global state or process-wide random numbers.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
Points = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Field = NDArray[np.float32]

# OpenCV takes fixed-point coordinates: 4 fractional bits keep edges smooth.
_SHIFT = 4
_ONE = 1 << _SHIFT

# One picture is drawn within these bounds; a polygon far outside is clipped before OpenCV sees it.
_FAR = 20_000.0


def generator(*parts: object) -> np.random.Generator:
    """Return a random generator that depends on `parts` alone, on every machine."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


@dataclass
class Canvas:
    """The sheet that is painted on: RGB pixels (height, width, 3), and where its randomness comes from.

    `u` is the unit of size: a hundredth of the shorter side, so that a drawing reads the same at any size.
    """

    width: int
    height: int
    seed: str
    pixels: Bytes = field(init=False)

    def __post_init__(self) -> None:
        self.pixels = np.zeros((self.height, self.width, 3), np.uint8)

    @property
    def u(self) -> float:
        return min(self.width, self.height * 1.2) / 100.0

    def rng(self, *purpose: object) -> np.random.Generator:
        """Return this picture's generator for one purpose: drawing one thing never disturbs another."""
        return generator(self.seed, *purpose)


def rgb(text: str) -> Colour:
    """Return the colour of `#rrggbb`."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def mix(one: Colour, other: Colour, amount: float) -> Colour:
    """Return `one` moved towards `other`; amount 0 to 1."""
    k = min(max(amount, 0.0), 1.0)
    return (
        one[0] + (other[0] - one[0]) * k,
        one[1] + (other[1] - one[1]) * k,
        one[2] + (other[2] - one[2]) * k,
    )


def scale(colour: Colour, by: float) -> Colour:
    """Return `colour` darker (by < 1) or lighter (by > 1)."""
    return min(colour[0] * by, 255.0), min(colour[1] * by, 255.0), min(colour[2] * by, 255.0)


def multiply(one: Colour, other: Colour) -> Colour:
    """Return `one` as seen in the light `other`."""
    return one[0] * other[0] / 255.0, one[1] * other[1] / 255.0, one[2] * other[2] / 255.0


def brightness(colour: Colour) -> float:
    """Return perceived brightness from 0 to 1."""
    return (0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]) / 255.0


def points(pairs: Sequence[tuple[float, float]] | NDArray[Any]) -> Points:
    """Return an (n, 2) array of x, y."""
    return np.asarray(pairs, dtype=np.float32).reshape(-1, 2)


def rectangle(x0: float, y0: float, x1: float, y1: float) -> Points:
    return points([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def ellipse(cx: float, cy: float, rx: float, ry: float, start: float = 0.0, end: float = 360.0) -> Points:
    """Return points of an ellipse's arc; angles in degrees, 0 to the right, growing downwards."""
    steps = max(8, min(72, int(6 + 2.2 * float(np.sqrt(max(rx, ry, 1.0))))))
    return _arc(steps, start, end) * np.array([rx, ry], np.float32) + np.array([cx, cy], np.float32)


@lru_cache(maxsize=512)
def _arc(steps: int, start: float, end: float) -> Points:
    angle = np.radians(np.linspace(start, end, steps))
    return points(np.stack([np.cos(angle), np.sin(angle)], axis=1))


def smooth(corners: Sequence[tuple[float, float]] | Points, closed: bool = True, steps: int = 8) -> Points:
    """Return a Catmull-Rom curve through `corners`."""
    p = points(corners)
    p = np.vstack([p[-1:], p, p[:2]]) if closed else np.vstack([p[:1], p, p[-1:]])
    four = np.stack([p[:-3], p[1:-2], p[2:-1], p[3:]], axis=1)
    flat = (_catmull_rom(steps) @ four).reshape(-1, 2)
    return flat if closed else np.vstack([flat, p[-2:-1]])


@lru_cache(maxsize=32)
def _catmull_rom(steps: int) -> Field:
    """Return (steps, 4): how much of four neighbouring corners each point of a curve takes."""
    t = np.linspace(0, 1, steps, endpoint=False)
    rows = [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]
    return (np.stack(rows, axis=1) * 0.5).astype(np.float32)


def moved(shape: Points, dx: float, dy: float) -> Points:
    """Return `shape` shifted."""
    return shape + np.array([dx, dy], np.float32)


def grown(shape: Points, about: Any, by: float) -> Points:
    """Return `shape` larger or smaller about a point."""
    middle = np.asarray(about, np.float32)
    return (shape - middle) * np.float32(by) + middle


def turned(shape: Points, cx: float, cy: float, degrees: float) -> Points:
    """Return `shape` rotated about (cx, cy)."""
    angle = np.radians(degrees)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x, y = shape[:, 0] - cx, shape[:, 1] - cy
    return points(np.stack([cx + x * cos - y * sin, cy + x * sin + y * cos], axis=1))


def mirrored(half: Points, cx: float) -> Points:
    """Return the closed outline whose right half is `half`, from top to bottom, mirrored about x = cx."""
    left = half[::-1].copy()
    left[:, 0] = 2 * cx - left[:, 0]
    return np.vstack([half, left])


def blob(cx: float, cy: float, rx: float, ry: float, rng: np.random.Generator, wobble: float = 0.15) -> Points:
    """Return a smooth, slightly irregular oval."""
    angle = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    radius = 1 + rng.uniform(-wobble, wobble, 10)
    return smooth(points(np.stack([cx + rx * radius * np.cos(angle), cy + ry * radius * np.sin(angle)], axis=1)))


def profile(width: int, rng: np.random.Generator, waves: float, rough: float = 0.5, octaves: int = 5) -> Field:
    """Return `width` heights from about -1 to 1: a ridge line with `waves` large waves across it."""
    line = np.zeros(width, np.float64)
    amount = 1.0
    x = np.linspace(0, 1, width)
    for octave in range(octaves):
        knots = max(3, int(waves * 2**octave) + 3)
        line += amount * np.interp(x, np.linspace(0, 1, knots), rng.uniform(-1, 1, knots))
        amount *= rough
    kernel = max(1, int(width / 260)) * 2 + 1
    return np.convolve(np.pad(line, kernel // 2, "edge"), np.ones(kernel) / kernel, "valid").astype(np.float32)


def noise(
    shape: tuple[int, int], cell: float, rng: np.random.Generator, octaves: int = 3, stretch: float = 1.0
) -> Field:
    """Return smooth noise (height, width) from 0 to 1; `cell` is the largest feature in pixels, `stretch` widens it."""
    height, width = shape
    total = np.zeros((max(2, height // 4), max(2, width // 4)), np.float32)
    amount, weight = 1.0, 0.0
    for octave in range(octaves):
        rows = max(2, int(height / cell * 2**octave) + 2)
        columns = max(2, int(width / (cell * stretch) * 2**octave) + 2)
        layer = rng.random((rows, columns), dtype=np.float32)
        total += amount * cv2.resize(layer, (total.shape[1], total.shape[0]), interpolation=cv2.INTER_CUBIC)
        weight += amount
        amount *= 0.5
    return cv2.resize(total / weight, (width, height), interpolation=cv2.INTER_LINEAR).clip(0, 1)


def fixed(shape: Points) -> NDArray[np.int32]:
    """Return `shape` in OpenCV's fixed-point coordinates."""
    return np.round(np.clip(shape, -_FAR, _FAR) * _ONE).astype(np.int32)


def fill(canvas: Canvas, shape: Points, colour: Colour) -> None:
    """Paint a flat shape."""
    cv2.fillPoly(canvas.pixels, [fixed(shape)], colour, cv2.LINE_AA, _SHIFT)


def fills(canvas: Canvas, shapes: Sequence[Points], colour: Colour) -> None:
    """Paint many small flat shapes in one colour; where two overlap, both are seen."""
    for shape in shapes:
        cv2.fillConvexPoly(canvas.pixels, fixed(shape), colour, cv2.LINE_AA, _SHIFT)


def dabs(canvas: Canvas, xy: Points, radii: Field, colours: NDArray[Any]) -> None:
    """Paint round touches of the brush: positions (n, 2), radii (n,) in pixels, colours (n, 3)."""
    spots = fixed(xy).tolist()
    sizes = np.maximum(_ONE // 2, np.round(radii * _ONE)).astype(int).tolist()
    for spot, size, colour in zip(spots, sizes, np.asarray(colours, float).tolist(), strict=True):
        cv2.circle(canvas.pixels, spot, size, colour, -1, cv2.LINE_AA, _SHIFT)


def line(canvas: Canvas, path: Points, colour: Colour, width: float = 1.0) -> None:
    """Draw an ink line of even width, in pixels (at least one; a thinner one is drawn fainter by the caller)."""
    cv2.polylines(canvas.pixels, [fixed(path)], False, colour, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def brush(canvas: Canvas, path: Points, colour: Colour, start: float, end: float) -> None:
    """Draw a stroke that tapers from `start` to `end` pixels wide."""
    fill(canvas, stroke_shape(path, start, end), colour)


def stroke_shape(path: Points, start: float, end: float) -> Points:
    """Return the outline of a stroke along `path`, from `start` to `end` pixels wide."""
    along = np.empty_like(path)
    along[1:-1] = path[2:] - path[:-2]
    along[0], along[-1] = path[1] - path[0], path[-1] - path[-2]
    length = np.maximum(np.sqrt(along[:, 0] ** 2 + along[:, 1] ** 2), 1e-6)
    half = (start + (end - start) * np.arange(len(path), dtype=np.float32) / (len(path) - 1)) / (2 * length)
    across = np.empty_like(path)
    across[:, 0], across[:, 1] = -along[:, 1] * half, along[:, 0] * half
    return np.concatenate([path + across, (path - across)[::-1]])


def window(canvas: Canvas, shape: Points, margin: float = 2.0) -> tuple[int, int, int, int] | None:
    """Return the part of the canvas that `shape` covers as x0, y0, x1, y1, or None when it lies outside."""
    x0, y0 = np.floor(shape.min(axis=0) - margin).astype(int)
    x1, y1 = np.ceil(shape.max(axis=0) + margin).astype(int)
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, canvas.width), min(y1, canvas.height)
    return (int(x0), int(y0), int(x1), int(y1)) if x1 - x0 > 1 and y1 - y0 > 1 else None


def cover(shape: Points, box: tuple[int, int, int, int], soften: float = 0.0) -> Bytes:
    """Return how much of each pixel of `box` the shape covers, 0 to 255, its edge softened by `soften` pixels."""
    x0, y0, x1, y1 = box
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillPoly(mask, [fixed(shape - np.array([x0, y0], np.float32))], 255, cv2.LINE_AA, _SHIFT)
    return softened(mask, soften) if soften > 0.6 else mask


def softened(mask: Bytes, sigma: float) -> Bytes:
    """Return `mask` blurred; a wide blur is made on a small copy."""
    step = max(1, int(sigma / 2.5))
    if step == 1:
        return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma), np.uint8)
    height, width = mask.shape[:2]
    small = cv2.resize(mask, (max(2, width // step), max(2, height // step)), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), sigma / step)
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def blend(under: Bytes, over: Bytes, mask: Bytes) -> None:
    """Lay `over` on `under` in place, as far as `mask` (0 to 255) covers."""
    weight = cv2.merge([mask, mask, mask])
    lower = cv2.multiply(under, cv2.bitwise_not(weight), scale=1 / 255)
    under[:] = cv2.add(lower, cv2.multiply(over, weight, scale=1 / 255))


def flat(box: tuple[int, int, int, int], colour: Colour) -> Bytes:
    """Return a sheet of one colour as large as `box`."""
    row = np.empty((1, box[2] - box[0], 3), np.uint8)
    row[:] = np.round(np.clip(colour, 0, 255)).astype(np.uint8)
    return np.asarray(cv2.repeat(row, box[3] - box[1], 1), np.uint8)


def wash(
    canvas: Canvas,
    shape: Points,
    top: Colour,
    bottom: Colour,
    mottle: float = 0.07,
    soften: float = 0.0,
    side: float = 0.0,
) -> None:
    """Paint a shape as gouache: `top` runs into `bottom`, unevenly.

    mottle: how uneven, 0 to 0.3. soften: pixels of soft edge. side: light from the left (>0) or the right (<0), to 0.5.
    """
    box = window(canvas, shape, 2 + 3 * soften)
    if box is None:
        return
    x0, y0, x1, y1 = box
    full = (float(shape[:, 1].min()), float(shape[:, 1].max()))
    sheet = gradient(box, full, top, bottom, mottle, side, canvas.rng("wash", x0, y0, x1, y1))
    blend(canvas.pixels[y0:y1, x0:x1], sheet, cover(shape, box, soften))


def gradient(
    box: tuple[int, int, int, int],
    span: tuple[float, float],
    top: Colour,
    bottom: Colour,
    mottle: float,
    side: float,
    rng: np.random.Generator,
) -> Bytes:
    """Return the uneven wash that fills `box`, its gradient running over the rows of `span`."""
    x0, y0, x1, y1 = box
    rows, columns = max(2, (y1 - y0) // 6), max(2, (x1 - x0) // 10)
    at = (np.linspace(y0, y1, rows) - span[0]) / max(span[1] - span[0], 1.0)
    k = np.clip(at, 0, 1).astype(np.float32)[:, None, None]
    low = np.array(top, np.float32) * (1 - k) + np.array(bottom, np.float32) * k
    uneven = 1 + mottle * rng.uniform(-1, 1, (rows, columns, 1)).astype(np.float32)
    lean = 1 + side * np.linspace(1, -1, columns, dtype=np.float32)[None, :, None]
    low = (low * uneven * lean).clip(0, 255)
    full = cv2.resize(low, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full + 0.5, np.uint8)


def glaze(canvas: Canvas, shape: Points, colour: Colour, alpha: float, soften: float = 0.0) -> None:
    """Lay a thin transparent colour over a shape; alpha 0 to 1."""
    box = window(canvas, shape, 2 + 3 * soften)
    if box is None:
        return
    mask = cv2.convertScaleAbs(cover(shape, box, soften), alpha=alpha)
    x0, y0, x1, y1 = box
    blend(canvas.pixels[y0:y1, x0:x1], flat(box, colour), np.asarray(mask, np.uint8))


def veil(canvas: Canvas, thickness: Field, colour: Colour, top: int = 0) -> None:
    """Lay fog: `thickness` (rows, width) from 0 to 1, from the row `top` down."""
    rows = thickness.shape[0]
    mask = np.asarray(thickness.clip(0, 1) * 255 + 0.5, np.uint8)
    blend(canvas.pixels[top : top + rows], flat((0, 0, canvas.width, rows), colour), mask)


def glow(canvas: Canvas, cx: float, cy: float, radius: float, colour: Colour, strength: float = 1.0) -> None:
    """Add light that fades from (cx, cy) to nothing at `radius`."""
    box = window(canvas, rectangle(cx - radius, cy - radius, cx + radius, cy + radius), 0)
    if box is None:
        return
    x0, y0, x1, y1 = box
    step = max(1, int(radius / 40))
    x = (np.arange(x0, x1, step, dtype=np.float32) - cx) / radius
    y = (np.arange(y0, y1, step, dtype=np.float32) - cy) / radius
    fade = np.clip(1 - np.sqrt(x[None, :] ** 2 + y[:, None] ** 2), 0, 1) ** 2
    light = fade[..., None] * np.array(colour, np.float32) * np.float32(strength)
    full = cv2.resize(light, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    part = canvas.pixels[y0:y1, x0:x1]
    # Screen, not addition: light never clips to a flat white disc.
    part[:] = np.asarray(255.5 - (255 - part) * (1 - full.clip(0, 255) * np.float32(1 / 255)), np.uint8)


def shadow(
    canvas: Canvas, cx: float, cy: float, rx: float, ry: float, alpha: float = 0.4, ink: Colour = (12, 10, 20)
) -> None:
    """Lay a soft cast shadow."""
    glaze(canvas, ellipse(cx, cy, rx, ry), ink, alpha, soften=max(1.0, min(rx, ry) * 0.35))


def glaze_within(
    canvas: Canvas, shape: Points, limit: Points, colour: Colour, alpha: float, soften: float = 0.0
) -> None:
    """Lay a glaze over the part of `shape` that lies within `limit`."""
    box = window(canvas, limit, 2)
    if box is None:
        return
    mask = cv2.multiply(cover(shape, box, soften), cover(limit, box), scale=alpha / 255)
    x0, y0, x1, y1 = box
    blend(canvas.pixels[y0:y1, x0:x1], flat(box, colour), np.asarray(mask, np.uint8))
