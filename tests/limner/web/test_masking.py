"""A secret is found however it is written, and nothing else is."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest

from limner.web.masking import Mask

KEY = "sk-canary/Oo+1=openai"

WRITTEN = [
    KEY,
    quote(KEY),
    quote(KEY, safe=""),
    quote_plus(KEY),
    quote(KEY, safe="").replace("%2F", "%2f"),
    "".join(f"%{ord(char):02X}" for char in KEY),
    json.dumps(KEY)[1:-1].replace("/", "\\/"),
    KEY.replace("/", "\\u002F"),
]


@pytest.mark.parametrize("written", WRITTEN)
def test_a_secret_is_masked_in_every_spelling(written: str) -> None:
    mask = Mask([KEY])
    assert mask.masked(f"key={written}&size=1, {written}") == "key=***&size=1, ***"
    assert mask.hides(f"Bearer {written}") and not mask.hides("Bearer sk-canary")


@pytest.mark.parametrize("before", ["", "K", "Ke", "Key ", "Bearer ", "user:"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_of_base64_nothing_is_left_that_tells_the_secret(before: str, encode: object) -> None:
    written = encode(f"{before}{KEY}, and more".encode()).decode()  # type: ignore[operator]
    masked = Mask([KEY]).masked(f"Basic {written}")
    assert "***" in masked
    for part in masked.removeprefix("Basic ").split("***"):
        told = base64.urlsafe_b64decode(part[: len(part) // 4 * 4].replace("+", "-").replace("/", "_"))
        assert KEY[1:-1].encode() not in told


def test_a_secret_that_holds_another_is_masked_whole() -> None:
    assert Mask(["abc", "id:abc:def", ""]).masked("id:abc:def abc") == "*** ***"


def test_words_without_a_secret_stay_as_they_are() -> None:
    words = "The key, the picture and 100 % of a/b+c="
    assert Mask([KEY]).masked(words) == Mask([]).masked(words) == words
    assert not Mask([]).hides(words)
    assert Mask(["key"]).masked("a2V5 is short in base64") == "a2V5 is short in base64"
