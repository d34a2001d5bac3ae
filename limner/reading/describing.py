"""The offline reader: a chapter's descriptive passages, typed and scored by rules, without a model.

A passage is worth a picture when much of it can be seen (places, bodies, clothes, light, colours, what stands and lies)
and little of it is spoken, argued or told. Knows nothing of genres or prompts.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

from limner.reading.chapters import Chapter
from limner.reading.lexicon import lexicon, scoring
from limner.reading.passages import LONGEST, Piece, pieces
from limner.requests import Description, DescriptionType

MOST_PIECES = 4
# Shorter than this, a passage says too little to draw (characters).
SHORTEST = 60
# From here on a passage is long enough (characters).
COMFORTABLE = 170
# So many different things to see make a passage as rich as it gets.
RICH = 12
# Passages below this are not worth naming.
LOWEST_PRIORITY = 20

# The score of a passage is linear in what it holds; a logistic curve turns it into a priority from 0 to 100.
# At a score of 0 a passage has priority 50; descriptive prose of nineteenth-century novels lies between 0.5 and 3.
_BIAS = -2.6
_PER_SIGHT = 6.0
_PER_DRAG = 6.5
_PER_RICHNESS = 1.8
_SPOKEN = 3.5
_LEANS_BACK = 0.5
_BROKEN_OFF = 0.6
_LOOSE_QUOTE = 1.5
_EXCITED = 0.5
_TOO_SHORT = 1.2
# An action must speak this much louder than anything that stands still.
_ACTION_MARGIN = 1.15


@dataclass(frozen=True, slots=True)
class _Passage:
    first: int
    last: int
    text: str
    score: float
    type: DescriptionType

    @property
    def priority(self) -> int:
        return round(100 / (1 + math.exp(-self.score)))


def find_descriptions(chapter: Chapter, language: str) -> tuple[Description, ...]:
    """Return the chapter's descriptive passages, best first; none overlaps another.

    language: "en", "ru" or "uk". Ids count in order of appearance ("ch01-003"); priorities lie between 20 and 100;
    contents are at most 600 characters, as the book has them with spaces normalised. A chapter of bare dialogue gives
    few or none.
    """
    parts = pieces(chapter.text, lexicon(language))
    kept = sorted(_best_apart(list(_candidates(parts, language))), key=lambda one: one.first)
    width = max(3, len(str(len(kept))))
    found = [
        Description(
            id=f"ch{chapter.number:02d}-{number:0{width}d}",
            content=one.text,
            type=one.type,
            priority=one.priority,
            chapter=chapter.number,
        )
        for number, one in enumerate(kept, 1)
    ]
    return tuple(sorted(found, key=lambda one: -one.priority))


def _candidates(parts: list[Piece], language: str) -> Iterator[_Passage]:
    """Yield every run of neighbouring pieces of one paragraph that is long enough and not too long."""
    for first in range(len(parts)):
        for last in range(first, min(first + MOST_PIECES, len(parts))):
            if parts[last].paragraph != parts[first].paragraph:
                break
            run = parts[first : last + 1]
            text = " ".join(one.text for one in run)
            if len(text) > LONGEST:
                break
            if len(text) >= SHORTEST:
                yield _Passage(first, last, text, _score(run, text, language), _type(run))


def _best_apart(candidates: list[_Passage]) -> list[_Passage]:
    """Take the best, then the best of what does not overlap it, and so on."""
    taken: set[int] = set()
    kept: list[_Passage] = []
    for one in sorted(candidates, key=lambda each: (-each.score, each.first, each.last)):
        if one.priority < LOWEST_PRIORITY:
            break
        covers = range(one.first, one.last + 1)
        if taken.isdisjoint(covers):
            taken.update(covers)
            kept.append(one)
    return kept


def _score(run: list[Piece], text: str, language: str) -> float:
    words = max(1, sum(one.words for one in run))
    shown = len(frozenset().union(*(one.shown for one in run)))
    spoken = sum(one.spoken * len(one.text) for one in run) / len(text)
    short = max(0.0, (COMFORTABLE - len(text)) / (COMFORTABLE - SHORTEST))
    score = _BIAS + scoring().offset[language] + _PER_SIGHT * sum(one.sight for one in run) / words
    score += _PER_RICHNESS * min(1.0, shown / RICH) - _PER_DRAG * sum(one.drag for one in run) / words
    score -= _SPOKEN * spoken + _TOO_SHORT * short
    score -= _EXCITED * sum(one.excited for one in run) / len(run)
    score -= _LEANS_BACK * run[0].leans_back + _BROKEN_OFF * _broken_off(run)
    return score - _LOOSE_QUOTE * _has_a_loose_quote(text)


def _broken_off(run: list[Piece]) -> int:
    """Count the ends of the run that lie in the middle of a sentence."""
    return (not run[0].opens_sentence) + (run[-1].text[-1] in ",;:")


def _has_a_loose_quote(text: str) -> bool:
    return sum(map(text.count, "“«")) != sum(map(text.count, "”»")) or text.count('"') % 2 == 1


def _type(run: list[Piece]) -> DescriptionType:
    votes: Counter[str] = reduce(lambda one, other: one + other, (piece.votes for piece in run), Counter())
    loud = {
        kind: sum(weight * votes[name] for name, weight in weights.items()) for kind, weights in scoring().types.items()
    }
    loud["action"] /= _ACTION_MARGIN
    return max(loud, key=lambda kind: loud[kind])
