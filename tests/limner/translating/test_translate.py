import re
import time
from functools import cache
from pathlib import Path

import pytest

from limner.reading.chapters import read_chapters
from limner.reading.describing import find_descriptions
from limner.translating import Translation, translate

SAMPLES = Path(__file__).parents[3] / "samples"


@cache
def _best_of_viy() -> tuple[Translation, ...]:
    chapter = read_chapters((SAMPLES / "viy.txt").read_bytes(), "viy.txt")[0]
    return tuple(translate(one.content, "ru") for one in find_descriptions(chapter, "ru")[:20])


@pytest.mark.parametrize(
    ("text", "language", "english"),
    [
        (
            "Вдали темнела старая деревянная церковь с тремя куполами",
            "ru",
            "in the distance darkened old wooden church with three domes",
        ),
        (
            "В углу стоял чёрный гроб, покрытый зелёным мохом.",
            "ru",
            "in the corner stood black coffin, covered with green moss.",
        ),
        ("Две хаты стояли на вершине горы.", "ru", "two huts stood on the summit of mountain."),
        ("В конце концов старик не пришёл.", "ru", "in the end old man did not come."),
        ("Высокие свечи горели перед образами.", "ru", "tall candles burned in front of icons."),
        ("Он увидел её лицо и её.", "ru", "he saw her face and her."),
        ("Тело умершей лежало в тени старой церкви.", "ru", "body of dead lay in shadow of old church."),
        ("Темнее ночи был лес.", "ru", "darker nights was forest."),
        (
            "Вдалині темніла стара дерев'яна церква з трьома куполами, вкрита зеленим мохом.",
            "uk",
            "in the distance darkened old wooden church with three domes, covered with green moss.",
        ),
        ("Місяць, виглянувши, освітлював став.", "uk", "moon, peeping out, illuminated pond."),
        ("Дід сидів на призьбі в білій сорочці.", "uk", "grandfather sat on earthen bench in white shirt."),
        ("Біля воріт росли високі тополі.", "uk", "near gate grew tall poplars."),
        ("Молода дівчина з чорними бровами сиділа на лаві.", "uk", "young girl with black eyebrows sat on bench."),
    ],
)
def test_translates_whole_words_in_all_their_forms(text: str, language: str, english: str) -> None:
    said = translate(text, language)
    assert said.text == english
    assert said.by == "word-list"
    assert said.untranslated == ()
    assert said.coverage == 1.0


@pytest.mark.parametrize(
    ("text", "language", "name"),
    [
        ("Хома Брут стоял у ворот.", "ru", "Khoma Brut"),
        ("Старик увидел Хому.", "ru", "Khoma"),
        ("На берегу стояла Надежда.", "ru", "Nadezhda"),
        ("Вдали блестел Днепр.", "ru", "Dnepr"),
        ("Тарас дивився на Дніпро.", "uk", "Taras looked at Dnipro"),
    ],
)
def test_keeps_names_in_latin_letters(text: str, language: str, name: str) -> None:
    said = translate(text, language)
    assert name in said.text
    assert said.untranslated == ()


def test_passes_through_what_it_does_not_know_and_says_so() -> None:
    said = translate("Старая фырчалка лежала на столе, и фырчалка блестела.", "ru")
    assert said.text == "old фырчалка lay on the table, and фырчалка glittered."
    assert said.untranslated == ("фырчалка",)
    assert said.coverage == pytest.approx(4 / 6)


def test_never_replaces_pieces_of_words() -> None:
    # "лес" stands inside each of these, and none of them is a forest.
    said = translate("лесбиянка, телескопище, полесяне", "ru")
    assert "forest" not in said.text


def test_english_comes_back_untouched() -> None:
    text = "An old mill, by the river."
    assert translate(text, "en") == Translation(text, "none", (), 1.0)


def test_translators_are_asked_in_turn_and_the_word_list_answers_last() -> None:
    asked: list[str] = []

    def silent(text: str, language: str) -> Translation | None:
        asked.append("silent")
        return None

    def speaks(text: str, language: str) -> Translation | None:
        asked.append("speaks")
        return Translation("an old house", "chat")

    assert translate("Старый дом", "ru", (silent, speaks)).by == "chat"
    assert asked == ["silent", "speaks"]
    assert translate("Старый дом", "ru", (silent,)) == Translation("old house", "word-list")


@pytest.mark.parametrize("text", ["", "...", "12 — 15", "«»"])
def test_a_text_without_words_has_nothing_to_translate(text: str) -> None:
    assert translate(text, "ru").coverage == 1.0


def test_most_of_viys_best_passages_is_english() -> None:
    said = _best_of_viy()
    assert sum(one.coverage for one in said) / len(said) >= 0.85
    for one in said:
        assert set(re.findall(r"[А-Яа-яё]+", one.text)) == set(one.untranslated)


def test_a_chapter_is_translated_within_two_seconds() -> None:
    text = read_chapters((SAMPLES / "viy.txt").read_bytes(), "viy.txt")[0].text
    translate("Старый дом", "ru")
    began = time.perf_counter()
    assert translate(text, "ru").coverage > 0.75
    assert time.perf_counter() - began < 2
