"""A book's plain text into chapters.

A text without headings is one chapter; a table of contents is none; what stands before the first heading is front
matter unless it is prose of some length. Knows UTF-8 only; says so when a file is something else.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from limner.errors import BadBook
from limner.reading.contents import text_between, without_contents
from limner.reading.headings import LONGEST_HEADING, Heading, find_headings
from limner.reading.paragraphs import paragraphs

# Unheaded prose before the first heading counts as a chapter from here on (characters).
SUBSTANTIAL_PROSE = 3000
# No book has more; what has is a list of something else, and one chapter.
MOST_HEADINGS = 2000
# A numeral by itself on a line is a heading only when the sections are at least this long (characters).
SHORTEST_NUMERAL_SECTION = 400

_LICENCE_START = re.compile(r"^\*{3} ?START OF (?:THE|THIS) PROJECT GUTENBERG.*$", re.MULTILINE)
_LICENCE_END = re.compile(r"^\*{3} ?END OF (?:THE|THIS) PROJECT GUTENBERG.*", re.MULTILINE | re.DOTALL)
_THE_END = ("THE END", "КОНЕЦ", "КІНЕЦЬ")
_MAGIC = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP or EPUB archive",
    b"{\\rtf": "an RTF document",
    b"\xd0\xcf\x11\xe0": "a Word document",
}


@dataclass(frozen=True, slots=True)
class Chapter:
    """One chapter: `number` is its place in the book, from 1; `title` may be empty; `text` is without its heading."""

    number: int
    title: str
    text: str


def read_chapters(data: bytes, name: str) -> tuple[Chapter, ...]:
    """Return the chapters of a plain-text book, at least one.

    data: UTF-8, with or without a byte-order mark, any line ends. name: how messages call the book.
    Raises BadBook for bytes that hold no readable text.
    """
    text = _without_the_end(_without_licence(_decode(data, name)).rstrip())
    lines = text.split("\n")
    found = _real_headings(lines)
    chapters = _cut(lines, found) if found else []
    if not chapters:
        chapters = [("", text.strip())]
    if not any(any(letter.isalpha() for letter in body) for _, body in chapters):
        raise BadBook(f"{name} holds no readable text; give a book in plain text.")
    return tuple(Chapter(number, title, body) for number, (title, body) in enumerate(chapters, 1))


def pick_chapter(chapters: Sequence[Chapter], number: int, name: str) -> Chapter:
    """Return the chapter in that place; raises BadBook when the book has no such chapter."""
    for chapter in chapters:
        if chapter.number == number:
            return chapter
    has = "one chapter" if len(chapters) == 1 else f"{len(chapters)} chapters"
    raise BadBook(f"{name} has {has}; there is no chapter {number}.")


def _decode(data: bytes, name: str) -> str:
    if not data.strip(b"\xef\xbb\xbf \t\r\n\x0b\x0c"):
        raise BadBook(f"{name} is empty; give a book in plain text.")
    for magic, what in _MAGIC.items():
        if data.startswith(magic):
            raise BadBook(f"{name} is {what}, no plain text; save the book as plain text in UTF-8.")
    if b"\x00" in data:
        raise BadBook(f"{name} is binary, no text; save the book as plain text in UTF-8.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadBook(f"{name} is not UTF-8 (byte {error.start}); save the book as plain text in UTF-8.") from None
    if not text.strip():
        raise BadBook(f"{name} is empty; give a book in plain text.")
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ").replace("\u00ad", "")


def _without_licence(text: str) -> str:
    start, end = _LICENCE_START.search(text), _LICENCE_END.search(text)
    kept = text[start.end() if start else 0 : end.start() if end else len(text)]
    return kept if kept.strip() else text


def _without_the_end(text: str) -> str:
    before, _, last = text.rpartition("\n")
    return before.rstrip() if before.strip() and last.strip(" \t*_.-—!").upper() in _THE_END else text


def _real_headings(lines: list[str]) -> list[Heading]:
    """Return the headings that open chapters: no table of contents, no part's title page, no stray numeral."""
    found = find_headings(lines)
    if len(found) > MOST_HEADINGS:
        return []
    spoken = without_contents(lines, [one for one in found if one.kind in ("chapter", "alone")])
    if any(one.kind == "chapter" for one in spoken):
        return spoken
    parts = without_contents(lines, [one for one in found if one.kind in ("part", "alone")])
    if any(one.kind == "part" for one in parts):
        return parts
    return _numerals(lines, [one for one in found if one.kind == "bare"])


def _numerals(lines: list[str], bare: list[Heading]) -> list[Heading]:
    """Return the numerals that count up from 1 with sections of some length between them."""
    kept: list[Heading] = []
    for one in bare:
        if one.number == len(kept) + 1:
            kept.append(one)
    if len(kept) < 2:
        return []
    ends = [one.line for one in kept[1:]] + [len(lines)]
    shortest = min(text_between(lines, one.line + 1, end) for one, end in zip(kept, ends, strict=True))
    return kept if shortest >= SHORTEST_NUMERAL_SECTION else []


def _cut(lines: list[str], headings: list[Heading]) -> list[tuple[str, str]]:
    other = [one for one in find_headings(lines) if one not in headings and one.kind in ("part", "front")]
    chapters = _opening(lines, headings[0], other)
    stops = sorted({one.line for one in headings} | {one.line for one in other if one.kind == "part"} | {len(lines)})
    for one in headings:
        end = next(stop for stop in stops if stop > one.line)
        title, begin = _title(lines, one, end)
        body = "\n".join(lines[begin:end]).strip()
        if body:
            chapters.append((title, body))
    return chapters


def _opening(lines: list[str], first: Heading, other: list[Heading]) -> list[tuple[str, str]]:
    """Return the unheaded prose before the first heading as a chapter, if it is one."""
    if any(one.kind == "front" and one.line < first.line for one in other):
        return []
    text = "\n".join(lines[: first.line]).strip()
    prose = [one for one in paragraphs(text) if len(one) > LONGEST_HEADING]
    return [("", text)] if sum(map(len, prose)) >= SUBSTANTIAL_PROSE else []


def _title(lines: list[str], heading: Heading, end: int) -> tuple[str, int]:
    """Return a chapter's title, from its own line or the next, and the line where its text begins."""
    begin = heading.line + 1
    if heading.title or heading.kind == "alone":
        return heading.title, begin
    while begin < end and not lines[begin].strip():
        begin += 1
    if begin < end and _is_a_title(lines, begin, end) and any(line.strip() for line in lines[begin + 1 : end]):
        return lines[begin].strip().rstrip(".").strip("*_ "), begin + 1
    return "", begin


def _is_a_title(lines: list[str], at: int, end: int) -> bool:
    line = lines[at].strip()
    following = lines[at + 1].strip() if at + 1 < end else ""
    if not line[0].isalnum() or line[0].islower() or len(line) > LONGEST_HEADING * 2 // 3:
        return False
    if line.isupper():
        return True
    asks = line[-1] in "?!" and len(following) > LONGEST_HEADING
    ends = line[-1] in ".?!" and len(line) <= LONGEST_HEADING // 3 and not following
    if line[-1] in ".,;:!?…-—" and not asks and not ends:
        return False
    # In wrapped text the first line of a paragraph is long, and goes on in lower case more often than not.
    short = len(line) <= LONGEST_HEADING // 3
    return not following or (not following[0].islower() and (short or len(following) > LONGEST_HEADING))
