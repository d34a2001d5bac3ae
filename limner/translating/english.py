"""English forms of the words in the word lists: plurals, tenses, degrees.

Knows no other language and no grammar of sentences.
"""

from functools import cache
from importlib import resources

import yaml
from pydantic import BaseModel, ConfigDict

_VOWELS = "aeiou"


class EnglishForms(BaseModel):
    """The schema of english.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plurals: dict[str, str]
    same: frozenset[str]
    verbs: dict[str, tuple[str, str]]


@cache
def _forms() -> EnglishForms:
    text = resources.files("limner").joinpath("data/translating/english.yaml").read_text("utf-8")
    return EnglishForms.model_validate(yaml.safe_load(text))


def plural(noun: str) -> str:
    """Return the plural of a noun or a short phrase: "bell towers", "backs of the head"."""
    if noun in _forms().same:
        return noun
    head, of, rest = noun.partition(" of ")
    if of:
        return plural(head) + of + rest
    before, _, last = noun.rpartition(" ")
    return f"{before} {_plural(last)}".strip()


def _plural(word: str) -> str:
    if word in _forms().same:
        return word
    if word in _forms().plurals:
        return _forms().plurals[word]
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in _VOWELS:
        return word[:-1] + "ies"
    return word + "s"


def past(verb: str, several: bool = False) -> str:
    """Return the past tense of a verb or a phrase that begins with one; only "be" minds `several`."""
    first, _, rest = verb.partition(" ")
    form = "were" if first == "be" and several else _verb(first)[0]
    return f"{form} {rest}".strip()


def participle(verb: str) -> str:
    """Return the past participle: "covered", "hung", "turned pale"."""
    first, _, rest = verb.partition(" ")
    return f"{_verb(first)[1]} {rest}".strip()


def present(verb: str, several: bool = False) -> str:
    """Return the present tense of the third person."""
    first, _, rest = verb.partition(" ")
    if first == "be":
        form = "are" if several else "is"
    elif first == "have":
        form = "have" if several else "has"
    elif several or first in ("can", "must", "should"):
        form = first
    else:
        form = first + "es" if first in {"go", "do"} else _plural_like(first)
    return f"{form} {rest}".strip()


def gerund(verb: str) -> str:
    """Return the form in -ing: "standing", "lying", "running"."""
    first, _, rest = verb.partition(" ")
    if first.endswith("ie"):
        form = first[:-2] + "ying"
    elif first.endswith("e") and not first.endswith(("ee", "ye", "oe")) and first != "be":
        form = first[:-1] + "ing"
    else:
        form = _doubled(first) + "ing"
    return f"{form} {rest}".strip()


def comparative(adjective: str) -> str:
    irregular = {"good": "better", "bad": "worse", "far": "farther", "many": "more", "few": "fewer"}
    if adjective in irregular:
        return irregular[adjective]
    if len(adjective) > 6 or " " in adjective:
        return f"more {adjective}"
    if adjective.endswith("y"):
        return adjective[:-1] + "ier"
    return (adjective[:-1] if adjective.endswith("e") else _doubled(adjective)) + "er"


def _verb(base: str) -> tuple[str, str]:
    found = _forms().verbs.get(base)
    if found:
        return found
    if base.endswith("e"):
        regular = base + "d"
    elif base.endswith("y") and base[-2:-1] not in _VOWELS:
        regular = base[:-1] + "ied"
    else:
        regular = _doubled(base) + "ed"
    return regular, regular


def _plural_like(base: str) -> str:
    if base.endswith(("s", "x", "z", "ch", "sh")):
        return base + "es"
    if base.endswith("y") and base[-2:-1] not in _VOWELS:
        return base[:-1] + "ies"
    return base + "s"


def _doubled(base: str) -> str:
    """Double the last letter of a short word like "run" or "big"; longer ones keep theirs."""
    closed = len(base) >= 3 and base[-1] not in _VOWELS + "wxyh" and base[-2] in _VOWELS and base[-3] not in _VOWELS
    short = len(base) <= 6 and sum(letter in _VOWELS for letter in base) == 1
    return base + base[-1] if closed and short else base
