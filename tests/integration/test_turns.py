"""Who waits for theirs goes first, and among the others owners take turns: in one process, and over processes."""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import text

from limner import press
from limner.ledger.opening import Ledger
from limner.limiter import _Waiter
from limner.providers.seam import Asked, Limits
from limner.tiers import BATCH_STEP
from tests.integration.limiting import Calling, OpenParty, Party, parties
from tests.integration.pressing import OpenRoom, Painter, asker, carry_on, castles, illustrate, in_threads, planned

ONE = Limits(calls_at_once=1)
IN_LINE = "select count(*) from slots where granted_at is null"


@pytest.fixture
def open_party(ledger_url: str) -> Iterator[OpenParty]:
    with parties(ledger_url) as opener:
        yield opener


def value(ledger: Ledger, query: str) -> Any:
    return ledger.run(lambda connection: connection.execute(text(query)).scalar())


def until(is_so: Any, what: str) -> None:
    ends = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < ends, what
        time.sleep(0.005)


def waits_here(party: Party) -> list[_Waiter]:
    return [one for theirs in party.limiter._line("fal")._waiting.values() for one in theirs]


def served(crowd: Sequence[tuple[Party, str]], limits: Limits, holding: Calling) -> list[str]:
    """Have a crowd wait in this order while the one call is held; return whose calls are made then, one by one."""
    line: list[tuple[Party, Calling]] = []

    def all_wait() -> bool:
        # Each owner's first in each process has a place, where there is a limit.
        places = len({(id(party), one.owner) for party, one in line}) if limits == ONE else 0
        here = sum(len(waits_here(party)) for party in {party for party, _ in line})
        return here == len(line) and value(crowd[0][0].ledger, IN_LINE) == places

    for party, owner in crowd:
        line.append((party, Calling(party, limits, owner=owner)))
        until(all_wait, f"{owner} does not wait")
    order = []
    while line:
        until(all_wait, "not all wait")
        holding.let_go()
        holding = who_got_in([calling for _, calling in line])
        line = [(party, calling) for party, calling in line if calling is not holding]
        order.append(holding.owner)
    holding.let_go()
    return order


def who_got_in(line: Sequence[Calling]) -> Calling:
    until(lambda: any(one.has_slot.is_set() for one in line), "nobody got in")
    (one,) = [one for one in line if one.has_slot.is_set()]
    return one


def test_owners_of_one_process_take_turns(open_party: OpenParty) -> None:
    party = open_party()
    crowd = [(party, owner) for owner in ("mary", "mary", "mary", "mary", "john", "john", "anne")]
    order = served(crowd, ONE, Calling(party, ONE, owner="mary").gets_in())
    assert order == ["john", "anne", "mary", "john", "mary", "mary", "mary"]


def test_owners_take_turns_where_only_the_process_has_a_limit(open_party: OpenParty) -> None:
    party = open_party(at_once=1)
    crowd = [(party, owner) for owner in ("mary", "mary", "mary", "john", "john")]
    order = served(crowd, Limits(), Calling(party, Limits(), owner="mary").gets_in())
    assert order == ["john", "mary", "john", "mary", "mary"]
    assert value(party.ledger, "select count(*) from turns") == 0


def test_an_owner_with_ten_batches_gets_no_more_than_one_with_one(open_party: OpenParty) -> None:
    ten, one = [open_party() for _ in range(10)], open_party()
    crowd = [(party, "mary") for party in ten] + [(one, "john")] * 4 + [(one, "anne")]
    order = served(crowd, ONE, Calling(ten[0], ONE, owner="mary").gets_in())
    assert order[:9] == ["john", "anne", "mary", "john", "mary", "john", "mary", "john", "mary"]
    assert order[9:] == ["mary"] * 6


