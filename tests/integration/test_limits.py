"""What a provider allows holds over all processes together, wastes nothing, and outlives whoever dies with a slot."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, text

from limner.errors import BatchStopped, Busy, Shut
from limner.ledger import limits as rows
from limner.ledger.limits import Breaker, Ended, Place, Terms
from limner.ledger.opening import Ledger
from limner.limiter import Slot
from limner.providers.seam import Limits
from tests.conftest import ask
from tests.integration.limiting import (
    Calling,
    Load,
    OpenParty,
    Span,
    call,
    most_at_once,
    parties,
    processes,
    spans_of,
)
from tests.integration.pressing import in_threads
from tests.servers.postgres import own_postgres

ONE = Limits(calls_at_once=1)
MANY = Limits(calls_at_once=8)


@pytest.fixture
def open_party(ledger_url: str) -> Iterator[OpenParty]:
    with parties(ledger_url) as opener:
        yield opener


def value(ledger: Ledger, query: str) -> Any:
    return ledger.run(lambda connection: connection.execute(text(query)).scalar())


def do(ledger: Ledger, statement: str) -> None:
    ledger.run(lambda connection: connection.execute(text(statement)))


def until(ledger: Ledger, query: str, is_so: Any) -> None:
    """Wait until the ledger says so."""
    ends = time.monotonic() + 60
    while (found := value(ledger, query)) != is_so:
        assert time.monotonic() < ends, f"{query}: {found}"
        time.sleep(0.01)


def waiting(ledger: Ledger, number: int) -> None:
    until(ledger, "select count(*) from slots where granted_at is null", number)


# -- calls at once, and the rate -----------------------------------------------------------------------------------


def test_three_processes_together_never_exceed_the_calls_at_once_nor_leave_a_slot_idle(
    ledger_url: str, ledger: Ledger
) -> None:
    load = Load(threads=8, calls=2, seconds=0.25, at_once=4)
    with processes(ledger_url, 3) as three:
        spans = spans_of(three, load)
    assert most_at_once(spans) == 4
    wall = spans[-1].ended - spans[0].began
    used = sum(span.ended - span.began for span in spans) / (4 * wall)
    assert used > 0.75, used
    assert value(ledger, "select taken from limits") == 0
    assert value(ledger, "select count(*) from slots") == 0


def test_three_processes_together_keep_to_the_rate_and_use_it(ledger_url: str) -> None:
    spacing = 0.2
    with processes(ledger_url, 3) as three:
        spans = spans_of(three, Load(threads=3, calls=2, seconds=0.01, a_minute=60 / spacing))
    began = [span.began for span in spans]
    for i, first in enumerate(began):
        for j, second in enumerate(began[i + 1 :], 1):
            # A thread may be late to its own call, and the next in time for theirs.
            assert second - first > (j - 0.5) * spacing
    assert (began[-1] - began[0]) / (17 * spacing) < 1.3


def test_a_slot_and_the_rate_are_both_asked_for(open_party: OpenParty) -> None:
    party = open_party()
    both = Limits(calls_at_once=2, calls_a_minute=60 / 0.3)
    first = Calling(party, both).gets_in()
    second = Calling(party, both).gets_in()
    third = Calling(party, both)
    waiting(party.ledger, 1)
    # Its time has come long since; its slot has not.
    assert not third.has_slot.wait(0.5)
    first.let_go()
    third.gets_in()
    assert second.began - first.began > 0.9 * 0.3
    second.let_go()
    third.let_go()


def test_a_clock_that_was_set_back_does_not_stop_a_provider(open_party: OpenParty) -> None:
    party = open_party()
    quick = Limits(calls_a_minute=60 / 0.1)
    call(party, quick)
    do(party.ledger, "update limits set next_call_at = now() + interval '1 hour'")
    call(party, quick)


def test_a_provider_without_limits_costs_no_question_a_picture(open_party: OpenParty) -> None:
    party = open_party()
    asked: list[str] = []
    event.listen(party.ledger._engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    for _ in range(100):
        call(party, Limits())
    assert len(asked) <= 1, asked
    assert value(party.ledger, "select count(*) from limits") == 0


def test_a_free_slot_costs_two_questions_a_call(open_party: OpenParty) -> None:
    party = open_party()
    call(party, MANY)
    asked: list[str] = []
    event.listen(party.ledger._engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    for _ in range(10):
        call(party, MANY)
    assert len(asked) == 20


# -- who is next ---------------------------------------------------------------------------------------------------


def test_the_higher_priority_is_served_first_and_ties_in_the_order_of_asking_in_all_processes(
    open_party: OpenParty,
) -> None:
    one, two, three = (open_party() for _ in range(3))
    holding = Calling(one, ONE).gets_in()
    line = []
    for number, (party, priority) in enumerate([(two, 3), (three, 3), (one, 3), (two, 1), (three, 2), (one, 1)], 1):
        line.append(Calling(party, ONE, priority))
        waiting(one.ledger, number)
    for before, number in zip([holding, *(line[i] for i in (3, 5, 4, 0, 1))], (3, 5, 4, 0, 1, 2), strict=True):
        before.let_go()
        line[number].gets_in()
        assert [one.has_slot.is_set() for one in line].count(True) == (3, 5, 4, 0, 1, 2).index(number) + 1
    line[2].let_go()


def test_the_higher_priority_gets_the_rates_next_moment(open_party: OpenParty) -> None:
    one, two = open_party(), open_party()
    slow = Limits(calls_a_minute=60 / 0.4)
    call(one, slow)
    low = Calling(one, slow, 3)
    waiting(one.ledger, 1)
    high = Calling(two, slow, 1)
    low.gets_in().let_go()
    high.gets_in().let_go()
    assert high.began < low.began


def test_stopping_wakes_whoever_waits(open_party: OpenParty) -> None:
    party = open_party()
    holding = Calling(party, ONE).gets_in()
    first, second = Calling(party, ONE), Calling(party, ONE)
    waiting(party.ledger, 1)
    for one in (second, first):
        one.stop.set()
        assert isinstance(one.is_over(5).error, BatchStopped)
    assert value(party.ledger, "select count(*) from slots") == 1
    holding.let_go()


# -- those who die -------------------------------------------------------------------------------------------------


def test_the_slots_and_places_of_a_killed_process_are_free_at_once(
    ledger_url: str, ledger: Ledger, open_party: OpenParty
) -> None:
    with processes(ledger_url, 1) as (doomed,):
        doomed.begin(Load(threads=6, calls=1, seconds=60, at_once=4))
        until(ledger, "select taken from limits", 4)
        waiting(ledger, 1)
        doomed.kill()
        four = [Calling(open_party(), Limits(calls_at_once=4)) for _ in range(4)]
        for one in four:
            one.gets_in()
    for one in four:
        one.let_go()
    assert value(ledger, "select taken from limits") == 0


def test_the_slot_of_a_process_elsewhere_is_free_when_its_lease_is_over(open_party: OpenParty) -> None:
    party = open_party()
    call(party, ONE)
    gone = Place("gone", "fal", "elsewhere|1|2|3", 1)
    granted = party.ledger.ask(lambda connection: rows.ask(connection, gone, Terms(1), 0, 0.8))
    assert granted is not None
    assert granted.granted
    began = time.monotonic()
    Calling(party, ONE).gets_in().let_go()
    assert time.monotonic() - began > 0.5 * 0.8


def test_a_heartbeat_keeps_a_slot_beyond_its_lease(open_party: OpenParty) -> None:
    slow, other = open_party(lease_seconds=0.3), open_party()
    holding = Calling(slow, ONE).gets_in()
    time.sleep(0.9)
    # Whoever finds every slot taken looks at once for those whose time is over.
    wanting = Calling(other, ONE)
    assert not wanting.has_slot.wait(0.3)
    holding.let_go()
    wanting.gets_in().let_go()


def test_one_who_slept_past_its_lease_gives_nothing_back_that_is_anothers(open_party: OpenParty) -> None:
    asleep, other = open_party(), open_party()
    late = Calling(asleep, ONE).gets_in()
    do(other.ledger, "update slots set lease_until = now() - interval '1 second'")
    holding = Calling(other, ONE).gets_in()
    late.let_go()
    third = Calling(other, ONE)
    waiting(other.ledger, 1)
    assert not third.has_slot.wait(0.3)
    holding.let_go()
    third.gets_in().let_go()
    assert value(other.ledger, "select taken from limits") == 0


def test_a_closed_limiter_leaves_its_slots_to_others(open_party: OpenParty) -> None:
    one, two = open_party(), open_party()
    Calling(one, ONE).gets_in()
    wanting = Calling(two, ONE)
    waiting(two.ledger, 1)
    one.limiter.close()
    wanting.gets_in().let_go()


def test_a_slot_that_was_miscounted_is_counted_again(open_party: OpenParty) -> None:
    party = open_party()
    call(party, MANY)
    do(party.ledger, "update limits set taken = 8")
    Calling(party, MANY).gets_in().let_go()
    assert value(party.ledger, "select taken from limits") == 0


def test_what_was_granted_or_given_back_twice_counts_once(ledger: Ledger) -> None:
    place = Place("one", "fal", "a|1|2|3", 1)

    def twice(connection: Any) -> list[int]:
        rows.ensure(connection, "fal")
        granted = [rows.ask(connection, place, Terms(2), 0, 30) for _ in range(2)]
        assert all(one is not None and one.granted for one in granted)
        taken = [connection.execute(text("select taken from limits")).scalar()]
        ended = [rows.end(connection, place, Ended.LEFT, Terms(2), Breaker()) for _ in range(2)]
        return taken + [one.taken for one in ended if one is not None]

    assert ledger.ask(twice) == [1, 0, 0]


def test_a_call_that_was_not_taken_is_counted_off_the_rate_once(ledger: Ledger) -> None:
    place, slow = Place("one", "fal", "a|1|2|3", 1), Terms(spacing_seconds=100)

    def twice(connection: Any) -> float:
        rows.ensure(connection, "fal")
        rows.ask(connection, place, slow, 0, 30)
        ended = [rows.end(connection, place, Ended.BUSY, slow, Breaker(), 1.0) for _ in range(2)]
        assert ended[-1] is not None
        return ended[-1].rate_seconds

    assert -10 < ledger.ask(twice) <= 0


def test_a_ledger_that_goes_away_is_waited_out_and_loses_no_slot() -> None:
    with own_postgres() as server, parties(server.url) as opener:
        party = opener(lease_seconds=1.5, patience_seconds=1)
        holding = Calling(party, ONE).gets_in()
        wanting = Calling(opener(patience_seconds=30), ONE)
        waiting(party.ledger, 1)
        server.stop()
        # Its patience ends before the server is back: the slot is given back later.
        holding.let_go()
        server.start()
        wanting.gets_in().let_go()
        until(party.ledger, "select count(*) from slots", 0)


def test_whoever_listens_listens_again_when_cut_off(open_party: OpenParty, ledger_url: str) -> None:
    one, two = open_party(), open_party()
    holding = Calling(one, ONE).gets_in()
    wanting = Calling(two, ONE)
    waiting(one.ledger, 1)
    until(one.ledger, "select count(*) from pg_stat_activity where query like 'listen%'", 1)
    ask(ledger_url, "select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%'")
    until(one.ledger, "select count(*) from pg_stat_activity where query like 'listen%'", 1)
    holding.let_go()
    wanting.gets_in().let_go()


# -- a Retry-After -------------------------------------------------------------------------------------------------


def test_a_retry_after_moves_everybody_and_its_slot_is_free(open_party: OpenParty) -> None:
    one, two = open_party(), open_party()
    throttled = Calling(one, ONE).gets_in()
    others = [Calling(party, ONE) for party in (one, two)]
    waiting(one.ledger, 2)
    throttled.let_go(lambda slot: slot.busy(0.6))
    heard = time.monotonic()
    assert value(one.ledger, "select taken from limits") == 0
    while others:
        other = _whoever_got_in(others)
        assert other.began - heard > 0.9 * 0.6
        other.let_go()
        others.remove(other)


@pytest.mark.parametrize("limits", [MANY, Limits()], ids=["eight at once", "no limits"])
def test_after_a_retry_after_one_goes_first_then_another_and_then_the_rest(
    open_party: OpenParty, limits: Limits
) -> None:
    one, two = open_party(), open_party()
    call(one, limits, lambda slot: slot.busy(0.3))
    crowd = [Calling(party, limits) for party in (one, two, one, two, one)]
    waiting(one.ledger, 2)
    for _ in range(2):
        alone = _whoever_got_in(crowd)
        time.sleep(0.3)
        assert [calling.has_slot.is_set() for calling in crowd].count(True) == 1
        alone.let_go()
        crowd.remove(alone)
    for _ in range(2):
        next_one = _whoever_got_in(crowd)
        crowd.remove(next_one)
        # The rest are in together.
        if len(crowd) == 2:
            _whoever_got_in(crowd)
        next_one.let_go()
    crowd[0].gets_in().let_go()


def _whoever_got_in(crowd: list[Calling]) -> Calling:
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        for one in crowd:
            if one.has_slot.is_set():
                return one
        time.sleep(0.005)
    raise AssertionError("nobody got in")


def test_calls_from_before_a_retry_after_neither_hold_up_nor_let_in_those_after_it(open_party: OpenParty) -> None:
    party = open_party()
    answered, left, slow = (Calling(party, MANY).gets_in() for _ in range(3))
    call(party, MANY, lambda slot: slot.busy(0.3))
    # What was taken before the pause says nothing of whether the next would be.
    answered.let_go()
    first = Calling(party, MANY).gets_in()
    second = Calling(party, MANY)
    waiting(party.ledger, 1)
    left.let_go(Slot.release)
    assert not second.has_slot.wait(0.3)
    first.let_go()
    second.gets_in().let_go()
    slow.let_go()


@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["here", "in another process"])
def test_a_call_that_was_not_taken_counts_towards_no_rate(open_party: OpenParty, is_elsewhere: bool) -> None:
    party = open_party()
    slow = Limits(calls_a_minute=60 / 20)
    throttled = Calling(party, slow).gets_in()
    # It knows that its time is far off, and is told that it is not.
    other = Calling(open_party() if is_elsewhere else party, slow)
    waiting(party.ledger, 1)
    until(party.ledger, "select count(*) from pg_stat_activity where query like 'listen%'", 1)
    began = time.monotonic()
    throttled.let_go(lambda slot: slot.busy(0.2))
    other.gets_in().let_go()
    assert other.began - began < 0.5 * 20


def test_where_the_rate_keeps_calls_apart_none_waits_for_the_first_ones_answer(open_party: OpenParty) -> None:
    party = open_party()
    slow = Limits(calls_a_minute=60 / 0.6)
    call(party, slow, lambda slot: slot.busy(0.2))
    first = Calling(party, slow).gets_in()
    second = Calling(party, slow).gets_in()
    assert second.began - first.began > 0.9 * 0.6
    first.let_go()
    second.let_go()


def test_whoever_cannot_wait_for_the_end_of_a_retry_after_is_told(open_party: OpenParty) -> None:
    party = open_party()
    call(party, MANY, lambda slot: slot.busy(100))
    with pytest.raises(Busy, match="fal: wants no calls") as busy:
        call(party, MANY, patience_seconds=10)
    assert 90 < (busy.value.retry_after_seconds or 0) <= 100
    assert value(party.ledger, "select count(*) from slots") == 0


# -- the breaker ---------------------------------------------------------------------------------------------------

QUICK = Breaker(failures=3, lasting_seconds=0.0, shut_seconds=0.5, longest_seconds=30)


def _break(times: int, *parties_of: Any, limits: Limits = MANY) -> None:
    for number in range(times):
        call(parties_of[number % len(parties_of)], limits, Slot.broken)


def test_breakages_in_a_row_shut_a_provider_for_all_processes(open_party: OpenParty) -> None:
    one, two = open_party(breaker=QUICK), open_party(breaker=QUICK)
    _break(2, one, two)
    assert two.limiter.why_shut("fal") is None
    _break(1, one)
    with pytest.raises(Shut, match="fal: broke 3 times in a row"):
        call(two, MANY, is_last_hope=False)
    assert "broke 3 times" in (two.limiter.why_shut("fal") or "")
    assert "broke 3 times" in (one.limiter.why_shut("fal") or "")
    with pytest.raises(Shut):
        call(two, MANY, patience_seconds=0.1)


def test_a_provider_without_limits_is_shut_as_well(open_party: OpenParty) -> None:
    one, two = open_party(breaker=QUICK), open_party(breaker=QUICK)
    _break(3, one, limits=Limits())
    for party in (one, two):
        with pytest.raises(Shut):
            call(party, Limits(), is_last_hope=False)


def test_a_shut_provider_is_tried_by_one_call_at_a_time_until_one_is_good(open_party: OpenParty) -> None:
    party = open_party(breaker=QUICK)
    _break(3, party)
    crowd = [Calling(party, MANY) for _ in range(3)]
    probe = _whoever_got_in(crowd)
    crowd.remove(probe)
    with pytest.raises(Shut, match="tried by one call"):
        call(party, MANY, is_last_hope=False)
    probe.let_go(Slot.broken)
    again = value(party.ledger, "select extract(epoch from shut_until - now()) from limits")
    assert 0.5 < again <= 1.0, "the second time is twice as long"
    probe = _whoever_got_in(crowd)
    crowd.remove(probe)
    assert not crowd[0].has_slot.is_set()
    probe.let_go()
    crowd[0].gets_in().let_go()
    assert party.limiter.why_shut("fal") is None
    assert value(party.ledger, "select times_shut from limits") == 0


def test_a_shut_provider_whose_probe_died_is_tried_again_though_others_can_be_asked(open_party: OpenParty) -> None:
    party = open_party()
    do(
        party.ledger,
        "insert into limits (provider, taken, under_way, at_most, pauses, broken_in_a_row, broken_since, times_shut, "
        "shut_until) values ('fal', 1, 1, 1, 1, 5, now(), 1, now() - interval '1 second')",
    )
    do(
        party.ledger,
        "insert into slots (id, provider, holder, priority, granted_at, pauses, lease_until) "
        "values ('probe', 'fal', 'elsewhere|boot|pid:[1]|1|1.00|dead', 1, now(), 1, now() - interval '1 second')",
    )
    ends = time.monotonic() + 20
    while party.limiter.why_shut("fal") is not None:
        assert time.monotonic() < ends, "nobody asks it for ever"
        time.sleep(0.1)
    call(party, Limits(), is_last_hope=False)
    assert value(party.ledger, "select times_shut from limits") == 0


def test_a_probe_that_says_nothing_leaves_it_to_the_next(open_party: OpenParty) -> None:
    party = open_party(breaker=QUICK)
    _break(3, party)
    call(party, MANY, Slot.release)
    call(party, MANY)
    assert party.limiter.why_shut("fal") is None


def test_breakages_that_began_before_it_was_shut_do_not_shut_it_for_longer(open_party: OpenParty) -> None:
    party = open_party(breaker=QUICK)
    late = [Calling(party, MANY).gets_in() for _ in range(3)]
    _break(3, party)
    until_then = value(party.ledger, "select shut_until from limits")
    for one in late:
        one.let_go(Slot.broken)
    assert value(party.ledger, "select shut_until from limits") == until_then


def test_prompts_that_break_a_service_do_not_shut_it_while_others_are_answered(open_party: OpenParty) -> None:
    party = open_party(breaker=Breaker(failures=3, lasting_seconds=60))
    for _ in range(3):
        call(party, MANY)
        _break(8, party)
    assert party.limiter.why_shut("fal") is None
    call(party, MANY, is_last_hope=False)
    # The row says when it began: nothing else since then, and it is shut.
    _break(2, party)
    do(party.ledger, "update limits set broken_since = now() - interval '61 seconds'")
    _break(1, party)
    with pytest.raises(Shut):
        call(party, MANY, is_last_hope=False)


# -- within one process --------------------------------------------------------------------------------------------


def test_a_process_keeps_to_its_own_calls_at_once_as_well(open_party: OpenParty) -> None:
    party = open_party(at_once=2)
    spans: list[Span] = []

    def work() -> None:
        with party.limiter.slot("fal", Limits(), 1, stop=threading.Event()):
            began = time.monotonic()
            time.sleep(0.05)
            spans.append(Span(began, time.monotonic()))

    assert in_threads([work] * 6) == [None] * 6
    assert most_at_once(spans) == 2


def test_who_waits_for_another_process_takes_no_call_of_their_own(open_party: OpenParty) -> None:
    one, two = open_party(), open_party(at_once=1)
    holding = Calling(one, ONE).gets_in()
    wanting = Calling(two, ONE)
    waiting(one.ledger, 1)
    holding.let_go()
    wanting.gets_in().let_go()
