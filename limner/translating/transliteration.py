"""Names in Latin letters."""

from functools import cache
from importlib import resources

import yaml
from pydantic import BaseModel, ConfigDict


class Alphabet(BaseModel):
    """One language's part of transliteration.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    letters: dict[str, str]
    at_start: dict[str, str]
    endings: dict[str, str]


@cache
def _alphabets() -> dict[str, Alphabet]:
    text = resources.files("limner").joinpath("data/translating/transliteration.yaml").read_text("utf-8")
    return {language: Alphabet.model_validate(rows) for language, rows in yaml.safe_load(text).items()}


def transliterated(name: str, language: str) -> str:
    """Return a Russian ("ru") or Ukrainian ("uk") name in Latin letters, capitals kept at the start of each part."""
    return "-".join(_part(part, _alphabets()[language]) for part in name.split("-"))


def _part(part: str, alphabet: Alphabet) -> str:
    plain = part.lower().replace("’", "'")
    ending = next((end for end in alphabet.endings if plain.endswith(end) and len(plain) > len(end) + 1), "")
    stem = plain[: len(plain) - len(ending)] if ending else plain
    latin = "".join(
        alphabet.at_start.get(letter, alphabet.letters.get(letter, letter))
        if at == 0
        else alphabet.letters.get(letter, letter)
        for at, letter in enumerate(stem)
    )
    latin += alphabet.endings.get(ending, "")
    return latin.capitalize() if part[:1].isupper() else latin
