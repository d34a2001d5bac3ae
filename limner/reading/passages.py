"""A chapter's paragraphs as pieces, and what each piece holds: sight, drag, speech.

A piece is a sentence, or a part of one too long for a picture. Knows the lexicon, and nothing of priorities.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from limner.reading.lexicon import Lexicon, scoring
from limner.reading.paragraphs import paragraphs, sentences
from limner.reading.words import WORD, folded, lemma

# The longest passage, and so the longest piece (characters).
LONGEST = 600
# A line shorter than this stands for itself: a heading, a name, a row of stars (characters).
SHORTEST_PARAGRAPH = 40

_CLAUSE = re.compile(r"(?<=;)\s+|(?<=[:,])\s+(?=[—–])|(?<=,)\s+(?=(?:and|but|while|where|и|а|но|где|і|але|де)\s)")
_COMMA = re.compile(r"(?<=[,:;])\s+")
_OPENS, _CLOSES = "“«„", "”»"
_DASHES = ("—", "–", "- ")


@dataclass(frozen=True, slots=True)
class Piece:
    """One sentence or long clause.

    words: those that count. sight, drag: sums over all words. spoken: share of its characters, 0 to 1.
    """

    paragraph: int
    text: str
    words: int
    sight: float
    drag: float
    spoken: float
    opens_sentence: bool
    leans_back: bool
    excited: bool
    shown: frozenset[str]
    votes: Counter[str] = field(hash=False)


def pieces(text: str, language: Lexicon) -> list[Piece]:
    """Return the pieces of a chapter's text, in order."""
    found: list[Piece] = []
    for number, paragraph in enumerate(paragraphs(text)):
        if len(paragraph) < SHORTEST_PARAGRAPH:
            continue
        for part, opens, spoken in _parts(paragraph):
            found.append(_weighed(part, number, opens, spoken, language))
    return found


def _parts(paragraph: str) -> Iterator[tuple[str, bool, float]]:
    dialogue = paragraph.startswith(_DASHES)
    depth = 0
    for sentence in sentences(paragraph):
        for at, part in enumerate(_clauses(sentence)):
            share, depth = _spoken(part, depth)
            yield part, at == 0, max(share, 0.8) if dialogue else share


def _clauses(sentence: str) -> list[str]:
    if len(sentence) <= LONGEST:
        return [sentence]
    joined: list[str] = []
    for clause in (short for long in _CLAUSE.split(sentence) for short in _short(long)):
        if joined and len(joined[-1]) + len(clause) < LONGEST * 2 // 3:
            joined[-1] += " " + clause
        else:
            joined.append(clause)
    return joined


def _short(clause: str) -> list[str]:
    """Cut what has no clauses to cut at its commas, and what has no commas between words."""
    if len(clause) <= LONGEST:
        return [clause]
    cut: list[str] = []
    for part in _COMMA.split(clause):
        while len(part) > LONGEST:
            pass_at = part.rfind(" ", 1, LONGEST)
            pass_at = pass_at if pass_at > 0 else LONGEST
            cut.append(part[:pass_at])
            part = part[pass_at:].lstrip()  # noqa: PLW2901 - what is left of it
        cut.append(part)
    return cut


def _spoken(part: str, depth: int) -> tuple[float, int]:
    """Return the share of `part` between quotation marks, and whether a quotation is still open behind it."""
    inside = 0
    for letter in part:
        if letter in _OPENS or (letter == '"' and not depth):
            depth = 1
        elif letter in _CLOSES or (letter == '"' and depth):
            depth = 0
        else:
            inside += depth
    return inside / max(1, len(part)), depth


def _weighed(part: str, paragraph: int, opens: bool, spoken: float, language: Lexicon) -> Piece:
    rules = scoring()
    words = WORD.findall(part)
    sight = drag = 0.0
    shown: set[str] = set()
    votes: Counter[str] = Counter()
    for word in words:
        for name in language.classes_of(word):
            sight += rules.sight.get(name, 0.0)
            drag += rules.drag.get(name, 0.0)
            votes[name] += 1
            if name in rules.rich:
                shown.add(lemma(folded(word), language.language))
    return Piece(
        paragraph=paragraph,
        text=part,
        words=sum(language.counts(word) for word in words),
        sight=sight,
        drag=drag,
        spoken=spoken,
        opens_sentence=opens,
        leans_back=bool(words) and language.leans_back(words[0]),
        excited=part.rstrip("”»\")' ").endswith(("!", "?")),
        shown=frozenset(shown),
        votes=votes,
    )
