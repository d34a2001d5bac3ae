"""Whoever wants the same picture at once: it is made once, also when its maker sleeps, dies or comes too late."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from limner import press
from limner.errors import Refused
from limner.jobs import Plan
from limner.ledger.opening import Ledger
from limner.press import BatchReport
from limner.providers.seam import Asked
from limner.studio import Room
from tests.integration.books import assert_the_books_balance, rows, value
from tests.integration.pressing import OpenRoom, Painter, Sluice, carry_on, castles, illustrate, in_threads, planned

_KILLED = """
import sys, time
from pathlib import Path
from tests.integration.pressing import Painter, castles, illustrate, rooms

def whim(asked):
    print("calling\\n", end="", flush=True)
    time.sleep(60)

with rooms(sys.argv[1], Path(sys.argv[2])) as open_room:
    illustrate(open_room(Painter(whim=whim), concurrency=2), castles(4))
"""


class _Running:
    """A run of a plan in a thread."""

    def __init__(self, room: Room, plan: Plan, **asked: Any) -> None:
        self.report: BatchReport | Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(room, plan), kwargs=asked)
        self._thread.start()

    def _run(self, room: Room, plan: Plan, **asked: Any) -> None:
        (self.report,) = in_threads([lambda: illustrate(room, plan, **asked)])

    def ends(self) -> BatchReport:
        self._thread.join(30)
        assert isinstance(self.report, BatchReport), self.report
        return self.report

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()


def _stop_heartbeat(room: Room) -> None:
    """What SIGSTOP does to a process's claims: nobody renews them."""
    room.holder._closing.set()
    room.holder._beating.join()


def _expire(ledger: Ledger) -> None:
    ledger.run(lambda connection: connection.execute(text("update claims set lease_until = now() - interval '1s'")))


def test_two_runs_of_one_request_make_each_picture_once(open_room: OpenRoom) -> None:
    painters = [Painter(whim=lambda _asked: time.sleep(0.05)) for _ in range(2)]
    rooms = [open_room(painter) for painter in painters]
    first, second = in_threads([lambda room=room: illustrate(room, castles(12)) for room in rooms])  # type: ignore[misc]
    assert first.batch == second.batch
    assert (first.made, second.made) == (12, 12)
    assert sum(painter.calls for painter in painters) == 12
    assert_the_books_balance(rooms[0].ledger, rooms[0].bucket)


def test_two_requests_that_share_orders_make_each_once(open_room: OpenRoom) -> None:
    painters = [Painter(whim=lambda _asked: time.sleep(0.02)) for _ in range(2)]
    rooms = [open_room(painter) for painter in painters]
    plans = [castles(8, title=title, session="one") for title in ("One", "Two")]
    reports = in_threads([lambda one=one: illustrate(*one) for one in zip(rooms, plans, strict=True)])  # type: ignore[misc]
    assert sum(painter.calls for painter in painters) == 8
    assert sum(report.made for report in reports) == 8
    assert sum(report.reused for report in reports) == 8
    assert_the_books_balance(rooms[0].ledger, rooms[0].bucket)


def test_an_order_whose_lease_ran_out_is_taken_over_and_its_holder_steps_back(open_room: OpenRoom) -> None:
    slow, quick = Painter(), Painter()
    sluice = Sluice("intent")
    asleep = open_room(slow, fuse=sluice, lease_seconds=0.6)
    run = _Running(asleep, castles(1))
    assert sluice.reached.wait(10)
    _stop_heartbeat(asleep)
    assert illustrate(open_room(quick), castles(1)).made == 1
    sluice.opened.set()
    assert run.ends().made == 1
    assert (slow.calls, quick.calls) == (0, 1)
    assert_the_books_balance(asleep.ledger, asleep.bucket)


def test_a_heartbeat_keeps_an_order_beyond_its_lease(open_room: OpenRoom) -> None:
    sluice = Sluice("intent")
    slow, quick = Painter(), Painter()
    busy = open_room(slow, fuse=sluice, lease_seconds=0.3)
    run = _Running(busy, castles(1))
    assert sluice.reached.wait(10)
    other = _Running(open_room(quick), castles(1))
    time.sleep(1.2)
    assert not other.is_over
    sluice.opened.set()
    assert (run.ends().made, other.ends().made) == (1, 1)
    assert (slow.calls, quick.calls) == (1, 0)


def test_a_lease_covers_the_call_of_a_process_that_sleeps(open_room: OpenRoom) -> None:
    calling, answer = threading.Event(), threading.Event()

    def whim(_asked: Asked) -> None:
        calling.set()
        assert answer.wait(20)

    slow, quick = Painter(whim=whim), Painter()
    asleep = open_room(slow, lease_seconds=0.3)
    run = _Running(asleep, castles(1))
    assert calling.wait(10)
    _stop_heartbeat(asleep)
    other = _Running(open_room(quick), castles(1))
    time.sleep(1.2)
    assert not other.is_over, "while a provider may still answer, nobody else asks"
    answer.set()
    assert (run.ends().made, other.ends().made) == (1, 1)
    assert (slow.calls, quick.calls) == (1, 0)
    assert_the_books_balance(asleep.ledger, asleep.bucket)


