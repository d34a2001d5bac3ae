import pytest

from limner.errors import Invalid
from limner.jobs import normal_form
from limner.planners.prompts import (
    described,
    find_genre,
    fit_prompt,
    fold_negative,
    genres,
    looks,
    negative_of,
    prompt_of,
    similar_form,
)

CASTLE = "A castle on a cliff, grey and cold."


def prompt() -> str:
    return prompt_of(CASTLE, "location", find_genre("fantasy").row, ["in ink", "by night"])


def test_the_parts_stand_in_the_order_of_the_contract() -> None:
    assert prompt() == (
        "A castle on a cliff, grey and cold, "
        "detailed architecture, environmental design, landscape, "
        "fantasy art, magical atmosphere, mystical lighting, enchanted, "
        "epic, magical, otherworldly, "
        "detailed fantasy illustration, concept art, "
        "wide shot, establishing shot, environmental, "
        "intricate details, atmospheric perspective, "
        "in ink, by night"
    )


def test_the_negative_prompt_is_the_general_one_then_the_genres_then_the_callers() -> None:
    assert negative_of(find_genre("horror").row, "hands") == (
        "blurry, low quality, distorted, ugly, poorly drawn, watermark, text, signature, username, "
        "cropped, out of frame, jpeg artifacts, bright, cheerful, cartoon style, hands"
    )


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("FANTASY", "fantasy"),
        ("  Sci-Fi ", "science fiction"),
        ("science_fiction", "science fiction"),
        ("children", "children's"),
        ("Children’s", "children's"),
        ("Ужасы", "horror"),
        ("", "other"),
        ("other", "other"),
    ],
)
def test_a_genre_is_found_by_name_or_alias_in_any_case(asked: str, name: str) -> None:
    found = find_genre(asked)
    assert (found.name, found.note) == (name, "")


def test_an_unknown_genre_falls_to_other_and_says_so() -> None:
    found = find_genre("Steampunk")
    assert found.name == "other"
    assert found.note.startswith("There is no genre 'Steampunk'; other is used. Genres: fantasy, detective, historical")


def test_no_two_genres_share_an_alias() -> None:
    said = [normal_form(word) for name, row in genres().genres.items() for word in (name, *row.aliases)]
    assert len(said) == len(set(said))


def test_every_description_type_has_a_look() -> None:
    assert set(looks()) == {"location", "character", "atmosphere", "object", "action"}


def test_a_prompt_that_fits_is_left_alone() -> None:
    assert fit_prompt(prompt(), described(CASTLE), len(prompt())) == prompt()


def test_a_cut_drops_whole_phrases_from_the_end_and_never_the_description() -> None:
    for limit in range(len(described(CASTLE)), len(prompt())):
        cut = fit_prompt(prompt(), described(CASTLE), limit)
        assert len(cut) <= limit
        assert prompt().startswith(cut + ", ")
        assert cut.startswith(described(CASTLE))
        # Nothing that would still have fitted is dropped.
        next_phrase = prompt().removeprefix(cut + ", ").split(", ")[0]
        assert len(f"{cut}, {next_phrase}") > limit


def test_a_description_that_alone_is_too_long_is_refused_with_the_limit() -> None:
    with pytest.raises(Invalid, match="34 characters and the provider takes 20"):
        fit_prompt(prompt(), described(CASTLE), 20)


def test_a_folded_negative_prompt_is_what_a_cut_drops_first() -> None:
    folded = fold_negative(prompt(), "blurry, text")
    assert folded == f"{prompt()}, avoiding: blurry, text"
    assert fit_prompt(folded, described(CASTLE), len(folded) - 1) == f"{prompt()}, avoiding: blurry"
    assert fold_negative(prompt(), " ") == prompt()


def test_words_that_only_ask_for_quality_do_not_count_in_the_similar_form() -> None:
    plain = similar_form("a map on the wall, in ink")
    assert similar_form("A  Detailed map on the wall, masterpiece, in ink, best quality, High-Quality") == plain
    assert plain == "a map on the wall, in ink"


def test_only_whole_words_are_left_out_of_the_similar_form() -> None:
    assert similar_form("undetailed, detailed-looking, hdr") == "undetailed, detailed-looking, hdr"
