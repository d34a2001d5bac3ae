"""The contract of every provider: one table of what services do, and what each of it means.

Each provider speaks real HTTP to its stand-in. Whatever happens: one call of `generate` submits one order, what was
drawn and did not arrive may be paid for, no sentence has the key in it, and no address is asked but the
service's.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from limner.errors import (
    BadImage,
    Broken,
    Busy,
    Cancelled,
    OutOfCredit,
    ProviderError,
    Refused,
    Unauthorised,
    Unfinished,
    UnknownOutcome,
)
from limner.providers.seam import Answer
from limner.quality.verifying import verify
from tests.limner.providers.services import SERVICES, Closing, Fault, Service, Way
from tests.standins.serving import Running

# Enough for what has to be given up, and far too little for what is slow.
HASTY_SECONDS = 0.5
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

    def end(self, way: Way) -> End:
        return {"bytes": self.bytes, "json": self.json, "address": self.address}[way]


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
    same("504 of the edge", {"what": "504"}, UNKNOWN),
    same("401", {"what": "401"}, UNAUTHORISED),
    same("403 that repeats the key", {"what": "echo"}, UNAUTHORISED),
    Case("HTML at 200", {"what": "html"}, NO_PICTURE, BROKEN_AND_PAID, UNKNOWN),
    Case("JSON of another shape", {"what": "json"}, NO_PICTURE, BROKEN_AND_PAID, UNKNOWN),
    Case("JSON that is no object", {"what": "json", "body": [1, 2]}, NO_PICTURE, BROKEN_AND_PAID, UNKNOWN),
    same("an answer that is cut off", {"what": "truncated"}, UNKNOWN),
    Case("an answer that ends early", {"what": "short"}, NO_PICTURE, BROKEN_AND_PAID, UNKNOWN),
    same("a reset in the middle", {"what": "reset"}, UNKNOWN),
    same("a success whose answer is lost", {"what": "hang up"}, UNKNOWN),
    same("an answer that stops", {"what": "stall"}, UNKNOWN, is_hasty=True),
    same("an answer that trickles", {"what": "trickle", "seconds": 0.05}, UNKNOWN, is_hasty=True),
    same("an answer of 300 MB", {"what": "huge"}, BROKEN_AND_PAID),
    same("a compressed answer", {"what": "gzip"}, BROKEN_AND_PAID),
    same("a redirect into the house", {"what": "redirect"}, BROKEN),
)

# What is handed over as the picture. Where it lies at an address, asking for it again costs nothing.
PICTURES = (
    same("a GIF", {"what": "gif"}, NO_PICTURE),
    same("a PDF", {"what": "pdf"}, NO_PICTURE),
    same("an SVG", {"what": "svg"}, NO_PICTURE),
    same("one colour", {"what": "plain"}, NO_PICTURE),
    same("177 megapixels in 38 kB", {"what": "bomb"}, NO_PICTURE),
    Case("a page", {"what": "page"}, NO_PICTURE, NO_PICTURE, End(Unfinished, True), is_hasty=True),
)

# What happens on the way from where the picture lies; only a service that hands over an address has one.
FILES: tuple[tuple[str, Fault, End, bool], ...] = (
    ("cut off once", {"what": "truncated", "times": 1}, End(fetched=2), False),
    ("reset once", {"what": "reset", "times": 1}, End(fetched=2), False),
    ("503 once", {"what": "503", "times": 1}, End(fetched=2), False),
    ("cut off for ever", {"what": "truncated"}, End(Unfinished, True), True),
    ("500 for ever", {"what": "500"}, End(Unfinished, True), True),
    ("ends early", {"what": "short"}, End(is_picture=False, fetched=1), False),
    ("gone", {"what": "404"}, End(Broken, True, fetched=1), False),
    ("300 MB", {"what": "huge"}, End(Broken, True, fetched=1), False),
    ("compressed", {"what": "gzip"}, End(Broken, True, fetched=1), False),
    ("a redirect into the house", {"what": "redirect"}, End(Broken, True, fetched=1), False),
    (
        "a redirect to a file",
        {"what": "redirect", "location": "file:///etc/passwd"},
        End(Broken, True, fetched=1),
        False,
    ),
)

AT_AN_ADDRESS = tuple(one for one in SERVICES if one.way == "address")


@dataclass(frozen=True)
class Room:
    """A stand-in that runs, and two providers that speak to it: one has time, the other has little."""

    standin: Running
    patient: Closing
    hasty: Closing


class House:
    """A room for each service, opened when it is first asked for."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._rooms: dict[str, Room] = {}

    def room(self, service: Service) -> Room:
        if service.name not in self._rooms:
            enter = self._stack.enter_context
            standin = enter(service.run(calls=self._folder / f"{service.name}.jsonl"))
            hasty = enter(closing(service.open(standin, timeout_seconds=HASTY_SECONDS)))
            self._rooms[service.name] = Room(standin, enter(closing(service.open(standin))), hasty)
        return self._rooms[service.name]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path_factory.mktemp("house"), stack)


