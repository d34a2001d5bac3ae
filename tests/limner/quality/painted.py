"""Pictures painted on the spot, good ones and one for each fault: RGB uint8, (768, 1024, 3)."""

import io

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

HEIGHT, WIDTH = 768, 1024


def encoded(pixels: Pixels, kind: str = "PNG", **settings: int) -> bytes:
    """Return `pixels` as a file."""
    out = io.BytesIO()
    quick = {"compress_level": 1} if kind == "PNG" else {}
    Image.fromarray(pixels).save(out, kind, **quick, **settings)
    return out.getvalue()


def _finished(light: npt.NDArray[np.float64]) -> Pixels:
    return np.clip(np.round(light), 0, 255).astype(np.uint8)


def photograph(seed: int = 1) -> Pixels:
    """Clouds of every size in three colours, and grain."""
    rng = np.random.default_rng(seed)
    light = np.zeros((HEIGHT, WIDTH, 3))
    for octave in range(1, 8):
        coarse = rng.normal(size=(3 * 2**octave, 4 * 2**octave, 3))
        light += cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) * 60 / 1.7**octave
    return _finished(128 + light * 1.4 + rng.normal(0, 4, light.shape))


def gradient(grain: float = 0.0) -> Pixels:
    """A sky from dark blue to pale yellow, smooth as eight bits allow."""
    down = np.linspace(0, 1, HEIGHT)[:, None, None]
    light = np.array([20, 40, 120]) * (1 - down) + np.array([250, 230, 160]) * down + np.zeros((1, WIDTH, 1))
    return _finished(light + np.random.default_rng(1).normal(0, grain, light.shape))


def storybook() -> Pixels:
    """Flat shapes with clean edges: sky, sun, hills, a house with windows, a tree, a picket fence."""
    page = np.full((HEIGHT, WIDTH, 3), (176, 216, 240), np.uint8)
    cv2.circle(page, (820, 150), 70, (255, 224, 120), -1, cv2.LINE_AA)
    for level, colour in enumerate(((150, 190, 150), (126, 172, 126), (100, 150, 100), (76, 128, 80))):
        hill = np.array([[x, 420 + 70 * level + 40 * np.sin(x / 150 + level)] for x in range(0, WIDTH + 20, 20)], int)
        cv2.fillPoly(page, [np.vstack([hill, [[WIDTH, HEIGHT], [0, HEIGHT]]])], colour, cv2.LINE_AA)
    cv2.rectangle(page, (300, 400), (560, 620), (210, 150, 110), -1)
    cv2.fillPoly(page, [np.array([[280, 400], [430, 290], [580, 400]])], (150, 60, 50), cv2.LINE_AA)
    for left in (328, 408, 488):
        cv2.rectangle(page, (left, 448), (left + 47, 511), (255, 250, 200), -1)
    for left in range(20, WIDTH, 36):
        cv2.rectangle(page, (left, 660), (left + 14, 720), (250, 250, 250), -1)
    return page


def night() -> Pixels:
    """Near-black sky with stars and a town of lit windows."""
    rng = np.random.default_rng(3)
    page = np.full((HEIGHT, WIDTH, 3), (4, 6, 24), np.uint8)
    for x, y in rng.integers(0, (WIDTH, 500), (300, 2)):
        cv2.circle(page, (int(x), int(y)), int(rng.integers(1, 3)), (250, 250, 240), -1, cv2.LINE_AA)
    for left in range(0, WIDTH, 64):
        top = int(rng.integers(420, 620))
        cv2.rectangle(page, (left, top), (left + 60, HEIGHT), (20, 20, 40), -1)
        for x in range(left + 8, left + 52, 16):
            for y in range(top + 10, HEIGHT - 16, 24):
                if rng.random() < 0.6:
                    cv2.rectangle(page, (x, y), (x + 7, y + 11), (255, 240, 180), -1)
    return page


def line_art() -> Pixels:
    """Black ink on white paper."""
    rng = np.random.default_rng(4)
    page = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    for _ in range(220):
        ends = [(int(x), int(y)) for x, y in rng.integers(0, (WIDTH, HEIGHT), (2, 2))]
        cv2.line(page, ends[0], ends[1], (0, 0, 0), 3, cv2.LINE_AA)
    return page


