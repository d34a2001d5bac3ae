"""Money: reserved, bound, settled; what has an id is carried on; and the books agree whatever happens."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import Connection, text

from limner import press
from limner.chain import Patience
from limner.errors import (
    Broken,
    Busy,
    Cancelled,
    OutOfCredit,
    QuotaUsedUp,
    Refused,
    Unauthorised,
    Unfinished,
    UnknownOutcome,
)
from limner.ledger import quota, reports
from limner.ledger.auditing import audit_spend
from limner.ledger.opening import Ledger
from limner.providers.seam import Answer, Asked
from tests.integration import racing
from tests.integration.books import assert_the_books_balance, rows, value
from tests.integration.pressing import OpenRoom, Painter, carry_on, castles, illustrate, planned, too_small
from tests.standins.pollinations import picture

ANNA = {"owner": "anna", "tier": "free"}  # a dollar a month


class Queue(Painter):
    """A painter that answers through an id: `finishes` says whether a look at an order finds its picture."""

    def __init__(self, name: str = "painter", price_usd: float = 0.1) -> None:
        super().__init__(name, price_usd=price_usd, resumes=True, cancels=True)
        self.finishes: Callable[[str], bool] = lambda _provider_id: True
        self.submitted: list[str] = []
        self.polled: list[str] = []

    def generate(self, asked: Asked) -> Answer:
        provider_id = asked.provider_id
        if provider_id is None:
            provider_id = f"order-{len(self.submitted)}"
            self.submitted.append(provider_id)
            asked.accepted(provider_id)
        self.polled.append(provider_id)
        if not self.finishes(provider_id):
            raise Unfinished(f"painter: took the order as {provider_id} and is not done")
        data = picture(asked.prompt, asked.seed, asked.order.width, asked.order.height)
        return Answer(data, "oil", cost_usd=0.07, provider_id=provider_id)


def _money(ledger: Ledger) -> list[tuple[Decimal, Decimal, Decimal]]:
    found = rows(ledger, "select usd_free, usd_bound, usd_used from batches order by planned_at")
    return [(one["usd_free"], one["usd_bound"], one["usd_used"]) for one in found]


def assert_it_agrees(ledger: Ledger) -> None:
    assert list(ledger.run(audit_spend).faults) == []


def _dollars(*amounts: str) -> tuple[Decimal, ...]:
    return tuple(Decimal(one) for one in amounts)


def test_the_estimate_is_reserved_and_the_real_cost_is_settled(open_room: OpenRoom, ledger: Ledger) -> None:
    queue = Queue()
    room = open_room(queue)
    batch = planned(room, castles(3))
    assert _money(ledger) == [_dollars("0.3", "0", "0")]
    assert value(ledger, "select usd_reserved from counters") == Decimal("0.3")
    report = carry_on(room, batch)
    assert (report.made, report.spend_usd) == (3, pytest.approx(0.21))
    assert _money(ledger) == [_dollars("0", "0", "0.21")]
    assert {one["estimate_usd"] for one in rows(ledger, "select estimate_usd from attempts")} == {Decimal("0.1")}
    assert_the_books_balance(room.ledger, room.bucket)
    assert_it_agrees(ledger)


def test_a_cost_that_nobody_knows_or_believes_is_the_estimate(open_room: OpenRoom, ledger: Ledger) -> None:
    for number, cost in enumerate((None, float("nan"), -1.0, 1e9)):

        class Odd(Painter):
            def generate(self, asked: Asked, cost: float | None = cost) -> Answer:
                return replace(super().generate(asked), cost_usd=cost)

        room = open_room(Odd(price_usd=0.02))
        assert illustrate(room, castles(1, title=f"Batch {number}")).spend_usd == pytest.approx(0.02)
    assert_it_agrees(ledger)


ENDS = [
    (Refused("no"), 0, 1),
    (Refused("made, then hidden", may_be_paid=True), 0.1, 1),
    (Broken("no"), 0, 3),
    (Broken("its bytes were none", may_be_paid=True), 0.3, 3),
    (Unauthorised("no"), 0, 1),
    (UnknownOutcome("the line broke"), 0.2, 2),
]


@pytest.mark.parametrize(("error", "spend", "calls"), ENDS, ids=[str(end[0]) for end in ENDS])
def test_what_failed_costs_what_it_may_have_cost(
    open_room: OpenRoom, ledger: Ledger, error: Exception, spend: float, calls: int
) -> None:
    painter = Painter(price_usd=0.1, whim=lambda _asked: error)  # type: ignore[arg-type, return-value]
    report = illustrate(open_room(painter), castles(1))
    assert (report.failed, painter.calls, report.spend_usd) == (1, calls, pytest.approx(spend))
    assert _money(ledger) == [_dollars("0", "0", str(spend))]
    assert_it_agrees(ledger)


def test_a_rejected_picture_was_paid_for(open_room: OpenRoom, ledger: Ledger) -> None:
    ends = iter([True, False])
    painter = Painter(price_usd=0.1, whim=lambda asked: too_small(asked) if next(ends) else None)
    assert illustrate(open_room(painter), castles(1)).spend_usd == pytest.approx(0.2)
    assert_it_agrees(ledger)


def test_a_throttle_costs_nothing(open_room: OpenRoom, ledger: Ledger) -> None:
    ends = iter([Busy("later", 0.01), Busy("later"), None])
    report = illustrate(open_room(Painter(price_usd=0.1, whim=lambda _asked: next(ends))), castles(1))
    assert (report.made, report.spend_usd) == (1, pytest.approx(0.1))
    assert_it_agrees(ledger)


def test_a_plan_is_cut_to_what_the_owners_money_pays_for(open_room: OpenRoom, ledger: Ledger) -> None:
    room = open_room(Painter(price_usd=0.3))
    report = illustrate(room, castles(5), **ANNA)
    assert (report.asked, report.made) == (3, 3)
    assert any("Cut from 5 by the money left: $1.00." in note for note in report.notes)
    with pytest.raises(QuotaUsedUp, match=r"\$0\.10 are left for anna in .* estimated at \$0\.3000; .*--max-usd"):
        illustrate(room, castles(5, title="More"), **ANNA)
    assert value(ledger, "select count(*) from batches") == 1
    assert_it_agrees(ledger)


def test_a_batch_has_a_cap_of_its_own(open_room: OpenRoom, ledger: Ledger) -> None:
    painter = Painter(price_usd=0.1)
    report = illustrate(open_room(painter), castles(5), max_usd=0.25)
    assert (report.asked, report.made, report.spend_usd) == (2, 2, pytest.approx(0.2))
    with pytest.raises(QuotaUsedUp, match=r"\$0\.05 are left"):
        illustrate(open_room(painter), castles(2, title="Dear"), max_usd=0.05)
    assert_it_agrees(ledger)


def test_no_call_goes_over_the_batchs_cap_and_a_cheaper_provider_is_asked(open_room: OpenRoom, ledger: Ledger) -> None:
    dear = Painter("dear", price_usd=0.1, whim=lambda _asked: UnknownOutcome("the line broke"))
    free = Painter("free")
    report = illustrate(open_room(dear, free), castles(1, chain=("dear", "free")), max_usd=0.15)
    assert (report.made, dear.calls, free.calls) == (1, 1, 1)
    assert report.spend_usd == pytest.approx(0.1)
    assert_it_agrees(ledger)


def test_a_call_that_the_owners_money_does_not_cover_is_not_made(open_room: OpenRoom, ledger: Ledger) -> None:
    painter = Painter(price_usd=0.6, whim=lambda _asked: UnknownOutcome("the line broke"))
    report = illustrate(open_room(painter), castles(1), **ANNA)
    assert (report.failed, painter.calls, report.spend_usd) == (1, 1, pytest.approx(0.6))
    assert "over budget" in report.errors["picture-1"] and "limner owners set anna --tier" in report.errors["picture-1"]
    assert_it_agrees(ledger)


def test_what_is_not_done_in_time_ends_the_job_stays_open_and_is_fetched_by_the_next_run(
    open_room: OpenRoom, ledger: Ledger
) -> None:
    queue, other = Queue("painter"), Painter("other")
    queue.finishes = lambda _provider_id: False
    room = open_room(queue, other)
    plan = castles(1, chain=("painter", "other"))
    short = illustrate(room, plan)
    assert (short.failed, other.calls, queue.submitted) == (1, 0, ["order-0"])
    assert "unfinished" in short.errors["picture-1"]
    assert _money(ledger) == [_dollars("0", "0.1", "0")], "what may yet be paid stays bound"
    (left,) = rows(ledger, "select provider_id, reason from attempts where outcome is null")
    assert left["provider_id"] == "order-0" and "not done" in left["reason"]
    assert_it_agrees(ledger)

    queue.finishes = lambda _provider_id: True
    whole = illustrate(room, plan)
    assert (whole.batch, whole.made, whole.spend_usd) == (short.batch, 1, pytest.approx(0.07))
    assert (queue.submitted, queue.polled, other.calls) == (["order-0"], ["order-0", "order-0"], 0)
    assert value(ledger, "select count(*) from attempts") == 1
    assert_the_books_balance(room.ledger, room.bucket)
    assert_it_agrees(ledger)


def test_another_batch_that_wants_the_same_picture_takes_the_open_call_over_and_pays_for_it(
    open_room: OpenRoom, ledger: Ledger
) -> None:
    queue = Queue()
    room = open_room(queue)
    queue.finishes = lambda _provider_id: False
    illustrate(room, castles(1))
    queue.finishes = lambda _provider_id: True
    other = illustrate(room, castles(2))
    assert (other.made, len(queue.submitted)) == (2, 2)
    assert _money(ledger) == [_dollars("0", "0", "0"), _dollars("0", "0", "0.14")]
    assert_it_agrees(ledger)


def test_what_a_crash_left_open_without_an_id_counts_as_spent(open_room: OpenRoom, ledger: Ledger) -> None:
    room = open_room(Painter(price_usd=0.1))
    batch = planned(room, castles(1))
    _leave_open(ledger, provider_id=None)
    report = carry_on(room, batch)
    assert (report.made, report.spend_usd) == (1, pytest.approx(0.2))
    outcomes = rows(ledger, "select outcome, cost_usd from attempts order by started_at")
    assert [(one["outcome"], one["cost_usd"]) for one in outcomes] == [
        ("unknown", Decimal("0.1")),
        ("made", Decimal("0.1")),
    ]
    assert_it_agrees(ledger)


def test_what_a_crash_left_open_with_an_id_is_polled_and_never_submitted_again(
    open_room: OpenRoom, ledger: Ledger
) -> None:
    queue = Queue()
    room = open_room(queue)
    batch = planned(room, castles(1))
    _leave_open(ledger, provider_id="of-the-dead")
    report = carry_on(room, batch)
    assert (report.made, queue.submitted, queue.polled) == (1, [], ["of-the-dead"])
    (only,) = rows(ledger, "select id, seed, outcome from attempts")
    assert (only["id"], only["seed"], only["outcome"]) == ("left", 7, "made")
    assert_it_agrees(ledger)


def test_an_open_call_of_a_provider_that_knows_no_ids_is_unknown(open_room: OpenRoom, ledger: Ledger) -> None:
    painter = Painter(price_usd=0.1)
    room = open_room(painter)
    batch = planned(room, castles(1))
    _leave_open(ledger, provider_id="of-the-dead")
    assert carry_on(room, batch).made == 1
    assert (painter.calls, value(ledger, "select count(*) from attempts where outcome = 'unknown'")) == (1, 1)
    assert_it_agrees(ledger)


def test_stopping_a_batch_cancels_what_its_provider_can_cancel(open_room: OpenRoom, ledger: Ledger) -> None:
    begun = threading.Event()

    class Slow(Queue):
        def generate(self, asked: Asked) -> Answer:
            asked.accepted("slow-1")
            begun.set()
            assert asked.stop.wait(20)
            raise Cancelled("painter: stopped slow-1")

    room = open_room(Slow())
    batch = planned(room, castles(1))
    stopper = threading.Thread(target=lambda: (begun.wait(20), room.progress(batch.id).stop.set()))
    stopper.start()
    report = carry_on(room, batch)
    stopper.join()
    assert (report.made, report.failed, report.spend_usd) == (0, 0, 0.0)
    assert value(ledger, "select status from jobs") == "promised", "nothing failed: the next run makes it"
    assert value(ledger, "select outcome from attempts") == "cancelled"
    assert _money(ledger) == [_dollars("0", "0", "0")]
    assert_it_agrees(ledger)


def test_an_empty_account_shuts_the_provider_for_the_run_and_no_longer(open_room: OpenRoom, ledger: Ledger) -> None:
    whims = {"end": OutOfCredit("one: the account is empty")}
    one, two = Painter("one", whim=lambda _asked: whims.get("end")), Painter("two")
    room = open_room(one, two, concurrency=1)
    assert illustrate(room, castles(6, chain=("one", "two"))).made == 6
    assert one.calls == 1, "who waited for its slot does not ask either"
    skipped = rows(ledger, "select skipped from jobs where skipped <> '[]'")
    assert {"provider": "one", "reason": "it was out of credit in this run"} in [row["skipped"][0] for row in skipped]
    whims.clear()
    assert illustrate(room, castles(1, title="Later", chain=("one", "two"), width=512)).made == 1
    assert one.calls == 2 and two.calls == 6


def test_who_was_passed_over_and_why_is_kept_with_the_job(open_room: OpenRoom, ledger: Ledger) -> None:
    small, able = Painter("small", max_side=128), Painter("able")
    illustrate(open_room(small, able), castles(1, chain=("small", "able")))
    (job,) = rows(ledger, "select skipped from jobs")
    assert job["skipped"] == [{"provider": "small", "reason": "it makes sides of 64 to 128 px, not 320x256"}]


def test_the_audit_finds_a_cent_that_is_missing(open_room: OpenRoom, ledger: Ledger) -> None:
    illustrate(open_room(Painter(price_usd=0.1)), castles(2))
    assert_it_agrees(ledger)
    wrong = {"counters": "usd_used", "entries": "usd_used", "attempts": "cost_usd", "batches": "usd_free"}
    for table, column in wrong.items():
        for cent in ("0.01", "-0.01"):
            off = f"update {table} set {column} = {column} + {cent}"  # noqa: S608 - of constants
            ledger.run(lambda connection, off=off: connection.execute(text(off)))  # type: ignore[misc]
            assert bool(ledger.run(audit_spend).faults) == (cent == "0.01"), table


def _leave_open(ledger: Ledger, provider_id: str | None) -> None:
    """Leave what a process leaves that is killed in the middle of its call."""

    def leave(connection: object) -> None:
        connection.execute(  # type: ignore[attr-defined]
            text("""
                insert into attempts (id, order_key, batch_id, job_key, provider, provider_id, number, seed, token,
                                      fingerprint, prompt, negative_prompt, estimate_usd)
                select 'left', order_key, batch_id, key, 'painter', :provider_id, 1, 7, 0, 'f', 'a castle', '', 0.1
                  from jobs
            """),
            {"provider_id": provider_id},
        )
        connection.execute(  # type: ignore[attr-defined]
            text("update batches set usd_free = usd_free - 0.1, usd_bound = usd_bound + 0.1")
        )

    ledger.run(leave)


class Steps:
    """Stands where a room's fuse stands: says when a step is reached for the second time."""

    def __init__(self, step: str) -> None:
        self.again = threading.Event()
        self._step = step
        self._reached = 0

    def reach(self, step: str) -> None:
        self._reached += step == self._step
        if self._reached == 2:
            self.again.set()


