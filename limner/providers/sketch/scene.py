"""From the words of a prompt to what is to be seen.

Rules that a person can read: the word lists are data, the description is read in its own order, and the style words
behind it only say the kind and the genre. Knows nothing of painting.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

Kind = Literal["landscape", "portrait", "atmosphere", "object", "interior"]
Rows = dict[str, list[str]]

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SENTENCE_END = '.!?;:"“”'
# Capitalised words that open sentences and name nobody.
_NOT_NAMES = frozenset(
    [
        "the",
        "a",
        "an",
        "and",
        "but",
        "in",
        "on",
        "at",
        "of",
        "it",
        "he",
        "she",
        "they",
        "we",
        "i",
        "you",
        "his",
        "her",
        "its",
        "their",
        "this",
        "that",
        "there",
        "then",
        "when",
        "while",
        "as",
        "for",
        "from",
        "with",
        "so",
        "suddenly",
        "once",
        "down",
        "up",
        "oh",
        "mr",
        "mrs",
        "miss",
        "sir",
        "lady",
        "lord",
        "old",
        "young",
        "little",
        "long",
        "low",
        "portrait",
        "close",
        "wide",
        "one",
        "two",
    ]
)
_OUTLOOK = ("garden", "field", "forest", "sea", "mountain", "lake", "flower")


class Vocabulary(BaseModel):
    """words.yaml: for each thing that can be drawn, the words that call for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    places: Rows
    rooms: Rows
    furnishings: Rows
    things: Rows
    people: Rows
    animals: Rows
    traits: Rows
    times: Rows
    weathers: Rows
    seasons: Rows
    moods: Rows
    colours: Rows
    coloured: Rows
    idioms: list[str]
    without: list[str]


