"""Quota: reserved before, settled after, released when unused; a counter is at any moment the sum of its entries."""

import threading
from datetime import UTC, datetime
from functools import partial

import pytest
from sqlalchemy import text

from limner import press
from limner.errors import QuotaUsedUp, Refused
from limner.ledger import quota
from limner.ledger.auditing import audit_spend
from limner.ledger.opening import Ledger
from limner.ledger.plans import period_of
from limner.ledger.quota import Caps
from limner.providers.seam import Asked
from tests.integration.books import assert_counters_equal_entries, assert_the_books_balance, rows, value
from tests.integration.pressing import (
    OpenRoom,
    Painter,
    Sluice,
    carry_on,
    castles,
    illustrate,
    in_threads,
    planned,
    too_small,
)

ANNA = {"owner": "anna", "tier": "free"}
CAP = 50


def _used(ledger: Ledger, pictures: int) -> None:
    """Write down that anna has used so many pictures of this month."""
    asked = {"period": period_of(datetime.now(UTC)), "used": pictures}
    for statement in (
        "insert into batches (id, kind, title, owner, tier, period, request, request_hash, recipe, chain, reuse, "
        "notes, status, asked) values ('past', 'chapter', 'Past', 'anna', 'free', :period, '{}', 'past', 'r', '[]', "
        "'same', '[]', 'complete', :used)",
        "insert into counters (owner, period, pictures_used) values ('anna', :period, :used)",
        "insert into entries (owner, period, batch_id, what, pictures_used) "
        "values ('anna', :period, 'past', 'settled', :used)",
    ):
        ledger.run(lambda connection, statement=statement: connection.execute(text(statement), asked))  # type: ignore[misc]


def _counter(ledger: Ledger) -> tuple[int, int]:
    (row,) = rows(ledger, "select pictures_reserved, pictures_used from counters where owner = 'anna'")
    return row["pictures_reserved"], row["pictures_used"]


def test_a_batch_reserves_settles_and_releases(open_room: OpenRoom) -> None:
    room = open_room(Painter(whim=lambda asked: Refused("no") if "2 towers" in asked.prompt else None))
    batch = planned(room, castles(3), **ANNA)
    assert _counter(room.ledger) == (3, 0), "reserved with the plan, before anything is made"
    carry_on(room, batch)
    assert _counter(room.ledger) == (0, 2)
    entries = rows(room.ledger, "select what, pictures_reserved, pictures_used from entries order by id")
    assert [tuple(row.values()) for row in entries] == [
        ("reserved", 3, 0),
        ("settled", -1, 1),
        ("settled", -1, 1),
        ("released", -1, 0),
    ]
    assert_the_books_balance(room.ledger, room.bucket)


def test_what_is_reused_costs_no_quota(open_room: OpenRoom) -> None:
    room = open_room(Painter())
    illustrate(room, castles(3), **ANNA)
    illustrate(room, castles(3), **ANNA)
    assert _counter(room.ledger) == (0, 3)


def test_money_is_entered_for_every_call_that_cost_it(open_room: OpenRoom) -> None:
    painter = Painter(price_usd=0.04)
    painter.whim = lambda asked: too_small(asked) if painter.calls == 1 else None
    room = open_room(painter, concurrency=1)
    report = illustrate(room, castles(2), **ANNA)
    assert report.spend_usd == pytest.approx(0.12)
    assert float(value(room.ledger, "select usd_used from counters")) == pytest.approx(0.12)
    assert_the_books_balance(room.ledger, room.bucket)


def test_a_plan_is_cut_to_what_is_left_and_says_so(open_room: OpenRoom) -> None:
    painter = Painter()
    room = open_room(painter)
    _used(room.ledger, CAP - 2)
    report = illustrate(room, castles(5), **ANNA)
    assert (report.asked, report.made) == (2, 2)
    assert report.notes == ("Cut from 5 by the quota of anna.",)
    kept = rows(room.ledger, "select key from jobs where batch_id = :b order by position", b=report.batch)
    assert [row["key"] for row in kept] == ["picture-1", "picture-2"], "the best are kept"
    assert _counter(room.ledger) == (0, CAP)
    assert_counters_equal_entries(room.ledger)


def test_a_quota_that_is_used_up_is_said_in_one_sentence_and_nothing_is_stored(open_room: OpenRoom) -> None:
    painter = Painter()
    room = open_room(painter)
    _used(room.ledger, CAP)
    with pytest.raises(QuotaUsedUp, match=r"anna has used up the 50 pictures of .*limner owners set anna --tier"):
        illustrate(room, castles(2), **ANNA)
    assert value(room.ledger, "select count(*) from batches where id <> 'past'") == 0
    assert painter.calls == 0