def test_one_who_slept_past_its_lease_does_not_settle_the_call_that_another_carries_on(
    open_room: OpenRoom, ledger: Ledger
) -> None:
    begun, taken_over, steps = threading.Event(), threading.Event(), Steps("intent")

    class Lost(Queue):
        """Sleeps in its first call until somebody else asks after the order, and then finds that it was lost."""

        def generate(self, asked: Asked) -> Answer:
            if asked.provider_id is None:
                asked.accepted("order-0")
                begun.set()
                assert taken_over.wait(20)
                raise Broken("painter: its picture is gone", may_be_paid=True)
            taken_over.set()
            assert steps.again.wait(20), "the sleeper has settled by now, and would ask again"
            return super().generate(asked)

    queue = Lost()
    sleeper, other = open_room(queue, fuse=steps), open_room(queue)  # type: ignore[arg-type]
    batch = planned(sleeper, castles(1))
    sleeping = threading.Thread(target=lambda: carry_on(sleeper, batch), daemon=True)
    sleeping.start()
    assert begun.wait(20)
    _do(ledger, "update claims set lease_until = now() - interval '1 minute'")
    report = carry_on(other, batch)
    sleeping.join(30)
    assert (report.made, queue.polled, report.spend_usd) == (1, ["order-0"], pytest.approx(0.07))
    assert rows(ledger, "select outcome from attempts") == [{"outcome": "made"}]
    assert _money(ledger) == [_dollars("0", "0", "0.07")]
    assert_it_agrees(ledger)


def _do(ledger: Ledger, statement: str, **asked: object) -> None:
    ledger.run(lambda connection: connection.execute(text(statement), asked))


@pytest.mark.parametrize("trouble", ["shut_until", "quiet_until"])
def test_an_open_call_whose_provider_is_left_alone_is_nobody_elses_to_draw(
    open_room: OpenRoom, ledger: Ledger, trouble: str
) -> None:
    queue, other = Queue("painter"), Painter("other", price_usd=0.1)
    room = open_room(queue, other, patience=Patience(backoff_seconds=0.01, max_busy_seconds=0.1))
    plan = castles(1, chain=("painter", "other"))
    batch = planned(room, plan)
    _leave_open(ledger, provider_id="of-the-dead")
    _do(
        ledger,
        "insert into limits (provider, broken_in_a_row, broken_since, times_shut, at_most, pauses) "
        "values ('painter', 5, now(), 1, 1, 1)",
    )
    _do(ledger, f"update limits set {trouble} = now() + interval '1 hour'")  # noqa: S608 - of constants
    report = carry_on(room, batch)
    assert (report.made, other.calls, queue.submitted) == (0, 0, [])
    assert "unfinished" in report.errors["picture-1"]
    _do(ledger, "delete from limits")
    room = open_room(queue, other)
    assert (carry_on(room, batch).made, queue.submitted, queue.polled) == (1, [], ["of-the-dead"])
    assert_it_agrees(ledger)