@pytest.fixture(params=SERVICES, ids=lambda one: one.name)
def service(request: pytest.FixtureRequest) -> Service:
    return cast(Service, request.param)


@pytest.fixture
def room(house: House, service: Service) -> Iterator[Room]:
    opened = house.room(service)
    yield opened
    opened.standin.fail()
    opened.standin.be_slow(0)
    opened.standin.limit(None)


@pytest.fixture
def standin(room: Room) -> Running:
    return room.standin


@pytest.fixture
def provider(room: Room) -> Closing:
    return room.patient


@pytest.fixture
def hasty(room: Room) -> Closing:
    return room.hasty


def call(service: Service, provider: Closing, standin: Running, **more: Any) -> tuple[Answer | ProviderError, Any]:
    """Make one call; return how it ended, and what the service saw of it more than before."""
    before = standin.counts()
    # No two are alike: an order like an earlier one may be taken for it.
    prompt = f"castle number {before['calls']}"
    try:
        ended: Answer | ProviderError = provider.generate(service.asked(provider, prompt, **more))
    except ProviderError as error:
        ended = error
    seen = standin.counts()
    seen.subtract(before)
    return ended, seen


def hold(service: Service, standin: Running, ended: Answer | ProviderError, seen: Mapping[str, int], end: End) -> None:
    """Hold how a call ended to what was promised, and to what holds of every call."""
    assert seen["submit"] == 1, "an order is submitted once"
    assert seen["keys_on_files"] == 0
    assert end.fetched is None or seen["file"] == end.fetched
    if isinstance(ended, Answer):
        assert end.error is None
        assert is_picture(service, ended) is end.is_picture
        return
    assert end.error is not None and type(ended) in (end.error, *end.error.__subclasses__()), repr(ended)
    assert end.error is not UnknownOutcome or type(ended) is UnknownOutcome
    assert end.may_be_paid in (None, ended.may_be_paid), ended
    assert ended.may_be_paid or not seen["generations"], "what was drawn may be charged"
    assert not isinstance(ended, Busy) or ended.retry_after_seconds == end.wait
    sentence(service, standin, ended)


def sentence(service: Service, standin: Running, error: ProviderError) -> None:
    said = str(error)
    assert said.startswith(f"{service.name}: ")
    assert len(said) < 600 and said.isprintable()
    assert standin.key not in said


def is_picture(service: Service, answer: Answer) -> bool:
    try:
        image = verify(answer.data)
    except BadImage:
        return False
    return (image.width, image.height) == (service.order.width, service.order.height)


@pytest.mark.parametrize("case", [*ORDERS, *PICTURES], ids=lambda one: one.name)
def test_whatever_a_service_answers_has_its_meaning(
    service: Service, provider: Closing, hasty: Closing, standin: Running, case: Case
) -> None:
    # Where a picture lies at an address it is that which is spoiled, not the answer to the order.
    where = "file" if case in PICTURES and service.way == "address" else "submit"
    standin.fail({**case.fault, "where": where})
    asked = hasty if case.is_hasty else provider
    ended, seen = call(service, asked, standin)
    hold(service, standin, ended, seen, case.end(service.way))
    standin.fail()
    assert isinstance(provider.generate(service.asked(provider)), Answer), "what was wrong then is not wrong now"


@pytest.mark.parametrize("service", AT_AN_ADDRESS, ids=lambda one: one.name)
@pytest.mark.parametrize(("what", "fault", "end", "is_hasty"), FILES, ids=[one[0] for one in FILES])
def test_whatever_happens_to_a_picture_on_its_way_has_its_meaning(
    service: Service,
    provider: Closing,
    hasty: Closing,
    standin: Running,
    what: str,
    fault: Fault,
    end: End,
    is_hasty: bool,
) -> None:
    standin.fail({**fault, "where": "file"})
    asked = hasty if is_hasty else provider
    hold(service, standin, *call(service, asked, standin), end)


