"""What the morphological dictionary says of one word in its place: its forms, its cases, whether it is a name.

Knows Russian and Ukrainian through pymorphy3's tags; knows no English.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from limner.reading.words import WORD, analyzer, folded

Kind = str

_KINDS: dict[str, Kind] = {
    "NOUN": "NOUN",
    "ADJF": "ADJ",
    "ADJS": "ADJ",
    "COMP": "ADJ",
    "VERB": "VERB",
    "INFN": "VERB",
    "PRTF": "VERB",
    "PRTS": "VERB",
    "GRND": "VERB",
    "ADVB": "ADV",
    "PRED": "ADV",
    "NUMR": "NUM",
}
_NAMES = ("Name", "Surn", "Patr", "Geox")
_AGREEMENT = frozenset({"plur", "masc", "femn", "neut"})
_CASES = {"gen2": "gent", "acc2": "accs", "loc2": "loct"}
_SENTENCE_END = re.compile(r"[.!?…]|:\s*[—–«“„\"]")


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a word. `marks`: the dictionary's own grammemes."""

    base: str
    part: str
    case: str
    marks: frozenset[str]
    spelled: str

    @property
    def kind(self) -> Kind:
        return _KINDS.get(self.part, "")

    @property
    def names_somebody(self) -> bool:
        return any(mark in self.marks for mark in _NAMES)

    @property
    def is_adjective(self) -> bool:
        return self.part in ("ADJF", "PRTF")

    def agrees_with(self, other: "Reading") -> bool:
        """Whether both stand in one case, and in one number or gender."""
        if self.case != other.case:
            return False
        mine, its = self.marks & _AGREEMENT, other.marks & _AGREEMENT
        return not mine or not its or (bool(mine & its) and ("plur" in mine) == ("plur" in its))

    @property
    def is_nominal(self) -> bool:
        return self.part in ("NOUN", "ADJF", "NPRO", "NUMR", "PRTF")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text: `gap` is what stands before it, `opens` whether a sentence begins with it."""

    text: str
    gap: str
    opens: bool
    readings: tuple[Reading, ...]

    @property
    def plain(self) -> str:
        return folded(self.text)

    @property
    def is_capitalised(self) -> bool:
        return self.text[:1].isupper()

    @property
    def joins(self) -> bool:
        """Whether nothing but a space parts the word from the one before."""
        return bool(self.gap) and not self.gap.strip()

    def cases(self) -> frozenset[str]:
        return frozenset(one.case for one in self.readings if one.case and one.is_nominal)


def words_of(text: str, language: str) -> tuple[list[Word], str]:
    """Return the words of a text and what stands behind the last one."""
    found: list[Word] = []
    end = 0
    for match in WORD.finditer(text):
        gap = text[end : match.start()]
        found.append(Word(match[0], gap, not found or bool(_SENTENCE_END.search(gap)), readings(match[0], language)))
        end = match.end()
    return found, text[end:]


def readings(word: str, language: str) -> tuple[Reading, ...]:
    """Return the ways to read a word, the likeliest first."""
    return _readings(word.casefold().replace("’", "'"), language)


@lru_cache(maxsize=50_000)
def _readings(word: str, language: str) -> tuple[Reading, ...]:
    return tuple(_from(parse) for parse in analyzer(language).parse(word))


def _from(parse: Any) -> Reading:
    marks = frozenset(str(parse.tag).replace(" ", ",").split(","))
    case = str(parse.tag.case or "")
    return Reading(
        folded(parse.normal_form), str(parse.tag.POS or ""), _CASES.get(case, case), marks, parse.normal_form
    )


@lru_cache(maxsize=50_000)
def is_known(word: str, language: str) -> bool:
    """Whether the dictionary has the word itself, not only a guess at it."""
    return bool(analyzer(language).word_is_known(word.casefold().replace("’", "'")))


@lru_cache(maxsize=10_000)
def participle_base(word: str, language: str) -> str | None:
    """Return the nominative of a full participle, as lists of adjectives have it: "покрытый" for "покрытою"."""
    for parse in analyzer(language).parse(word.casefold()):
        if str(parse.tag.POS) == "PRTF":
            nominative = parse.inflect({"masc", "sing", "nomn"})
            return folded(nominative.word) if nominative else None
    return None


def bases_by_ending(reading: Reading, language: str) -> Iterator[tuple[str, Kind, str]]:
    """Yield other bases that a list may have: adjectives of adverbs, verbs of reflexives. The last cell says how."""
    base = reading.base
    if reading.kind == "ADV" and base.endswith(("о", "е")):
        for ending in ("ый", "ий", "ой"):
            yield base[:-1] + ending, "ADJ", "adverb"
    if reading.kind == "ADJ" and base.endswith(("енький", "онький")):
        for ending in ("ый", "ий", "ой"):
            yield base[:-6] + ending, "ADJ", ""
    if reading.kind == "VERB" and base.endswith(("ся", "сь")):
        yield base[:-2], "VERB", "reflexive"
    if language == "uk" and reading.part in ("ADVB", "GRND"):
        for ending, verb in (("вши", "ти"), ("уючи", "увати"), ("ючи", "ти"), ("ячи", "яти"), ("ачи", "ати")):
            if base.endswith(ending):
                yield base.removesuffix(ending) + verb, "VERB", "gerund"
    if language == "uk" and reading.part == "ADJF" and "pssv" in reading.marks:
        for ending, verb in (("ований", "увати"), ("аний", "ати"), ("ений", "ити"), ("тий", "ти")):
            if base.endswith(ending):
                yield base.removesuffix(ending) + verb, "VERB", "participle"