def seascape() -> Pixels:
    """A straight horizon right across, and a mast from top to bottom."""
    page = gradient(2)
    page[430:] = _finished(page[430:] * 0.4 + np.random.default_rng(5).normal(30, 6, page[430:].shape))
    page[:, 500:516] = (70, 40, 20)
    return page


def window() -> Pixels:
    """A window frame: bars from edge to edge, over a view."""
    page = photograph(6)
    page[:40], page[-40:], page[:, :40], page[:, -40:] = 4 * [(90, 60, 40)]
    return page


def layers() -> Pixels:
    """Ridges one behind the other in even steps of grey, with a little paper texture."""
    page = np.full((HEIGHT, WIDTH), 230.0)
    across = np.arange(WIDTH)
    for level in range(7):
        ridge = 220 + level * 75 + 30 * np.sin(across / (60 + 13 * level)) + 12 * np.sin(across / 17 + level)
        page[np.arange(HEIGHT)[:, None] > ridge[None, :]] = 205 - level * 24
    return np.repeat(_finished(page + np.random.default_rng(7).normal(0, 1.5, page.shape))[..., None], 3, axis=2)


GOOD = {
    "photograph": photograph(),
    "another photograph": photograph(2),
    "gradient": gradient(),
    "gradient with grain": gradient(3),
    "storybook": storybook(),
    "night": night(),
    "line art": line_art(),
    "seascape": seascape(),
    "window": window(),
    "layers": layers(),
}


def posterised(levels: int = 20) -> Pixels:
    """The sky in so few levels that each is seen."""
    step = 256 / levels
    return _finished((np.floor(gradient() / step) + 0.5) * step)


def tiled(columns: int, rows: int, offset: float = 14.0) -> Pixels:
    """A photograph stitched of tiles that do not fit: each a little lighter or darker than its neighbour."""
    light = photograph(8).astype(float)
    for row in range(rows):
        for column in range(columns):
            tile = np.s_[
                row * HEIGHT // rows : (row + 1) * HEIGHT // rows,
                column * WIDTH // columns : (column + 1) * WIDTH // columns,
            ]
            light[tile] += offset if (row + column) % 2 else -offset
    return _finished(light)


def with_dead_block(side: int, colour: tuple[int, int, int] = (30, 220, 60)) -> Pixels:
    """A photograph with one square of one colour on the 8-pixel grid."""
    page = photograph(9)
    page[320 : 320 + side, 480 : 480 + side] = colour
    return page


def overexposed() -> Pixels:
    """Warm light three times too strong: red ran into its end, the rest goes on."""
    light = photograph(10) * np.array([3.2, 1.1, 0.5]) + np.array([60, 0, 0])
    return _finished(light)


def without_blue() -> Pixels:
    page = photograph(11)
    page[..., 2] = 0
    return page


def captioned(colour: tuple[int, int, int]) -> Pixels:
    """A photograph with a sentence burnt into its foot."""
    page = photograph(12)
    outline = tuple(255 - part for part in colour)
    for shade, thick in ((outline, 7), (colour, 3)):
        cv2.putText(
            page,
            "He came to the old house at night",
            (110, 700),
            cv2.FONT_HERSHEY_SIMPLEX,
            1.4,
            shade,
            thick,
            cv2.LINE_AA,
        )
    return page


FAULTY = {
    "posterised to 20": ("has_no_banding", posterised(20)),
    "posterised to 32": ("has_no_banding", posterised(32)),
    "posterised to 14": ("has_no_banding", posterised(14)),
    "four tiles": ("has_no_seams", tiled(2, 2)),
    "three strips": ("has_no_seams", tiled(3, 1)),
    "twelve tiles": ("has_no_seams", tiled(4, 3)),
    "dead 8x8": ("has_no_dead_blocks", with_dead_block(8)),
    "dead 64x64": ("has_no_dead_blocks", with_dead_block(64, (0, 0, 0))),
    "overexposed": ("has_no_clipped_channels", overexposed()),
    "without blue": ("has_no_clipped_channels", without_blue()),
    "white caption": ("has_no_burnt_in_text", captioned((255, 255, 255))),
    "black caption": ("has_no_burnt_in_text", captioned((0, 0, 0))),
}
