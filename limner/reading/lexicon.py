"""The lexicons: which words of a language show something, and what kind of thing.

Knows words one by one; what a passage of them is worth is for `describing` to say.
"""

from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from limner.reading.words import folded, lemma
from limner.requests import DescriptionType

# Endings of English adjectives that describe, for words that no lexicon has.
_DESCRIBING_ENDINGS = ("ful", "less", "ous", "ish", "like", "shaped", "coloured", "colored")
_SHORTEST_WITH_ENDING = 6


class LexiconFile(BaseModel):
    """The schema of en.yaml, ru.yaml and uk.yaml: base forms by class."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    place: tuple[str, ...]
    furniture: tuple[str, ...]
    nature: tuple[str, ...]
    person: tuple[str, ...]
    body: tuple[str, ...]
    clothes: tuple[str, ...]
    creature: tuple[str, ...]
    object: tuple[str, ...]
    material: tuple[str, ...]
    light: tuple[str, ...]
    weather: tuple[str, ...]
    mood: tuple[str, ...]
    colour: tuple[str, ...]
    look: tuple[str, ...]
    mood_adj: tuple[str, ...]
    state: tuple[str, ...]
    be: tuple[str, ...]
    motion: tuple[str, ...]
    speech: tuple[str, ...]
    mind: tuple[str, ...]
    spatial: tuple[str, ...]
    address: tuple[str, ...]
    third: tuple[str, ...]
    doubt: tuple[str, ...]
    grammar: tuple[str, ...]


class Scoring(BaseModel):
    """The schema of scoring.yaml; every class it names is one of LexiconFile's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sight: dict[str, float]
    drag: dict[str, float]
    rich: frozenset[str]
    offset: dict[str, float]
    types: dict[DescriptionType, dict[str, float]] = Field(min_length=1)

    @model_validator(mode="after")
    def _knows_its_classes(self) -> "Scoring":
        named = {*self.sight, *self.drag, *self.rich, *(one for votes in self.types.values() for one in votes)}
        unknown = named - set(LexiconFile.model_fields)
        if unknown:
            raise ValueError(f"no lexicon has the classes {sorted(unknown)}")
        return self


@dataclass(frozen=True, slots=True)
class Lexicon:
    """One language's words by class."""

    language: str
    classes: dict[str, tuple[str, ...]]
    openers: frozenset[str]
    grammar: frozenset[str]

    def classes_of(self, word: str) -> tuple[str, ...]:
        """Return the classes of a word as it stands in a text; most words have none."""
        plain = folded(word)
        found = self.classes.get(plain)
        if found is None:
            found = self.classes.get(lemma(plain, self.language))
        if found is None and "-" in plain:
            found = self.classes.get(plain.rsplit("-", 1)[1])
        if found is None and self.language == "en":
            found = ("look",) if len(plain) >= _SHORTEST_WITH_ENDING and plain.endswith(_DESCRIBING_ENDINGS) else ()
        return found or ()

    def counts(self, word: str) -> bool:
        """Whether a word says anything by itself; articles, conjunctions and pronouns do not."""
        return folded(word) not in self.grammar

    def leans_back(self, word: str) -> bool:
        """Whether a passage that opens with this word leans on what stood before it."""
        return folded(word) in self.openers


@cache
def lexicon(language: str) -> Lexicon:
    """Return the lexicon of "en", "ru" or "uk"."""
    file = LexiconFile.model_validate(_read(f"{language}.yaml"))
    classes: dict[str, tuple[str, ...]] = {}
    for name in LexiconFile.model_fields:
        if name in ("third", "grammar"):
            continue
        for word in getattr(file, name):
            classes[word] = (*classes.get(word, ()), name)
    return Lexicon(language, classes, frozenset(file.third), frozenset(file.grammar))


@cache
def scoring() -> Scoring:
    return Scoring.model_validate(_read("scoring.yaml"))


def _read(name: str) -> object:
    text = resources.files("limner").joinpath(f"data/reading/{name}").read_text("utf-8")
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader
