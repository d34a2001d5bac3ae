"""The chapters' planner: which descriptions are worth a picture, and the job that each becomes.

Pure: the same request and the same facts give the same plan on every machine. Knows nothing of where
descriptions come from, who translates them, or which provider will draw.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from limner.errors import BadInput, NothingToMake
from limner.jobs import Job, Order, Plan, sha256_of
from limner.planners.prompts import (
    FoundGenre,
    chapter_data,
    described,
    find_genre,
    negative_of,
    prompt_of,
    similar_form,
)
from limner.requests import BookRequest, ChapterRequest, Description, IllustrationRequest

KIND = "chapter"
GATE = "chapters"

# Ids named in an error or a note; the rest is "...".
NAMED = 5


@dataclass(frozen=True, slots=True)
class Told:
    """A chosen description and its English words.

    translated_by: who spoke ("" where the words were English). untranslated: words passed through as they were.
    """

    description: Description
    english: str
    translated_by: str = ""
    untranslated: tuple[str, ...] = ()


class Shape(BaseModel):
    """Pixels and guidance scale, a row of sizes.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int
    height: int
    guidance: float


class HighQuality(BaseModel):
    """What `high_quality` asks for: so many steps, so much more guidance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int
    more_guidance: float


class Span(BaseModel):
    """Between which pixels an aspect ratio's sides must come to lie."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: int
    shortest_side: int
    longest_side: int
    multiple: int


class Sizes(BaseModel):
    """The schema of sizes.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: Shape
    types: dict[str, Shape]
    genre_guidance: dict[str, float]
    steps: int
    high_quality: HighQuality
    aspect_ratio: Span
    droppable: tuple[str, ...]


class Size(NamedTuple):
    """Pixels."""

    width: int
    height: int


@cache
def sizes() -> Sizes:
    return Sizes.model_validate(chapter_data("sizes"))


def choose(descriptions: Sequence[Description], request: IllustrationRequest) -> tuple[Description, ...]:
    """Return the descriptions worth a picture, best first, ties in order of appearance.

    At most `limit` a chapter, none below `min_priority`; `only` names one, whatever its priority. Runs before
    translation, so that only what is chosen is translated. Raises NothingToMake or BadInput in one sentence.
    """
    _refuse_bad_ids(descriptions)
    if request.only is not None:
        return (_by_id(descriptions, request.only),)
    within = _of_the_chapter(descriptions, request)
    good = [one for one in within if one.priority >= request.min_priority]
    if not good:
        raise _nothing(descriptions, within, request)
    return _limited(sorted(good, key=lambda one: -one.priority), request.limit)


def plan_chapters(
    request: IllustrationRequest, told: Sequence[Told], notes: Sequence[str] = (), generation: int = 0
) -> Plan:
    """Return the plan: a job for each description, in the order given; a job's key is its description's id.

    generation: 0, or a number never used before for pictures that must be made anew.
    Raises BadInput for an aspect ratio that no size can have, or for ids that cannot be keys.
    """
    _refuse_bad_ids([one.description for one in told])
    _refuse_control_characters([*request.style_modifiers, request.negative_prompt], "style modifiers, negative prompt")
    genre = find_genre(request.genre)
    session = session_of(request)
    jobs = tuple(_job(request, genre, one, session, generation) for one in told)
    said = (*notes, genre.note, _left_untranslated(told))
    return Plan(
        kind="book" if isinstance(request, BookRequest) else KIND,
        title=_title(request),
        jobs=jobs,
        chain=request.provider,
        model=request.model,
        notes=tuple(note for note in said if note),
    )


def session_of(request: IllustrationRequest) -> str:
    """Return what a book's seeds are derived from: what the book says, else its name; never owner, path or clock."""
    book = [request.book_sha256] if request.book_sha256 else [request.name, request.author]
    return sha256_of([KIND, *book])[:16]


def size_for(kind: str, ratio: tuple[int, int] | None) -> Size:
    """Return the pixels of a description type, or those of an aspect ratio when one is asked for.

    Raises BadInput for a ratio that fits no size.
    """
    if ratio:
        return _size_of_ratio(*ratio)
    shape = sizes().types.get(kind, sizes().default)
    return Size(shape.width, shape.height)


def guidance_for(kind: str, genre: str, high_quality: bool = False) -> float:
    """Return the guidance scale: the genre's for any type, else the type's, else the default; more for high quality."""
    known = sizes()
    plain = known.genre_guidance.get(genre, known.types.get(kind, known.default).guidance)
    return plain + known.high_quality.more_guidance if high_quality else plain


