"""The page stands alone, shows every picture, says every word, and lets nothing of what it says become markup."""

import base64
import io
import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image

from limner.sheet import SheetPicture, pieces, stream_sheet, write_sheet
from tests.limner.quality.painted import encoded, photograph, storybook

VOID = {"meta", "img", "link", "br", "hr", "input"}

PICTURE = SheetPicture(
    key="alice/1/03-location",
    data=encoded(storybook()),
    words="Ветхая деревянная церковь стояла на краю села.",
    prompt="an old wooden church, fantasy",
    score=90,
    level="excellent",
    seed=1234567,
    provider="sketch",
    model="sketch-1",
    width=1024,
    height=768,
    sha256="ab" * 32,
    reused=False,
)
FAILED = replace(PICTURE, key="alice/1/09-action", data=None, score=None, level="", error="pollinations refused it")


class Page(HTMLParser):
    """What a browser makes of the page; refuses tags that do not close."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(page.decode())
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] != "style":
            self.text.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.text).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def classed(self, name: str) -> int:
        return sum(name in (attributes.get("class") or "").split() for _, attributes in self.tags)


def totals(page: Page) -> dict[str, int]:
    said = re.findall(r"(pictures?|made|reused|failed|mean score) (\d+)", page.said)
    return {name: int(number) for name, number in said}


def test_every_picture_is_embedded_as_a_small_picture() -> None:
    page = Page(write_sheet("Alice", [PICTURE, replace(PICTURE, data=encoded(photograph(), "JPEG")), FAILED]))

    images = page.all("img")
    assert len(images) == 2
    for image in images:
        kind, _, data = (image["src"] or "").partition(",")
        assert kind == "data:image/webp;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as small:
            assert small.size == (480, 360)


def test_a_card_says_what_is_known_of_its_picture() -> None:
    page = Page(write_sheet("Alice", [replace(PICTURE, issues=("has_no_banding",), reused=True)]))

    for said in (
        "alice/1/03-location",
        "Ветхая деревянная церковь стояла на краю села.",
        "an old wooden church, fantasy",
        "90 excellent",
        "failed the check “has no banding”",
        "1234567",
        "sketch · sketch-1",
        "1024 × 768",
        "abababababab",
        "reused",
    ):
        assert said in page.said
    assert page.all("code") == [{"title": "ab" * 32}]


def test_the_totals_add_up() -> None:
    pictures = [PICTURE, replace(PICTURE, reused=True, score=61), FAILED, replace(PICTURE, score=None), FAILED]

    page = Page(write_sheet("Alice", pictures))

    assert totals(page) == {"pictures": 3, "made": 2, "reused": 1, "failed": 2, "mean score": 76}
    assert page.classed("card") == 3


def test_a_job_without_a_picture_is_listed_with_its_reason() -> None:
    page = Page(write_sheet("Alice", [FAILED]))

    assert page.all("img") == []
    assert "alice/1/09-action pollinations refused it" in page.said


def test_the_notes_and_the_title_are_on_the_page() -> None:
    page = Page(write_sheet("Вий", [], ["drawn as other", "left untranslated"]))

    assert "Вий" in page.said
    assert "drawn as other left untranslated" in page.said
    assert totals(page) == {"pictures": 0, "made": 0, "reused": 0, "failed": 0}


EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}"


@pytest.mark.parametrize(
    "field", ["key", "words", "prompt", "level", "provider", "model", "sha256", "error", "issues", "title", "notes"]
)
def test_no_words_become_markup(field: str) -> None:
    planted = {"issues": (EVIL,)} if field == "issues" else {} if field in ("title", "notes") else {field: EVIL}
    pictures = [replace(PICTURE, **planted), replace(FAILED, **planted)]

    page = Page(write_sheet(EVIL if field == "title" else "Alice", pictures, [EVIL] if field == "notes" else []))

    assert page.all("script") == []
    assert len(page.all("img")) == 1
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "49" not in page.said


def test_nothing_is_fetched_from_anywhere() -> None:
    text = write_sheet("Alice", [PICTURE, FAILED], ["a note"]).decode()
    page = Page(text.encode())

    assert not re.search(r"https?://|//[a-z]|@import|url\(", text)
    assert page.all("script") == page.all("link") == page.all("iframe") == []
    policy = next(one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert policy
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_a_picture_that_cannot_be_drawn_leaves_its_card() -> None:
    page = Page(write_sheet("Alice", [replace(PICTURE, data=b"no picture")]))

    assert "cannot be drawn here" in page.said
    assert page.classed("card") == 1


def test_thousands_take_the_memory_of_a_few() -> None:
    data = encoded(storybook()[:192, :256])

    def many() -> Iterator[SheetPicture]:
        for number in range(400):
            # Each its own copy, as if just read from a bucket.
            yield replace(PICTURE, key=f"{number}", data=data + bytes(500_000))

    class Sink(io.RawIOBase):
        written = 0

        def write(self, piece: bytes) -> int:  # type: ignore[override]
            self.written += len(piece)
            return len(piece)

    sink = Sink()
    tracemalloc.start()
    stream_sheet(sink, "Alice", many())  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert sink.written > 400 * 1_000
    assert peak < 8_000_000


# -- by link -------------------------------------------------------------------------------------------------------


def test_pictures_may_lie_elsewhere_and_the_page_says_where_from_they_may_come() -> None:
    linked = replace(PICTURE, data=None, link="../../artifacts/ab?x=1&y=2", thumbnail='../thumb?"><script>')
    awaited = replace(FAILED, key="alice/1/10-object", error="", awaited=True)
    page = Page(b"".join(pieces("Alice", [linked, awaited, FAILED], images="'self'")))
    attributes = [dict(found) for tag, found in page.tags if tag in ("a", "img")]
    assert attributes[0]["href"] == linked.link and attributes[1]["src"] == linked.thumbnail
    assert not [tag for tag, _ in page.tags if tag == "script"]
    policy = next(found["content"] for _, found in page.tags if found.get("http-equiv"))
    assert policy is not None and "img-src 'self';" in policy

    said = " ".join(page.text).split()
    assert said[said.index("to") + 2] == "1", "one is to come"
    assert "pollinations refused it" in " ".join(page.text) and "no reason was recorded" not in " ".join(page.text)