class Styles(BaseModel):
    """styles.yaml: style phrases, and the kind or genre that each one means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: Rows
    genres: Rows
    plain: list[str]


@dataclass(frozen=True, slots=True)
class Scene:
    """What is to be seen. Tuples are in the order of the words; `colours` says what is of which colour.

    name: the first proper name in the description (or a trigger word), which a portrait's face is derived from.
    """

    kind: Kind
    genre: str = "other"
    time: str = ""
    season: str = ""
    weathers: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    furnishings: tuple[str, ...] = ()
    things: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    animals: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()
    colours: Mapping[str, str] = field(default_factory=dict)
    palette_words: tuple[str, ...] = ()
    name: str = ""
    who: str = ""
    indoors: bool = False

    def has(self, *words: str) -> bool:
        """Say whether any of `words` is among what is seen, the weather or the mood."""
        seen = self.places + self.rooms + self.furnishings + self.things + self.weathers + self.moods
        return any(word in seen for word in words)


@dataclass(frozen=True, slots=True)
class Spoken:
    """The words of a description, in simple forms, with what was found: (position, row, meaning)."""

    words: tuple[str, ...]
    found: tuple[tuple[int, str, str], ...]

    def of(self, row: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(meaning for _, kind, meaning in self.found if kind == row))


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    return Vocabulary.model_validate(yaml.safe_load(_data("words.yaml")))


@lru_cache(maxsize=1)
def styles() -> Styles:
    return Styles.model_validate(yaml.safe_load(_data("styles.yaml")))


def _data(name: str) -> str:
    return (resources.files("limner") / "data" / "sketch" / name).read_text("utf-8")


@lru_cache(maxsize=1)
def _phrases() -> dict[str, list[tuple[str, str]]]:
    """Return each known phrase with the rows and meanings it stands for."""
    table: dict[str, list[tuple[str, str]]] = {}
    for row, meanings in vocabulary():
        if isinstance(meanings, dict):
            for meaning, phrases in meanings.items():
                for phrase in phrases:
                    table.setdefault(phrase, []).append((row, meaning))
    return table | {phrase: [] for phrase in vocabulary().idioms}


def read_scene(prompt: str, negative_prompt: str = "") -> Scene:
    """Read a prompt into a scene; what the negative prompt names is left out.

    read_scene("A castle by a lake at night, detailed architecture, landscape, fantasy art")
    read_scene("Khoma Brut, the philosopher, character portrait, dark gothic")
    """
    description, tail = split(prompt)
    spoken = listen(description)
    unwanted = _unwanted(negative_prompt)
    seen = Spoken(spoken.words, tuple(one for one in spoken.found if one[2] not in unwanted))
    return _scene(seen, tail, description)


def _unwanted(negative_prompt: str) -> set[str]:
    """Return what a negative prompt names outright: "lake" takes the lake away, "office interior" says too little."""
    parts = [_plain(part) for part in re.split(r",| and | or ", negative_prompt)]
    heads = [_simple(part.removeprefix("no ").removeprefix("any ").removeprefix("the ")) for part in parts]
    found = [one for head in heads for one in _phrases().get(head, [])]
    return {meaning for row, meaning in found if row not in ("moods", "traits", "times")}


def split(prompt: str) -> tuple[str, str]:
    """Return the description and the style words behind it."""
    parts = prompt.split(",")
    for at, part in enumerate(parts):
        if at and _plain(part) in _style_phrases():
            return ",".join(parts[:at]), ",".join(parts[at:])
    return prompt, prompt if _plain(prompt) in _style_phrases() else ""


@lru_cache(maxsize=1)
def _style_phrases() -> frozenset[str]:
    rows = styles()
    return frozenset([one for row in (*rows.kinds.values(), *rows.genres.values()) for one in row] + rows.plain)


def _plain(words: str) -> str:
    return " ".join(words.casefold().strip(" .!").split())


def listen(text: str) -> Spoken:
    """Return the known phrases of `text`; the longest match wins, and what follows "no" or "without" is not there."""
    words = tuple(word.replace("’", "'") for word in _WORD.findall(text.casefold()))
    simple = tuple(_simple(word) for word in words)
    found: list[tuple[int, str, str]] = []
    at = 0
    while at < len(words):
        length, meanings = _match(words, simple, at)
        if meanings and not _denied(words, at):
            found.extend((at, row, meaning) for row, meaning in meanings)
        at += length
    return Spoken(words, tuple(found))


def _match(words: tuple[str, ...], simple: tuple[str, ...], at: int) -> tuple[int, list[tuple[str, str]]]:
    """Return how many words the phrase at `at` takes, and its meanings; the words inside a phrase keep theirs."""
    phrases = _phrases()
    for length in (4, 3, 2):
        for forms in (words, simple):
            whole = " ".join(forms[at : at + length])
            if len(forms[at : at + length]) == length and whole in phrases:
                if not phrases[whole]:
                    return length, []
                inner = [one for word in simple[at : at + length] for one in phrases.get(word, []) if one[0] in _KEPT]
                return length, phrases[whole] + inner
    return 1, phrases.get(words[at]) or phrases.get(simple[at]) or _pieces(words[at])


# Inside a longer phrase, a word still says these ("old woman" is old).
_KEPT = ("traits", "colours", "coloured", "moods")


def _pieces(word: str) -> list[tuple[str, str]]:
    """Return the meanings of a hyphenated word's parts ("grey-haired", "moon-lit")."""
    if "-" not in word:
        return []
    return [one for part in word.split("-") for one in _phrases().get(_simple(part), [])]


def _simple(word: str) -> str:
    """Return a noun's singular where the vocabulary knows it."""
    word = word.removesuffix("'s").removesuffix("'")
    phrases = _phrases()
    for ending, instead in (("", ""), ("ies", "y"), ("ves", "f"), ("es", ""), ("s", ""), ("ed", ""), ("ing", "")):
        shorter = word.removesuffix(ending) + instead if word.endswith(ending) else ""
        if shorter in phrases:
            return shorter
    return word


def _denied(words: tuple[str, ...], at: int) -> bool:
    return any(word in vocabulary().without for word in words[max(0, at - 2) : at])


def _scene(spoken: Spoken, tail: str, description: str) -> Scene:
    asked = _kind_asked(tail)
    return Scene(
        kind=_kind(spoken, asked),
        genre=_genre(tail),
        time=_time(spoken),
        season=next(iter(spoken.of("seasons")), ""),
        weathers=spoken.of("weathers"),
        moods=spoken.of("moods"),
        places=spoken.of("places"),
        rooms=spoken.of("rooms"),
        furnishings=spoken.of("furnishings"),
        things=spoken.of("things"),
        people=_people(spoken),
        animals=spoken.of("animals"),
        traits=spoken.of("traits"),
        colours=_bound_colours(spoken),
        palette_words=spoken.of("colours"),
        name=first_name(description),
        who=_who(spoken, description),
        indoors=is_indoors(spoken),
    )


_PRONOUNS = frozenset(("he", "his", "him", "she", "her"))


