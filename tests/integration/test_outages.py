"""The bucket, the disk or PostgreSQL away in the middle: waited out, or ended cleanly and carried on later."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from limner.bucket.directory import DirectoryBucket
from limner.errors import BucketUnreachable, DiskFull, LedgerUnreachable, LimnerError
from limner.home.postgres import start_postgres
from limner.ledger.opening import Ledger
from limner.press import BatchReport
from limner.providers.seam import Asked
from tests.conftest import ask
from tests.integration.books import assert_counters_equal_entries, assert_the_books_balance, rows, value
from tests.integration.pressing import OpenRoom, Painter, castles, illustrate, rooms
from tests.servers.postgres import Server, own_postgres


class FullBucket(DirectoryBucket):
    """A directory whose disk is full until `room` is made."""

    room = False

    def put(self, key: str, data: bytes, media_type: str) -> None:
        if not self.room:
            raise DiskFull(f"The disk that holds {self.location()} is full; free some room and try again.")
        super().put(key, data, media_type)


class At:
    """A whim that does something at the given call, and lets each call take `seconds`."""

    def __init__(self, call: int, then: Callable[[], object], seconds: float = 0.02) -> None:
        self._left = call
        self._then = then
        self._seconds = seconds
        self._lock = threading.Lock()

    def __call__(self, _asked: Asked) -> None:
        with self._lock:
            self._left -= 1
            now = self._left == 0
        if now:
            self._then()
        time.sleep(self._seconds)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with own_postgres() as running:
        yield running


@pytest.fixture
def own_url(server: Server) -> Iterator[str]:
    """A fresh ledger on a server that a test may stop."""
    server.start()
    name = f"own_{time.monotonic_ns()}"
    ask(server.url, f"create database {name}")
    yield server.url.replace("/limner?", f"/{name}?")
    server.start()


def _take_away(folder: Path) -> Callable[[], None]:
    """Put a file in the folder's place; return what brings the folder back."""
    aside = folder.with_name("aside")
    folder.mkdir(exist_ok=True)
    folder.rename(aside)
    folder.write_text("not a folder")

    def bring_back() -> None:
        folder.unlink()
        aside.rename(folder)

    return bring_back


def test_a_bucket_that_is_away_for_a_while_costs_no_second_call(open_room: OpenRoom, tmp_path: Path) -> None:
    painter = Painter()
    room = open_room(painter, bucket_patience_seconds=20)

    def away() -> None:
        threading.Timer(1.0, _take_away(tmp_path / "bucket")).start()

    painter.whim = At(3, away)
    assert illustrate(room, castles(8)).made == 8
    assert painter.calls == 8
    assert_the_books_balance(room.ledger, room.bucket)


def test_a_bucket_that_stays_away_ends_the_batch_and_a_rerun_completes_it(open_room: OpenRoom, tmp_path: Path) -> None:
    painter = Painter()
    room = open_room(painter, bucket_patience_seconds=0.3)
    bring_back = _take_away(tmp_path / "bucket")
    with pytest.raises(BucketUnreachable, match=r"The bucket's folder .* run the same command again"):
        illustrate(room, castles(12))
    assert painter.calls <= 2 * room.rules.concurrency, "what could not be kept is not asked for"
    assert value(room.ledger, "select count(*) from records") == 0
    assert_counters_equal_entries(room.ledger)
    assert value(room.ledger, "select sum(pictures_reserved) from counters") == 0
    lost = painter.calls
    with pytest.raises(BucketUnreachable):
        illustrate(room, castles(12))
    assert painter.calls == lost, "nothing more is paid for until the bucket is back"
    bring_back()
    assert illustrate(room, castles(12)).made == 12
    assert painter.calls == 12 + lost
    assert_the_books_balance(room.ledger, room.bucket)


def test_a_full_disk_ends_the_batch_in_one_sentence_and_asks_for_nothing_more(
    open_room: OpenRoom, tmp_path: Path
) -> None:
    painter, bucket = Painter(), FullBucket(tmp_path / "bucket")
    room = open_room(painter, bucket=bucket)
    with pytest.raises(DiskFull, match="is full; free some room"):
        illustrate(room, castles(30))
    assert painter.calls <= 2 * room.rules.concurrency
    assert bucket.keys() == []
    assert value(room.ledger, "select count(*) from records") == 0
    assert value(room.ledger, "select sum(pictures_reserved) from counters") == 0
    lost = painter.calls
    bucket.room = True
    assert illustrate(room, castles(30)).made == 30
    assert painter.calls == 30 + lost
    assert_the_books_balance(room.ledger, room.bucket)