def test_whoever_takes_a_call_over_holds_up_nobody_who_settles_one_of_the_same_batch(
    open_room: OpenRoom, ledger: Ledger
) -> None:
    queue = Queue()
    room = open_room(queue)
    planned(room, castles(1))
    _leave_open(ledger, provider_id="of-the-dead")
    batch = planned(room, castles(1), max_usd=5)

    def settle(connection: Connection) -> None:
        """Do what every settlement does: the batch's row first, the counter's second."""
        connection.execute(text("set local deadlock_timeout = '10ms'"))  # whoever finds a deadlock is thrown out of it
        connection.execute(text("select from batches where id = :id for no key update"), {"id": batch.id})
        carrying.start()
        _until_somebody_waits_for_a_lock(ledger)
        connection.execute(text("update counters set usd_reserved = usd_reserved"))

    press.begin(room, batch, None)
    carrying = threading.Thread(target=lambda: press.press_job(room, batch.id, 0, None, press.direct), daemon=True)
    ledger.run(settle, patience_seconds=0)
    carrying.join(30)
    assert (queue.submitted, queue.polled) == ([], ["of-the-dead"])
    assert_it_agrees(ledger)


def _until_somebody_waits_for_a_lock(ledger: Ledger) -> None:
    ends = time.monotonic() + 30
    while not value(ledger, "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"):
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_whoever_asked_for_another_provider_leaves_an_open_call_to_those_who_asked_for_it(
    open_room: OpenRoom, ledger: Ledger
) -> None:
    queue, other = Queue("painter"), Painter("other", price_usd=0.02)
    room = open_room(queue, other)
    queue.finishes = lambda _provider_id: False
    short = illustrate(room, castles(1))
    queue.finishes = lambda _provider_id: True
    theirs = illustrate(room, castles(1, chain=("other",)), max_usd=5)
    assert (theirs.made, other.calls, theirs.spend_usd) == (1, 1, pytest.approx(0.02))
    assert rows(ledger, "select distinct provider from records") == [{"provider": "other"}]
    whole = illustrate(room, castles(1))
    assert (whole.batch, whole.made, queue.submitted) == (short.batch, 1, ["order-0"])
    assert_it_agrees(ledger)


