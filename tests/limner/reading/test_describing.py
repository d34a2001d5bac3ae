import time
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from limner.reading.chapters import Chapter, read_chapters
from limner.reading.describing import find_descriptions
from limner.reading.lexicon import lexicon, scoring
from limner.requests import Description

SAMPLES = Path(__file__).parents[3] / "samples"

HOUSE = (
    "The old mill stood at the end of a narrow lane, half hidden by tall elms. Its roof of grey slate was covered with "
    "moss, and ivy hung in thick green curtains over the broken windows. "
)
MAN = (
    "The captain was a tall man with a pale, bony face, a grey beard and small black eyes. He wore a long blue coat "
    "with brass buttons and a red silk scarf around his neck. "
)
EVENING = (
    "A thick white fog crept over the marsh, and the pale light of the moon glimmered through the clouds. "
    "The wind moaned softly in the darkness, and cold rain fell. "
)
TALK = (
    "“I do not think that you should have told him,” she said.\n\n“Why not?” he asked. “I thought you knew what he "
    "wanted.”\n\n“I never knew anything about it,” she answered, “and if I had known I would have said so.”\n\n"
)


@cache
def _sample(name: str, chapter: int, language: str) -> tuple[Description, ...]:
    chapters = read_chapters((SAMPLES / name).read_bytes(), name)
    return find_descriptions(chapters[chapter - 1], language)


def _found(text: str, language: str = "en") -> tuple[Description, ...]:
    return find_descriptions(Chapter(3, "", text), language)


@pytest.mark.parametrize(("name", "language"), [("alice.txt", "en"), ("viy.txt", "ru")])
def test_each_sample_has_a_dozen_passages_worth_a_picture(name: str, language: str) -> None:
    found = _sample(name, 1, language)
    assert sum(one.priority >= 70 for one in found) >= 12
    assert [one.priority for one in found] == sorted((one.priority for one in found), reverse=True)
    assert len({one.id for one in found}) == len(found)
    assert all(one.chapter == 1 and len(one.content) <= 600 for one in found)


@pytest.mark.parametrize(("name", "language"), [("alice.txt", "en"), ("viy.txt", "ru")])
def test_contents_are_the_books_own_words_and_do_not_overlap(name: str, language: str) -> None:
    chapter = read_chapters((SAMPLES / name).read_bytes(), name)[0]
    book = " ".join(chapter.text.split())
    in_order = sorted(_sample(name, 1, language), key=lambda one: one.id)
    places = [(book.find(one.content), len(one.content)) for one in in_order]
    assert all(at >= 0 for at, _ in places)
    assert all(at + length <= after for (at, length), (after, _) in pairwise(places))


def test_the_best_of_alice_are_what_a_reader_would_draw() -> None:
    best = " ".join(one.content for one in _sample("alice.txt", 1, "en")[:10])
    for seen in ("long, low hall", "little three-legged table", "loveliest garden", "cupboards and book-shelves"):
        assert seen in best


def test_the_best_of_viy_are_what_a_reader_would_draw() -> None:
    best = " ".join(one.content for one in _sample("viy.txt", 1, "ru")[:30])
    for seen in ("Церковь деревянная", "черный гроб", "прекрасное, нежное, как снег", "Высокая груша"):
        assert seen in best


@pytest.mark.parametrize(
    ("text", "language", "kind"),
    [
        (HOUSE, "en", "location"),
        (MAN, "en", "character"),
        (EVENING, "en", "atmosphere"),
        (
            "On the table lay an open book, a silver cup, two candles, a rusty key and a small brass box with a lock, "
            "and beside them a pen, a sword and a broken bottle.",
            "en",
            "object",
        ),
        (
            "The riders galloped on, leaped, struck and fell; the soldiers rushed forward, caught the horses, pushed, "
            "fought and ran back, and they turned and fled.",
            "en",
            "action",
        ),
        (
            "Вдали темнела старая деревянная церковь с тремя куполами, окружённая высокими деревьями и низким забором; "
            "за нею тянулось поле.",
            "ru",
            "location",
        ),
        (
            "Это был высокий старик с седыми усами, длинным носом и маленькими чёрными глазами, в синем жупане "
            "и красных сапогах.",
            "ru",
            "character",
        ),
        (
            "Стара хата стояла край села, під горою; її дах почорнів, а навколо росли високі тополі, і за садом "
            "блищала річка.",
            "uk",
            "location",
        ),
        (
            "Це була молода дівчина з чорними бровами, довгою косою і карими очима, у білій сорочці та "
            "червоній спідниці.",
            "uk",
            "character",
        ),
    ],
)
def test_types_by_what_there_is_to_see(text: str, language: str, kind: str) -> None:
    best = _found(text, language)[0]
    assert best.type == kind
    assert best.priority >= 70


def test_descriptive_prose_yields_and_bare_dialogue_does_not() -> None:
    prose = "\n\n".join([HOUSE, MAN, EVENING] * 4)
    assert sum(one.priority >= 70 for one in _found(prose)) >= 10
    assert not _found(TALK * 20)
    assert not _found("— Не знаю, что сказать тебе, — отвечал он. — Я не думал об этом.\n" * 20, "ru")


def test_ids_count_in_order_of_appearance() -> None:
    found = _found("\n\n".join([TALK, HOUSE, TALK, MAN]))
    assert [one.id for one in sorted(found, key=lambda one: one.id)] == ["ch03-001", "ch03-002"]
    assert "mill" in next(one.content for one in found if one.id == "ch03-001")


def test_wrapped_lines_are_joined() -> None:
    wrapped = HOUSE.replace("narrow lane", "narrow\nlane").replace("covered with", "covered\nwith")
    assert _found(wrapped) == _found(HOUSE)


def test_a_sentence_longer_than_a_picture_is_cut_at_its_clauses() -> None:
    endless = "; ".join(["the grey roofs of the old town lay under heavy snow, and black towers stood in the fog"] * 20)
    found = _found(endless)
    assert found
    assert all(len(one.content) <= 600 for one in found)
    assert all(len(one.content) <= 600 for one in _found("tower" * 1000 + " " + "roof, " * 400))


def test_a_book_is_read_within_two_seconds() -> None:
    chapters = read_chapters((SAMPLES / "alice.txt").read_bytes(), "alice.txt")
    lexicon("en")
    began = time.perf_counter()
    for chapter in chapters:
        find_descriptions(chapter, "en")
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize("language", ["en", "ru", "uk"])
def test_each_lexicon_is_broad(language: str) -> None:
    assert len(lexicon(language).classes) > 1500
    assert language in scoring().offset
