"""Telling a table of contents from the chapters that it lists.

Knows headings and how much text stands between them, nothing of what chapters hold.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from limner.reading.headings import LONGEST_HEADING, Heading, heading_words

# Between two entries of a table of contents stands less text than this (characters).
HARDLY_ANY_TEXT = 200
# A line up to this long may be a title or a page number, and counts a quarter (characters).
SHORT_LINE = LONGEST_HEADING // 2
# The first entry stands at most this many lines below the word "Contents".
_NEAR = 4


def without_contents(lines: list[str], headings: list[Heading]) -> list[Heading]:
    """Return the headings that are no entries of a table of contents, in order."""
    if not headings:
        return []
    often = Counter(one.label for one in headings)
    ends = [one.line for one in headings[1:]] + [len(lines)]
    own = {one: text_between(lines, one.line + 1, end) for one, end in zip(headings, ends, strict=True)}
    kept: list[Heading] = []
    for run in _close_runs(lines, headings):
        repeated = all(often[one.label] > 1 for one in run)
        if not (_says_contents(lines, run) or _is_bare_list(lines, run) or (repeated and _says_less(run, own))):
            kept += run
    return kept


def text_between(lines: list[str], begin: int, end: int) -> int:
    """Return about how many characters of running text stand from line `begin` to before line `end`."""
    lengths = [len(line.strip()) for line in lines[begin:end]]
    return sum(length if length > SHORT_LINE else length // 4 for length in lengths)


def _close_runs(lines: list[str], headings: list[Heading]) -> Iterator[list[Heading]]:
    """Yield the headings in groups that follow each other with hardly any text between, none of them twice."""
    run: list[Heading] = []
    for one in headings:
        far = bool(run) and text_between(lines, run[-1].line + 1, one.line) >= HARDLY_ANY_TEXT
        if far or one.label in {before.label for before in run}:
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _says_contents(lines: list[str], run: list[Heading]) -> bool:
    above = [line.strip(" \t*_=#:.").casefold() for line in lines[max(0, run[0].line - _NEAR) : run[0].line]]
    return len(run) > 1 and any(line in heading_words().contents for line in above)


def _is_bare_list(lines: list[str], run: list[Heading]) -> bool:
    """Three and more headings with nothing at all between them."""
    return len(run) > 2 and all(text_between(lines, one.line + 1, after.line) == 0 for one, after in pairwise(run))


def _says_less(run: list[Heading], own: dict[Heading, int]) -> bool:
    """Whether the same headings, elsewhere, have more text of their own than these."""
    labels = {one.label for one in run}
    # What follows the last entry is not the entry's own.
    here = sum(own[one] for one in (run[:-1] if len(run) > 1 else run))
    there = max(length for one, length in own.items() if one.label in labels and one not in run)
    return there > here and (len(run) > 1 or here < HARDLY_ANY_TEXT)