def test_a_call_that_outlives_its_run_and_fails_gives_back_what_was_kept_for_it(
    open_room: OpenRoom, ledger: Ledger
) -> None:
    room = open_room(Painter(price_usd=0.1, whim=lambda _asked: run_ends() or Refused("no")))
    batch = planned(room, castles(1), **ANNA)

    def run_ends() -> None:
        def close(connection: Connection) -> None:
            quota.release(connection, batch, room.holder.name)
            reports.close_batch(connection, batch, "cancelled", "")

        ledger.run(close)
        (kept,) = rows(ledger, "select pictures_reserved, usd_reserved from counters")
        assert kept == {"pictures_reserved": 1, "usd_reserved": Decimal("0.1")}

    press.begin(room, batch, None)
    assert press.press_job(room, batch.id, 0, None, press.direct).status == "failed"
    (left,) = rows(ledger, "select pictures_reserved, usd_reserved from counters")
    assert left == {"pictures_reserved": 0, "usd_reserved": 0}
    assert_it_agrees(ledger)


def test_what_breaks_in_a_way_of_its_own_after_the_order_may_have_been_taken_counts_as_spent(
    open_room: OpenRoom, ledger: Ledger
) -> None:
    class Faulty(Painter):
        def generate(self, asked: Asked) -> Answer:
            super().generate(asked)
            raise KeyError("images")

    room = open_room(Faulty(price_usd=0.1))
    batch = planned(room, castles(1))
    press.begin(room, batch, None)
    with pytest.raises(KeyError):
        press.press_job(room, batch.id, 0, None, press.direct)
    assert press.end(room, batch, 0.0).spend_usd == pytest.approx(0.1)
    assert_it_agrees(ledger)


