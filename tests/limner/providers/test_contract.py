"""The contract of every provider: whatever its service does has one meaning, and costs one order at most.

Each provider speaks real HTTP to its stand-in. Whatever happens: one call of `generate` submits one order, what was
drawn and did not arrive may be paid for, no sentence has the key in it, and no address is asked but the service's own.
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
from tests.limner.providers.cases import NEVER, UNAUTHORISED, Case, End, cases_of
from tests.limner.providers.services import SERVICES, Closing, Service
from tests.standins.serving import Running

# Enough for what has to be given up, and far too little for what is slow.
HASTY_SECONDS = 0.5

EVERY = [(one, case) for one in SERVICES for case in cases_of(one.way)]
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


@pytest.mark.parametrize(("service", "case"), EVERY, ids=[f"{one.name}-{case.name}" for one, case in EVERY])
def test_whatever_a_service_does_has_its_meaning(
    service: Service, provider: Closing, hasty: Closing, standin: Running, case: Case
) -> None:
    standin.fail(case.fault_for(service.way))
    ended, seen = call(service, hasty if case.is_hasty else provider, standin)
    # Whatever broke, the same provider goes on to the next case.
    hold(service, standin, ended, seen, case.end(service.way))


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