@pytest.mark.parametrize("step", ["verify", "store", "record"])
def test_a_picture_that_comes_too_late_is_not_recorded_twice(open_room: OpenRoom, step: Any) -> None:
    sluice = Sluice(step)
    slow, quick = Painter(), Painter()
    asleep = open_room(slow, fuse=sluice)
    run = _Running(asleep, castles(1))
    assert sluice.reached.wait(10)
    _stop_heartbeat(asleep)
    _expire(asleep.ledger)
    assert illustrate(open_room(quick), castles(1)).made == 1
    sluice.opened.set()
    assert run.ends().made == 1
    assert (slow.calls, quick.calls) == (1, 1)
    ends = rows(asleep.ledger, "select outcome from attempts order by started_at")
    assert [row["outcome"] for row in ends] == ["unknown", "made"]
    assert_the_books_balance(asleep.ledger, asleep.bucket)


def test_a_picture_that_comes_while_another_makes_it_is_not_recorded(open_room: OpenRoom) -> None:
    late_sluice, calling, answer = Sluice("record"), threading.Event(), threading.Event()

    def whim(_asked: Asked) -> None:
        calling.set()
        assert answer.wait(20)

    asleep = open_room(Painter(), fuse=late_sluice)
    run = _Running(asleep, castles(1))
    assert late_sluice.reached.wait(10)
    _stop_heartbeat(asleep)
    _expire(asleep.ledger)
    other = _Running(open_room(Painter(whim=whim)), castles(1))
    assert calling.wait(10)
    late_sluice.opened.set()
    time.sleep(0.5)
    assert value(asleep.ledger, "select count(*) from records") == 0, "its token is stale"
    answer.set()
    assert (run.ends().made, other.ends().made) == (1, 1)
    assert_the_books_balance(asleep.ledger, asleep.bucket)


def test_the_orders_of_a_killed_process_are_taken_over_at_once(
    open_room: OpenRoom, ledger_url: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", _KILLED, ledger_url, str(tmp_path / "bucket")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [process.stdout.readline().strip() for _ in range(2)] == ["calling"] * 2
        process.kill()
    painter = Painter()
    room = open_room(painter)
    assert value(room.ledger, "select count(*) from attempts where outcome is null") == 2
    started = time.monotonic()
    report = illustrate(room, castles(4))
    assert time.monotonic() - started < 5, "it does not wait for leases of the dead"
    assert (report.made, painter.calls) == (4, 4)
    lost = rows(room.ledger, "select reason from attempts where outcome = 'unknown'")
    assert [row["reason"] for row in lost] == ["the process that asked ended before the answer was recorded"] * 2
    assert_the_books_balance(room.ledger, room.bucket)


def test_a_holder_on_another_machine_is_believed_until_its_lease_ends(open_room: OpenRoom) -> None:
    painter = Painter()
    room = open_room(painter)
    theirs = text("""insert into claims (order_key, holder, claimant, token, lease_until) values (:key,
        'elsewhere|boot|space|1|0.0|n', 'x', nextval('fence'), now() + interval '1 second')""")
    key = castles(1).jobs[0].order.key("local")
    room.ledger.run(lambda connection: connection.execute(theirs, {"key": key}))
    started = time.monotonic()
    assert illustrate(room, castles(1)).made == 1
    assert time.monotonic() - started > 0.9
    assert painter.calls == 1


def test_a_job_that_fails_while_another_run_waits_for_it_is_not_tried_again_by_that_one(open_room: OpenRoom) -> None:
    sluice = Sluice("call")
    refusing, other = Painter(), Painter()
    room = open_room(refusing, fuse=sluice)

    def refuse(_asked: Asked) -> Refused:
        sluice.reach("call")
        return Refused("no")

    refusing.whim = refuse
    run = _Running(room, castles(1))
    assert sluice.reached.wait(10)
    waiting = _Running(open_room(other), castles(1))
    time.sleep(0.6)
    sluice.opened.set()
    assert run.ends().failed == 1
    assert waiting.ends().failed == 1
    assert other.calls == 0


def test_a_job_that_failed_in_an_earlier_run_is_tried_again_after_waiting_for_another_batch(
    open_room: OpenRoom, ledger: Ledger
) -> None:
    painter = Painter(whim=lambda _asked: Refused("no"))
    room = open_room(painter)
    assert illustrate(room, castles(1)).failed == 1
    painter.whim = lambda _asked: None
    taken = (
        "insert into claims (order_key, holder, claimant, token, lease_until) "
        "select order_key, 'elsewhere|1|0.00|a', 'them', nextval('fence'), clock_timestamp() + interval '1 second' "
        "from jobs"
    )
    ledger.run(lambda connection: connection.execute(text(taken)))
    assert illustrate(room, castles(1)).made == 1, "the old failure is not taken for one of those who held the order"


def test_of_two_runs_that_end_at_once_the_later_says_how_the_batch_stands(open_room: OpenRoom, ledger: Ledger) -> None:
    slow, quick = open_room(Painter()), open_room(Painter())
    batch = planned(slow, castles(1))
    press.begin(slow, batch, None)
    sluice = Sluice("report")
    slow._fuse = sluice  # type: ignore[assignment]
    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(press.end, slow, batch, 0.0, cancelled=True)
        assert sluice.reached.wait(10)
        assert carry_on(quick, batch).made == 1
        sluice.opened.set()
        assert ending.result(10).made == 1
    assert value(ledger, "select status from batches") == "complete"


def test_a_room_that_closes_gives_back_what_it_held(open_room: OpenRoom, ledger: Ledger) -> None:
    sluice = Sluice("intent")
    room = open_room(Painter(), fuse=sluice)
    run = _Running(room, castles(1))
    assert sluice.reached.wait(10)
    assert value(ledger, "select count(*) from claims") == 1
    room.holder.close()
    assert value(ledger, "select count(*) from claims") == 0
    sluice.opened.set()
    assert run.ends().made == 1
