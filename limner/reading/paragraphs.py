"""Text into paragraphs and sentences, whether lines are wrapped or a line is a paragraph.

Knows nothing of languages beyond their quotation marks and a few abbreviations.
"""

import re
from itertools import groupby

# A text whose blocks between blank lines have lines no longer than this is taken for wrapped (characters).
LONGEST_WRAPPED_LINE = 100

_END = re.compile(r"(?<=[.!?…])[\"”’»)\]]*\s+(?=[\"“‘„«(\[]?[—–-]?\s?[A-ZА-ЯЁІЇЄҐ“«„\"])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Prof|Capt|Col|Gen|Lt|Rev|Hon|Messrs|No|vs|etc|i\.e|e\.g|т\.е|т\.д|т\.п|г|гг|им|св|стр|ст|др)"
    r"|\b[A-ZА-ЯІЇЄҐ])\.$"
)


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of `text`, each on one line with single spaces, none of them empty."""
    lines = [line.rstrip() for line in text.split("\n")]
    blocks = [list(group) for filled, group in groupby(lines, key=lambda line: bool(line.strip())) if filled]
    if _is_wrapped(blocks):
        joined = [" ".join(block) for block in blocks]
    else:
        joined = [line for block in blocks for line in block]
    return [" ".join(one.split()) for one in joined]


def _is_wrapped(blocks: list[list[str]]) -> bool:
    long = [line for block in blocks for line in block if len(line) > LONGEST_WRAPPED_LINE]
    inner = [line for block in blocks for line in block[:-1]]
    # In a wrapped block a line but the last is nearly full, and breaks off in the middle of a sentence.
    broken = [line for line in inner if line[-1] not in '.!?…"”»:']
    return len(blocks) > 0 and not long and len(broken) * 2 > len(inner)


def sentences(paragraph: str) -> list[str]:
    """Return the sentences of one paragraph, in order; joined by a space they are the paragraph again."""
    found: list[str] = []
    begin = 0
    for gap in _END.finditer(paragraph):
        closed = paragraph[begin : gap.end()].rstrip()
        if _ABBREVIATION.search(closed):
            continue
        found.append(closed)
        begin = gap.end()
    return [*found, paragraph[begin:]] if paragraph[begin:] else found
