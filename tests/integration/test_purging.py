"""What is purged by its age, and what stays: whatever a record, a batch or a delivery under way leans on."""

import os
from pathlib import Path

import pytest
from sqlalchemy import text

from limner.bucket.directory import DirectoryBucket
from limner.ledger.auditing import audit_spend
from limner.ledger.opening import Ledger
from limner.purging import Ages, Purged, purge
from tests.integration.books import rows, value
from tests.integration.pressing import OpenRoom, Painter, castles, illustrate, planned, too_small

AGES = Ages(rejected_days=30, uploads_days=30, webhooks_days=30, turns_days=7)


@pytest.fixture
def bucket(tmp_path: Path) -> DirectoryBucket:
    return DirectoryBucket(tmp_path / "bucket")


def age(ledger: Ledger, table: str, column: str, days: int) -> None:
    aged = f"update {table} set {column} = now() - make_interval(days => :days)"  # noqa: S608 - our own words
    ledger.run(lambda connection: connection.execute(text(aged), {"days": days}))


def numbers(purged: list[Purged]) -> list[int]:
    return [one.number for one in purged]


def test_old_rejected_pictures_go_and_what_was_made_stays(
    open_room: OpenRoom, ledger: Ledger, bucket: DirectoryBucket
) -> None:
    painter = Painter(whim=too_small)
    room = open_room(painter, bucket=bucket)
    illustrate(room, castles(1))
    painter.whim = lambda _asked: None
    illustrate(room, castles(2))
    rejected = value(ledger, "select count(distinct sha256) from attempts where outcome = 'rejected'")
    assert rejected > 0
    assert numbers(purge(ledger, bucket, AGES)) == [0, 0, 0, 0], "they are young"
    age(ledger, "attempts", "settled_at", 31)
    before = bucket.keys("images/")
    assert numbers(purge(ledger, bucket, AGES, dry_run=True)) == [rejected, 0, 0, 0]
    assert bucket.keys("images/") == before
    assert numbers(purge(ledger, bucket, AGES)) == [rejected, 0, 0, 0]
    recorded = rows(ledger, "select key from artifacts where tombstoned_at is null order by key")
    assert bucket.keys("images/") == [row["key"] for row in recorded]
    assert len(recorded) == 2
    assert numbers(purge(ledger, bucket, AGES)) == [0, 0, 0, 0]
    assert list(ledger.run(audit_spend).faults) == []


def test_a_rejected_picture_that_a_record_holds_stays(
    open_room: OpenRoom, ledger: Ledger, bucket: DirectoryBucket
) -> None:
    room = open_room(bucket=bucket)
    illustrate(room, castles(1))
    ledger.run(lambda connection: connection.execute(text("update attempts set outcome = 'rejected'")))
    age(ledger, "attempts", "settled_at", 31)
    assert numbers(purge(ledger, bucket, AGES)) == [0, 0, 0, 0]


def test_what_a_killed_purge_left_goes_with_the_next(
    open_room: OpenRoom, ledger: Ledger, bucket: DirectoryBucket
) -> None:
    illustrate(open_room(Painter(whim=too_small), bucket=bucket), castles(1))
    ledger.run(lambda connection: connection.execute(text("update artifacts set tombstoned_at = now()")))
    assert bucket.keys("images/")
    purge(ledger, bucket, AGES)
    assert bucket.keys("images/") == []


def test_old_uploads_go_unless_an_unfinished_batch_names_them(
    open_room: OpenRoom, ledger: Ledger, bucket: DirectoryBucket, tmp_path: Path
) -> None:
    keys = [f"uploads/scope/{name}" for name in ("named", "old", "young")]
    for key in keys:
        bucket.put(key, b"a book", "text/plain")
    for key in keys[:2]:
        os.utime(tmp_path / "bucket" / key, (1.0, 1.0))
    planned(open_room(bucket=bucket), castles(1))
    named = text("update batches set request = jsonb_build_object('book', 'bucket:uploads/scope/named/alice.txt')")
    ledger.run(lambda connection: connection.execute(named))
    assert numbers(purge(ledger, bucket, AGES)) == [0, 1, 0, 0]
    assert bucket.keys("uploads/") == [keys[0], keys[2]]
    ledger.run(lambda connection: connection.execute(text("update batches set status = 'complete'")))
    assert numbers(purge(ledger, bucket, AGES)) == [0, 1, 0, 0]


def test_ended_deliveries_and_old_turns_go(open_room: OpenRoom, ledger: Ledger, bucket: DirectoryBucket) -> None:
    batch = planned(open_room(bucket=bucket), castles(1))
    statements = (
        "insert into webhooks (id, owner, url) values ('w', 'local', 'http://x')",
        "insert into outbox (id, webhook_id, batch_id, event, body, status, settled_at) "
        "select n, 'w', :batch, 'e', '{}', n, now() - interval '31 days' from unnest(array['delivered', 'dead']) n",
        "insert into outbox (id, webhook_id, batch_id, event, body) values ('waits', 'w', :batch, 'e', '{}')",
        "insert into turns (provider, owner, served_at) values ('p', 'old', now() - interval '8 days'), "
        "('p', 'new', now())",
    )
    for one in statements:
        ledger.run(lambda connection, one=one: connection.execute(text(one), {"batch": batch.id}))
    assert numbers(purge(ledger, bucket, AGES, dry_run=True)) == [0, 0, 2, 1]
    assert numbers(purge(ledger, bucket, AGES)) == [0, 0, 2, 1]
    assert rows(ledger, "select id from outbox") == [{"id": "waits"}]
    assert rows(ledger, "select owner from turns") == [{"owner": "new"}]