def _job(request: IllustrationRequest, genre: FoundGenre, told: Told, session: str, generation: int) -> Job:
    of = told.description
    _refuse_control_characters([told.english], f"description {of.id!r}")
    prompt = prompt_of(told.english, of.type, genre.row, request.style_modifiers)
    width, height = size_for(of.type, request.ratio())
    order = Order(
        kind=KIND,
        prompt=prompt,
        negative_prompt=negative_of(genre.row, request.negative_prompt),
        width=width,
        height=height,
        steps=sizes().high_quality.steps if request.high_quality else sizes().steps,
        guidance=guidance_for(of.type, genre.name, request.high_quality),
        session=session,
        generation=generation,
        droppable=sizes().droppable,
    )
    similar = similar_form(prompt)
    return Job(key=of.id, order=order, gate=GATE, subject=of.type, similar_prompt=similar, about=_about(told))


def _about(told: Told) -> dict[str, object]:
    of = told.description
    return {
        "description": described(told.english),
        "original": of.content,
        "type": of.type,
        "priority": of.priority,
        "chapter": of.chapter,
        "translated_by": told.translated_by,
        "untranslated": list(told.untranslated),
    }


def _title(request: IllustrationRequest) -> str:
    return f"{request.name}, chapter {request.chapter}" if isinstance(request, ChapterRequest) else request.name


def _left_untranslated(told: Sequence[Told]) -> str:
    """Return the note that names the jobs whose prompts still hold words of the book's language."""
    ids = [one.description.id for one in told if one.untranslated]
    return f"Words that no translator knew were passed through in: {_some(ids)}." if ids else ""


def _size_of_ratio(w: int, h: int) -> Size:
    span = sizes().aspect_ratio
    # In whole numbers, so that every machine rounds alike.
    if max(w, h) * span.shortest_side > min(w, h) * span.longest_side:
        raise BadInput(
            f"An aspect ratio of {w}:{h} asks for an impossible size; the longer side may be at most "
            f"{span.longest_side // span.shortest_side} times the shorter."
        )
    short = min(max(min(w, h) * span.unit, span.shortest_side), min(w, h) * span.longest_side // max(w, h))
    return Size(*(_rounded(side * short, min(w, h) * span.multiple) * span.multiple for side in (w, h)))


def _rounded(over: int, under: int) -> int:
    return (2 * over + under) // (2 * under)


def _of_the_chapter(descriptions: Sequence[Description], request: IllustrationRequest) -> list[Description]:
    """Return those of the request's chapter and those that name none; a whole book takes all."""
    if not isinstance(request, ChapterRequest):
        return list(descriptions)
    return [one for one in descriptions if one.chapter in (None, request.chapter)]


def _limited(best_first: Iterable[Description], limit: int) -> tuple[Description, ...]:
    taken: Counter[int | None] = Counter()
    chosen = []
    for one in best_first:
        if taken[one.chapter] < limit:
            taken[one.chapter] += 1
            chosen.append(one)
    return tuple(chosen)


def _by_id(descriptions: Sequence[Description], wanted: str) -> Description:
    for one in descriptions:
        if one.id == wanted:
            return one
    there = f"there are: {_some([one.id for one in descriptions])}" if descriptions else "there are none at all"
    raise BadInput(f"There is no description {wanted!r}; {there}.")


def _nothing(
    descriptions: Sequence[Description], within: Sequence[Description], request: IllustrationRequest
) -> NothingToMake:
    where = f"chapter {request.chapter}" if isinstance(request, ChapterRequest) else request.name
    if not descriptions:
        return NothingToMake(f"No description was found for {where}; name another chapter or give descriptions.")
    if not within:
        elsewhere = sorted({one.chapter for one in descriptions if one.chapter is not None})
        return NothingToMake(
            f"No description belongs to {where}; they belong to: {_some([str(one) for one in elsewhere])}. "
            "Ask for one of those chapters."
        )
    best = max(one.priority for one in within)
    return NothingToMake(
        f"No description of {where} reaches the minimum priority {request.min_priority}; the best has {best}: "
        f"lower the minimum priority to {best} or less."
    )


def _refuse_bad_ids(descriptions: Iterable[Description]) -> None:
    ids = [one.id for one in descriptions]
    twice = [one for one, times in Counter(ids).items() if times > 1]
    if twice:
        raise BadInput(f"Two descriptions share an id: {_some(twice)}; give each its own.")
    for one in ids:
        if not one.isprintable():
            raise BadInput(f"The description id {one!r} has control characters; use letters, digits and hyphens.")


def _refuse_control_characters(said: Iterable[str], where: str) -> None:
    """Raise BadInput for characters that no database and no provider takes; line ends and tabs are spaces."""
    for one in said:
        odd = [char for char in one if unicodedata.category(char) in ("Cc", "Cs") and not char.isspace()]
        if odd:
            raise BadInput(f"There is a control character {odd[0]!r} in: {where}; remove it.")


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:NAMED]) + (", ..." if len(ids) > NAMED else "")