def test_an_order_whose_id_finds_no_room_in_the_ledger_is_waited_for_all_the_same(
    open_room: OpenRoom, ledger: Ledger
) -> None:
    _do(
        ledger,
        "create function full_disk() returns trigger language plpgsql as "
        "$$ begin raise exception 'no space left' using errcode = '53100'; end $$",
    )
    _do(
        ledger,
        "create trigger full_disk before update of provider_id on attempts for each row execute function full_disk()",
    )
    queue = Queue()
    assert illustrate(open_room(queue), castles(1)).made == 1
    assert queue.submitted == ["order-0"]
    assert_it_agrees(ledger)


@pytest.mark.parametrize(
    "rounds", [pytest.param(40, id="quick"), pytest.param(1000, id="whole", marks=pytest.mark.chaos)]
)
def test_64_processes_race_for_a_cap_and_nothing_is_overspent(ledger: Ledger, ledger_url: str, rounds: int) -> None:
    asked = [sys.executable, "-m", "tests.integration.racing", ledger_url, "--processes", "64", "--rounds", str(rounds)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout).values()) == {racing.PAID_FOR}, "neither one more nor one less than is paid for"
    cap = Decimal(str(racing.CAP_USD))
    assert value(ledger, "select count(*) from counters where usd_used + usd_reserved > :cap", cap=cap) == 0
    assert value(ledger, "select sum(usd_reserved) from counters") == rounds * racing.PAID_FOR * Decimal("0.1")
    assert_it_agrees(ledger)
