"""What exists is found and given again; what was deleted, is too old, or another owner's, is not."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from limner.errors import Refused
from limner.jobs import Plan
from limner.ledger.opening import Ledger
from tests.integration.books import assert_the_books_balance, rows, value
from tests.integration.pressing import OpenRoom, Painter, castles, illustrate, plan_of

_AGED = text("update records set made_at = now() - make_interval(days => :days)")


def _age(ledger: Ledger, days: int) -> None:
    ledger.run(lambda connection: connection.execute(_AGED, {"days": days}))


def _with_quality_words(plan: Plan, words: str) -> Plan:
    """Return the plan as a planner writes it: quality words in the prompt, and not in the similar prompt."""
    jobs = [
        replace(job, order=replace(job.order, prompt=f"{job.order.prompt}, {words}"), similar_prompt=job.order.prompt)
        for job in plan.jobs
    ]
    return replace(plan, jobs=tuple(jobs))


def test_the_same_order_under_another_title_and_key_is_reused(open_room: OpenRoom) -> None:
    painter = Painter()
    room = open_room(painter)
    illustrate(room, plan_of("a castle", session="one"))
    report = illustrate(room, plan_of("A  Castle", title="Another", session="one"))
    assert (report.made, report.reused, painter.calls) == (0, 1, 1)
    assert_the_books_balance(room.ledger, room.bucket)


def test_a_session_has_its_own_pictures(open_room: OpenRoom) -> None:
    painter = Painter()
    room = open_room(painter)
    illustrate(room, plan_of("a castle", session="one"))
    illustrate(room, plan_of("a castle", session="two"))
    assert painter.calls == 2


@pytest.mark.parametrize(("reuse", "calls"), [("same", 4), ("similar", 2)])
def test_quality_words_count_unless_similar_pictures_will_do(open_room: OpenRoom, reuse: str, calls: int) -> None:
    painter = Painter()
    room = open_room(painter)
    illustrate(room, _with_quality_words(castles(2), "8k"))
    report = illustrate(room, _with_quality_words(castles(2), "masterpiece"), reuse=reuse)
    assert painter.calls == calls
    assert report.reused == 4 - calls
    said = {row["reused"] for row in rows(room.ledger, "select reused from jobs where status = 'reused'")}
    assert said == ({"similar"} if reuse == "similar" else set())


@pytest.mark.parametrize(("days", "limit", "reused"), [(6, 7, 2), (8, 7, 0), (800, 0, 2)])
def test_a_picture_older_than_the_studio_allows_is_made_anew(
    open_room: OpenRoom, days: int, limit: float, reused: int
) -> None:
    room = open_room(Painter(), reuse_days=limit)
    illustrate(room, castles(2))
    _age(room.ledger, days)
    assert illustrate(room, castles(2)).reused == reused


def test_what_a_batch_made_itself_never_grows_too_old_for_it(open_room: OpenRoom) -> None:
    painter = Painter(whim=lambda asked: Refused("no") if "2 towers" in asked.prompt else None)
    room = open_room(painter)
    first = illustrate(room, castles(2))
    _age(room.ledger, 30)
    painter.whim = lambda _asked: None
    again = illustrate(room, castles(2))
    assert (again.batch, again.made, painter.calls) == (first.batch, 2, 3)


def test_another_owners_picture_is_not_given(open_room: OpenRoom) -> None:
    painter = Painter()
    room = open_room(painter)
    illustrate(room, castles(2), owner="anna", tier="free")
    assert illustrate(room, castles(2), owner="boris", tier="free").reused == 0
    assert painter.calls == 4


def test_a_picture_of_a_provider_outside_the_chain_is_not_given(open_room: OpenRoom) -> None:
    one, two = Painter("one"), Painter("two")
    room = open_room(one, two)
    illustrate(room, castles(2, chain=("one",)))
    assert illustrate(room, castles(2, title="A test", chain=("two",)), force=False, reuse="same").reused == 0
    assert (one.calls, two.calls) == (2, 2)
    assert illustrate(room, castles(2, chain=("two", "one"))).reused == 2


def test_a_picture_of_another_model_is_not_given_when_one_was_named(open_room: OpenRoom) -> None:
    painter = Painter()
    room = open_room(painter)
    illustrate(room, castles(1, model="oil"))
    assert illustrate(room, castles(1, model="water")).reused == 0
    assert illustrate(room, castles(1, model="oil")).reused == 1
    assert illustrate(room, castles(1)).reused == 1
    assert painter.calls == 2


def test_force_makes_a_next_generation_that_later_requests_find(open_room: OpenRoom) -> None:
    painter = Painter()
    room = open_room(painter)
    for forced in (False, True, True):
        assert illustrate(room, castles(2), force=forced).made == 2
    newest = {row["sha256"] for row in rows(room.ledger, "select sha256 from records where generation = 2")}
    last = illustrate(room, castles(2))
    given = rows(
        room.ledger,
        "select r.sha256 from jobs j join records r on r.id = j.record_id where j.batch_id = :b",
        b=last.batch,
    )
    assert {row["sha256"] for row in given} == newest
    assert [row["generation"] for row in rows(room.ledger, "select generation from records order by id")] == [
        0, 0, 1, 1, 2, 2,
    ]  # fmt: skip
    assert_the_books_balance(room.ledger, room.bucket)


def test_a_forced_batch_that_fell_short_carries_its_generation_on(open_room: OpenRoom) -> None:
    painter = Painter()
    room = open_room(painter)
    illustrate(room, castles(3))
    painter.whim = lambda asked: Refused("no") if "2 towers" in asked.prompt else None
    short = illustrate(room, castles(3), force=True)
    painter.whim = lambda _asked: None
    whole = illustrate(room, castles(3), force=True)
    assert (short.batch, whole.made) == (whole.batch, 3)
    assert painter.calls == 3 + 3 + 1
    assert value(room.ledger, "select max(generation) from records") == 1


@pytest.mark.parametrize(
    "deletion",
    ["update artifacts set tombstoned_at = now()", "update records set deleted_at = now()"],
    ids=["tombstoned bytes", "deleted record"],
)
def test_what_was_deleted_is_not_given_again(open_room: OpenRoom, deletion: str) -> None:
    painter = Painter()
    room = open_room(painter)
    illustrate(room, castles(2))
    room.ledger.run(lambda connection: connection.exec_driver_sql(deletion))
    for key in room.bucket.keys("images/"):
        room.bucket.delete(key)
    assert illustrate(room, castles(2)).made == 2
    assert painter.calls == 4
    # The painter paints the same bytes: a record of tombstoned bytes puts them again.
    assert value(room.ledger, "select count(*) from artifacts where tombstoned_at is not null") == 0
    for row in rows(room.ledger, "select key from artifacts"):
        assert room.bucket.exists(row["key"])


def test_two_jobs_of_one_batch_that_ask_for_the_same_picture_get_one(open_room: OpenRoom) -> None:
    painter = Painter()
    room = open_room(painter)
    report = illustrate(room, plan_of("a castle", "a lake", "a castle"))
    assert (report.made, report.reused, painter.calls) == (2, 1, 2)
    assert_the_books_balance(room.ledger, room.bucket)