def test_what_exists_is_given_though_the_quota_is_used_up(open_room: OpenRoom) -> None:
    room = open_room(Painter())
    illustrate(room, castles(2), **ANNA)
    room.ledger.run(lambda connection: connection.execute(text("update counters set pictures_used = 50")))
    assert illustrate(room, castles(2), **ANNA).reused == 2
    partly = illustrate(room, castles(4, title="A test"), **ANNA)
    assert (partly.asked, partly.reused) == (2, 2)


def test_a_race_of_32_for_a_cap_grants_exactly_the_cap(open_room: OpenRoom, ledger_url: str) -> None:
    room = open_room(Painter())
    wide = Ledger.open(ledger_url, connections=32)
    batches = [planned(room, castles(7, title=f"Batch {one}"), owner="anna", tier="ultimate") for one in range(32)]
    for batch in batches:
        room.ledger.run(partial(quota.release, batch=batch, holder=""))

    def reserve(number: int) -> None:
        wide.run(lambda connection: quota.reserve(connection, batches[number], Caps(100, None), [0.0] * 7))

    ends = in_threads([lambda one=one: reserve(one) for one in range(32)])  # type: ignore[misc]
    wide.close()
    assert sum(end is None for end in ends) == 14
    assert sum(isinstance(end, QuotaUsedUp) for end in ends) == 18
    assert _counter(room.ledger) == (98, 0)
    assert_counters_equal_entries(room.ledger)


def test_requests_that_race_for_the_last_pictures_are_cut_to_exactly_the_cap(open_room: OpenRoom) -> None:
    room = open_room(Painter())
    plans = [castles(7, title=f"Batch {one}") for one in range(12)]
    ends = in_threads([lambda plan=plan: planned(room, plan, **ANNA) for plan in plans])  # type: ignore[misc]
    asked = [end.asked for end in ends if not isinstance(end, QuotaUsedUp)]
    assert sorted(asked) == [1, 7, 7, 7, 7, 7, 7, 7]
    assert _counter(room.ledger) == (CAP, 0)
    assert_counters_equal_entries(room.ledger)


def test_a_second_run_of_a_batch_is_not_refused_for_what_the_first_has_made_meanwhile(open_room: OpenRoom) -> None:
    sluice = Sluice("reserve")
    late = open_room(Painter(), fuse=sluice)
    room = open_room(Painter())
    _used(room.ledger, CAP - 4)
    batch = planned(room, castles(4), **ANNA)
    ends: list[object] = []
    thread = threading.Thread(target=lambda: ends.extend(in_threads([lambda: carry_on(late, batch)])))
    thread.start()
    assert sluice.reached.wait(10)
    assert carry_on(room, batch).made == 4
    sluice.opened.set()
    thread.join(20)
    assert isinstance(ends[0], press.BatchReport), ends[0]
    assert _counter(room.ledger) == (0, CAP)
    assert_counters_equal_entries(room.ledger)


def test_a_run_that_stops_leaves_the_reservation_to_the_one_that_goes_on(open_room: OpenRoom) -> None:
    calling, answer = threading.Event(), threading.Event()

    def whim(_asked: Asked) -> None:
        calling.set()
        assert answer.wait(20)

    room = open_room(Painter(whim=whim), concurrency=1)
    batch = planned(room, castles(2), **ANNA)
    ends: list[object] = []
    thread = threading.Thread(target=lambda: ends.extend(in_threads([lambda: carry_on(room, batch)])))
    thread.start()
    assert calling.wait(10)
    stopped = open_room(Painter())
    press.begin(stopped, batch, None)
    press.end(stopped, batch, 0.0, cancelled=True)
    reserved, used = _counter(room.ledger)
    answer.set()
    thread.join(20)
    assert (reserved, used) == (2, 0)
    assert isinstance(ends[0], press.BatchReport), ends[0]
    assert _counter(room.ledger) == (0, 2)
    assert_the_books_balance(room.ledger, room.bucket)


def test_a_batch_that_fell_short_reserves_again_for_what_is_missing(open_room: OpenRoom) -> None:
    painter = Painter(whim=lambda asked: Refused("no") if "2 towers" in asked.prompt else None)
    room = open_room(painter)
    illustrate(room, castles(3), **ANNA)
    painter.whim = lambda _asked: None
    illustrate(room, castles(3), **ANNA)
    assert _counter(room.ledger) == (0, 3)
    assert value(room.ledger, "select sum(pictures_reserved) from entries where what = 'reserved'") == 4
    assert_the_books_balance(room.ledger, room.bucket)


