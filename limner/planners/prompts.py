"""The words of a chapter's prompt: in what order they stand, what is cut first, and what only asks for quality.

Knows the data files beside it and nothing of requests, sizes or providers. Parts are phrases joined by ", ",
so that a prompt can be cut at a provider's limit long after it was put together.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

from limner.errors import Invalid
from limner.jobs import normal_form

SEPARATOR = ", "
AVOIDING = "avoiding: "

# What would read as "., " or ":, " where the next part follows.
_LOOSE_END = " \t\n.,;:…"


class Genre(BaseModel):
    """A row of genres.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    style: str
    quality: str
    mood: str
    avoid: str
    aliases: tuple[str, ...] = ()


class Genres(BaseModel):
    """The schema of genres.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fallback: str
    genres: dict[str, Genre]
    negative: tuple[tuple[str, ...], ...]


class Look(BaseModel):
    """A row of types.yaml: what a description type adds to a prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    focus: str
    composition: str
    detail: str


@dataclass(frozen=True, slots=True)
class FoundGenre:
    """The row for a genre as it was asked for; `note` is empty unless the fallback stands in for it."""

    name: str
    row: Genre
    note: str = ""


def chapter_data(name: str) -> Any:
    """Return what a data file of the chapters says, not yet checked."""
    return yaml.safe_load(resources.files("limner").joinpath(f"data/chapters/{name}.yaml").read_text("utf-8"))


@cache
def genres() -> Genres:
    return Genres.model_validate(chapter_data("genres"))


@cache
def looks() -> dict[str, Look]:
    return TypeAdapter(dict[str, Look]).validate_python(chapter_data("types"))


@cache
def _genre_names() -> dict[str, str]:
    rows = genres().genres
    return {_bare(said): name for name, row in rows.items() for said in (name, *row.aliases)}


@cache
def _quality_words() -> re.Pattern[str]:
    words = TypeAdapter(list[str]).validate_python(chapter_data("quality_words"))
    longest_first = sorted((_bare(word) for word in words), key=len, reverse=True)
    either = "|".join(re.escape(word).replace(r"\ ", r"[\s-]+") for word in longest_first)
    return re.compile(rf"(?<![\w-])(?:{either})(?![\w-])")


def find_genre(asked: str) -> FoundGenre:
    """Return a genre's row by its name or an alias in any case; an unknown one falls to `other`, with a note."""
    known = genres()
    name = _genre_names().get(_bare(asked))
    if name or not asked.strip():
        name = name or known.fallback
        return FoundGenre(name, known.genres[name])
    note = f"There is no genre {asked.strip()!r}; {known.fallback} is used. Genres: {', '.join(known.genres)}."
    return FoundGenre(known.fallback, known.genres[known.fallback], note)


def described(english: str) -> str:
    """Return a description as it stands in a prompt: on one line, without the full stop at its end."""
    return " ".join(english.split()).strip(_LOOSE_END)


def prompt_of(english: str, kind: str, genre: Genre, modifiers: Sequence[str] = ()) -> str:
    """Return the prompt: description, focus, style, mood, quality, composition, detail, the caller's modifiers.

    `kind` is a description type. The prompt begins with `described(english)`, which is what `fit_prompt` protects.
    """
    look = looks()[kind]
    parts = (described(english), look.focus, genre.style, genre.mood, genre.quality, look.composition, look.detail)
    return _joined([*parts, *modifiers])


def negative_of(genre: Genre, asked: str = "") -> str:
    """Return the negative prompt: the general one, the genre's `avoid`, the caller's."""
    general = (SEPARATOR.join(group) for group in genres().negative)
    return _joined([*general, genre.avoid, asked])


def fold_negative(prompt: str, negative: str) -> str:
    """Return the prompt for a provider that takes no negative one: "a castle, avoiding: blurry, text"."""
    return _joined([prompt, AVOIDING + negative]) if negative.strip() else prompt


def fit_prompt(prompt: str, protected: str, max_chars: int) -> str:
    """Return `prompt` in at most `max_chars` characters, dropping whole phrases from its end.

    protected: the words at the beginning that are never cut, as `described` gives them.
    Raises Invalid when those alone are too long.
    """
    if len(prompt) <= max_chars:
        return prompt
    kept, phrases = _apart(prompt, protected)
    if len(kept) > max_chars:
        raise Invalid(
            f"The description alone has {len(kept)} characters and the provider takes {max_chars}; "
            "shorten the description or name a provider that takes more."
        )
    for phrase in phrases:
        longer = _joined([kept, phrase])
        if len(longer) > max_chars:
            break
        kept = longer
    return kept


def similar_form(words: str) -> str:
    """Return the normal form of `words` without those that only ask for quality: "Detailed  map, 4k" gives "map"."""
    without = _quality_words().sub(" ", normal_form(words))
    return SEPARATOR.join(phrase for phrase in map(normal_form, without.split(",")) if phrase)


def _apart(prompt: str, protected: str) -> tuple[str, list[str]]:
    """Return the beginning that is never cut and the phrases after it; a stranger's prompt is all beginning."""
    if not protected or not prompt.startswith(protected):
        first, *phrases = prompt.split(SEPARATOR)
        return (prompt, []) if protected else (first, phrases)
    rest = prompt[len(protected) :].removeprefix(SEPARATOR)
    return protected, rest.split(SEPARATOR) if rest else []


def _joined(parts: Iterable[str]) -> str:
    """Return the parts that say something, none with a comma of its own at either end."""
    tidy = (" ".join(part.split()).strip(",; ") for part in parts)
    return SEPARATOR.join(part for part in tidy if part)


def _bare(words: str) -> str:
    """Return a name as it is compared: in lower case, hyphens and underscores like spaces, one kind of apostrophe."""
    return normal_form(re.sub(r"[-_]", " ", words.replace("’", "'")))
