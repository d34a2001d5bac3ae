"""What a heading of a chapter looks like, in English, Russian and Ukrainian.

Knows one line and the line before it; which headings are a table of contents is for `chapters` to say.
"""

import re
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import resources
from typing import Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict

Kind = Literal["chapter", "part", "alone", "front", "bare"]

LONGEST_HEADING = 120

_ROMAN = re.compile(r"^(?=[IVXLC])(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})$|^C{1,3}(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})$")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
# Cyrillic letters that look like Roman numerals, as typed in Russian and Ukrainian books.
_LOOK_ALIKES = str.maketrans("ІХСМ", "IXCM")
_ORNAMENT = " \t*_=#~|[]()-–—.·•"
_SENTENCE_END = re.compile(r"[.!?…:;*_\-–—\d][\"”’»)\]]*$|[”’»\"]$")


class HeadingWords(BaseModel):
    """The schema of headings.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chapter: tuple[str, ...]
    part: tuple[str, ...]
    alone: tuple[str, ...]
    contents: tuple[str, ...]
    front: tuple[str, ...]
    endings: tuple[str, ...]
    numbers: dict[str, int]

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        kinds: dict[str, Kind] = {}
        for kind, words in (("chapter", self.chapter), ("part", self.part)):
            kinds.update(dict.fromkeys(words, cast(Kind, kind)))
        return kinds

    def number_word(self, word: str) -> int | None:
        """Return what "first", "двадцать" or "перша" stands for; the longest stem wins."""
        for cut in range(len(word), 1, -1):
            if word[:cut] in self.numbers and word[cut:] in self.endings:
                return self.numbers[word[:cut]]
        return None


@dataclass(frozen=True, slots=True)
class Heading:
    """A line that may open a chapter. `label` is what a table of contents would repeat."""

    line: int
    kind: Kind
    word: str
    number: int | None
    title: str
    # The part that it stands in: chapters may count anew in each.
    part: int = 0

    @property
    def label(self) -> tuple[int, str, int | None]:
        return (self.part, self.word, self.number)


@cache
def heading_words() -> HeadingWords:
    return HeadingWords.model_validate(
        yaml.safe_load(resources.files("limner").joinpath("data/reading/headings.yaml").read_text("utf-8"))
    )


def find_headings(lines: list[str]) -> list[Heading]:
    """Return every line that reads like a heading, in order."""
    found: list[Heading] = []
    part = 0
    for at, line in enumerate(lines):
        if not 0 < len(line.strip()) <= LONGEST_HEADING or not _may_begin_here(lines, at):
            continue
        heading = _read(line.strip(), at)
        if heading is None:
            continue
        if heading.kind == "part":
            part = heading.number or 0
        found.append(heading if heading.kind == "part" else replace(heading, part=part))
    return found


def _may_begin_here(lines: list[str], at: int) -> bool:
    # A line in the middle of a wrapped sentence is no heading, whatever it begins with.
    before = lines[at - 1].strip() if at else ""
    return not before or bool(_SENTENCE_END.search(before)) or len(before) <= LONGEST_HEADING // 2


def _read(line: str, at: int) -> Heading | None:
    words = heading_words()
    plain = line.strip(_ORNAMENT)
    tokens = plain.replace("’", "'").split()
    if not tokens or not tokens[0][:1].isalnum():
        return None
    lowered = plain.casefold()
    if lowered.rstrip(":") in words.front:
        return Heading(at, "front", lowered, None, plain)
    first = _bare(tokens[0])
    if first in words.alone and len(tokens) <= 8 and tokens[0][0].isupper():
        return Heading(at, "alone", first, None, plain)
    if first in words.kinds and tokens[0][0].isupper():
        return _numbered(tokens, words.kinds[first], first, at)
    return _reversed(tokens, at) or _only_a_number(tokens, at)


def _numbered(tokens: list[str], kind: Kind, word: str, at: int) -> Heading | None:
    """ "CHAPTER I.", "Chapter the First", "Глава двадцать первая. Название"."""
    rest = tokens[2:] if tokens[1:2] in (["the"], ["THE"], ["The"], ["№"]) else tokens[1:]
    number, used, spelled = _leading_number(rest)
    if number is None:
        return None
    title = " ".join(rest[used:]).strip(_ORNAMENT + ":")
    separated = rest[used - 1][-1] in ".:—–-" or (len(rest) > used and rest[used][0] in ":.—–-(")
    if title and not separated and (spelled or not title[0].isupper() or title[-1] in ".,;"):
        # "Chapter one of the story was dull." is a sentence.
        return None
    return Heading(at, kind, word, number, title)


def _reversed(tokens: list[str], at: int) -> Heading | None:
    """ "Глава" after its number: "Первая глава", "First chapter"."""
    words = heading_words()
    if len(tokens) != 2 or not tokens[0][0].isupper():
        return None
    word, number = _bare(tokens[1]), _leading_number(tokens[:1])[0]
    if number is None or word not in words.kinds:
        return None
    return Heading(at, words.kinds[word], word, number, "")


def _only_a_number(tokens: list[str], at: int) -> Heading | None:
    if len(tokens) != 1 or not (tokens[0].rstrip(".").isdigit() or tokens[0].isupper()):
        return None
    number, _, spelled = _leading_number(tokens)
    return None if number is None or spelled else Heading(at, "bare", "", number, "")


def _leading_number(tokens: list[str]) -> tuple[int | None, int, bool]:
    """Return the number that `tokens` begin with, how many tokens it took, and whether it was spelled out."""
    if not tokens:
        return None, 0, False
    as_figure = _figure(tokens[0].rstrip(".:,—–-)"))
    if as_figure is not None:
        return as_figure, 1, False
    total, used = 0, 0
    for token in tokens[:3]:
        parts = [heading_words().number_word(_bare(part)) for part in re.split(r"[-–]", token.rstrip(".:,—–-")) if part]
        if not parts or None in parts or (used and parts[0] is not None and parts[0] >= total):
            break
        total, used = total + sum(part or 0 for part in parts), used + 1
        if token[-1] in ".:,—–-":
            break
    return (total, used, True) if used else (None, 0, False)


def _figure(token: str) -> int | None:
    if token.isdecimal() and len(token) <= 3:
        return int(token) or None
    latin = token.upper().translate(_LOOK_ALIKES)
    if not _ROMAN.match(latin) or (token != token.upper() and len(token) == 1):
        return None
    values = [_ROMAN_VALUES[letter] for letter in latin]
    return sum(-one if one < after else one for one, after in zip(values, [*values[1:], 0], strict=True))


def _bare(token: str) -> str:
    return token.strip(_ORNAMENT + ":,;").casefold()