def _move_to_a_month_long_past(ledger: Ledger) -> None:
    for statement in (
        "insert into counters select owner, '2001-01', pictures_reserved, pictures_used, usd_reserved, usd_used "
        "from counters",
        "update entries set period = '2001-01'",
        "delete from counters where period <> '2001-01'",
        "update batches set period = '2001-01'",
    ):
        ledger.run(lambda connection, statement=statement: connection.execute(text(statement)))  # type: ignore[misc]


def _used_by_month(ledger: Ledger) -> dict[str, int]:
    return {row["period"]: row["pictures_used"] for row in rows(ledger, "select * from counters")}


def test_what_a_batch_reserved_in_a_month_is_used_in_that_month(open_room: OpenRoom, ledger: Ledger) -> None:
    room = open_room(Painter())
    planned(room, castles(1), **ANNA)
    _move_to_a_month_long_past(ledger)
    illustrate(room, castles(1), **ANNA)
    illustrate(room, castles(2, title="Another"), **ANNA)
    assert _used_by_month(ledger) == {"2001-01": 1, period_of(datetime.now(UTC)): 2}
    assert_the_books_balance(ledger, room.bucket)


def test_a_batch_that_fell_short_is_finished_by_what_its_owners_new_tier_allows(
    open_room: OpenRoom, ledger: Ledger
) -> None:
    painter = Painter(whim=lambda _asked: Refused("no"))
    room = open_room(painter)
    _used(ledger, CAP - 3)
    assert illustrate(room, castles(3), **ANNA).failed == 3
    painter.whim = lambda _asked: None
    assert illustrate(room, castles(3, title="Another"), **ANNA).made == 3
    with pytest.raises(QuotaUsedUp, match="another tier"):
        illustrate(room, castles(3), **ANNA)
    ledger.run(lambda connection: quota.set_tier(connection, "anna", "premium"))
    assert illustrate(room, castles(3), **ANNA).made == 3
    assert_counters_equal_entries(ledger)


def test_a_batch_that_fell_short_in_a_month_that_is_over_is_made_in_this_one(
    open_room: OpenRoom, ledger: Ledger
) -> None:
    painter = Painter(whim=lambda _asked: Refused("no"))
    room = open_room(painter)
    short = illustrate(room, castles(3), run_id="a run", **ANNA)
    _move_to_a_month_long_past(ledger)
    painter.whim = lambda _asked: None
    report = illustrate(room, castles(3), run_id="a run", **ANNA)
    assert (report.batch, report.made) == (short.batch, 3)
    assert _used_by_month(ledger) == {"2001-01": 0, period_of(datetime.now(UTC)): 3}
    assert_the_books_balance(ledger, room.bucket)


def test_a_process_that_knew_a_batch_in_a_month_long_past_counts_it_where_another_moved_it(
    open_room: OpenRoom, ledger: Ledger
) -> None:
    painter = Painter(whim=lambda _asked: Refused("no"))
    old, other = open_room(painter), open_room(painter)
    batch = planned(old, castles(3), **ANNA)
    _move_to_a_month_long_past(ledger)
    carry_on(old, planned(old, castles(3), **ANNA))
    illustrate(other, castles(3), **ANNA)
    painter.whim = lambda _asked: None
    report = illustrate(old, castles(3), **ANNA)
    assert (report.batch, report.made) == (batch.id, 3)
    assert _used_by_month(ledger) == {"2001-01": 0, period_of(datetime.now(UTC)): 3}
    assert_the_books_balance(ledger, old.bucket)


def test_what_was_spent_on_a_batch_in_each_month_agrees_by_month(open_room: OpenRoom, ledger: Ledger) -> None:
    painter = Painter(price_usd=0.1, whim=lambda _asked: Refused("made, then hidden", may_be_paid=True))
    room = open_room(painter)
    illustrate(room, castles(2), **ANNA)
    _move_to_a_month_long_past(ledger)
    painter.whim = lambda _asked: None
    assert illustrate(room, castles(2), **ANNA).made == 2
    found = ledger.run(audit_spend)
    assert not found.faults
    assert [
        [one["period"], *(float(one[name]) for name in ("counter_usd", "entries_usd", "attempts_usd"))]
        for one in found.totals
    ] == [["2001-01", 0.2, 0.2, 0.2], [period_of(datetime.now(UTC)), 0.2, 0.2, 0.2]]
