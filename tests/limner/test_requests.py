"""Requests at the edge: what is refused and in which sentence, and what makes two requests the same one."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from limner import requests
from limner.errors import BadBook, BadInput
from limner.requests import BookRequest, ChapterRequest, Description, explain

HALL = {"id": "hall", "content": "A low hall.", "type": "location", "priority": 80}


def refusal(model: type[Any], **fields: Any) -> str:
    """Return the sentence with which the fields are refused."""
    with pytest.raises(ValidationError) as refused:
        model.model_validate(fields)
    explained = explain(refused.value)
    assert isinstance(explained, BadInput)
    return str(explained)


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"book": "a.txt", "colour": "red"}, "colour is no known field."),
        ({"book": "a.txt", "seed": 1, "colour": 2}, "seed is no known field; colour is no known field."),
        ({}, "name a book or give descriptions."),
        ({"book": "  "}, "name a book or give descriptions."),
        (
            {"descriptions": [HALL], "descriptions_file": "a.json"},
            "give descriptions or a descriptions file, not both.",
        ),
        ({"book": "a.txt", "chapter": 0}, "chapter: Input should be greater than or equal to 1."),
        ({"book": "a.txt", "chapter": 10**60}, "chapter: Input should be less than or equal to 100000."),
        ({"book": "a.txt", "limit": 0}, "limit: Input should be greater than or equal to 1."),
        ({"book": "a.txt", "min_priority": 101}, "min_priority: Input should be less than or equal to 100."),
        ({"book": "a.txt", "language": "fr"}, "language: Input should be 'auto', 'en', 'ru' or 'uk'."),
        ({"descriptions": [HALL | {"mood": "dark"}]}, "descriptions.0.mood is no known field."),
        ({"descriptions": [HALL | {"type": "place"}]}, "descriptions.0.type: Input should be 'location', "),
        ({"book": "a.txt", "owner": "a b"}, "owner: String should match pattern"),
        ({"book": "a.txt", "max_usd": -1}, "max_usd: Input should be greater than or equal to 0."),
        ({"book": "a.txt", "max_usd": float("nan")}, "max_usd: Input should be less than or equal to 1000000."),
        ({"book": "a.txt", "book_sha256": "F" * 64}, "book_sha256: String should match pattern"),
    ],
)
def test_refuses_what_it_does_not_know_in_one_sentence_that_names_the_field(fields: dict[str, Any], said: str) -> None:
    assert refusal(ChapterRequest, **fields).startswith(said)


@pytest.mark.parametrize("field", ["title", "author", "genre", "negative_prompt", "only"])
def test_a_control_character_is_refused_in_every_field_before_it_can_reach_the_ledger(field: str) -> None:
    said = refusal(ChapterRequest, **{"book": "a.txt", field: "a\0b"})
    assert said == f"{field}: there is a control character in 'a\\x00b'; remove it."


def test_a_control_character_is_refused_in_lists_and_in_descriptions_that_nobody_chooses() -> None:
    assert refusal(ChapterRequest, book="a.txt", provider=["a\0"]).startswith("provider: there is a control character")
    assert refusal(ChapterRequest, book="a.txt", style_modifiers=["\x1b[31m"]).startswith("style_modifiers: there is")
    odd = HALL | {"content": "A\0 hall", "priority": 0}
    assert refusal(ChapterRequest, descriptions=[HALL, odd]).startswith(
        "descriptions: there is a control character in 'A\\x00 hall'"
    )


def test_line_ends_and_tabs_are_no_control_characters() -> None:
    assert ChapterRequest.model_validate({"descriptions": [HALL | {"content": "A low\n\thall."}]}).descriptions


def test_many_faults_are_cut_at_five() -> None:
    said = refusal(ChapterRequest, book="a.txt", **{f"field_{number}": 1 for number in range(7)})
    assert said.count("is no known field") == 5 and said.endswith("; ....")


@pytest.mark.parametrize("given", ["16:0", "0:9", "16", "16:9:1", "1.5:1", "100:1", "-1:1", " 16:9 x", "a:b"])
def test_refuses_what_is_no_aspect_ratio(given: str) -> None:
    assert "is no aspect ratio: give two whole numbers from 1 to 99, like 16:9" in refusal(
        ChapterRequest, book="a.txt", aspect_ratio=given
    )


@pytest.mark.parametrize(("given", "ratio"), [("16:9", (16, 9)), ("1:1", (1, 1)), ("99:1", (99, 1)), (None, None)])
def test_reads_an_aspect_ratio(given: str | None, ratio: tuple[int, int] | None) -> None:
    assert ChapterRequest(book="a.txt", aspect_ratio=given).ratio() == ratio


def test_a_description_may_be_numbered() -> None:
    assert Description.model_validate(HALL | {"id": 7}).id == "7"
    assert "id: " in refusal(Description, **(HALL | {"id": True}))


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        ChapterRequest(book="a.txt").limit = 3


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "slug"),
    [
        ({"book": "x/alice.txt"}, "alice-1"),
        ({"book": "x.txt", "title": "Вий", "chapter": 3}, "вий-3"),
        ({"book": "x.txt", "title": "Ніч перед Різдвом"}, "ніч-перед-різдвом-1"),
        ({"book": "x.txt", "title": "Alice's Adventures in Wonderland"}, "alice-s-adventures-in-wonderland-1"),
        ({"book": "x.txt", "title": "!?"}, "untitled-1"),
        ({"book": "x.txt", "title": "a" * 80}, "a" * 40 + "-1"),
        ({"book": "x.txt", "title": "a" * 39 + " b"}, "a" * 39 + "-1"),
        ({"descriptions": [HALL]}, "untitled-1"),
    ],
)
def test_a_slug_is_short_and_keeps_every_script(fields: dict[str, Any], slug: str) -> None:
    assert ChapterRequest(**fields).slug == slug


def test_a_whole_book_has_no_chapter_in_its_slug() -> None:
    assert BookRequest(book="alice.txt").slug == "alice"


# -- the same request ----------------------------------------------------------------------------------------------


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "alice.txt"
    path.write_text("Down the rabbit-hole.")
    return path


def test_where_a_book_lies_does_not_count_and_what_it_says_does(book: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "other" / "alice.txt"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(book.read_bytes())
    here, there = (ChapterRequest(book=str(one)).pinned() for one in (book, elsewhere))
    assert here.hash() == there.hash()
    elsewhere.write_text("The pool of tears.")
    assert ChapterRequest(book=str(elsewhere)).pinned().hash() != here.hash()


def test_where_descriptions_lie_does_not_count_and_what_they_say_does(tmp_path: Path) -> None:
    here, there = tmp_path / "here.json", tmp_path / "there.json"
    for path in (here, there):
        path.write_text("[]")
    first, second = (ChapterRequest(descriptions_file=str(path)).pinned() for path in (here, there))
    assert first.model_copy(update={"title": "x"}).hash() == second.model_copy(update={"title": "x"}).hash()
    there.write_text("[ ]")
    again = ChapterRequest(descriptions_file=str(there), title="x").pinned()
    assert again.hash() != first.model_copy(update={"title": "x"}).hash()


def test_a_missing_descriptions_file_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"There is no file at .*nowhere\.json; check the path\."):
        ChapterRequest(descriptions_file=str(tmp_path / "nowhere.json")).pinned()


def test_a_book_without_a_title_goes_by_its_file(book: Path) -> None:
    named = ChapterRequest(book=str(book), title="alice").pinned()
    assert ChapterRequest(book=str(book)).pinned().hash() == named.hash()
    renamed = book.rename(book.with_name("wonderland.txt"))
    assert ChapterRequest(book=str(renamed)).pinned().hash() != named.hash()


def test_every_other_field_makes_another_request(book: Path) -> None:
    plain = ChapterRequest(book=str(book)).pinned()
    others: list[dict[str, Any]] = [
        {"chapter": 2},
        {"genre": "horror"},
        {"owner": "someone"},
        {"limit": 3},
        {"only": "hall"},
        {"style_modifiers": ("ink",)},
        {"provider": ("sketch",)},
        {"force": True},
        {"reuse": "similar"},
        {"author": "Carroll"},
    ]
    hashes = {plain.model_copy(update=fields).hash() for fields in others}
    assert len(hashes) == len(others) and plain.hash() not in hashes


def test_a_chapter_and_a_book_are_not_the_same_request() -> None:
    chapter, whole = (
        ChapterRequest(descriptions=(Description(**HALL),)),
        BookRequest(descriptions=(Description(**HALL),)),
    )
    assert chapter.hash() != whole.hash()


# -- books ---------------------------------------------------------------------------------------------------------


def test_a_pinned_request_stays_with_the_text_it_was_pinned_to(book: Path) -> None:
    pinned = ChapterRequest(book=str(book)).pinned()
    assert pinned.book_sha256 == "ecfc0d41a6942f98dfee6ea6c0d4bb7aa688c776408372b784db966216b20da9"
    book.unlink()
    assert pinned.pinned() == pinned, "a retry never reads the book"


def test_descriptions_alone_need_no_book() -> None:
    request = ChapterRequest(descriptions=(Description(**HALL),))
    assert request.pinned() == request


def test_a_missing_book_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadBook, match=r"There is no file at .*nowhere\.txt; check the path\."):
        ChapterRequest(book=str(tmp_path / "nowhere.txt")).pinned()


def test_a_folder_is_no_book(tmp_path: Path) -> None:
    with pytest.raises(BadBook, match=r"cannot be read \(Is a directory\); name a plain-text file\."):
        ChapterRequest(book=str(tmp_path)).pinned()


def test_a_path_with_a_nul_is_no_book() -> None:
    with pytest.raises(BadBook, match=r"cannot be read \(embedded null"):
        ChapterRequest(book="a\0b").pinned()


def test_a_path_longer_than_the_system_allows_is_no_book() -> None:
    with pytest.raises(BadBook, match="cannot be read"):
        ChapterRequest(book="a" * 5000).pinned()


def test_a_huge_book_is_refused_before_it_is_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.txt"
    with huge.open("wb") as sparse:
        sparse.truncate(requests.MAX_BOOK_BYTES + 1)
    with pytest.raises(BadBook, match="is larger than 32 MiB; split it into parts"):
        ChapterRequest(book=str(huge)).pinned()


def test_a_binary_book_can_be_pinned_and_is_refused_by_the_reader(tmp_path: Path) -> None:
    from limner.illustrating import plan_illustrations

    binary = tmp_path / "book.bin"
    binary.write_bytes(bytes(range(256)) * 20)
    pinned = ChapterRequest(book=str(binary)).pinned()
    with pytest.raises(BadBook):
        plan_illustrations(pinned)


def test_a_provider_is_asked_in_one_place_of_the_chain() -> None:
    request = ChapterRequest(book="a.txt", provider=("fal", "sketch", "fal"))
    assert request.provider == ("fal", "sketch")


# -- as a form -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=[ChapterRequest, BookRequest])
def form(request: pytest.FixtureRequest) -> dict[str, Any]:
    schema: dict[str, Any] = request.param.model_json_schema()
    return schema


def test_a_form_begins_with_the_book_and_ends_with_what_few_need(form: dict[str, Any]) -> None:
    asked = [name for name in form["properties"] if name != "chapter"]
    assert asked[:6] == ["book", "title", "author", "genre", "language", "limit"]
    assert asked[-4:] == ["owner", "descriptions_file", "descriptions", "only"]
    if form["title"] == "ChapterRequest":
        assert list(form["properties"])[:2] == ["book", "chapter"]


def test_each_question_of_a_form_has_one_answer_a_title_and_is_explained(form: dict[str, Any]) -> None:
    for name, field in form["properties"].items():
        assert field["title"] and ("description" in field or "examples" in field), name
        assert "anyOf" not in field and field["type"] in ("string", "integer", "number", "boolean", "array"), name
    assert form["properties"]["language"]["enum"] and form["properties"]["reuse"]["enum"]
    assert "anyOf" not in str(form["$defs"])


def test_what_a_form_leaves_empty_was_not_asked_for() -> None:
    left = {"aspect_ratio": "", "model": "", "only": "", "descriptions": []}
    assert ChapterRequest.model_validate({"book": "a.txt"} | left) == ChapterRequest(book="a.txt")
    assert refusal(ChapterRequest, descriptions=[]) == "name a book or give descriptions."


def test_what_a_run_fills_in_is_no_question_and_is_taken_all_the_same(form: dict[str, Any]) -> None:
    assert not [name for name in form["properties"] if name.endswith("sha256")]
    assert ChapterRequest(book="a.txt", book_sha256="a" * 64).book_sha256 == "a" * 64


def test_prefects_schema_takes_what_the_model_takes_null_too() -> None:
    from prefect.utilities.schema_tools.validation import validate

    schema = ChapterRequest.model_json_schema(ref_template="#/definitions/{model}")
    schema = schema | {"definitions": schema.pop("$defs")}
    whole = ChapterRequest(book="a.txt", descriptions=(Description(**HALL),)).model_dump(mode="json")
    validate({name: given for name, given in whole.items() if name not in requests.PINS}, schema)
