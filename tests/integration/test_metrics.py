"""Metrics: what Prometheus reads is what the ledger holds, whatever was summed before."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from limner import metrics
from limner.errors import Refused
from limner.ledger import outbox
from limner.ledger.opening import Ledger
from limner.metrics import exposition
from limner.providers.seam import Asked, Limits
from tests.integration.books import rows, value
from tests.integration.pressing import OpenRoom, Painter, castles, illustrate, too_small

Samples = dict[tuple[str, tuple[str, ...]], float]


def read(ledger: Ledger) -> Samples:
    """Return each sample by its name and its labels' values, the labels in the order of their names."""
    said = exposition(ledger, fresh_seconds=0).decode()
    families = text_string_to_metric_families(said)
    return {(one.name, tuple(one.labels.values())): one.value for family in families for one in family.samples}


def named(samples: Samples, name: str) -> dict[Any, float]:
    return {
        labels if len(labels) > 1 else labels[0]: number for (one, labels), number in samples.items() if one == name
    }


def _key(labels: tuple[str, ...]) -> Any:
    return labels if len(labels) > 1 else labels[0]


def counted(ledger: Ledger, statement: str) -> dict[Any, float]:
    found = [tuple(row.values()) for row in rows(ledger, statement)]
    return {_key(tuple(labels)): float(number) for *labels, number in found}


def assert_true(ledger: Ledger) -> Samples:
    """Hold what is read against plain counts over everything."""
    said = read(ledger)
    for name, statement in {
        "limner_pictures_asked_total": "select kind, sum(asked) from batches group by 1",
        "limner_pictures_made_total": """
            select kind, r.provider, count(*) from jobs join batches b on b.id = batch_id
              join records r on r.id = record_id where jobs.status = 'made' group by 1, 2""",
        "limner_pictures_reused_total": """
            select kind, count(*) from jobs join batches b on b.id = batch_id
             where jobs.status = 'reused' group by 1""",
        "limner_pictures_failed": """
            select kind, count(*) from jobs join batches b on b.id = batch_id
             where jobs.status = 'failed' group by 1""",
        "limner_attempts_total": "select outcome, provider, count(*) from attempts group by 1, 2",
        "limner_spend_usd_total": "select provider, sum(cost_usd) from attempts group by 1",
        "limner_attempt_seconds_count": "select provider, count(seconds) from attempts group by 1",
    }.items():
        assert named(said, name) == pytest.approx(counted(ledger, statement)), name
    return said


def whims() -> Callable[[Asked], Any]:
    """Refuse one, and paint one too small: a bit of everything."""

    def whim(asked: Asked) -> Any:
        if "1 towers" in asked.prompt:
            return Refused("no")
        return too_small(asked) if "2 towers" in asked.prompt else None

    return whim


@pytest.fixture(autouse=True)
def _sums_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(metrics, "_RESTED_SECONDS", 0)
    yield


def test_an_empty_ledger_has_metrics_too(ledger: Ledger) -> None:
    said = read(ledger)
    assert named(said, "limner_batches") == {"open": 0, "short": 0, "cancelled": 0}
    assert named(said, "limner_runs") == {"alive": 0, "dead": 0, "waiting": 0}
    assert named(said, "limner_webhook_messages") == {"waiting": 0, "dead": 0}


def test_what_is_read_is_what_the_ledger_holds(open_room: OpenRoom, ledger: Ledger) -> None:
    painter = Painter(whim=whims(), price_usd=0.02)
    room = open_room(painter)
    illustrate(room, castles(4))
    first = assert_true(ledger)
    assert named(first, "limner_batches")["short"] == 1
    assert named(first, "limner_pictures_failed") == {"chapter": 2}
    assert named(first, "limner_pictures_rejected_total")["chapter", "painter"] >= 1
    # The sum holds it now; one comes that is alike in part, and then the first is carried on to its end.
    illustrate(room, castles(6))
    assert_true(ledger)
    painter.whim = lambda _asked: None
    illustrate(room, castles(4))
    last = assert_true(ledger)
    assert named(last, "limner_pictures_failed") == {"chapter": 2}
    for name, labels in first:
        if name.endswith("_total"):
            assert last[name, labels] >= first[name, labels]


def test_what_a_batch_left_open_is_found_after_an_hour(
    open_room: OpenRoom, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    illustrate(open_room(), castles(1))
    assert_true(ledger)
    value(ledger, "update attempts set outcome = 'unknown', cost_usd = 1 returning 1")
    assert named(read(ledger), "limner_spend_usd_total") == {"painter": 0}
    monkeypatch.setattr(metrics, "REPEAT_SECONDS", 0)
    assert named(read(ledger), "limner_spend_usd_total") == {"painter": 1}


def test_slots_are_as_they_stand(open_room: OpenRoom, ledger: Ledger) -> None:
    seen: list[Samples] = []
    waiting = """
        insert into slots (id, provider, holder, priority, asked_at, lease_until)
        values ('1', 'painter', 'somebody', 1, now() - interval '7 seconds', now() + interval '1 hour') returning 1"""

    def whim(_asked: Asked) -> None:
        value(ledger, waiting)
        seen.append(read(ledger))

    painter = Painter(whim=whim)
    painter.limits = Limits(calls_at_once=3)
    illustrate(open_room(painter), castles(1))
    (said,) = seen
    assert named(said, "limner_slots_taken") == {"painter": 1}
    assert named(said, "limner_slots_shut_seconds") == {"painter": 0}
    assert named(said, "limner_slots_waiting") == {"painter": 1}
    assert named(said, "limner_slots_oldest_wait_seconds")["painter"] >= 7
    assert named(said, "limner_slots_waited_seconds")["painter"] >= 0


def test_runs_and_messages_are_as_they_stand(open_room: OpenRoom, ledger: Ledger) -> None:
    ledger.run(lambda connection: outbox.add(connection, "local", "https://example.org"))
    batch = illustrate(open_room(), castles(1)).batch
    begun = """
        insert into runs (id, batch_id, holder, beat_at)
        values (:run, :batch, :holder, now() - cast(:ago as interval)) returning 1"""
    for run, holder, ago in (
        ("at work", "a", "0 s"),
        ("silent", "b", "1 hour"),
        ("not begun", None, "1 hour"),
        ("ended", "c", "1 hour"),
    ):
        value(ledger, begun, run=run, batch=batch, holder=holder, ago=ago)
    value(ledger, "update runs set ended_at = now() where id = 'ended' returning 1")
    said = read(ledger)
    assert named(said, "limner_runs") == {"alive": 1, "dead": 1, "waiting": 1}
    assert named(said, "limner_webhook_messages") == {"waiting": 1, "dead": 0}


def test_two_readings_within_ten_seconds_are_one(open_room: OpenRoom, ledger: Ledger) -> None:
    before = exposition(ledger)
    illustrate(open_room(), castles(1))
    assert exposition(ledger) == before
    assert exposition(ledger, fresh_seconds=0) != before
