"""A picture's small copy, as WebP; how many pixels it has is known before they are decoded."""

import io

from PIL import Image as Pillow

from limner.quality.verifying import Limits

# Pixels, for a card of about 300 on a screen of usual density.
_WIDE, _HIGH, _QUALITY = 480, 640, 80

_READABLE = ("PNG", "JPEG", "WEBP")


def small_copy(data: bytes) -> bytes | None:
    """Return the picture's small copy, or None where it cannot be drawn."""
    small = io.BytesIO()
    try:
        with Pillow.open(io.BytesIO(data), formats=_READABLE) as opened:
            if opened.width * opened.height > Limits().max_pixels:
                return None
            # JPEG can be decoded at a fraction of its size.
            opened.draft("RGB", (2 * _WIDE, 2 * _HIGH))
            opened.thumbnail((_WIDE, _HIGH), Pillow.Resampling.LANCZOS, reducing_gap=2.0)
            opened.convert("RGBA" if opened.has_transparency_data else "RGB").save(
                small, "WEBP", quality=_QUALITY, method=2
            )
    except (OSError, ValueError, SyntaxError, EOFError, Pillow.DecompressionBombError):
        return None
    return small.getvalue()
