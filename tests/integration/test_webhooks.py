"""Webhooks: what a batch's end writes, and that it arrives: signed, once where all is well, again where it is not."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from limner import press
from limner.errors import Broken, Refused
from limner.ledger import notices, outbox, reports
from limner.ledger.opening import Ledger
from limner.settings import Settings
from limner.signing import signing_key
from limner.webhooks.delivering import HANDS, HANDS_FOR_RETRIES, deliver_until, ping
from limner.webhooks.sending import secret_of
from tests.integration.books import rows, value
from tests.integration.pressing import OpenRoom, Painter, castles, illustrate, planned
from tests.standins.serving import Running, running

SOON = (0.05, 0.05, 0.05)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Running]:
    with running("tests.standins.receiver", calls=tmp_path / "heard.jsonl") as standin:
        yield standin


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, signing_key="k" * 32, allow_private_addresses=True)


def webhook(ledger: Ledger, receiver: Running, settings: Settings, path: str = "/one", owner: str = "local") -> str:
    """Add a webhook, and tell the receiver its secret."""
    webhook_id = ledger.run(lambda connection: outbox.add(connection, owner, receiver.url + path))
    secret = secret_of(signing_key(settings), webhook_id)
    httpx.post(f"{receiver.url}/secrets", json={path: secret}).raise_for_status()
    return webhook_id


@contextmanager
def delivering(ledger: Ledger, settings: Settings, **more: Any) -> Iterator[None]:
    stop = threading.Event()
    told = {"schedule": SOON, "poll_seconds": 0.05, **more}
    deliverer = threading.Thread(target=deliver_until, args=(ledger, settings, stop), kwargs=told)
    deliverer.start()
    try:
        yield
    finally:
        stop.set()
        deliverer.join(20)
        assert not deliverer.is_alive()


def until(is_so: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def written(ledger: Ledger) -> list[dict[str, Any]]:
    return rows(ledger, "select * from outbox order by made_at")


def statuses(ledger: Ledger) -> list[str]:
    return [row["status"] for row in written(ledger)]


# -- what a batch's end writes


def test_the_end_of_a_batch_is_told_to_each_webhook_of_its_owner(open_room: OpenRoom, ledger: Ledger) -> None:
    for owner in ("local", "local", "somebody"):
        ledger.run(lambda connection, owner=owner: outbox.add(connection, owner, "https://example.org"))
    removed = ledger.run(lambda connection: outbox.add(connection, "local", "https://example.org"))
    assert ledger.run(lambda connection: outbox.remove(connection, removed))
    report = illustrate(open_room(), castles(2), idempotency_key="mine")
    first, second = written(ledger)
    assert first["webhook_id"] != second["webhook_id"]
    assert first["body"].keys() == {"type", "timestamp", "data"}
    assert first["body"]["type"] == first["event"] == "batch.complete"
    assert first["body"]["data"] == {
        "batch": report.batch,
        "kind": "chapter",
        "title": "A test",
        "status": "complete",
        "asked": 2,
        "made": 2,
        "reused": 0,
        "failed": 0,
        "request": None,
        "idempotency_key": "mine",
        "report": report.report,
    }


def test_an_app_is_told_its_own_key_and_the_request_that_it_asks_after(open_room: OpenRoom, ledger: Ledger) -> None:
    ledger.run(lambda connection: outbox.add(connection, "local", "https://example.org"))
    room = open_room()
    batch = planned(room, castles(1), idempotency_key="local:illustrate-chapter:mine:1")
    press.begin(room, batch, "a-run")
    press.end(room, batch, 1.0, cancelled=True)
    (told,) = written(ledger)
    assert (told["body"]["data"]["request"], told["body"]["data"]["idempotency_key"]) == ("a-run", "mine:1")


def test_a_batch_that_is_closed_again_as_it_stood_is_no_news(open_room: OpenRoom, ledger: Ledger) -> None:
    ledger.run(lambda connection: outbox.add(connection, "local", "https://example.org"))
    painter = Painter(whim=lambda _asked: Refused("no"))
    room = open_room(painter)
    illustrate(room, castles(2))
    illustrate(room, castles(2))
    assert [row["event"] for row in written(ledger)] == ["batch.short"]
    painter.whim = lambda asked: None if "1" in asked.prompt else Refused("no")
    illustrate(room, castles(2))
    painter.whim = lambda _asked: None
    illustrate(room, castles(2))
    assert [(row["event"], row["body"]["data"]["made"]) for row in written(ledger)] == [
        ("batch.short", 0),
        ("batch.short", 1),
        ("batch.complete", 2),
    ]


def test_what_is_rolled_back_is_not_told(open_room: OpenRoom, ledger: Ledger) -> None:
    ledger.run(lambda connection: outbox.add(connection, "local", "https://example.org"))
    batch = planned(open_room(), castles(1))

    def close(connection: Any) -> None:
        reports.close_batch(connection, batch, "cancelled", "")
        raise Broken("the process died")

    with pytest.raises(Broken):
        ledger.run(close)
    assert written(ledger) == []


# -- that it arrives


def test_a_message_arrives_once_signed_and_at_once(
    open_room: OpenRoom, ledger: Ledger, receiver: Running, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "_LINGER_SECONDS", 600)
    webhook(ledger, receiver, settings)
    # Nobody looks within the test's time: it is the notice that wakes.
    with delivering(ledger, settings, poll_seconds=600), delivering(ledger, settings, poll_seconds=600):
        until(lambda: value(ledger, "select count(*) from pg_stat_activity where query like 'listen %'") == 2)
        illustrate(open_room(), castles(1))
        until(lambda: statuses(ledger) == ["delivered"])
    (heard,) = receiver.events("heard")
    (row,) = written(ledger)
    assert (heard["id"], heard["body"]) == (row["id"], row["body"])
    assert row["tries"] == 1
    assert row["reason"] is None


def test_what_fails_is_tried_again_then_dead_then_sent_again_by_hand(
    open_room: OpenRoom, ledger: Ledger, receiver: Running, settings: Settings
) -> None:
    webhook(ledger, receiver, settings)
    receiver.fail({"what": "500"})
    with delivering(ledger, settings):
        illustrate(open_room(), castles(1))
        until(lambda: statuses(ledger) == ["dead"])
        (row,) = written(ledger)
        assert row["tries"] == 1 + len(SOON)
        assert "500" in row["reason"]
        receiver.fail({"what": "hang up", "times": 1}, {"what": "redirect", "times": 1})
        assert ledger.run(outbox.send_again) == 1
        until(lambda: statuses(ledger) == ["delivered"])
    ids = [one["id"] for one in receiver.events("heard")]
    assert len(ids) == 4 + 3
    assert set(ids) == {row["id"]}, "a receiver could not tell that it heard it before"
    assert receiver.counts()["calls"] == 1 + len(ids), "a redirect was followed"


def test_one_who_is_gone_is_asked_nothing_any_more(
    open_room: OpenRoom, ledger: Ledger, receiver: Running, settings: Settings
) -> None:
    gone = webhook(ledger, receiver, settings)
    room = open_room()
    illustrate(room, castles(1))
    illustrate(room, castles(2))
    receiver.fail({"what": "410"})
    with delivering(ledger, settings):
        until(lambda: statuses(ledger) == ["dead", "dead"])
    assert receiver.counts()["submit"] == 1
    assert ledger.run(lambda connection: outbox.find(connection, gone)) is None
    assert ledger.run(outbox.send_again) == 0


def test_a_silent_receiver_holds_up_nobody_else(
    open_room: OpenRoom, ledger: Ledger, receiver: Running, settings: Settings
) -> None:
    webhook(ledger, receiver, settings, "/silent")
    webhook(ledger, receiver, settings, "/quick")
    receiver.fail({"what": "slow", "match": "/silent", "seconds": 600})
    room = open_room()
    for number in range(1, 9):
        illustrate(room, castles(1, title=f"Castle {number}"))
    with delivering(ledger, settings):
        until(lambda: statuses(ledger).count("delivered") == 8)
        silent = [one for one in receiver.events("heard") if one["path"] == "/silent"]
        assert len(silent) == 1, "a slow receiver is not sent a crowd"
        # Its end is the silent ones' too.
        os.kill(receiver.pid, signal.SIGKILL)


def test_those_that_failed_before_leave_room_for_the_others(
    open_room: OpenRoom, ledger: Ledger, receiver: Running, settings: Settings
) -> None:
    for number in range(HANDS):
        webhook(ledger, receiver, settings, f"/silent/{number}")
    receiver.fail({"what": "slow", "match": "/silent", "seconds": 600})
    room = open_room()
    illustrate(room, castles(1))
    rows(ledger, "update outbox set tries = 1 returning id")
    with delivering(ledger, settings):
        until(lambda: len(receiver.events("heard")) == HANDS_FOR_RETRIES)
        webhook(ledger, receiver, settings, "/quick", owner="anna")
        illustrate(room, castles(1, title="Another"), owner="anna")
        until(lambda: "delivered" in statuses(ledger))
        assert len(receiver.events("heard")) == HANDS_FOR_RETRIES + 1
        os.kill(receiver.pid, signal.SIGKILL)


def test_what_a_killed_deliverer_had_is_sent_by_the_next(
    open_room: OpenRoom, ledger: Ledger, receiver: Running, settings: Settings
) -> None:
    webhook(ledger, receiver, settings)
    illustrate(open_room(), castles(1))
    taken = ledger.run(lambda connection: outbox.take(connection, (), again=True, lease_seconds=0.5))
    assert taken is not None
    assert ledger.run(lambda connection: outbox.take(connection, (), again=True, lease_seconds=9)) is None
    with delivering(ledger, settings):
        until(lambda: statuses(ledger) == ["delivered"])
    # The one who slept past its lease has no say.
    ledger.run(lambda connection: outbox.give_up(connection, taken, "late"))
    assert statuses(ledger) == ["delivered"]


def test_many_deliverers_send_each_message_once(
    open_room: OpenRoom, ledger: Ledger, receiver: Running, settings: Settings
) -> None:
    for path in ("/one", "/two", "/three"):
        webhook(ledger, receiver, settings, path)
    room = open_room()
    for number in range(1, 6):
        illustrate(room, castles(1, title=f"Castle {number}"))
    with delivering(ledger, settings), delivering(ledger, settings), delivering(ledger, settings):
        until(lambda: set(statuses(ledger)) == {"delivered"})
    ids = [one["id"] for one in receiver.events("heard")]
    assert len(ids) == len(set(ids)) == 15


def test_a_name_that_turned_private_is_not_asked(
    open_room: OpenRoom, ledger: Ledger, receiver: Running, settings: Settings, tmp_path: Path
) -> None:
    webhook(ledger, receiver, settings)
    illustrate(open_room(), castles(1))
    strict = Settings(home=tmp_path, signing_key="k" * 32)
    with delivering(ledger, strict):
        until(lambda: statuses(ledger) == ["dead"])
    assert "no address of the open Internet" in value(ledger, "select reason from outbox")
    assert receiver.counts()["submit"] == 0


def test_a_ledger_that_is_away_ends_no_deliverer(
    open_room: OpenRoom, ledger: Ledger, receiver: Running, settings: Settings
) -> None:
    webhook(ledger, receiver, settings)
    with delivering(ledger, settings):
        hang_up = text("select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen %'")
        until(lambda: ledger.run(lambda connection: connection.execute(hang_up).rowcount))
        illustrate(open_room(), castles(1))
        until(lambda: statuses(ledger) == ["delivered"])


def test_a_ping_says_what_the_receiver_answers(ledger: Ledger, receiver: Running, settings: Settings) -> None:
    webhook_id = webhook(ledger, receiver, settings)
    assert ping(settings, webhook_id, f"{receiver.url}/one").is_fine
    assert not ping(settings, "another", f"{receiver.url}/one").is_fine, "signed with another's secret"
    (heard,) = receiver.events("heard")
    assert heard["body"]["type"] == "ping"
    assert written(ledger) == []
