"""What services do with an order, and what each of it means: one table for every provider.

Data; knows no service. Where the meaning differs by how a picture is handed over, the columns say so.
"""

from dataclasses import dataclass
from typing import Any, Literal

from limner.errors import Broken, Busy, ProviderError, Unauthorised, Unfinished, UnknownOutcome
from tests.limner.providers.services import Fault, Way

NEVER = 600.0


@dataclass(frozen=True)
class End:
    """How a call ends: with an error of exactly this kind, or with bytes that are a picture, or that are none.

    may_be_paid: None where both are right. fetched: how often the picture was asked for at its address.
    """

    error: type[ProviderError] | None = None
    may_be_paid: bool | None = None
    is_picture: bool = True
    wait: float | None = None
    fetched: int | None = None


PICTURE = End()
NO_PICTURE = End(is_picture=False)
UNKNOWN = End(UnknownOutcome, may_be_paid=True)
BROKEN = End(Broken, may_be_paid=False)
BROKEN_AND_PAID = End(Broken, may_be_paid=True)
BUSY = End(Busy, may_be_paid=False)
UNAUTHORISED = End(Unauthorised, may_be_paid=False)
UNFINISHED = End(Unfinished, may_be_paid=True)
# Drawn, and not to be had; it was asked for once.
LOST = End(Broken, may_be_paid=True, fetched=1)

# What a fault spoils: the answer to the order, the picture, or its way from where it lies.
At = Literal["order", "picture", "file"]


@dataclass(frozen=True)
class Case:
    """What a service does with an order, and how a call then ends where the picture is handed over in each way.

    is_hasty: the call has little time.
    """

    name: str
    fault: Fault
    bytes: End
    json: End
    address: End
    is_hasty: bool = False
    at: At = "order"

    def end(self, way: Way) -> End:
        return {"bytes": self.bytes, "json": self.json, "address": self.address}[way]

    def fault_for(self, way: Way, match: str = "") -> Fault:
        """Return what the stand-in is told, for orders whose prompt has these words."""
        where = "file" if self.at == "file" or (self.at == "picture" and way == "address") else "submit"
        return {"match": match, **self.fault, "where": where}


def same(name: str, fault: Fault, end: End, **more: Any) -> Case:
    """Return a case that ends alike in every way."""
    return Case(name, fault, end, end, end, **more)


# What is answered to the order itself.
ORDERS = (
    same("nothing special", {"what": "none"}, PICTURE),
    same("slow", {"what": "slow", "seconds": 0.3}, PICTURE),
    Case(
        "too slow",
        {"what": "slow", "seconds": NEVER},
        UNKNOWN,
        UNKNOWN,
        End(Unfinished, may_be_paid=True, fetched=0),
        is_hasty=True,
    ),
    same("429", {"what": "429"}, BUSY),
    same("429, come again in 17 s", {"what": "429", "retry_after": "17"}, End(Busy, False, wait=17.0)),
    same("503", {"what": "503"}, BUSY),
    same("503, come again in 3 s", {"what": "503", "retry_after": "3"}, End(Busy, False, wait=3.0)),
    same("500", {"what": "500"}, BROKEN),
    same("a success whose answer is lost", {"what": "hang up"}, UNKNOWN),
    same("504 of the edge", {"what": "504"}, UNKNOWN),
    same("401", {"what": "401"}, UNAUTHORISED),
    same("403 that repeats the key", {"what": "echo"}, UNAUTHORISED),
    Case("HTML at 200", {"what": "html"}, NO_PICTURE, BROKEN_AND_PAID, UNKNOWN),
    Case("JSON of another shape", {"what": "json"}, NO_PICTURE, BROKEN_AND_PAID, UNKNOWN),
    Case("JSON that is no object", {"what": "json", "body": [1, 2]}, NO_PICTURE, BROKEN_AND_PAID, UNKNOWN),
    same("an answer that is cut off", {"what": "truncated"}, UNKNOWN),
    Case("an answer that ends early", {"what": "short"}, NO_PICTURE, BROKEN_AND_PAID, UNKNOWN),
    same("a reset in the middle", {"what": "reset"}, UNKNOWN),
    same("an answer that stops", {"what": "stall"}, UNKNOWN, is_hasty=True),
    same("an answer that trickles", {"what": "trickle", "seconds": 0.05}, UNKNOWN, is_hasty=True),
    same("an answer of 300 MB", {"what": "huge"}, BROKEN_AND_PAID),
    same("a compressed answer", {"what": "gzip"}, BROKEN_AND_PAID),
    same("a redirect into the house", {"what": "redirect"}, BROKEN),
)

# What is handed over as the picture. Where it lies at an address, asking for it again costs nothing.
PICTURES = (
    same("a GIF", {"what": "gif"}, NO_PICTURE, at="picture"),
    same("a PDF", {"what": "pdf"}, NO_PICTURE, at="picture"),
    same("an SVG", {"what": "svg"}, NO_PICTURE, at="picture"),
    same("one colour", {"what": "plain"}, NO_PICTURE, at="picture"),
    same("177 megapixels in 38 kB", {"what": "bomb"}, NO_PICTURE, at="picture"),
    Case("a page", {"what": "page"}, NO_PICTURE, NO_PICTURE, UNFINISHED, is_hasty=True, at="picture"),
)


def on_its_way(name: str, fault: Fault, end: End, **more: Any) -> Case:
    return same(f"a picture on its way: {name}", fault, end, at="file", **more)


# What happens on the way from where the picture lies; only a service that hands over an address has one.
FILES = (
    on_its_way("cut off once", {"what": "truncated", "times": 1}, End(fetched=2)),
    on_its_way("reset once", {"what": "reset", "times": 1}, End(fetched=2)),
    on_its_way("503 once", {"what": "503", "times": 1}, End(fetched=2)),
    on_its_way("cut off for ever", {"what": "truncated"}, UNFINISHED, is_hasty=True),
    on_its_way("500 for ever", {"what": "500"}, UNFINISHED, is_hasty=True),
    on_its_way("ends early", {"what": "short"}, End(is_picture=False, fetched=1)),
    on_its_way("gone", {"what": "404"}, LOST),
    on_its_way("300 MB", {"what": "huge"}, LOST),
    on_its_way("compressed", {"what": "gzip"}, LOST),
    on_its_way("a redirect into the house", {"what": "redirect"}, LOST),
    on_its_way("a redirect to a file", {"what": "redirect", "location": "file:///etc/passwd"}, LOST),
)


def cases_of(way: Way) -> tuple[Case, ...]:
    """Return every case that a service of this way can bring about."""
    return (*ORDERS, *PICTURES, *(FILES if way == "address" else ()))
