"""Every provider's contract, through the press: whatever its service does, every order and every cent is accounted for.

One batch a service, in which each job meets another fault, several at once, on a real ledger.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any, cast

import pytest

from limner.chain import RULES, Patience
from limner.errors import BadImage, Busy, OutOfCredit, Refused, Unauthorised, Unfinished
from limner.jobs import Plan
from limner.ledger.auditing import audit_spend
from limner.ledger.limits import Breaker
from limner.ledger.opening import Ledger
from limner.ledger.plans import Batch
from tests.integration.books import assert_counters_equal_entries, assert_the_books_balance, rows, value
from tests.integration.pressing import OpenRoom, carry_on, plan_of, planned
from tests.limner.providers.cases import Case, End, cases_of, same
from tests.limner.providers.services import SERVICES, Closing, Refusal, Service
from tests.standins.serving import Running

TRIES = 3
# So many throttles, and then a picture.
THROTTLES = 2

# Only orders that stay unfinished use it up.
TIMEOUT_SECONDS = 6.0


@pytest.fixture(params=SERVICES, ids=lambda one: one.name)
def service(request: pytest.FixtureRequest) -> Service:
    return cast(Service, request.param)


@pytest.fixture(scope="module")
def running() -> Iterator[Callable[[Service], Running]]:
    """Start a service's stand-in when it is first asked for."""
    started: dict[str, Running] = {}
    with ExitStack() as stack:

        def start(service: Service) -> Running:
            if service.name not in started:
                started[service.name] = stack.enter_context(service.run())
                # The first picture of a size takes a stand-in its time, and a library its import.
                with closing(service.open(started[service.name], timeout_seconds=60.0)) as first:
                    first.generate(service.asked(first))
            return started[service.name]

        yield start


@pytest.fixture
def standin(running: Callable[[Service], Running], service: Service) -> Iterator[Running]:
    found = running(service)
    yield found
    found.fail()


@pytest.fixture
def provider(service: Service, standin: Running) -> Iterator[Closing]:
    with closing(service.open(standin, timeout_seconds=TIMEOUT_SECONDS, connections=8)) as opened:
        yield opened


def prompt_of(case: Case) -> str:
    return f"a castle where {case.name} happens"


def met_by(service: Service) -> tuple[Case, ...]:
    """Return what the jobs of a batch meet: of each meaning the table's first, but for what would end the whole run.

    That each case of the table has its meaning is the provider's contract, and held to there.
    """
    cases = [case for case in cases_of(service.way) if case.name != "too slow"]
    ends = [(case.end(service.way), case.at) for case in cases]
    firsts = [case for number, case in enumerate(cases) if ends.index(ends[number]) == number]
    met = [case for case in firsts if case.end(service.way).error is not Unauthorised]
    return (*met, *map(refusal, service.refuses))


def refusal(one: Refusal) -> Case:
    return same(f"{one.what}, refused", {"what": one.what}, End(Refused, one.may_be_paid))


def told(service: Service, case: Case) -> dict[str, Any]:
    """Return a case's fault, for one job; a throttle is over after a while that a test has."""
    fault = dict(case.fault_for(service.way, prompt_of(case)))
    if case.end(service.way).error is Busy:
        fault |= {"times": THROTTLES} | ({"retry_after": "0.2"} if "retry_after" in fault else {})
    return fault | ({"megabytes": 80} if fault["what"] == "huge" else {})


def outcomes(end: End) -> list[str | None]:
    """Return how the attempts at a job end, by the chain's own table."""
    if end.error is None:
        return ["made"] if end.is_picture else [RULES[BadImage].outcome] * TRIES
    rule = RULES[end.error]
    if end.error is Busy:
        return [*[rule.outcome] * THROTTLES, "made"]
    ended: list[str | None] = [rule.outcome] * min(rule.calls or TRIES, TRIES)
    return [None] if end.error is Unfinished else ended


def costs(service: Service, case: Case) -> bool:
    """Say whether each attempt at a job costs money, or may."""
    end = case.end(service.way)
    return end.error is None or bool(end.may_be_paid)


def plan_for(service: Service, *prompts: str, title: str = "A test") -> Plan:
    width, height = service.order.width, service.order.height
    plan = plan_of(*prompts, title=title, chain=[service.name], width=width, height=height)
    return replace(plan, jobs=tuple(replace(job, max_tries=TRIES) for job in plan.jobs))


def attempts_by_prompt(ledger: Ledger, batch: Batch) -> dict[str, list[dict[str, Any]]]:
    found = rows(ledger, "select * from attempts where batch_id = :batch order by number", batch=batch.id)
    by_prompt = defaultdict(list)
    for attempt in found:
        by_prompt[attempt["prompt"]].append(attempt)
    return by_prompt


