"""Which of the three languages a text is in, by its letters alone."""

import re
from collections import Counter
from typing import Literal

BookLanguage = Literal["en", "ru", "uk"]

_LETTERS = re.compile(r"[^\W\d_]")
_ONLY_RUSSIAN = "ыэъё"
_ONLY_UKRAINIAN = "іїєґ"
# Letters enough to tell; a long book is not read to its end for this.
_SAMPLE = 200_000


def detect_language(text: str) -> BookLanguage:
    """Return the language of `text`; Latin letters, and no letters at all, are English.

    Cyrillic text with none of the telling letters is taken for Russian.
    """
    counts = Counter(letter for letter in _LETTERS.findall(text[:_SAMPLE].casefold()))
    cyrillic = sum(number for letter, number in counts.items() if "\u0400" <= letter <= "\u04ff")
    if cyrillic * 2 <= sum(counts.values()):
        return "en"
    russian = sum(counts[letter] for letter in _ONLY_RUSSIAN)
    ukrainian = sum(counts[letter] for letter in _ONLY_UKRAINIAN)
    return "uk" if ukrainian > russian else "ru"
