"""The three containers a picture may come in, walked from their first byte to their end marker.

Knows nothing of pixels: sizes are read from headers, so that a bomb is refused before anything is decoded.
PNG: ISO 15948. JPEG: ITU T.81. WebP: RFC 9649.
"""

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from limner.errors import BadImage

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"

# Baseline to arithmetic frames; C4, C8 and CC share the range and are no frames.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_AFTER_SCAN = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]", re.DOTALL)

# What is sent in a picture's place, by how it begins; order matters.
_OTHERS = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\x00", "a TIFF"),
    (b"MM\x00*", "a TIFF"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip-compressed data"),
)
_TEXTS = ((b"<!doctype html", "an HTML page"), (b"<html", "an HTML page"), (b"<svg", "an SVG drawing"))


@dataclass(frozen=True, slots=True)
class Container:
    """What a container says of its picture. width, height: pixels."""

    media_type: str
    extension: str
    width: int
    height: int


def read_container(data: bytes) -> Container:
    """Return what `data` says it is, walked to its end marker; raises BadImage in one sentence."""
    walk = _walker(data)
    try:
        return walk(data)
    except (IndexError, struct.error):
        raise BadImage("The picture ends in the middle of its header.") from None


def _walker(data: bytes) -> Callable[[bytes], Container]:
    if data.startswith(_PNG):
        return _walk_png
    if data.startswith(_JPEG):
        return _walk_jpeg
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _walk_webp
    raise BadImage(f"The bytes are {_name_of(data)} instead of a picture in PNG, JPEG or WebP.")


def _name_of(data: bytes) -> str:
    """Return what `data` is in a person's words."""
    for beginning, name in _OTHERS:
        if data.startswith(beginning):
            return name
    if data[4:8] == b"ftyp":
        return "an AVIF, HEIF or video file"
    return _name_of_text(data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip().lower())


def _name_of_text(beginning: bytes) -> str:
    if not beginning:
        return "empty"
    for mark, name in _TEXTS:
        if beginning.startswith(mark) or (beginning.startswith((b"<?xml", b"<!--")) and mark in beginning):
            return name
    if beginning[:1] in (b"{", b"["):
        return "JSON text"
    return "plain text" if _is_text(beginning) else "of an unknown type"


def _is_text(beginning: bytes) -> bool:
    return not any(byte < 9 or 13 < byte < 32 for byte in beginning)


def _walk_png(data: bytes) -> Container:
    width, height = struct.unpack_from(">II", data, 16)
    if data[12:16] != b"IHDR":
        raise BadImage("The PNG does not begin with its header chunk.")
    position = len(_PNG)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        name, end = data[position + 4 : position + 8], position + 12 + length
        if end > len(data):
            break
        _check_chunk(data, name, position + 4, end)
        if name == b"IEND":
            return Container("image/png", "png", width, height)
        position = end
    raise BadImage("The PNG is cut short: its end chunk is missing.")


def _check_chunk(data: bytes, name: bytes, start: int, end: int) -> None:
    (stored,) = struct.unpack_from(">I", data, end - 4)
    if zlib.crc32(memoryview(data)[start : end - 4]) != stored:
        raise BadImage(f"The PNG is damaged: the checksum of its {name.decode('ascii', 'replace')} chunk is wrong.")
    if name == b"acTL":
        raise BadImage("The PNG is an animation instead of one picture.")


def _walk_jpeg(data: bytes) -> Container:
    size: tuple[int, int] | None = None
    position, scanned = 2, False
    while True:
        marker, position = _next_marker(data, position)
        if marker == 0xD9:
            break
        if marker in _STANDALONE:
            continue
        (length,) = struct.unpack_from(">H", data, position)
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 3)
            size = (width, height)
        position += length
        if marker == 0xDA:
            scanned, position = True, _end_of_scan(data, position)
    if size is None or not scanned:
        raise BadImage("The JPEG holds no picture: its frame or its scan is missing.")
    return Container("image/jpeg", "jpg", *size)


def _next_marker(data: bytes, position: int) -> tuple[int, int]:
    """Return the marker at `position` and where its content begins; fill bytes are skipped."""
    if position < len(data) and data[position] != 0xFF:
        raise BadImage("The JPEG is damaged: a segment does not begin with a marker.")
    while position < len(data) and data[position] == 0xFF:
        position += 1
    if position >= len(data):
        raise BadImage("The JPEG is cut short: its end marker is missing.")
    return data[position], position + 1


def _end_of_scan(data: bytes, position: int) -> int:
    found = _AFTER_SCAN.search(data, position)
    if found is None:
        raise BadImage("The JPEG is cut short: its end marker is missing.")
    return found.start()


def _walk_webp(data: bytes) -> Container:
    (said,) = struct.unpack_from("<I", data, 4)
    if said + 8 > len(data):
        raise BadImage(f"The WebP is cut short: {said + 8:,} bytes were announced and {len(data):,} came.")
    width, height = _webp_size(data[12:16], data)
    return Container("image/webp", "webp", width, height)


def _webp_size(kind: bytes, data: bytes) -> tuple[int, int]:
    if kind == b"VP8X":
        if data[20] & 0b10:
            raise BadImage("The WebP is an animation instead of one picture.")
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise BadImage("The WebP does not begin with a picture.")
