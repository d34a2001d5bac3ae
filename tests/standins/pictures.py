"""Pictures that stand-ins send: sound ones that follow from prompt, seed and size, and ones that are none worth having.

Knows nothing of HTTP.
"""

import hashlib
import io
import struct
import zlib
from functools import cache

# 13,312 a side is 177 megapixels; at one bit each, the whole file is some 22 kB.
BOMB_SIDE = 13_312

MEDIA_TYPES = {"jpeg": "image/jpeg", "png": "image/png", "gif": "image/gif", "pdf": "application/pdf"}
MEDIA_TYPES |= {"svg": "image/svg+xml", "page": "text/html", "plain": "image/jpeg", "bomb": "image/png"}

# What `bad_picture` makes: a picture of one colour, three that are no raster of ours, a page, and a bomb.
BAD = ("plain", "gif", "pdf", "svg", "page", "bomb")

PAGE = b"<!doctype html><title>Sorry</title>" + b"<p>Be right back.</p>" * 800


@cache
def base_picture(width: int, height: int, kind: str = "jpeg") -> bytes:
    """Return a JPEG or PNG with soft gradients and grain, such as a photograph has."""
    import numpy as np
    from PIL import Image

    chance = np.random.default_rng(width * 100_003 + height)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = [np.sin(rows / height * (2 + band) * 2 + columns / width * (3 - band) * 3) for band in range(3)]
    pixels = np.stack([128 + 70 * wave for wave in waves], axis=-1) + chance.normal(0, 9, (height, width, 1))
    out = io.BytesIO()
    drawn = Image.fromarray(pixels.clip(4, 250).astype(np.uint8), "RGB")
    if kind == "png":
        drawn.save(out, "PNG", compress_level=1)
    else:
        drawn.save(out, "JPEG", quality=80)
    return out.getvalue()


def picture(prompt: str, seed: int, width: int, height: int, kind: str = "jpeg") -> bytes:
    """Return a picture's bytes: the size's own JPEG or PNG with a comment that no other prompt and seed has."""
    base = base_picture(width, height, kind)
    mark = hashlib.sha256(f"{seed}\0{prompt}".encode()).hexdigest().encode()
    if kind == "png":
        # After the signature and the header, which has 25 bytes.
        return base[:33] + _chunk(b"tEXt", b"Comment\0" + mark) + base[33:]
    return base[:2] + b"\xff\xfe" + struct.pack(">H", len(mark) + 2) + mark + base[2:]


@cache
def plain_picture(width: int, height: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 150)).save(out, "JPEG")
    return out.getvalue()


@cache
def bomb() -> bytes:
    """Return a valid PNG of 177 megapixels in a few kilobytes."""
    header = struct.pack(">IIBBBBB", BOMB_SIDE, BOMB_SIDE, 1, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\xaa" * (BOMB_SIDE // 8)) * BOMB_SIDE, 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def bad_picture(what: str, width: int, height: int) -> bytes:
    """Return what stands where a picture is due: one of `BAD`."""
    if what == "plain":
        return plain_picture(width, height)
    if what == "bomb":
        return bomb()
    if what == "gif":
        return _gif(width, height)
    if what == "pdf":
        return b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
    if what == "svg":
        return f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"><rect/></svg>'.encode()
    return PAGE


@cache
def _gif(width: int, height: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.open(io.BytesIO(base_picture(width, height))).quantize(32).save(out, "GIF")
    return out.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
