"""Words and their base forms, in English, Russian and Ukrainian.

The dictionaries are loaded on first use and kept; a word is looked up once.
"""

import re
from functools import cache, lru_cache
from typing import Any

WORD = re.compile(r"[^\W\d_]+(?:['’\-‑][^\W\d_]+)*")


def folded(word: str) -> str:
    """Return `word` as lexicons spell it: lower case, ё as е, straight apostrophes."""
    return word.casefold().replace("ё", "е").replace("’", "'").replace("‑", "-")


@cache
def analyzer(language: str) -> Any:
    """Return the morphological dictionary of Russian ("ru") or Ukrainian ("uk")."""
    import pymorphy3  # noqa: PLC0415 - half a second and 30 MB, only where a text needs it

    return pymorphy3.MorphAnalyzer(lang=language)


@lru_cache(maxsize=100_000)
def lemma(word: str, language: str) -> str:
    """Return the folded base form of a folded word; a word that no dictionary has comes back as it is."""
    if language == "en":
        import simplemma  # noqa: PLC0415 - reads its dictionary

        return folded(simplemma.lemmatize(word, "en"))
    return folded(analyzer(language).parse(word)[0].normal_form)
