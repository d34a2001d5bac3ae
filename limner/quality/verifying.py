"""Verifying: are these bytes one complete picture within the limits?

Knows nothing of gates or scores. Nothing is decoded before its size is known, and nothing is decoded twice:
`examine` hands on the pixels that `judge` looks at.
"""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from limner.errors import BadImage
from limner.jobs import Image
from limner.quality.containers import Container, read_container
from limner.quality.placeholders import Placeholder, load_placeholders, placeholder_of_bytes, placeholder_of_pixels

# Pillow warns of a bomb above this; our own cap stays below, so that its guard never speaks.
_PILLOW_GUARD = 89_478_485

# A channel that moves less than this, over the whole picture, is one flat colour (JPEG rounds by one or two).
_FLAT = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """What bytes from outside may be before they are decoded. max_pixels: width times height."""

    max_bytes: int = 40_000_000
    max_pixels: int = 64_000_000

    def __post_init__(self) -> None:
        if self.max_pixels > _PILLOW_GUARD:
            raise ValueError(f"max_pixels can be {_PILLOW_GUARD:,} at most: the decoder guards against more")


@dataclass(frozen=True, slots=True)
class Examined:
    """A verified image and its pixels: RGB uint8, (height, width, 3), what is transparent laid on white."""

    image: Image
    pixels: npt.NDArray[np.uint8]


def verify(data: bytes, limits: Limits | None = None) -> Image:
    """Return `data` as a verified image; raises BadImage, which says in one sentence what failed."""
    return examine(data, limits).image


def examine(data: bytes, limits: Limits | None = None, placeholders: tuple[Placeholder, ...] | None = None) -> Examined:
    """Return `data` verified and decoded; raises BadImage, which says in one sentence what failed."""
    known = load_placeholders() if placeholders is None else placeholders
    container = _within(limits or Limits(), data)
    _refuse(placeholder_of_bytes(data, known))
    pixels = _decode(data, container)
    _refuse_blank(pixels)
    _refuse(placeholder_of_pixels(pixels, known))
    image = Image(data, container.media_type, container.extension, container.width, container.height)
    return Examined(image, pixels)


def _within(limits: Limits, data: bytes) -> Container:
    if not data:
        raise BadImage("No bytes came instead of a picture.")
    if len(data) > limits.max_bytes:
        raise BadImage(f"The file of {len(data):,} bytes is larger than the {limits.max_bytes:,} allowed.")
    container = read_container(data)
    size = f"{container.width}x{container.height}"
    if not container.width or not container.height:
        raise BadImage(f"The picture has no pixels: its header says {size}.")
    if container.width * container.height > limits.max_pixels:
        raise BadImage(f"The picture of {size} has more than the {limits.max_pixels:,} pixels allowed.")
    return container


def _decode(data: bytes, container: Container) -> npt.NDArray[np.uint8]:
    try:
        with Pillow.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as opened:
            _agree(opened.size, container)
            return _rgb(opened)
    except (OSError, ValueError, SyntaxError, EOFError, Pillow.DecompressionBombError) as error:
        raise BadImage(f"The {container.extension.upper()} cannot be decoded ({error}).") from None


def _agree(size: tuple[int, int], container: Container) -> None:
    if size != (container.width, container.height):
        raise BadImage("The picture's header and its content disagree about its size.")


def _rgb(opened: Pillow.Image) -> npt.NDArray[np.uint8]:
    if opened.mode.startswith(("I", "F")):
        # 16-bit grey; converting it directly would clip instead of scale.
        grey = (np.asarray(opened, dtype=np.float32) / 257).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if not opened.has_transparency_data:
        return np.asarray(opened.convert("RGB"))
    seen = opened.convert("RGBA")
    if seen.getchannel("A").getextrema() == (0, 0):
        raise BadImage("The picture is blank: it is fully transparent.")
    return np.asarray(Pillow.alpha_composite(Pillow.new("RGBA", seen.size, "white"), seen).convert("RGB"))


def _refuse_blank(pixels: npt.NDArray[np.uint8]) -> None:
    # A sample settles it for nearly every picture; only one that seems flat is looked at whole.
    if _is_flat(pixels[::16, ::16]) and _is_flat(pixels):
        raise BadImage("The picture is blank: it is one flat colour.")


def _is_flat(pixels: npt.NDArray[np.uint8]) -> bool:
    flat = pixels.reshape(-1, 3)
    return bool((flat.max(axis=0).astype(int) - flat.min(axis=0) < _FLAT).all())


def _refuse(placeholder: Placeholder | None) -> None:
    if placeholder is not None:
        raise BadImage(f"The picture is a known placeholder: {placeholder.name}.")
