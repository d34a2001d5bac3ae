"""Writing the sheet: thumbnails inside the page, every word escaped, nothing fetched from anywhere.

Pictures may be a generator: one at a time is held, and of each only its thumbnail goes into the page. The totals
therefore come last in the file; the style puts them first on the page.
"""

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import BinaryIO

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from PIL import Image as Pillow

# Thumbnails: pixels, for a card of about 300 on a screen of usual density.
_WIDE, _HIGH, _QUALITY = 480, 640, 80


@dataclass(frozen=True)
class SheetPicture:
    """One card. `data`: the picture's bytes, None for a job that has none, whose `error` then says why.

    `words`: the description in the book's language; `issues`: names of the checks that failed.
    """

    key: str
    data: bytes | None
    words: str
    prompt: str
    score: int | None
    level: str
    seed: int | None
    provider: str
    model: str
    width: int
    height: int
    sha256: str
    reused: bool
    error: str = ""
    issues: tuple[str, ...] = ()


@dataclass
class Tally:
    """What the cards so far add up to."""

    made: int = 0
    reused: int = 0
    failed: list[SheetPicture] = field(default_factory=list)
    scores: list[int] = field(default_factory=list)

    @property
    def shown(self) -> int:
        return self.made + self.reused

    @property
    def mean_score(self) -> int | None:
        return round(sum(self.scores) / len(self.scores)) if self.scores else None

    def count(self, picture: SheetPicture) -> None:
        if picture.data is None:
            self.failed.append(picture)
            return
        self.reused += picture.reused
        self.made += not picture.reused
        if picture.score is not None:
            self.scores.append(picture.score)


def write_sheet(title: str, pictures: Iterable[SheetPicture], notes: Sequence[str] = ()) -> bytes:
    """Return the page, UTF-8."""
    sink = io.BytesIO()
    stream_sheet(sink, title, pictures, notes)
    return sink.getvalue()


def stream_sheet(sink: BinaryIO, title: str, pictures: Iterable[SheetPicture], notes: Sequence[str] = ()) -> None:
    """Write the page into `sink` card by card: thousands of pictures take the memory of one."""
    tally = Tally()
    page = _template().generate(title=title, notes=notes, cards=_cards(pictures, tally), tally=tally)
    for piece in page:
        sink.write(piece.encode("utf-8", "replace"))


def _cards(pictures: Iterable[SheetPicture], tally: Tally) -> Iterator[tuple[SheetPicture, str]]:
    """Yield each picture that is there with its thumbnail's address; those that are not are only counted."""
    for picture in pictures:
        tally.count(picture)
        if picture.data is not None:
            yield picture, thumbnail(picture.data)


def thumbnail(data: bytes) -> str:
    """Return a small copy of the picture as a `data:` address, or an empty text where it cannot be drawn."""
    small = io.BytesIO()
    try:
        with Pillow.open(io.BytesIO(data)) as opened:
            # JPEG can be decoded at a fraction of its size.
            opened.draft("RGB", (2 * _WIDE, 2 * _HIGH))
            opened.thumbnail((_WIDE, _HIGH), Pillow.Resampling.LANCZOS, reducing_gap=2.0)
            opened.convert("RGBA" if opened.has_transparency_data else "RGB").save(
                small, "WEBP", quality=_QUALITY, method=2
            )
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError):
        return ""
    return "data:image/webp;base64," + base64.b64encode(small.getvalue()).decode()


@cache
def _template() -> Template:
    house = Environment(loader=PackageLoader("limner.sheet", "."), autoescape=True, undefined=StrictUndefined)
    house.filters["spoken"] = lambda check: check.replace("_", " ")
    return house.get_template("contact_sheet.html")
