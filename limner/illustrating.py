"""From a request to a plan for a book's pictures: read, choose, translate, plan.

Knows nothing of the ledger; runs once per batch, since what it returns is stored.
"""

from collections.abc import Sequence
from pathlib import Path

from limner.jobs import Plan
from limner.planners.chapters import Told, choose, plan_chapters
from limner.reading.chapters import pick_chapter, read_chapters
from limner.reading.describing import find_descriptions
from limner.reading.descriptions_file import load_descriptions
from limner.reading.language import detect_language
from limner.requests import ChapterRequest, Description, IllustrationRequest, Language, book_bytes
from limner.translating import translate

_REHEARSED: dict[Language, str] = {
    "en": "She was in a long, dark hall with doors all round it.",
    "ru": "Она стояла в тёмном лесу.",
    "uk": "Вона стояла в темному лісі.",
}


def plan_illustrations(request: IllustrationRequest) -> Plan:
    """Return the plan for a chapter or a whole book; raises RefusedRequest in one sentence."""
    descriptions, language, notes = read(request)
    chosen = choose(descriptions, request)
    return plan_chapters(request, [_tell(one, language) for one in chosen], notes)


def read(request: IllustrationRequest) -> tuple[Sequence[Description], str, tuple[str, ...]]:
    """Return the descriptions to choose from, their language, and what is to be said of how they were found."""
    given = load_descriptions(request.descriptions_file) if request.descriptions_file else request.descriptions
    if given is not None:
        return given, request.language if request.language != "auto" else _language(given), ()
    name = Path(request.book).name
    chapters = read_chapters(book_bytes(request.book), name)
    language = request.language if request.language != "auto" else detect_language(chapters[0].text)
    if isinstance(request, ChapterRequest):
        chapters = (pick_chapter(chapters, request.chapter, name),)
    found = [one for chapter in chapters for one in find_descriptions(chapter, language)]
    return found, language, ()


def rehearse() -> Plan:
    """Load what reading, translating and planning would load for the first request of a process; return a plan."""
    for language, words in _REHEARSED.items():
        found = find_descriptions(pick_chapter(read_chapters(words.encode(), "rehearsal"), 1, "rehearsal"), language)
        told = Description(id="1", content=words, type="location", priority=100)
        plan = plan_illustrations(ChapterRequest(title="rehearsal", descriptions=(told, *found), language=language))
    return plan


def _language(descriptions: Sequence[Description]) -> str:
    return detect_language(" ".join(one.content for one in descriptions))


def _tell(description: Description, language: str) -> Told:
    said = translate(description.content, language)
    return Told(description, said.text, "" if said.by == "none" else said.by, said.untranslated)
