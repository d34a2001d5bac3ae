"""Bytes from outside: pictures pass untouched, all else is refused in one sentence, before it costs memory."""

import io
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from limner.errors import BadImage, BadInput
from limner.quality.placeholders import load_placeholders, look_of
from limner.quality.verifying import Limits, examine, verify
from tests.limner.quality.painted import encoded, photograph, storybook

SMALL = photograph()[:192, :256]
FILES = {"PNG": encoded(SMALL), "JPEG": encoded(SMALL, "JPEG"), "WEBP": encoded(SMALL, "WEBP")}


def refused(data: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(BadImage) as raised:
        verify(data, limits)
    said = str(raised.value)
    assert said.endswith(".")
    assert "\n" not in said
    return said


@pytest.mark.parametrize(
    ("kind", "media_type", "extension"),
    [("PNG", "image/png", "png"), ("JPEG", "image/jpeg", "jpg"), ("WEBP", "image/webp", "webp")],
)
def test_a_picture_passes_with_its_bytes_untouched(kind: str, media_type: str, extension: str) -> None:
    image = verify(FILES[kind])

    assert image.data is FILES[kind]
    assert (image.media_type, image.extension, image.width, image.height) == (media_type, extension, 256, 192)


def test_examining_gives_the_very_pixels() -> None:
    assert np.array_equal(examine(FILES["PNG"]).pixels, SMALL)
    assert examine(FILES["PNG"]).pixels.dtype == np.uint8


@pytest.mark.parametrize(
    "settings", [{"progressive": True}, {"subsampling": 0}, {"exif": b"Exif\x00\x00" + b"\xff\xd9" * 40}]
)
def test_a_jpeg_of_any_make_passes(settings: dict[str, object]) -> None:
    out = io.BytesIO()
    Pillow.fromarray(SMALL).save(out, "JPEG", **settings)

    assert verify(out.getvalue()).width == 256


def test_lossless_and_transparent_webp_pass() -> None:
    lossless, transparent = io.BytesIO(), io.BytesIO()
    Pillow.fromarray(SMALL).save(lossless, "WEBP", lossless=True)
    Pillow.fromarray(np.dstack([SMALL, SMALL[..., :1]])).save(transparent, "WEBP")

    assert verify(lossless.getvalue()).width == verify(transparent.getvalue()).width == 256


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1"])
def test_a_png_of_any_mode_gives_three_channels(mode: str) -> None:
    out = io.BytesIO()
    Pillow.fromarray(SMALL).convert(mode).save(out, "PNG")

    assert examine(out.getvalue()).pixels.shape == (192, 256, 3)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    out = io.BytesIO()
    Pillow.fromarray(np.linspace(0, 65535, 256 * 192).reshape(192, 256).astype(np.uint16)).save(out, "PNG")

    pixels = examine(out.getvalue()).pixels

    assert (pixels.min(), pixels.max()) == (0, 255)
    assert abs(float(pixels.mean()) - 127) < 1


def test_what_is_transparent_lies_on_white() -> None:
    out = io.BytesIO()
    alpha = np.zeros((192, 256, 1), np.uint8)
    alpha[:96] = 255
    Pillow.fromarray(np.dstack([SMALL, alpha])).save(out, "PNG")

    pixels = examine(out.getvalue()).pixels

    assert np.array_equal(pixels[:96], SMALL[:96])
    assert (pixels[96:] == 255).all()


@pytest.mark.parametrize("cut", range(1, 21))
@pytest.mark.parametrize("kind", FILES)
def test_a_file_cut_by_a_few_bytes_is_refused(kind: str, cut: int) -> None:
    assert "cut short" in refused(FILES[kind][:-cut])


@pytest.mark.parametrize("kind", FILES)
def test_a_file_cut_anywhere_is_refused(kind: str) -> None:
    data = FILES[kind]
    for length in [*range(1, 200), *range(200, len(data), len(data) // 40)]:
        refused(data[:length])


def test_every_flipped_bit_of_a_png_is_found() -> None:
    data = encoded(photograph()[:24, :32])
    for position in range(len(data)):
        broken = bytearray(data)
        broken[position] ^= 1 << position % 8
        refused(bytes(broken))


def test_a_damaged_file_never_raises_anything_else() -> None:
    rng = np.random.default_rng(1)
    for data in FILES.values():
        for _ in range(150):
            broken = bytearray(data)
            for position in rng.integers(0, min(len(data), 800), 3):
                broken[position] = int(rng.integers(0, 256))
            try:
                verify(bytes(broken))
            except BadImage as error:
                assert "\n" not in str(error)


def test_a_jpeg_whose_rest_is_lost_behind_a_forged_end_is_refused() -> None:
    head = FILES["JPEG"][: FILES["JPEG"].index(b"\xff\xda")]

    assert "scan is missing" in refused(head + b"\xff\xd9")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"<!DOCTYPE html><html><body>502</body></html>", "an HTML page instead of a picture"),
        (b"\xef\xbb\xbf \n<HTML lang=en>", "an HTML page instead of a picture"),
        (b"<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC>", "an HTML page"),
        (b"<!-- cached --><html>", "an HTML page"),
        (json.dumps({"error": "busy"}).encode(), "JSON text instead of a picture"),
        (b"[]", "JSON text"),
        (b"Too many requests", "plain text"),
        ("Слишком много запросов".encode(), "plain text"),
        (b"GIF89a\x01\x00\x01\x00", "a GIF"),
        (b"BM\x00\x00", "a BMP"),
        (b"II*\x00", "a TIFF"),
        (b"MM\x00*", "a TIFF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"<?xml version='1.0'?><svg/>", "an SVG drawing"),
        (b"%PDF-1.7", "a PDF"),
        (b"\x00\x00\x00\x20ftypavif", "an AVIF, HEIF or video file"),
        (b"\x1f\x8b\x08", "gzip-compressed data"),
        (b"   \n", "empty"),
        (b"\x00\x01\x02\x03", "of an unknown type"),
    ],
)
def test_what_came_in_a_pictures_place_is_named(data: bytes, name: str) -> None:
    assert name in refused(data)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_whole_pictures_of_other_types_are_refused(kind: str) -> None:
    assert f"a {kind} instead" in refused(encoded(SMALL, kind))


def test_no_bytes_are_refused() -> None:
    assert "No bytes came" in refused(b"")


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_is_refused(kind: str) -> None:
    out = io.BytesIO()
    frames = [Pillow.fromarray(SMALL), Pillow.fromarray(SMALL[::-1])]
    frames[0].save(out, kind, save_all=True, append_images=frames[1:])

    assert "animation" in refused(out.getvalue())


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_of_zeros(width: int, height: int) -> bytes:
    """A complete PNG whose grey pixels are all zero, built without ever holding them."""
    squeezed, row = zlib.compressobj(9), bytes(width + 1)
    body = b"".join(squeezed.compress(row) for _ in range(height)) + squeezed.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_before_it_takes_memory() -> None:
    bomb = png_of_zeros(13_300, 13_300)
    assert len(bomb) < 1_000_000
    assert "13300x13300 has more than the 64,000,000 pixels allowed" in refused(bomb)

    # Its own process, so that the peak is this file's alone.
    script = (
        "import resource, sys; from limner.quality.verifying import verify; from limner.errors import BadImage\n"
        "data = sys.stdin.buffer.read(); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: verify(data)\n"
        "except BadImage: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], input=bomb, capture_output=True, check=True)
    assert int(done.stdout) < 5_000


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_pixels_are_counted_from_the_header_of_every_type(kind: str) -> None:
    assert "256x192 has more than the 49,151" in refused(FILES[kind], Limits(max_pixels=256 * 192 - 1))


def test_a_header_without_pixels_is_refused() -> None:
    assert "no pixels" in refused(png_of_zeros(0, 8))


def test_a_file_over_the_cap_is_refused_undecoded() -> None:
    assert "larger than the 1,000 allowed" in refused(FILES["PNG"], Limits(max_bytes=1000))


def test_limits_stay_below_the_decoders_own_guard() -> None:
    with pytest.raises(ValueError, match="89,478,485 at most"):
        Limits(max_pixels=100_000_000)


@pytest.mark.parametrize("kind", FILES)
def test_one_flat_colour_is_blank(kind: str) -> None:
    assert "one flat colour" in refused(encoded(np.full((300, 400, 3), (20, 90, 200), np.uint8), kind))


def test_a_picture_that_is_flat_but_for_one_corner_is_not_blank() -> None:
    pixels = np.full((300, 400, 3), 90, np.uint8)
    pixels[290:, 390:] = 200

    assert verify(encoded(pixels)).width == 400


def test_a_wholly_transparent_picture_is_blank() -> None:
    out = io.BytesIO()
    Pillow.fromarray(np.dstack([SMALL, np.zeros((192, 256), np.uint8)])).save(out, "PNG")

    assert "fully transparent" in refused(out.getvalue())


def test_a_known_placeholder_is_refused_by_its_bytes_and_by_its_looks(tmp_path: Path) -> None:
    sign, other = storybook(), photograph(3)
    by_bytes, by_looks = tmp_path / "bytes.yaml", tmp_path / "looks.yaml"
    sha256 = verify(encoded(sign)).sha256
    by_bytes.write_text(f"- {{name: the sign of a web host, sha256: {sha256}}}")
    by_looks.write_text(f"- {{name: the sign of a web host, looks: '{look_of(sign)}'}}")

    with pytest.raises(BadImage, match="known placeholder: the sign of a web host"):
        examine(encoded(sign), placeholders=load_placeholders(by_bytes))
    smaller = np.asarray(Pillow.fromarray(sign).resize((512, 384)))
    for data in (encoded(sign), encoded(sign, "JPEG", quality=60), encoded(smaller, "WEBP")):
        with pytest.raises(BadImage, match="known placeholder"):
            examine(data, placeholders=load_placeholders(by_looks))
    examine(encoded(other), placeholders=load_placeholders(by_looks))


def test_the_empty_pixel_of_the_web_is_known() -> None:
    pixel = (
        "89504e470d0a1a0a0000000d49484452000000010000000108040000"
        "00b51c0c020000000b4944415478da6364600000000600023081d02f0000000049454e44ae426082"
    )

    assert "placeholder: the single transparent pixel" in refused(bytes.fromhex(pixel))


@pytest.mark.parametrize(
    "text", ["- {name: x}", "- {name: x, sha256: short}", "- {name: x, looks: '0123456789abcdef', more: 1}", "a: ["]
)
def test_a_wrong_list_of_placeholders_is_refused_by_name(text: str, tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text(text)

    with pytest.raises(BadInput, match=r"list\.yaml is no list of placeholders"):
        load_placeholders(tmp_path / "list.yaml")
