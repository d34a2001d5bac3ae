"""The chapters' planner. Snapshots are written anew by UPDATE_SNAPSHOTS=1."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from limner.errors import BadInput, NothingToMake
from limner.jobs import Plan, order_from
from limner.planners.chapters import Told, choose, guidance_for, plan_chapters, session_of, size_for
from limner.requests import BookRequest, ChapterRequest, Description

SNAPSHOTS = Path(__file__).parent / "snapshots"


def described(key: str, priority: int = 80, kind: str = "location", chapter: int | None = None) -> Description:
    return Description.model_validate(
        {"id": key, "content": f"Words of {key}.", "type": kind, "priority": priority, "chapter": chapter}
    )


def asked(*descriptions: Description, **fields: Any) -> ChapterRequest:
    return ChapterRequest(descriptions=descriptions, title="A Book", **fields)


def planned(request: ChapterRequest | BookRequest, **more: Any) -> Plan:
    assert request.descriptions is not None
    return plan_chapters(request, [Told(one, one.content) for one in choose(request.descriptions, request)], **more)


def ids(request: ChapterRequest | BookRequest) -> list[str]:
    assert request.descriptions is not None
    return [one.id for one in choose(request.descriptions, request)]


def same_as_snapshot(plan: Plan, name: str) -> bool:
    file = SNAPSHOTS / f"{name}.json"
    text = json.dumps(asdict(plan), ensure_ascii=False, indent=1) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.write_text(text, "utf-8")
    return file.read_text("utf-8") == text


def test_the_best_come_first_and_ties_stay_in_order_of_appearance() -> None:
    request = asked(described("a", 80), described("b", 95), described("c", 80), described("d", 69))
    assert ids(request) == ["b", "a", "c"]


def test_the_limit_is_for_each_chapter() -> None:
    pages = [described(f"{chapter}-{at}", 70 + at, chapter=chapter) for chapter in (1, 2) for at in range(4)]
    request = BookRequest(descriptions=tuple(pages), limit=2)
    assert ids(request) == ["1-3", "2-3", "1-2", "2-2"]


def test_a_chapter_takes_its_own_descriptions_and_those_that_name_none() -> None:
    request = asked(described("a", chapter=1), described("b", chapter=2), described("c"), chapter=2)
    assert ids(request) == ["b", "c"]


def test_only_takes_one_by_its_id_whatever_its_priority() -> None:
    assert ids(asked(described("a"), described("b", 3), only="b")) == ["b"]


def test_only_with_an_unknown_id_names_some_that_exist() -> None:
    with pytest.raises(BadInput, match="no description 'x'; there are: a, b, c, d, e, "):
        ids(asked(*(described(key) for key in "abcdefg"), only="x"))


def test_nothing_above_the_minimum_names_the_best_there_is() -> None:
    with pytest.raises(NothingToMake, match="minimum priority 90; the best has 85: lower the minimum priority to 85"):
        ids(asked(described("a", 85), described("b", 40), min_priority=90))


def test_descriptions_of_other_chapters_are_named_when_this_one_has_none() -> None:
    with pytest.raises(NothingToMake, match="No description belongs to chapter 1; they belong to: 3, 10"):
        ids(asked(described("a", chapter=10), described("b", chapter=3)))


def test_no_descriptions_at_all_is_said_so() -> None:
    with pytest.raises(NothingToMake, match="No description was found for chapter 1"):
        choose((), ChapterRequest(book="a.txt"))


def test_ids_that_cannot_be_keys_are_refused() -> None:
    with pytest.raises(BadInput, match="share an id: a;"):
        ids(asked(described("a"), described("a")))
    with pytest.raises(BadInput, match=r"'a\\x00' has control characters"):
        choose([described("a\0")], asked(described("a")))


def test_control_characters_never_reach_a_prompt() -> None:
    odd = Description(id="a", content="A\0 castle", type="location", priority=90)
    with pytest.raises(BadInput, match=r"control character '\\x00' in: description 'a'"):
        plan_chapters(asked(described("a")), [Told(odd, odd.content)])
    unchecked = asked(described("a")).model_copy(update={"style_modifiers": ("\x1b[31m",)})
    with pytest.raises(BadInput, match=r"'\\x1b' in: style modifiers"):
        planned(unchecked)


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("location", (1280, 768)),
        ("character", (768, 1024)),
        ("atmosphere", (1024, 768)),
        ("object", (1024, 768)),
        ("action", (1024, 768)),
    ],
)
def test_a_description_type_sets_the_size(kind: str, size: tuple[int, int]) -> None:
    assert size_for(kind, None) == size


@pytest.mark.parametrize(
    ("ratio", "size"),
    [
        ((16, 9), (2048, 1152)),
        ((9, 16), (1152, 2048)),
        ((5, 4), (640, 512)),
        ((8, 6), (1024, 768)),
        ((1, 1), (512, 512)),
        ((4, 1), (2048, 512)),
        ((21, 9), (2048, 880)),
    ],
)
def test_an_aspect_ratio_becomes_128_pixels_a_part_scaled_into_512_to_2048(
    ratio: tuple[int, int], size: tuple[int, int]
) -> None:
    assert size_for("character", ratio) == size


def test_every_possible_ratio_lies_between_the_sides_and_every_other_is_refused() -> None:
    for w in range(1, 100):
        for h in range(1, 100):
            if max(w, h) > 4 * min(w, h):
                with pytest.raises(BadInput, match="impossible size; the longer side may be at most 4 times"):
                    size_for("location", (w, h))
                continue
            size = size_for("location", (w, h))
            assert min(size) >= 512
            assert max(size) <= 2048
            assert size.width % 8 == size.height % 8 == 0
            assert abs(size.width / size.height - w / h) < 0.02 * w / h


@pytest.mark.parametrize(
    ("kind", "genre", "guidance"),
    [
        ("atmosphere", "fantasy", 7.5),
        ("character", "fantasy", 8.0),
        ("location", "other", 7.0),
        ("location", "horror", 8.5),
        ("character", "detective", 8.5),
    ],
)
def test_guidance_is_the_genres_for_any_type_else_the_types(kind: str, genre: str, guidance: float) -> None:
    assert guidance_for(kind, genre) == guidance
    assert guidance_for(kind, genre, high_quality=True) == guidance + 1.0


def test_high_quality_asks_for_fifty_steps() -> None:
    plain, high = (planned(asked(described("a"), high_quality=flag)).jobs[0].order for flag in (False, True))
    assert (plain.steps, high.steps, high.guidance - plain.guidance) == (30, 50, 1.0)


def test_the_same_book_has_the_same_session_wherever_it_lies_and_whoever_asks() -> None:
    here = ChapterRequest(book="/here/alice.txt", book_sha256="a" * 64, owner="ann")
    there = ChapterRequest(book="/there/alice-copy.txt", book_sha256="a" * 64, owner="bob", chapter=2)
    assert session_of(here) == session_of(there)
    assert session_of(here) != session_of(here.model_copy(update={"book_sha256": "b" * 64}))


def test_the_order_keys_of_two_plans_of_one_request_are_equal() -> None:
    one, other = (planned(asked(described("a"), described("b", kind="character"))) for _ in range(2))
    assert [job.order.key("local") for job in one.jobs] == [job.order.key("local") for job in other.jobs]


def test_a_generation_makes_another_order_key() -> None:
    request = asked(described("a"))
    keys = {planned(request, generation=number).jobs[0].order.key("local") for number in (0, 1, 2)}
    assert len(keys) == 3


def test_only_quality_words_apart_two_orders_are_similar() -> None:
    plain = planned(asked(described("a"), style_modifiers=("in ink",))).jobs[0]
    fancy = planned(asked(described("a"), style_modifiers=("in ink", "masterpiece, Best  Quality"))).jobs[0]
    assert plain.order.key("local") != fancy.order.key("local")
    assert plain.similar_prompt == fancy.similar_prompt


def test_the_notes_tell_of_an_unknown_genre_and_of_words_left_untranslated() -> None:
    one = described("a")
    request = asked(one, genre="steampunk")
    plan = plan_chapters(request, [Told(one, "A хата.", "word list", ("хата",))], notes=("Two passages were skipped.",))
    assert plan.notes[0] == "Two passages were skipped."
    assert plan.notes[1].startswith("There is no genre 'steampunk'; other is used.")
    assert plan.notes[2] == "Words that no translator knew were passed through in: a."
    assert plan.jobs[0].about["untranslated"] == ["хата"]


def test_an_order_survives_being_stored_as_json() -> None:
    order = planned(asked(described("a"), genre="horror")).jobs[0].order
    assert order_from(json.loads(json.dumps(asdict(order)))) == order


def test_a_plan_of_a_chapter_is_as_it_was() -> None:
    kinds = ("location", "character", "atmosphere", "object", "action")
    request = asked(
        *(described(f"{kind}-1", 90 - at, kind) for at, kind in enumerate(kinds)),
        genre="Fantasy",
        style_modifiers=("in the manner of Bilibin",),
        negative_prompt="hands",
        provider=("pollinations", "sketch"),
        model="flux",
    )
    assert same_as_snapshot(planned(request), "fantasy-chapter")


def test_a_plan_of_a_russian_book_is_as_it_was() -> None:
    one = Description(
        id="viy-1", content="Старая церковь стояла на краю села.", type="location", priority=88, chapter=1
    )
    two = Description(id="viy-2", content="Ведьма открыла глаза.", type="character", priority=97, chapter=2)
    request = BookRequest(
        descriptions=(one, two), title="Вий", author="Гоголь", genre="horror", high_quality=True, aspect_ratio="3:2"
    )
    english = {
        "viy-1": Told(one, "An old church stood at the edge of the village.", "word list"),
        "viy-2": Told(two, "The witch opened her очи.", "word list", ("очи",)),
    }
    told = [english[chosen.id] for chosen in choose((one, two), request)]
    assert same_as_snapshot(plan_chapters(request, told), "horror-book")
