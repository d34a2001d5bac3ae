"""Secrets in the words of strangers: found in whatever spelling, and replaced.

A service that repeats a key may write it as it stands, as addresses, forms and JSON do, or in base64. Pure; knows no
service.
"""

import base64
import re
from collections.abc import Iterable

MASK = "***"

# A shorter one's base64 would be a few letters, which stand in many a word.
_LEAST_FOR_BASE64 = 8


class Mask:
    """Finds secrets and replaces them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # The longest first: a part of one may be a secret too.
        told = sorted({one for one in secrets if one}, key=len, reverse=True)
        spelled = [pattern for one in told for pattern in (_spelled(one), *_in_base64(one))]
        self._pattern = re.compile("|".join(spelled)) if spelled else None

    def hides(self, words: str) -> bool:
        """Say whether a secret stands in words."""
        return self._pattern is not None and self._pattern.search(words) is not None

    def masked(self, words: str) -> str:
        """Return words with a mask in each secret's place."""
        return words if self._pattern is None else self._pattern.sub(MASK, words)


def _spelled(secret: str) -> str:
    """Return a pattern for a secret of which any letter may be escaped as JSON or an address does it."""
    return "".join(rf"(?:\\?{re.escape(char)}|(?i:{_escapes(char)}))" for char in secret)


def _escapes(char: str) -> str:
    percent = "".join(f"%{byte:02x}" for byte in char.encode())
    return rf"{percent}|\\u{ord(char):04x}"


def _in_base64(secret: str) -> list[str]:
    """Return patterns for a secret inside of something in base64, wherever it begins there."""
    if len(secret) < _LEAST_FOR_BASE64:
        return []
    found = []
    for before in range(3):
        written = base64.b64encode(b"\0" * before + secret.encode()).decode().rstrip("=")
        # What stands before it and after it decides its first letters and its last.
        inside = re.escape(written[(0, 2, 3)[before] : len(written) - 1])
        found.append(inside.replace(r"\+", "[+-]").replace("/", "[/_]"))
    return found