def test_connections_that_break_are_replaced_and_nothing_is_made_twice(open_room: OpenRoom, ledger: Ledger) -> None:
    painter = Painter()
    room = open_room(painter)
    end_the_others = """
        select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()
    """
    painter.whim = At(3, lambda: rows(ledger, end_the_others))
    assert illustrate(room, castles(10)).made == 10
    assert painter.calls == 10
    assert room.holder._beating.is_alive()
    assert_the_books_balance(room.ledger, room.bucket)


def test_a_process_that_slept_within_a_transaction_runs_it_again(ledger: Ledger) -> None:
    slept: list[int] = []

    def work(connection: object) -> int:
        run = connection.execute  # type: ignore[attr-defined]
        run(text("set local idle_in_transaction_session_timeout = '200ms'"))
        if not slept:
            slept.append(1)
            time.sleep(0.6)
        return int(run(text("select 7")).scalar_one())

    assert ledger.run(work) == 7


def test_a_heartbeat_outlives_a_full_disk_of_the_ledger_and_says_it_once(
    open_room: OpenRoom, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    def change(statement: str) -> None:
        ledger.run(lambda connection: connection.execute(text(statement)))

    room = open_room(Painter(), lease_seconds=0.15)
    change(
        "create function no_room() returns trigger language plpgsql as "
        "$$ begin raise exception 'no room' using errcode = '53100'; end $$"
    )
    change("create trigger no_room before update on claims execute function no_room()")
    time.sleep(0.5)
    change("drop trigger no_room on claims")
    assert room.holder._beating.is_alive()
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 1
    assert said[0].endswith("free some and run the same command again. The heartbeat goes on.")


def test_postgresql_stopped_in_the_middle_for_a_moment_costs_nothing(
    server: Server, own_url: str, tmp_path: Path
) -> None:
    def outage() -> None:
        server.stop()
        threading.Timer(0.5, server.start).start()

    painter = Painter(whim=At(4, outage))
    with rooms(own_url, tmp_path / "bucket") as open_room:
        room = open_room(painter, patience_seconds=60)
        assert illustrate(room, castles(16)).made == 16
        assert painter.calls == 16
        assert room.holder._beating.is_alive()
        assert_the_books_balance(room.ledger, room.bucket)


def test_an_embedded_server_that_is_killed_is_started_again_by_whoever_needs_it(
    server: Server, own_url: str, tmp_path: Path
) -> None:
    painter = Painter(whim=At(4, server.stop))
    with rooms(own_url, tmp_path / "bucket") as open_room:
        room = open_room(painter, patience_seconds=60, revive=lambda: start_postgres(server.home))
        assert illustrate(room, castles(16)).made == 16
        assert painter.calls == 16
        assert_the_books_balance(room.ledger, room.bucket)


def test_postgresql_that_stays_away_ends_the_batch_and_a_rerun_completes_it(
    server: Server, own_url: str, tmp_path: Path
) -> None:
    painter = Painter(whim=At(4, server.stop))
    with rooms(own_url, tmp_path / "bucket") as open_room:
        with pytest.raises(LedgerUnreachable, match="start PostgreSQL or mend DATABASE_URL, then run the same command"):
            illustrate(open_room(painter, patience_seconds=0.5), castles(16))
        in_flight = painter.calls
        server.start()
        room = open_room(painter, patience_seconds=5)
        made = value(room.ledger, "select count(*) from records")
        left_open = value(room.ledger, "select count(*) from attempts where outcome is null")
        # The first process lives on, as far as the second knows; its leases cover its calls.
        room.ledger.run(lambda connection: connection.execute(text("update claims set lease_until = now()")))
        report = illustrate(room, castles(16))
        assert isinstance(report, BatchReport)
        assert report.made == 16
        assert painter.calls == in_flight + 16 - made
        # An intent whose reply was lost is open too, and its call was never made.
        assert in_flight - made <= left_open <= 2 * room.rules.concurrency
        assert_the_books_balance(room.ledger, room.bucket)


def test_a_ledger_that_is_away_at_the_start_is_said_at_once(server: Server, own_url: str, tmp_path: Path) -> None:
    server.stop()
    started = time.monotonic()
    with pytest.raises(LimnerError, match=r"The ledger at .* is unreachable") as refused:
        Ledger.open(own_url)
    assert time.monotonic() - started < 5
    assert "\n" not in str(refused.value)


def test_an_outage_is_waited_for_once(server: Server, own_url: str) -> None:
    opened = Ledger.open(own_url, patience_seconds=1.5)

    def waits() -> bool:
        started = time.monotonic()
        with pytest.raises(LedgerUnreachable):
            opened.run(lambda connection: connection.execute(text("select 7")))
        return time.monotonic() - started >= 1.5

    server.stop()
    assert [waits(), waits(), waits()] == [True, False, False]
    server.start()
    assert opened.run(lambda connection: connection.execute(text("select 7")).scalar_one()) == 7
    server.stop()
    assert waits(), "the next outage is waited for again"
    opened.close()
