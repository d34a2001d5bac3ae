"""Purging: what nobody needs any more goes, by its age; the record of what was made and paid for stays.

Plain Python over a ledger and a bucket. May be killed at any moment and run again: what is half gone goes then.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, text

from limner.bucket import Bucket
from limner.ledger.opening import Ledger

UPLOADS = "uploads/"

# For so long the object of a tombstoned row is looked for again.
_RETRIED_DAYS = 3.0

# What every gate said no to, long ago, and what no record, nor any picture's parents, lean on.
_REJECTED = text("""
    select a.sha256 from artifacts a
      join (select sha256 from attempts where sha256 is not null group by sha256
            having bool_and(outcome is not distinct from 'rejected') and max(settled_at) < :before) t using (sha256)
     where a.tombstoned_at is null
       and not exists (select from records r where r.sha256 = a.sha256)
       and not exists (select from parents p where p.parent_sha256 = a.sha256)
     order by a.sha256
""")
_LOCK = text("select from artifacts where sha256 = :sha256 for update")
# While an order that once brought it is asked for, the same bytes may be on their way to a record.
_IS_HELD = """(
    exists (select from records r where r.sha256 = a.sha256)
    or exists (select from attempts o where o.outcome is null
                and o.order_key in (select order_key from attempts t where t.sha256 = a.sha256)))
"""
_TOMBSTONE = text(f"""
    update artifacts a set tombstoned_at = now()
     where sha256 = :sha256 and tombstoned_at is null and not {_IS_HELD}
""")  # noqa: S608 - our own words
_TOMBSTONED = text("select sha256 from artifacts where tombstoned_at > :since order by sha256")
_IS_GONE = text(f"""
    select key from artifacts a where sha256 = :sha256 and tombstoned_at is not null and not {_IS_HELD}
""")  # noqa: S608
_IS_NAMED = text("""
    select exists (select from batches where status <> 'complete' and strpos(request::text, :key) > 0)
""")
_OLD_ROWS = {
    "webhook deliveries": (
        "outbox where status <> 'waiting' and settled_at < :before",
        "delivered, or given up",
    ),
    "turns": ("turns where served_at < :before", "of owners that were not served since"),
}


@dataclass(frozen=True, slots=True)
class Ages:
    """How many days what is purged is kept."""

    rejected_days: float = 30
    uploads_days: float = 30
    webhooks_days: float = 30
    turns_days: float = 7


@dataclass(frozen=True, slots=True)
class Purged:
    """How many of one kind of thing went, or would go."""

    what: str
    number: int
    which: str


def purge(ledger: Ledger, bucket: Bucket, ages: Ages, *, dry_run: bool = False) -> list[Purged]:
    """Remove what is older than its age; with `dry_run` only count it."""
    return [
        _rejected(ledger, bucket, _before(ages.rejected_days), dry_run=dry_run),
        _uploads(ledger, bucket, _before(ages.uploads_days), dry_run=dry_run),
        _rows(ledger, "webhook deliveries", _before(ages.webhooks_days), dry_run=dry_run),
        _rows(ledger, "turns", _before(ages.turns_days), dry_run=dry_run),
    ]


def _before(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def _rejected(ledger: Ledger, bucket: Bucket, before: datetime, *, dry_run: bool) -> Purged:
    found = ledger.run(lambda connection: list(connection.execute(_REJECTED, {"before": before}).scalars()))
    if not dry_run:
        for sha256 in found:
            ledger.run(partial(_tombstone, sha256))
        # Rows before bytes, and those of a purge that was killed between the two as well.
        since = {"since": _before(_RETRIED_DAYS)}
        for sha256 in ledger.run(lambda connection: list(connection.execute(_TOMBSTONED, since).scalars())):
            ledger.run(partial(_delete, bucket, sha256))
    return Purged("rejected pictures", len(found), "that no record leans on")


def _tombstone(sha256: str, connection: Connection) -> None:
    # Locked first: whoever records it comes before, and is seen, or after, and takes the stone away.
    connection.execute(_LOCK, {"sha256": sha256})
    connection.execute(_TOMBSTONE, {"sha256": sha256})


def _delete(bucket: Bucket, sha256: str, connection: Connection) -> None:
    connection.execute(_LOCK, {"sha256": sha256})
    key = connection.execute(_IS_GONE, {"sha256": sha256}).scalar()
    if key is not None:
        bucket.delete(key)


def _uploads(ledger: Ledger, bucket: Bucket, before: datetime, *, dry_run: bool) -> Purged:
    number = 0
    for key in bucket.written_before(before, UPLOADS):
        if ledger.run(partial(_is_named, key)):
            continue
        if not dry_run:
            bucket.delete(key)
        number += 1
    return Purged("uploads", number, "that no unfinished batch names")


def _is_named(key: str, connection: Connection) -> bool:
    return bool(connection.execute(_IS_NAMED, {"key": key}).scalar_one())


def _rows(ledger: Ledger, what: str, before: datetime, *, dry_run: bool) -> Purged:
    where, which = _OLD_ROWS[what]
    verb = "select count(*) from" if dry_run else "delete from"

    def work(connection: Connection) -> int:
        done: Any = connection.execute(text(f"{verb} {where}"), {"before": before})
        return int(done.scalar_one() if dry_run else done.rowcount)

    return Purged(what, ledger.run(work), which)