def assert_nothing_is_taken(ledger: Ledger) -> None:
    assert rows(ledger, "select * from slots") == []
    assert value(ledger, "select coalesce(sum(taken), 0) from limits") == 0
    assert rows(ledger, "select * from claims") == []


def assert_the_money_agrees(ledger: Ledger) -> None:
    assert list(ledger.run(audit_spend).faults) == []
    assert_counters_equal_entries(ledger)
    spent = value(ledger, "select coalesce(sum(cost_usd), 0) from attempts")
    assert spent == value(ledger, "select coalesce(sum(usd_used), 0) from counters")
    assert spent == value(ledger, "select coalesce(sum(usd_used), 0) from batches")


def test_whatever_a_service_does_every_order_and_every_cent_is_accounted_for(
    service: Service, provider: Closing, standin: Running, open_room: OpenRoom, ledger: Ledger
) -> None:
    cases = met_by(service)
    standin.fail(*(told(service, case) for case in cases))
    before = standin.counts()
    patience = Patience(max_tries=TRIES, backoff_seconds=0.02)
    room = open_room(provider, patience=patience, breaker=Breaker(failures=10_000), concurrency=6)
    batch = planned(room, plan_for(service, *map(prompt_of, cases)))
    carry_on(room, batch)
    found = attempts_by_prompt(ledger, batch)
    ended = {case.name: [one["outcome"] for one in found[prompt_of(case)]] for case in cases}
    assert ended == {case.name: outcomes(case.end(service.way)) for case in cases}
    _assert_each_is_paid_as_it_may_be(service, cases, found)
    seen = standin.counts()
    seen.subtract(before)
    assert seen["submit"] == sum(map(len, found.values())), "one order an attempt, and one attempt an order"
    assert seen["generations"] <= sum(one["cost_usd"] > 0 or one["outcome"] is None for one in _all(found))
    assert_nothing_is_taken(ledger)
    assert_the_money_agrees(ledger)
    _assert_only_what_is_missing_is_made(service, standin, room, batch, ledger)


def _all(found: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [one for attempts in found.values() for one in attempts]


def _assert_each_is_paid_as_it_may_be(
    service: Service, cases: Sequence[Case], found: dict[str, list[dict[str, Any]]]
) -> None:
    for case in cases:
        for one in found[prompt_of(case)]:
            assert one["estimate_usd"] > 0
            if one["outcome"] == "made":
                assert 0 < one["cost_usd"] <= one["estimate_usd"], case.name
            elif one["outcome"] is None or not costs(service, case) or one["outcome"] == RULES[Busy].outcome:
                assert one["cost_usd"] == 0, case.name
            else:
                assert 0 < one["cost_usd"] <= one["estimate_usd"], case.name


def _assert_only_what_is_missing_is_made(
    service: Service, standin: Running, room: Any, batch: Batch, ledger: Ledger
) -> None:
    """Mend the service and run the same batch again: what it has under an id is fetched and not ordered again."""
    standin.fail()
    missing = value(ledger, "select count(*) from jobs where batch_id = :batch and status = 'failed'", batch=batch.id)
    left_open = value(ledger, "select count(*) from attempts where outcome is null")
    assert (left_open > 0) is (service.way == "address")
    before = standin.counts()["submit"]
    report = carry_on(room, batch)
    assert (report.failed, report.made) == (0, report.asked)
    assert standin.counts()["submit"] - before == missing - left_open
    assert_nothing_is_taken(ledger)
    assert_the_money_agrees(ledger)
    assert_the_books_balance(ledger, room.bucket)


def test_what_every_order_would_meet_ends_the_asking(
    service: Service, provider: Closing, standin: Running, open_room: OpenRoom, ledger: Ledger
) -> None:
    room = open_room(provider, concurrency=1)
    for error, fault in ((Unauthorised, {"what": "401"}), (OutOfCredit, service.is_empty[0])):
        standin.fail(fault)
        before = standin.counts()["submit"]
        batch = planned(room, plan_for(service, *(f"{number} castles" for number in range(2, 10)), title=str(error)))
        report = carry_on(room, batch)
        submitted = standin.counts()["submit"] - before
        # Two workers: one may be on its way while the other hears it.
        assert (report.made, report.failed, submitted in (1, 2)) == (0, 8, True)
        found = rows(ledger, "select outcome from attempts where batch_id = :batch", batch=batch.id)
        assert [one["outcome"] for one in found] == [RULES[error].outcome] * submitted
        assert report.spend_usd == 0
    assert_nothing_is_taken(ledger)
    assert_the_money_agrees(ledger)
    assert_the_books_balance(ledger, room.bucket)
