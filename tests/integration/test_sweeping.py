"""What a dead process leaves behind: found, fetched or settled, released, closed; and who lives is left alone."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from limner import press, sweeping
from limner.errors import LimnerError, Unfinished
from limner.ledger import runs
from limner.ledger.auditing import audit_spend
from limner.ledger.opening import Ledger
from limner.ledger.runs import MOST_RESUMED, Run
from limner.providers.seam import Asked
from limner.studio import Room
from tests.deployments.users import becomes
from tests.integration.books import assert_the_books_balance, rows, value
from tests.integration.pressing import OpenRoom, Painter, castles, illustrate, planned

# Takes two orders, one of them under an id, and is killed before either is done.
_KILLED = """
import sys, time
from pathlib import Path
from tests.integration.pressing import Painter, castles, illustrate, rooms

def whim(asked):
    if asked.prompt.endswith("1 towers"):
        asked.accepted("order-1")
    print("calling\\n", end="", flush=True)
    time.sleep(60)

with rooms(sys.argv[1], Path(sys.argv[2])) as open_room:
    painter = Painter(whim=whim, price_usd=0.5, resumes=True)
    illustrate(open_room(painter, concurrency=2), castles(4), run_id="killed")
"""


@contextmanager
def killed(ledger_url: str, bucket: Path) -> Iterator[None]:
    command = [sys.executable, "-c", _KILLED, ledger_url, str(bucket)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [process.stdout.readline().strip() for _ in range(2)] == ["calling"] * 2
        process.kill()
    yield


def silent_for(ledger: Ledger, seconds: float) -> None:
    """Make every run silent for so long."""
    aged = text("update runs set beat_at = now() - make_interval(secs => :seconds)")
    ledger.run(lambda connection: connection.execute(aged, {"seconds": seconds}))


def only(ledger: Ledger) -> Run:
    (run,) = ledger.run(runs.unfinished)
    return run


def begun_elsewhere(room: Room) -> Run:
    """Begin a run whose process is on another host."""
    batch = planned(room, castles(2))
    press.begin(room, batch, "elsewhere")
    moved = text("update runs set holder = 'elsewhere|boot|space|1|0.00|n'")
    room.ledger.run(lambda connection: connection.execute(moved))
    return only(room.ledger)


def faults(ledger: Ledger) -> list[object]:
    return list(ledger.run(audit_spend).faults)


def test_a_killed_run_is_found_and_closed_with_what_it_paid_for(
    open_room: OpenRoom, ledger: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    with killed(ledger_url, tmp_path / "bucket"):
        silent_for(ledger, runs.GRACE_SECONDS + 1)
        run = only(ledger)
        assert run.is_dead() and run.holder is not None
        painter = Painter(price_usd=0.5, resumes=True)
        room = open_room(painter)
        assert sweeping.free_the_dead(room) == 1
        sweeping.close(room, run)
    assert [asked.provider_id for asked in painter.asked] == ["order-1"], "nothing is asked anew"
    assert rows(ledger, "select outcome, cost_usd::float from attempts order by outcome") == [
        {"outcome": "made", "cost_usd": 0.5},
        {"outcome": "unknown", "cost_usd": 0.5},
    ]
    assert rows(ledger, "select status, report_key is not null as reported from batches") == [
        {"status": "short", "reported": True}
    ]
    assert rows(ledger, "select ended_at is not null as ended from runs") == [{"ended": True}]
    assert faults(ledger) == []
    assert_the_books_balance(ledger, room.bucket)
    assert illustrate(room, castles(4)).made == 4, "the same request carries it on"
    assert painter.calls == 4
    assert_the_books_balance(ledger, room.bucket)


def test_what_a_provider_was_not_done_with_is_fetched_later(
    open_room: OpenRoom, ledger: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    done = threading.Event()

    def whim(asked: Asked) -> LimnerError | None:
        return None if done.is_set() else Unfinished("painter: is not done with order-1")

    painter = Painter(whim=whim, price_usd=0.5, resumes=True)
    with killed(ledger_url, tmp_path / "bucket"):
        silent_for(ledger, 60)
        room = open_room(painter)
        sweeping.free_the_dead(room)
        sweeping.close(room, only(ledger))
    (batch,) = sweeping.left_behind(room)
    assert sweeping.settle(room, batch) == 0 and faults(ledger) == []
    done.set()
    assert sweeping.settle(room, batch) == 1
    assert sweeping.left_behind(room) == []
    assert value(ledger, "select count(*) from jobs where status = 'made'") == 1
    assert faults(ledger) == []
    assert_the_books_balance(ledger, room.bucket)


def test_two_sweepers_may_close_the_same_run_at_once(
    open_room: OpenRoom, ledger: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    painters = [Painter(price_usd=0.5, resumes=True) for _ in range(2)]
    rooms = [open_room(one) for one in painters]
    with killed(ledger_url, tmp_path / "bucket"):
        silent_for(ledger, 60)
        run = only(ledger)
        sweeping.free_the_dead(rooms[0])
        threads = [threading.Thread(target=sweeping.close, args=(room, run)) for room in rooms]
        for one in threads:
            one.start()
        for one in threads:
            one.join(30)
    assert sum(painter.calls for painter in painters) == 1
    assert value(ledger, "select status from batches") == "short"
    assert faults(ledger) == []
    assert_the_books_balance(ledger, rooms[0].bucket)


def test_a_run_that_lives_is_never_dead_however_silent(open_room: OpenRoom, ledger: Ledger) -> None:
    room = open_room()
    batch = planned(room, castles(2))
    press.begin(room, batch, "living")
    silent_for(ledger, 3600)
    assert not only(ledger).is_dead(), "its process is here"
    press.end(room, batch, 0.0)
    assert ledger.run(runs.unfinished) == []


def test_a_run_elsewhere_is_dead_by_its_silence_unless_nobody_could_be_heard(
    open_room: OpenRoom, ledger: Ledger
) -> None:
    begun_elsewhere(open_room())
    assert not only(ledger).is_dead()
    silent_for(ledger, runs.SILENT_SECONDS + 1)
    assert only(ledger).is_dead()
    assert not only(ledger).is_dead(silence_counts=False)


def test_a_heartbeat_says_that_its_runs_live(open_room: OpenRoom, ledger: Ledger) -> None:
    room = open_room(lease_seconds=0.3)
    press.begin(room, planned(room, castles(2)), "living")
    silent_for(ledger, 60)
    assert becomes(lambda: only(ledger).silent_seconds < 30)


def test_a_dead_run_is_resumed_by_one_and_so_often_without_a_picture(open_room: OpenRoom, ledger: Ledger) -> None:
    run = begun_elsewhere(open_room())
    assert ledger.run(lambda connection: runs.resume(connection, run)) == 1
    assert ledger.run(lambda connection: runs.resume(connection, run)) is None, "another was first"
    waiting = only(ledger)
    assert waiting.holder is None and not waiting.is_dead()
    for times in range(2, MOST_RESUMED + 1):
        again = only(ledger)
        assert again.may_be_resumed
        assert ledger.run(lambda connection, one=again: runs.resume(connection, one)) == times
    assert not only(ledger).may_be_resumed
    made = text("update jobs set status = 'failed', reason = 'no', settled_at = now() where position = 0")
    ledger.run(lambda connection: connection.execute(made))
    assert not only(ledger).may_be_resumed, "a failure is no progress"


def test_a_picture_made_since_counts_anew(open_room: OpenRoom, ledger: Ledger) -> None:
    room = open_room()
    batch = planned(room, castles(2))
    press.begin(room, batch, "making")
    ledger.run(lambda connection: connection.execute(text("update runs set resumed = 5")))
    assert not only(ledger).may_be_resumed
    press.press_job(room, batch.id, 0, "making", press.direct)
    run = only(ledger)
    assert run.may_be_resumed
    assert ledger.run(lambda connection: runs.resume(connection, run)) == 1


def test_a_batch_that_another_run_works_on_is_left_to_that(open_room: OpenRoom, ledger: Ledger) -> None:
    room = open_room()
    dead = begun_elsewhere(room)
    press.begin(room, planned(room, castles(2)), "living")
    sweeping.close(room, dead)
    assert rows(ledger, "select id from runs where ended_at is null") == [{"id": "living"}]
    assert value(ledger, "select status from batches") == "open"
    assert value(ledger, "select pictures_reserved from counters") == 2


def test_a_batch_whose_process_died_before_its_run_began_is_closed(open_room: OpenRoom, ledger: Ledger) -> None:
    room = open_room()
    batch = planned(room, castles(3))
    assert sweeping.never_begun(room) == [], "it may begin any moment"
    ledger.run(lambda connection: connection.execute(text("update batches set planned_at = now() - interval '1 h'")))
    assert sweeping.never_begun(room) == [batch.id]
    sweeping.close_batch(room, batch.id)
    assert value(ledger, "select pictures_reserved from counters") == 0
    assert value(ledger, "select status from batches") == "short"


@pytest.mark.parametrize("status", ["made", "reused"])
def test_an_attempt_whose_job_has_its_picture_from_elsewhere_is_settled(
    open_room: OpenRoom, ledger: Ledger, status: str
) -> None:
    room = open_room(Painter(price_usd=0.5))
    report = illustrate(room, castles(1))
    copied = text("""
        insert into attempts (id, order_key, batch_id, job_key, provider, provider_id, number, seed, token, fingerprint,
                              prompt, negative_prompt)
        select 'left', order_key, batch_id, job_key, provider, 'order-1', 2, 1, 1, '', '', '' from attempts
    """)
    ledger.run(lambda connection: connection.execute(copied))
    ledger.run(lambda connection: connection.execute(text("update jobs set status = :status"), {"status": status}))
    assert sweeping.left_behind(room) == [report.batch]
    assert sweeping.settle(room, report.batch) == 1
    assert value(ledger, "select outcome from attempts where id = 'left'") == "unknown"
    assert faults(ledger) == []
