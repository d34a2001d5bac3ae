"""Translating a passage to English before prompting: translators are asked in turn, and the answer says which spoke.

Knows nothing of prompts. The word list comes last, needs nothing and always answers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Translation:
    """A passage in English.

    by: the translator that spoke; "none" where there was nothing to translate. untranslated: words passed through as
    they are, each once, in order. coverage: share from 0 to 1 of the content words, names aside, that were translated.
    """

    text: str
    by: str
    untranslated: tuple[str, ...] = ()
    coverage: float = 1.0


# Takes a passage and its language; answers None to leave it to the next one.
Translator = Callable[[str, str], Translation | None]


def translate(text: str, language: str, translators: Sequence[Translator] = ()) -> Translation:
    """Return `text` in English, by the first of `translators` that answers, or else by the word list.

    language: "en" comes back untouched; "ru" and "uk" are translated.
    """
    if language == "en":
        return Translation(text, "none")
    for ask in translators:
        answer = ask(text, language)
        if answer is not None:
            return answer
    from limner.translating.by_word_list import translate_by_word_list  # noqa: PLC0415 - loads dictionaries

    return translate_by_word_list(text, language)
