"""What a batch waits for is said from the ledger: who is before it, what a provider wants, whose process has died."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import text

from limner.ledger import plans, runs, waiting
from limner.ledger.limits import State
from limner.ledger.plans import Batch
from limner.ledger.reports import Counts
from limner.ledger.runs import Run
from limner.ledger.waiting import AtProvider, Crowd, Held, Standing
from limner.providers.seam import Asked, Limits
from limner.studio import Room
from limner.tiers import load_tiers
from tests.integration.pressing import OpenRoom, Painter, carry_on, castles, in_threads, planned
from tests.integration.test_turns import ONE, until

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BATCH = Batch(
    "chapter-1", "chapter", "The hall", "mary", "free", "2026-11", ("fal",), None, "same", 20, "open", (), NOW, None
)


def standing(**more: object) -> Standing:
    told = {
        "batch": BATCH,
        "run_ids": (),
        "now": NOW,
        "counts": Counts(made=12, reused=0, failed=1, promised=7, rejected=0, spend_usd=0.0),
        "runs": (run(),),
        "providers": (),
        "held": (),
        "short": 0,
        "pictures_left": None,
        "usd_left": None,
        **more,
    }
    return Standing(**told)  # type: ignore[arg-type]


def run(holder: str | None = "elsewhere|1|2|3|4|5", silent_seconds: float = 2.0, resumed: int = 0) -> Run:
    return Run("r-1", "chapter-1", "open", holder, False, resumed, False, silent_seconds)


def said(**more: object) -> list[str]:
    return waiting.sentences(standing(**more))


def test_a_batch_that_runs_says_how_far_it_is() -> None:
    assert said() == [
        "12 of 20 pictures of chapter-1 (The hall) are there, 7 are to be made and 1 have failed.",
        "Run r-1 is at work, last heard of 2 s ago.",
    ]


def test_a_batch_that_is_there_says_so() -> None:
    all_there = Counts(made=15, reused=5, failed=0, promised=0, rejected=0, spend_usd=0.0)
    assert said(counts=all_there) == ["20 of 20 pictures of chapter-1 (The hall) are there: it is complete."]


def test_a_line_a_pause_a_breaker_and_a_rate_are_each_a_sentence() -> None:
    line = AtProvider("fal", State(rate_seconds=4.2), 1, (Crowd("john", False, 2),), (Crowd("anne", True, 3),))
    quiet = AtProvider("openai", State(quiet_seconds=75), 0, (), None)
    shut = AtProvider("replicate", State(shut_seconds=30, broken_in_a_row=5, times_shut=1), 0, (), ())
    assert said(providers=(line, quiet, shut))[2:] == [
        "fal: 1 of its calls are under way.",
        "fal: it waits for a call behind 3 of anne (interactive); under way: 2 of john.",
        "fal: its rate allows the next call in 4 s.",
        "openai: wants no calls (Retry-After) until 12:01:15 UTC, another 75 s.",
        "replicate: broke 5 times in a row and is left alone until 12:00:30 UTC, another 30 s.",
        "replicate: it waits for a call and is next; under way: none.",
    ]


def test_pictures_that_another_batch_makes_are_named() -> None:
    held = (Held("chapter-2", "mary", 4),)
    assert said(held=held)[2] == "4 of its pictures are being made by chapter-2 of mary; it takes them from there."


def test_a_run_that_died_is_resumed_until_it_has_died_too_often() -> None:
    assert "has died, last heard of 60 s ago; a sweeper resumes it" in said(runs=(run(silent_seconds=60),))[1]
    assert "died 5 times" in said(runs=(run(silent_seconds=60, resumed=5),))[1]
    assert "is to be begun again" in said(runs=(run(holder=None),))[1]


def test_without_a_run_what_is_short_of_quota_is_said() -> None:
    assert said(runs=(), short=8, pictures_left=3)[1:] == [
        "No run works on it; retry its run, or ask for the same again, and what is missing is made.",
        "mary may make 3 more pictures in 2026-11, and 8 are to be made.",
    ]


# -- as the ledger has it ------------------------------------------------------------------------------------------


def of(room: Room, batch: Batch) -> Standing:
    tier = load_tiers()[batch.tier]
    return room.ledger.run(lambda connection: waiting.standing(connection, batch, tier))


@contextmanager
def carried_on(*under_way: tuple[Room, Batch, str], opens: threading.Event) -> Iterator[None]:
    """Have batches run in threads; at the end whoever waits at `opens` goes on, and all are brought to their ends."""
    works = [lambda one=one: carry_on(*one) for one in under_way]
    running = threading.Thread(target=in_threads, args=(works,))
    running.start()
    try:
        yield
    finally:
        opens.set()
        running.join(60)
    assert not running.is_alive()


def test_who_is_before_it_and_who_makes_its_pictures_is_known(open_room: OpenRoom) -> None:
    opens = threading.Event()

    def waits(_asked: Asked) -> None:
        opens.wait(60)

    painter = Painter(whim=waits)
    painter.limits = ONE
    one, two, three = (open_room(painter) for _ in range(3))
    first = planned(one, castles(4), owner="john")
    same = planned(two, castles(4), owner="john", idempotency_key="again")
    other = planned(three, castles(4), owner="mary")
    with carried_on((one, first, "run-1"), opens=opens):
        until(lambda: len(painter.asked) == 1 and of(one, first).providers[0].ahead == (), "john is not in line")
        with carried_on((two, same, "run-2"), (three, other, "run-3"), opens=opens):
            until(lambda: of(three, other).providers[0].ahead is not None, "mary is not in line")
            until(lambda: of(two, same).run_ids == ("run-2",), "the other has not begun")
            assert of(two, same).held == (Held(first.id, "john", 4),)
            at = of(three, other).providers[0]
            assert (at.calls, at.under_way, at.ahead) == (0, (Crowd("john", False, 1),), ())
            at = of(one, first).providers[0]
            assert (at.calls, at.under_way, at.ahead) == (1, (Crowd("john", False, 1),), (Crowd("mary", False, 1),))
    ended = of(two, same)
    assert (ended.counts.reused, ended.runs, ended.held) == (4, (), ())


def test_a_pause_and_the_death_of_a_run_are_known(open_room: OpenRoom) -> None:
    room = open_room()
    batch = planned(room, castles(2), owner="mary", tier="free")
    with room.limiter.slot("painter", Limits(), 1, stop=threading.Event()) as slot:
        slot.busy(100)
    room.ledger.run(lambda connection: runs.begin(connection, "run-1", batch.id, "elsewhere|1|2|3|4|5"))
    found = of(room, batch)
    assert 90 < found.providers[0].state.quiet_seconds <= 100
    assert not found.runs[0].is_dead()
    silenced = text("update runs set beat_at = now() - interval '2 minutes'")
    room.ledger.run(lambda connection: connection.execute(silenced))
    assert of(room, batch).runs[0].is_dead()
    assert of(room, batch).pictures_left == 48
    assert room.ledger.run(lambda connection: plans.batch_of_run(connection, "run-1")) == batch