def test_a_refusal_is_never_a_throttle_or_an_outage_and_says_why(
    service: Service, provider: Closing, standin: Running
) -> None:
    for refusal in service.refuses:
        standin.fail({"what": refusal.what})
        ended, seen = call(service, provider, standin)
        hold(service, standin, ended, seen, End(Refused, refusal.may_be_paid))
        assert isinstance(ended, Refused) and ended.categories == refusal.categories


def test_an_empty_account_is_no_throttle_whatever_its_status(
    service: Service, provider: Closing, standin: Running
) -> None:
    for fault in service.is_empty:
        standin.fail(fault)
        hold(service, standin, *call(service, provider, standin), End(OutOfCredit, may_be_paid=False))


def test_a_wrong_key_is_said_and_a_missing_one_never_leaves_the_house(service: Service, standin: Running) -> None:
    with closing(service.open(standin, key="sk_wrong")) as wrong, closing(service.open(standin, key="")) as missing:
        said, seen = call(service, wrong, standin)
        hold(service, standin, said, seen, UNAUTHORISED)
        assert "sk_wrong" not in str(said)
        said, seen = call(service, missing, standin)
        assert isinstance(said, Unauthorised) and service.variable in str(said)
        assert seen["calls"] == 0


def test_a_throttle_is_over_when_it_said_so(service: Service, provider: Closing, standin: Running) -> None:
    standin.limit(30, minute_seconds=12, burst=1)
    first, _ = call(service, provider, standin)
    second, _ = call(service, provider, standin)
    assert isinstance(first, Answer) and isinstance(second, Busy)
    assert second.retry_after_seconds is not None and 0 < second.retry_after_seconds <= 0.4
    time.sleep(second.retry_after_seconds)
    third, _ = call(service, provider, standin)
    assert isinstance(third, Answer)


def test_an_answer_says_what_the_ledger_wants_to_know(service: Service, provider: Closing, standin: Running) -> None:
    said: list[str] = []
    answer, seen = call(service, provider, standin, accepted=said.append)
    assert isinstance(answer, Answer)
    assert answer.model and (provider.capabilities().models == () or answer.model in provider.capabilities().models)
    assert answer.cost_usd is None or 0 < answer.cost_usd <= provider.estimate_usd(service.order) + 1e-9
    # Only what can be asked after has an id to be asked after by.
    assert said == ([answer.provider_id] if service.way == "address" else [])
    assert seen["generations"] == 1


@pytest.mark.parametrize("service", AT_AN_ADDRESS, ids=lambda one: one.name)
def test_an_accepted_order_is_asked_after_by_whoever_has_its_id_and_never_submitted_again(
    service: Service, provider: Closing, hasty: Closing, standin: Running
) -> None:
    standin.be_slow(1.0)
    said: list[str] = []
    assert isinstance(call(service, hasty, standin, accepted=said.append)[0], Unfinished)
    answer, seen = call(service, provider, standin, provider_id=said[0])
    assert isinstance(answer, Answer) and is_picture(service, answer)
    assert (seen["submit"], seen["generations"], seen["file"], said) == (0, 0, 1, [answer.provider_id])
    assert provider.capabilities().resumes


@pytest.mark.parametrize("service", AT_AN_ADDRESS, ids=lambda one: one.name)
@pytest.mark.parametrize("what", ["500", "503", "429", "reset", "hang up", "truncated", "html"])
def test_polls_that_fail_for_a_while_cost_neither_the_picture_nor_an_order(
    service: Service, provider: Closing, standin: Running, what: str
) -> None:
    standin.be_slow(0.1)
    standin.fail({"what": what, "where": "poll", "times": 2})
    hold(service, standin, *call(service, provider, standin), End(fetched=1))


def test_who_can_cancel_does_when_nobody_wants_the_picture_any_more(
    service: Service, provider: Closing, standin: Running
) -> None:
    if not provider.capabilities().cancels:
        assert service.way != "address", "what is polled for can be cancelled"
        return
    stop = threading.Event()
    standin.be_slow(NEVER)
    ended, seen = call(service, provider, standin, stop=stop, accepted=lambda _id: stop.set())
    assert type(ended) is Cancelled
    assert seen["cancelled"] == 1
    sentence(service, standin, ended)


def test_the_key_is_in_no_repr(service: Service, provider: Closing, standin: Running) -> None:
    assert standin.key not in repr(provider)
