"""The word lists: base form, tab, English, and where it matters a tab and what kind of word it is.

церковь<TAB>church<TAB>NOUN        a base form of that part of speech
свой<TAB>own                       a base form of any
люди<TAB>people<TAB>FORM           this very form only
с<TAB>with<TAB>PREP:ablt           a preposition before that case
в конце концов<TAB>in the end      words in a row
ли<TAB>-<TAB>FORM                  dropped
"""

from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from limner.reading.words import folded

KINDS = ("", "NOUN", "ADJ", "VERB", "ADV", "NUM", "FORM")
CASES = frozenset({"nomn", "gent", "datv", "accs", "ablt", "loct"})
DROPPED = "-"


@dataclass(frozen=True, slots=True)
class WordList:
    """One language's word list, folded for look-up.

    phrases: by their first word, the longest first.
    """

    words: dict[tuple[str, str], str] = field(default_factory=dict)
    forms: dict[str, str] = field(default_factory=dict)
    prepositions: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    phrases: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = field(default_factory=dict)

    def look_up(self, base: str, kind: str) -> str | None:
        return self.words.get((base, kind)) or self.words.get((base, ""))

    def look_up_any(self, base: str) -> str | None:
        return next((found for kind in KINDS if (found := self.words.get((base, kind)))), None)


@cache
def word_list(language: str) -> WordList:
    """Return the word list of "ru" or "uk"; raises ValueError naming the line that breaks its rules."""
    name = f"data/translating/{language}.tsv"
    return parse_word_list(resources.files("limner").joinpath(name).read_text("utf-8"), f"{language}.tsv")


def parse_word_list(text: str, name: str) -> WordList:
    """Read a word list; raises ValueError naming the line that is no row, says a word twice or has an unknown kind."""
    words: dict[tuple[str, str], str] = {}
    forms: dict[str, str] = {}
    prepositions: dict[str, tuple[tuple[str, str], ...]] = {}
    phrases: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    seen: set[tuple[str, str]] = set()
    for number, line in enumerate(text.splitlines(), 1):
        foreign, english, kind = _row(line, f"{name}:{number}")
        if (foreign, kind) in seen:
            raise ValueError(f"{name}:{number}: {foreign} {kind} stands there twice")
        seen.add((foreign, kind))
        if kind.startswith("PREP:"):
            prepositions[foreign] = (*prepositions.get(foreign, ()), (kind[5:], english))
        elif kind == "FORM":
            forms[foreign] = english
        elif " " in foreign:
            row = tuple(foreign.split())
            phrases.setdefault(row[0], []).append((row, english))
        else:
            words[foreign, kind] = english
    longest_first = {first: tuple(sorted(rows, key=lambda row: -len(row[0]))) for first, rows in phrases.items()}
    return WordList(words, forms, prepositions, longest_first)


def _row(line: str, where: str) -> tuple[str, str, str]:
    cells = line.split("\t")
    if len(cells) not in (2, 3) or not all(cell.strip() == cell and cell for cell in cells):
        raise ValueError(f"{where}: no row of two or three cells")
    foreign, english, kind = cells[0], cells[1], cells[2] if len(cells) == 3 else ""
    if foreign != folded(foreign) or not english.isascii():
        raise ValueError(f"{where}: the first cell is lower case without ё, the second is English")
    if kind not in KINDS and not (kind.startswith("PREP:") and kind[5:] in CASES):
        raise ValueError(f"{where}: {kind} is no kind of word")
    if " " in foreign and kind:
        raise ValueError(f"{where}: words in a row have no kind")
    return foreign, english, kind
