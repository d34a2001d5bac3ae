import time
from pathlib import Path

import pytest

from limner.errors import BadBook
from limner.reading.chapters import Chapter, pick_chapter, read_chapters

SAMPLES = Path(__file__).parents[3] / "samples"
PROSE = "It was a dark and stormy night, and the rain fell in torrents\nupon the crooked roofs of the old town.\n" * 8


def _read(text: str) -> list[tuple[int, str, str]]:
    return [(one.number, one.title, one.text) for one in read_chapters(text.encode(), "book.txt")]


def _titles(text: str) -> list[str]:
    return [title for _, title, _ in _read(text)]


def test_alice_has_twelve_titled_chapters() -> None:
    chapters = read_chapters((SAMPLES / "alice.txt").read_bytes(), "alice.txt")
    assert [one.number for one in chapters] == list(range(1, 13))
    assert chapters[0].title == "Down the Rabbit-Hole"
    assert chapters[10].title == "Who Stole the Tarts?"
    assert chapters[0].text.startswith("Alice was beginning to get very tired")
    assert chapters[11].text.endswith("the happy summer days.")


def test_viy_without_headings_is_one_chapter() -> None:
    (only,) = read_chapters((SAMPLES / "viy.txt").read_bytes(), "viy.txt")
    assert only.number == 1
    assert len(only.text) > 70_000


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("CHAPTER I.\nDown\n\nText one.\n\nCHAPTER II.\nUp\n\nText two.", ["Down", "Up"]),
        ("Chapter 1. The Hill\nText one.\nChapter 2. The Mill\nText two.", ["The Hill", "The Mill"]),
        ("CHAPTER ONE\n\nText one.\n\nCHAPTER TWENTY-TWO: Night\n\nText two.", ["", "Night"]),
        ("Chapter the First\n\nText.\n\nChapter the Second\n\nText.", ["", ""]),
        ("Глава первая\n\nТекст.\n\nГлава двадцать вторая. Ночь\n\nТекст.", ["", "Ночь"]),
        ("ГЛАВА I\nДорога\n\nТекст.\n\nГЛАВА II\nРека\n\nТекст.", ["Дорога", "Река"]),
        ("Первая глава\n\nТекст.\n\nВторая глава\n\nТекст.", ["", ""]),
        ("Розділ 1\nПочаток\nБуло темно.\nРозділ 2\nКінець\nБуло ясно.", ["Початок", "Кінець"]),
        ("РОЗДІЛ ПЕРШИЙ\n\nТекст.\n\nРОЗДІЛ П’ЯТИЙ\n\nТекст.", ["", ""]),
        ("ЧАСТЬ ПЕРВАЯ\n\nГЛАВА I\n\nТекст.\n\nЧАСТЬ ВТОРАЯ\n\nГЛАВА I\n\nТекст.", ["", ""]),
        ("Prologue\n\nText.\n\nChapter 1\n\nText.\n\nEpilogue\n\nText.", ["Prologue", "", "Epilogue"]),
        (f"I\n\n{PROSE}\n\nII\n\n{PROSE}\n\nIII\n\n{PROSE}", ["", "", ""]),
    ],
)
def test_reads_headings_of_three_languages(text: str, titles: list[str]) -> None:
    assert _titles(text) == titles
    assert _titles("\ufeff" + text.replace("\n", "\r\n")) == titles


def test_a_heading_is_not_part_of_the_text() -> None:
    assert _read("Глава первая\n\nБыло темно.\n\nГлава вторая\n\nСветало.") == [
        (1, "", "Было темно."),
        (2, "", "Светало."),
    ]


@pytest.mark.parametrize(
    "contents",
    [
        "CONTENTS\n\nCHAPTER I. Night\nCHAPTER II. Day\nCHAPTER III. Dusk\n\nA few words of the editor.\n",
        "CHAPTER I. Night ........ 3\nCHAPTER II. Day ....... 17\nCHAPTER III. Dusk ....... 40\n",
        "Contents\n\nChapter I.\nNight\n\nChapter II.\nDay\n\nChapter III.\nDusk\n",
    ],
)
def test_a_table_of_contents_does_not_count(contents: str) -> None:
    body = f"CHAPTER I\nNight\n\n{PROSE}\n\nCHAPTER II\nDay\n\n{PROSE}\n\nCHAPTER III\nDusk\n\n{PROSE}"
    chapters = _read(f"The Mill\n\nby Somebody\n\n{contents}\n\n{body}")
    assert [(number, title) for number, title, _ in chapters] == [(1, "Night"), (2, "Day"), (3, "Dusk")]
    assert all(text.startswith("It was a dark") for _, _, text in chapters)


def test_a_table_of_contents_at_the_end_does_not_count() -> None:
    body = f"Глава 1\n\n{PROSE}\n\nГлава 2\n\n{PROSE}\n\nОглавление\n\nГлава 1 ... 3\nГлава 2 ... 9\n"
    assert len(_read(body)) == 2


def test_a_sentence_that_begins_like_a_heading_is_none() -> None:
    text = f"{PROSE}\nChapter one of his life was dull.\n{PROSE}\nPart of the wall fell.\n\nBook two of them a room."
    assert len(_read(text)) == 1


def test_front_matter_is_no_chapter_but_long_prose_is() -> None:
    chapter = f"CHAPTER I\n\n{PROSE}\n\nCHAPTER II\n\n{PROSE}"
    assert len(_read(f"The Mill\n\nFor my sister.\n\n{chapter}")) == 2
    assert [number for number, _, _ in _read(f"{PROSE * 5}\n\n{chapter}")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \r\n\t ", "empty"),
        ("\u00a0\u2003\n".encode(), "empty"),
        (b"MZ\x00\x01\x02binary", "binary"),
        (b"PK\x03\x04\x14\x00", "EPUB"),
        (b"%PDF-1.7\n", "PDF"),
        ("Старый дом".encode("cp1251"), "not UTF-8"),
        (b"*** 123 ... 456 ***", "no readable text"),
    ],
)
def test_refuses_what_is_no_text_in_one_sentence(data: bytes, says: str) -> None:
    with pytest.raises(BadBook, match=says) as raised:
        read_chapters(data, "book.txt")
    assert str(raised.value).startswith("book.txt ")
    assert "\n" not in str(raised.value)


def test_a_chapter_that_is_not_there_is_named() -> None:
    chapters = tuple(Chapter(number, "", "Text.") for number in range(1, 13))
    assert pick_chapter(chapters, 12, "Alice").number == 12
    with pytest.raises(BadBook, match=r"^Alice has 12 chapters; there is no chapter 40\.$"):
        pick_chapter(chapters, 40, "Alice")
    with pytest.raises(BadBook, match="Viy has one chapter; there is no chapter 0"):
        pick_chapter(chapters[:1], 0, "Viy")


def test_a_list_of_countless_headings_is_read_quickly_as_one_chapter() -> None:
    began = time.perf_counter()
    assert len(_read("Chapter 1\n\nText.\n\n" * 20_000)) == 1
    assert len(_read("CHAPTER I\n" + "\n \n" * 100_000 + "THE END.\n")) == 1
    assert time.perf_counter() - began < 5


def test_the_end_is_no_part_of_the_last_chapter() -> None:
    assert _read("CHAPTER I\n\nText.\n\nTHE END")[0][2] == "Text."
    assert _read("Жил старик.\n\n* КОНЕЦ *\n")[0][2] == "Жил старик."