def _people(spoken: Spoken) -> tuple[str, ...]:
    """Return the people named; where no noun names one, a pronoun does."""
    heard = [(spoken.words[at], meaning) for at, row, meaning in spoken.found if row == "people"]
    nouns = [meaning for word, meaning in heard if word not in _PRONOUNS]
    animals = spoken.of("animals")
    return tuple(dict.fromkeys(nouns or ([] if animals else [meaning for _, meaning in heard][:1])))


def _kind_asked(tail: str) -> str:
    for part in tail.split(","):
        for kind, phrases in styles().kinds.items():
            if _plain(part) in phrases:
                return kind
    return ""


def _genre(tail: str) -> str:
    """Return the genre that most of the style phrases speak for."""
    said = [_plain(part) for part in tail.split(",")]
    votes = {genre: sum(one in phrases for one in said) for genre, phrases in styles().genres.items()}
    best = max(votes, key=lambda genre: votes[genre])
    return best if votes[best] else "other"


def _kind(spoken: Spoken, asked: str) -> Kind:
    """Return the kind that the style words ask for; where they ask for none, what the description is about."""
    plain: dict[str, Kind] = {"portrait": "portrait", "object": "object", "atmosphere": "atmosphere"}
    if not asked and not spoken.of("places") and not spoken.of("rooms"):
        subjects = {"people": "portrait", "animals": "portrait", "things": "object", "weathers": "atmosphere"}
        asked = next((kind for row, kind in subjects.items() if spoken.of(row)), "")
    return plain.get(asked) or ("interior" if is_indoors(spoken) else "landscape")


def is_indoors(spoken: Spoken) -> bool:
    """Say whether the words speak more of a room than of the open air; what is named first weighs most."""
    rooms, furnishings, places = spoken.of("rooms"), spoken.of("furnishings"), spoken.of("places")
    first = {row: min((at for at, one, _ in spoken.found if one == row), default=10_000) for row in ("rooms", "places")}
    indoors = 2.0 * len(rooms) + 0.6 * len(furnishings) + (0.5 if first["rooms"] < first["places"] else 0)
    outdoors = 1.2 * len([one for one in places if one not in _NEUTRAL])
    return indoors > outdoors and bool(rooms or len(furnishings) > 1)


# Places that are as well seen from indoors.
_NEUTRAL = ("moon", "sun", "stars", "clouds", "lantern", "church", "garden", "flower", "fountain")


def _time(spoken: Spoken) -> str:
    """Return the time of day; a plain statement of night or day wins over a passing "dark" or "bright"."""
    times = spoken.of("times")
    strong = [time for time in times if time in ("night", "sunset", "dawn")]
    return (strong or list(times) or [""])[0]


def _bound_colours(spoken: Spoken) -> dict[str, str]:
    """Return which colour each thing has: the nearest colour word up to four words before it, or one after it."""
    colours = [(at, meaning) for at, row, meaning in spoken.found if row == "colours"]
    bound: dict[str, str] = {}
    for at, row, owner in spoken.found:
        if row != "coloured" or owner in bound:
            continue
        near = [(at - where if where <= at else 3, colour) for where, colour in colours if -2 <= at - where <= 4]
        if near:
            bound[owner] = min(near)[1]
    return bound


def _who(spoken: Spoken, description: str) -> str:
    """Return who a portrait shows: the first animal or person named; a pronoun only where no noun is."""
    heard = [
        (at, row, meaning) for at, row, meaning in spoken.found if row in ("people", "animals") and meaning != "crowd"
    ]
    named = [one for one in heard if spoken.words[one[0]] not in _PRONOUNS]
    chosen = min(named or heard, default=(0, "", ""))
    return chosen[2] or ("man" if description.strip() else "")


def first_name(description: str) -> str:
    """Return the trigger word, or the first proper name: a capitalised word that does not only open a sentence.

    first_name("TOK123 man in a coat") == "TOK123"; first_name("The philosopher Khoma Brut") == "Khoma"
    """
    tokens = re.findall(r"[^\W_]\w*(?:-[^\W_]\w*)*|[.!?;:]", description)
    trigger = next((one for one in tokens if len(one) > 2 and one.isupper() and re.search(r"\d", one)), "")
    names = [one for one in tokens if one[:1].isupper() and one.casefold() not in _NOT_NAMES and not one.isdigit()]
    return trigger or next((one for one in names if one.casefold() not in _phrases() or one.casefold() in _PERSONS), "")


_PERSONS = ("alice", "dinah", "rabbit", "philosopher", "queen", "king")