def test_an_owners_turn_elsewhere_counts_in_a_process_with_one_call_of_its_own(open_party: OpenParty) -> None:
    small, others = open_party(at_once=1), [open_party() for _ in range(4)]
    holding = Calling(others[0], ONE, owner="anne").gets_in()
    line = [Calling(party, ONE, owner="mary") for party in (*others, small)]
    until(lambda: value(small.ledger, IN_LINE) == 5, "mary is not in line")
    line.append(Calling(small, ONE, owner="john"))
    until(lambda: len(waits_here(small)) == 2, "john does not wait")
    holding.let_go()
    assert who_got_in(line).owner == "mary"
    # Whoever waits asks every so often, and is told that mary was served: john is next.
    until(lambda: value(small.ledger, f"{IN_LINE} and owner = 'john'") == 1, "john is not in line")
    line.remove(holding := who_got_in(line))
    holding.let_go()
    line.remove(holding := who_got_in(line))
    assert holding.owner == "john"
    while line:
        holding.let_go()
        line.remove(holding := who_got_in(line))
    holding.let_go()


class Studio:
    """A painter with one call at once; each waits until those who are to be in line behind it are."""

    def __init__(self) -> None:
        self.order: list[tuple[str, int]] = []
        self.before_answer: Any = lambda _number: None
        self.painter = Painter(whim=self._paint)
        self.painter.limits = ONE

    def _paint(self, asked: Asked) -> None:
        self.order.append((asked.owner, asked.priority))
        self.before_answer(len(self.order))


def test_an_interactive_order_overtakes_a_batch_of_500_within_one_call(open_room: OpenRoom) -> None:
    studio = Studio()
    batch_room, fast_room = open_room(studio.painter), open_room(studio.painter)
    long = planned(batch_room, castles(500, title="All of it"), owner="mary", tier="ultimate")
    wanted = castles(3, title="Now")
    asks = threading.Event()

    def before_answer(number: int) -> None:
        if number == 4:
            asks.set()
        if 4 <= number < 7:
            until(lambda: value(fast_room.ledger, f"{IN_LINE} and owner = 'john'") == 1, "john does not wait")

    studio.before_answer = before_answer

    def interactive() -> None:
        assert asks.wait(60)
        assert illustrate(fast_room, wanted, owner="john", tier="free", interactive=True).made == 3
        batch_room.progress(long.id).stop.set()

    ended = in_threads([lambda: carry_on(batch_room, long), interactive])
    assert not any(isinstance(one, Exception) for one in ended), ended
    assert studio.order[:8] == [("mary", 101)] * 4 + [("john", 3)] * 3 + [("mary", 101)]


def test_what_somebody_waits_for_may_have_more_calls_where_the_provider_puts_it_first(open_party: OpenParty) -> None:
    party, limits = open_party(), Limits(calls_at_once=1, spare=1)
    first = Calling(party, limits, BATCH_STEP + 1).gets_in()
    later = Calling(party, limits, BATCH_STEP + 1)
    until(lambda: value(party.ledger, IN_LINE) == 1, "it does not wait")
    urgent = Calling(party, limits, 1).gets_in()
    assert not later.has_slot.is_set()
    urgent.let_go()
    first.let_go()
    later.gets_in().let_go()


def test_two_owners_batches_alternate(open_room: OpenRoom) -> None:
    studio = Studio()
    one, two = open_room(studio.painter), open_room(studio.painter)
    both_wait = IN_LINE.replace("*", "distinct owner")

    def before_answer(number: int) -> None:
        if number < 8:
            until(lambda: value(one.ledger, both_wait) == 2, "not both are in line")

    studio.before_answer = before_answer
    made = in_threads(
        [lambda: illustrate(one, castles(6), owner="mary"), lambda: illustrate(two, castles(6), owner="john")]
    )
    assert [report.made for report in made] == [6, 6]
    first = [owner for owner, _priority in studio.order[:8]]
    assert first in (["mary", "john"] * 4, ["john", "mary"] * 4)


def test_an_interactive_run_makes_the_batch_that_it_carries_on_interactive(open_room: OpenRoom) -> None:
    studio = Studio()
    room = open_room(studio.painter)
    batch = planned(room, castles(2))
    assert not batch.interactive
    assert room.progress(batch.id).batch == batch
    hurried = press.hurry(room, batch)
    assert hurried.interactive
    # Whoever asks as before carries on what somebody waits for.
    assert press.find_plan(room, asker(castles(2))) == hurried
    carry_on(room, batch)
    assert studio.order == [("local", 1)] * 2
