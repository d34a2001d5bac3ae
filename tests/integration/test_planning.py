"""A plan is made once: whoever carries a batch on finds it as it was stored."""

from dataclasses import replace

import pytest

from limner import press
from limner.errors import NothingToMake, Refused
from limner.jobs import Plan
from limner.ledger.opening import Ledger
from tests.integration.books import assert_the_books_balance, rows, value
from tests.integration.pressing import OpenRoom, Painter, asker, castles, illustrate, in_threads, plan_of, planned


def test_an_unfinished_request_finds_its_plan_and_makes_only_what_is_missing(open_room: OpenRoom) -> None:
    painter = Painter(whim=lambda asked: Refused("no") if "3 towers" in asked.prompt else None)
    room = open_room(painter)
    first = illustrate(room, castles(5))
    assert (first.made, first.failed) == (4, 1)
    painter.whim = lambda _asked: None
    again = illustrate(room, castles(5))
    assert again.batch == first.batch
    assert (again.asked, again.made, again.reused, again.failed) == (5, 5, 0, 0)
    assert painter.calls == 6
    assert_the_books_balance(room.ledger, room.bucket)


def test_a_retried_run_keeps_its_plan_though_planning_would_answer_otherwise(open_room: OpenRoom) -> None:
    room = open_room(Painter())
    batch = planned(room, castles(3), "run-1")
    press.begin(room, batch, "run-1")
    other = plan_of("something else altogether", title="Other")
    assert illustrate(room, other, "run-1").batch == batch.id
    assert [row["prompt"] for row in rows(room.ledger, "select prompt from attempts order by job_key")] == [
        job.order.prompt for job in castles(3).jobs
    ]


def test_a_finished_request_asked_again_is_a_new_batch_that_calls_nobody(open_room: OpenRoom) -> None:
    painter = Painter()
    room = open_room(painter)
    first, second = illustrate(room, castles(3)), illustrate(room, castles(3))
    assert first.batch != second.batch
    assert (second.made, second.reused, painter.calls) == (0, 3, 3)


def test_one_idempotency_key_is_one_batch_even_when_it_is_complete(open_room: OpenRoom) -> None:
    painter = Painter()
    room = open_room(painter)
    first = illustrate(room, castles(2), idempotency_key="order 7", force=True)
    second = illustrate(room, castles(2), idempotency_key="order 7", force=True)
    assert first.batch == second.batch
    assert painter.calls == 2


def test_the_same_idempotency_key_of_two_owners_is_two_batches(open_room: OpenRoom) -> None:
    room = open_room(Painter())
    mine = illustrate(room, castles(2), owner="local", idempotency_key="order 7")
    theirs = illustrate(room, castles(2), owner="anna", tier="free", idempotency_key="order 7")
    assert mine.batch != theirs.batch


def test_runs_that_plan_at_once_store_one_plan(open_room: OpenRoom) -> None:
    painters = [Painter() for _ in range(4)]
    rooms = [open_room(painter) for painter in painters]
    stored = in_threads([lambda room=room: planned(room, castles(6)) for room in rooms])  # type: ignore[misc]
    assert len({batch.id for batch in stored}) == 1
    assert value(rooms[0].ledger, "select count(*) from jobs") == 6


def test_a_plan_without_jobs_is_refused_and_leaves_nothing(open_room: OpenRoom, ledger: Ledger) -> None:
    room = open_room(Painter())
    with pytest.raises(NothingToMake, match="nothing to make for A test"):
        illustrate(room, Plan("chapter", "A test", ()))
    assert rows(ledger, "select * from batches") == []


def test_each_job_is_stored_whole(open_room: OpenRoom) -> None:
    room = open_room(Painter())
    plan = castles(1)
    job = replace(plan.jobs[0], max_tries=2, about={"original": "Замок"}, similar_prompt="a castle")
    batch = planned(room, replace(plan, jobs=(job,), model="oil", notes=("said",)))
    (stored,) = rows(room.ledger, "select * from jobs")
    assert stored["order_key"] == job.order.key("local")
    assert (stored["max_tries"], stored["about"], stored["status"]) == (2, {"original": "Замок"}, "promised")
    assert (batch.model, batch.notes, batch.chain) == ("oil", ("said",), ("painter",))
    assert asker(plan).request_hash == value(room.ledger, "select request_hash from batches")


def test_a_rehearsal_leaves_nothing_behind(open_room: OpenRoom, ledger: Ledger) -> None:
    room = open_room(Painter())
    press.rehearse(room, castles(2))
    for table in ("batches", "jobs", "runs", "counters", "entries"):
        assert value(ledger, f"select count(*) from {table}") == 0  # noqa: S608 - our own words
