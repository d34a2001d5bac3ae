"""Writing the sheet: every word escaped, thumbnails inside the page or by link to whoever serves it.

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

from limner.sheet.thumbnails import small_copy


@dataclass(frozen=True)
class SheetPicture:
    """One card. `data`: the picture's bytes, whose thumbnail goes into the page; or `link` and `thumbnail`: where the
    picture and its small copy lie. A job with neither is `awaited`, or failed, and its `error` says why.

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
    link: str = ""
    thumbnail: str = ""
    awaited: bool = False

    @property
    def is_there(self) -> bool:
        return self.data is not None or self.link != ""


@dataclass
class Tally:
    """What the cards so far add up to."""

    made: int = 0
    reused: int = 0
    awaited: int = 0
    failed: list[SheetPicture] = field(default_factory=list)
    scores: list[int] = field(default_factory=list)

    @property
    def shown(self) -> int:
        return self.made + self.reused

    @property
    def mean_score(self) -> int | None:
        return round(sum(self.scores) / len(self.scores)) if self.scores else None

    def count(self, picture: SheetPicture) -> None:
        if not picture.is_there:
            self.awaited += picture.awaited
            self.failed += [] if picture.awaited else [picture]
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
    for piece in pieces(title, pictures, notes):
        sink.write(piece)


def pieces(
    title: str, pictures: Iterable[SheetPicture], notes: Sequence[str] = (), images: str = "data:"
) -> Iterator[bytes]:
    """Yield the page, UTF-8; `images` is where its pictures may come from, as a Content-Security-Policy says it."""
    tally = Tally()
    page = _template().generate(title=title, notes=notes, cards=_cards(pictures, tally), tally=tally, images=images)
    for piece in page:
        yield piece.encode("utf-8", "replace")


def _cards(pictures: Iterable[SheetPicture], tally: Tally) -> Iterator[tuple[SheetPicture, str]]:
    """Yield each picture that is there with its thumbnail's address; those that are not are only counted."""
    for picture in pictures:
        tally.count(picture)
        if picture.data is not None:
            yield picture, embedded(picture.data)
        elif picture.is_there:
            yield picture, picture.thumbnail


def embedded(data: bytes) -> str:
    """Return a small copy of the picture as a `data:` address, or an empty text where it cannot be drawn."""
    small = small_copy(data)
    return "" if small is None else "data:image/webp;base64," + base64.b64encode(small).decode()


@cache
def _template() -> Template:
    house = Environment(loader=PackageLoader("limner.sheet", "."), autoescape=True, undefined=StrictUndefined)
    house.filters["spoken"] = lambda check: check.replace("_", " ")
    return house.get_template("contact_sheet.html")
